"""The truth beside the loss `half_sse`: the full-batch cost with dense matrices, PyTorch's autograd and its Adam.

Written from the formula in README.md as it stands there: a rating matrix Y, a mask R of what was rated, and their
whole product. cofi never makes those matrices, so the two share nothing but the mathematics. All arithmetic is
float64; what both sides start from (initial tensors, ratings) is exact in float32.

    python3 models/half_sse/reference.py            writes reference.json beside this file (needs NumPy and PyTorch)
    python3 models/half_sse/reference.py --check    fails if that would change it
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch

U, I, K, N, STEPS = 60, 90, 8, 1500, 1000
REPORTED = [1, 100, 1000]

CASES = [
    dict(name="the recipe's rate", seed=1, l2=1.0, learning_rate=1e-4, beta1=0.9, beta2=0.999, eps=1e-8),
    dict(name="ten times the rate", seed=2, l2=1.0, learning_rate=1e-3, beta1=0.9, beta2=0.999, eps=1e-8),
]


def planted_ratings(rng):
    """1,500 distinct pairs, rated 0.5 to 5 by steps of 0.5: a level for each user, rank 3, and noise."""
    pairs = np.sort(np.argsort(rng.random(U * I), kind="stable")[:N])
    user, item = pairs // I, pairs % I
    level = 2.5 + 2 * rng.random(U)
    p, q = 2 * rng.random((U, 3)) - 1, 2 * rng.random((I, 3)) - 1
    noise = rng.random(N) + rng.random(N) - 1
    rating = level[user] + 1.5 * np.sum(p[user] * q[item], axis=1) + noise
    return user, item, np.clip(np.round(2 * rating) / 2, 0.5, 5.0)


def initial_tensors(rng):
    """Uniform in +-1/sqrt(K), to four decimals, as the float32 that a reader of them gets."""
    def draw(*shape):
        values = (2 * rng.random(shape) - 1) / math.sqrt(K)
        return np.round(values, 4).astype(np.float32).astype(np.float64)

    return {"user_factors": draw(U, K), "item_factors": draw(I, K), "user_bias": draw(U)}


def cost(case, p, Y, R):
    """J = 1/2 sum_(r rated) (p_u . q_i + b_u - r)^2 + l2/2 (|P|^2 + |Q|^2)"""
    predictions = p["user_factors"] @ p["item_factors"].T + p["user_bias"][:, None]
    squares = R * (predictions - Y) ** 2
    penalty = (p["user_factors"] ** 2).sum() + (p["item_factors"] ** 2).sum()
    return squares.sum() / 2 + case["l2"] / 2 * penalty


def run(case):
    rng = np.random.default_rng(case["seed"])
    user, item, rating = planted_ratings(rng)
    initial = initial_tensors(rng)
    Y, R = torch.zeros(U, I, dtype=torch.float64), torch.zeros(U, I, dtype=torch.float64)
    Y[user, item] = torch.tensor(rating)
    R[user, item] = 1.0
    assert int(R.sum()) == N and R.sum(dim=0).min() > 0 and R.sum(dim=1).min() > 0

    p = {name: torch.tensor(tensor, requires_grad=True) for name, tensor in initial.items()}
    betas = (case["beta1"], case["beta2"])
    adam = torch.optim.Adam(list(p.values()), lr=case["learning_rate"], betas=betas, eps=case["eps"])
    costs = {}
    for step in range(1, STEPS + 1):
        adam.zero_grad()
        J = cost(case, p, Y, R)
        J.backward()
        if step == 1:
            first_gradients = {name: tensor.grad.numpy().copy() for name, tensor in p.items()}
        if step in REPORTED:
            costs[str(step)] = numbers(J.item())[0]
        adam.step()

    final = {name: tensor.detach().numpy() for name, tensor in p.items()}
    return case | {
        "n_users": U, "n_items": I, "n_factors": K, "steps": STEPS,
        "user": user.tolist(), "item": item.tolist(), "rating": rating.tolist(),
        "initial": tensors(initial),
        "costs": costs,
        "first_gradients": tensors(first_gradients),
        "final": tensors(final),
    }


def numbers(values):
    """Nine digits: more than float32 has, fewer than two machines' exp() may disagree on."""
    return [float(f"{value:.9g}") for value in np.ravel(values)]


def tensors(by_name):
    """Each tensor row by row."""
    return {name: numbers(tensor) for name, tensor in by_name.items()}


def pretty(value, depth=0):
    """JSON with a line for each key and for each list of numbers."""
    if not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    pad = "  " * (depth + 1)
    lines = [f"{pad}{json.dumps(key)}: {pretty(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    text = "[\n" + ",\n".join(pretty(run(case)) for case in CASES) + "\n]\n"
    path = pathlib.Path(__file__).with_name("reference.json")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if path.read_text() == text else f"{path} is not what this script computes")
    path.write_text(text)
