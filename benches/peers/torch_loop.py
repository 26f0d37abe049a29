"""A plain PyTorch loop: dense AdamW over both tables, the factors decayed and the biases not, fastai's one-cycle schedule."""

import math

import numpy
import torch


def train(users, items, ratings, sizes, factors, *, low, high, mu=0.0, init=0.01, epochs=5, batch=64, rate=5e-3, decay=0.1, beta2=0.99, eps=1e-5):
    """Trains on dense numbers and ratings; returns what predicts pairs."""
    n_users, n_items = sizes
    tables = [torch.empty(n, width) for n, width in ((n_users, factors), (n_items, factors), (n_users, 1), (n_items, 1))]
    for table in tables:
        torch.nn.init.trunc_normal_(table, std=init, a=-2 * init, b=2 * init)
        table.requires_grad_(True)

    def predict(users, items):
        user_factors, item_factors, user_bias, item_bias = (
            torch.nn.functional.embedding(ids, table) for ids, table in zip((users, items, users, items), tables)
        )
        score = mu + user_bias[:, 0] + item_bias[:, 0] + (user_factors * item_factors).sum(1)
        return low + (high - low) * torch.sigmoid(score)

    users, items = torch.from_numpy(users.astype(numpy.int64)), torch.from_numpy(items.astype(numpy.int64))
    ratings = torch.from_numpy(ratings.astype(numpy.float32))
    groups = [{"params": tables[:2], "weight_decay": decay}, {"params": tables[2:], "weight_decay": 0}]
    optimiser = torch.optim.AdamW(groups, eps=eps)
    n_steps, step = epochs * -(-len(ratings) // batch), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(ratings)).split(batch):
            now, beta1 = one_cycle(step / n_steps, rate)
            step += 1
            for group in optimiser.param_groups:
                group["lr"], group["betas"] = now, (beta1, beta2)
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(predict(users[rows], items[rows]), ratings[rows]).backward()
            optimiser.step()

    def predict_arrays(users, items):
        with torch.no_grad():
            return predict(torch.from_numpy(users.astype(numpy.int64)), torch.from_numpy(items.astype(numpy.int64))).numpy()

    return predict_arrays


def one_cycle(progress: float, highest: float) -> tuple[float, float]:
    """fastai's schedule: learning rate and beta1 after a share of all steps."""

    def cosine(start, end, share):
        return start + (1 - math.cos(math.pi * share)) * (end - start) / 2

    if progress < 0.25:
        share = progress / 0.25
        return cosine(highest / 25, highest, share), cosine(0.95, 0.85, share)
    share = (progress - 0.25) / 0.75
    return cosine(highest, highest / 1e5, share), cosine(0.85, 0.95, share)


def main() -> None:
    import protocol

    job = protocol.job()
    torch.manual_seed(job.seed)
    torch.set_num_threads(job.threads)
    clock = protocol.Clock()
    predict = train(
        job.users, job.items, job.ratings, (job.n_users, job.n_items), job.factors,
        # fastai's range for ratings up to 5.
        low=0.0, high=job.scale[1] + 0.5, epochs=int(job.number("epochs", 5)), batch=int(job.number("batch", 64)),
        rate=job.number("rate", 5e-3), decay=job.number("decay", 0.1),
    )  # fmt: skip
    times = clock.stop()
    job.finish(predict(job.held_users, job.held_items), times, torch.__version__)


if __name__ == "__main__":
    main()
