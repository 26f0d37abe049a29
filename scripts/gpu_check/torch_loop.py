"""PyTorch on the same device, as a process of its own: cofi's libraries and PyTorch's need not be of one version.

    torch_loop.py DEVICE bandwidth
    torch_loop.py DEVICE FOLDER USERS ITEMS FACTORS SECONDS BATCH...

The first measures what a copy moves. The second trains on the arrays in FOLDER, with two embeddings and two biases, dense with AdamW and with sparse gradients and SparseAdam
(which has no decay: it does less), all ratings on the device, in an order that is drawn there, and without waiting for a step; SECONDS of each batch size. Answers are lines of JSON.
"""

import json
import pathlib
import sys
import time

import numpy
import torch

# Range, rate, decay, betas and eps of cofi's defaults.
LOW, HIGH, MEAN = 0.0625, 5.4375, 3.5
RATE, DECAY, BETAS, EPS = 5e-3, 0.2, (0.9, 0.99), 1e-5


def main():
    device = torch.device(sys.argv[1])
    if sys.argv[2] == "bandwidth":
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        answer(torch=torch.__version__, cuda=torch.version.cuda, name=name, bandwidth=bandwidth(device))
        return
    folder, (users, items, factors) = pathlib.Path(sys.argv[2]), map(int, sys.argv[3:6])
    seconds, batches = float(sys.argv[6]), map(int, sys.argv[7:])
    columns = [torch.from_numpy(numpy.load(folder / f"{name}.npy")).to(device) for name in ("users", "items", "ratings")]
    for batch in batches:
        for kind in ("dense", "sparse"):
            try:
                rate, n_steps = pace(device, columns, (users, items, factors), batch, kind == "sparse", seconds)
                answer(batch=batch, kind=kind, rate=rate, steps=n_steps)
            except torch.OutOfMemoryError as error:
                answer(batch=batch, kind=kind, error=str(error).splitlines()[0])


def answer(**values):
    print(json.dumps(values), flush=True)


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def bandwidth(device):
    """Bytes a second that are read and written when 2 GiB (256 MiB on a CPU) are copied: the best of ten."""
    n = (2 << 30 if device.type == "cuda" else 256 << 20) // 4
    source, target = torch.ones(n, device=device), torch.empty(n, device=device)
    best = float("inf")
    for _ in range(10):
        wait(device)
        begin = time.perf_counter()
        target.copy_(source)
        wait(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * 4 * n / best


class Model(torch.nn.Module):
    def __init__(self, users, items, factors, sparse):
        super().__init__()
        self.tables = torch.nn.ModuleList(torch.nn.Embedding(n, width, sparse=sparse) for n, width in ((users, factors), (items, factors), (users, 1), (items, 1)))
        for table in self.tables:
            torch.nn.init.normal_(table.weight, std=0.01)

    def forward(self, users, items):
        user_factors, item_factors, user_bias, item_bias = (table(ids) for table, ids in zip(self.tables, (users, items, users, items)))
        score = MEAN - 3 + (user_factors * item_factors).sum(1) + user_bias[:, 0] + item_bias[:, 0]
        return LOW + (HIGH - LOW) * torch.sigmoid(score)


def pace(device, columns, sizes, batch, sparse, seconds):
    """Ratings a second, and of how many steps."""
    users, items, ratings = columns
    torch.manual_seed(1)
    model = Model(*sizes, sparse).to(device)
    weights = [table.weight for table in model.tables]
    if sparse:
        optimiser = torch.optim.SparseAdam(weights, lr=RATE, betas=BETAS, eps=EPS)
    else:
        groups = [{"params": weights[:2], "weight_decay": DECAY}, {"params": weights[2:], "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPS, fused=True)

    def steps(n):
        """The seconds of so many steps, over as many epochs as that takes; the order of what is taken is drawn within."""
        wait(device)
        begin = time.perf_counter()
        done = 0
        while done < n:
            for rows in torch.randperm(len(ratings), device=device)[: (n - done) * batch].split(batch):
                optimiser.zero_grad(set_to_none=True)
                torch.nn.functional.mse_loss(model(users[rows], items[rows]), ratings[rows]).backward()
                optimiser.step()
                done += 1
        wait(device)
        return time.perf_counter() - begin

    steps(3)
    tried = steps(3)
    # Of a step that takes so long no more are needed.
    n_steps = max(3, min(int(3 * seconds / tried), -(-len(ratings) // batch))) if tried < seconds else 3
    # The order of an epoch is drawn as a whole: of one that is not taken to its end, only its share counts.
    drawn = time.perf_counter()
    torch.randperm(len(ratings), device=device)
    wait(device)
    drawn = time.perf_counter() - drawn
    passed = steps(n_steps) if n_steps > 3 else tried
    epochs = n_steps / -(-len(ratings) // batch)
    return epochs * len(ratings) / (passed - drawn * (-(-epochs // 1) - epochs)), n_steps


if __name__ == "__main__":
    main()
