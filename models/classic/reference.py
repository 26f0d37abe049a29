"""The truth beside `optimizer := 'classic_sgd'`: factorisation learned from one rating at a time, number by number.

Written from README.md as plain loops. All arithmetic is float64; what both sides start from (initial tensors, ratings,
weights) is rounded to float32 first. Ratings come in rounds of two blocks, which share neither users nor items.

    python3 models/classic/reference.py            writes reference.json beside this file
    python3 models/classic/reference.py --check    fails if that would change it
"""

import json
import math
import pathlib
import sys

import numpy as np

U, I, K = 13, 11, 5
# The rows of each block of a round, of users and of items.
ROUNDS = [([(0, 6), (6, 13)], [(0, 4), (4, 11)]), ([(0, 6), (6, 13)], [(4, 11), (0, 4)])] * 3
RATES = [0.01, 0.04, 0.05, 0.03, 0.02, 0.001]

CASES = [
    dict(name="range, mean and biases", seed=1, bias="both", mu=0.25, range=[0.5, 5.5], weight_decay=0.1, weighted=False, half=False),
    dict(name="nothing but factors", seed=2, bias="none", mu=0.0, range=None, weight_decay=0.0, weighted=False, half=False),
    dict(name="biases of users, weights", seed=3, bias="user", mu=3.25, range=None, weight_decay=0.5, weighted=True, half=False),
    dict(name="half the squares", seed=4, bias="both", mu=0.25, range=[0.0, 5.5], weight_decay=0.02, weighted=True, half=True),
]


def single(values, digits):
    """Short decimals, as the float32 that a reader of them gets."""
    return np.round(values, digits).astype(np.float32).astype(np.float64)


def initial_tensors(case, rng):
    def draw(*shape):
        return single(0.4 * rng.random(shape) - 0.2, 4)

    tensors = {"user_factors": draw(U, K), "item_factors": draw(I, K)}
    if case["bias"] != "none":
        tensors["user_bias"] = draw(U)
    if case["bias"] == "both":
        tensors["item_bias"] = draw(I)
    return tensors


def draw_round(case, rng, rows):
    """Some ten ratings a block, in no order; pairs come again."""
    found = {"user": [], "item": [], "rating": [], "weight": [], "borders": [0], "user_rows": rows[0], "item_rows": rows[1]}
    for users, items in zip(*rows):
        for _ in range(int(rng.integers(8, 13))):
            found["user"].append(int(rng.integers(*users)))
            found["item"].append(int(rng.integers(*items)))
            found["rating"].append(1.0 + float(rng.integers(0, 9)) / 2)
            found["weight"].append(float(single(0.5 + rng.random(), 3)) if case["weighted"] else 1.0)
        found["borders"].append(len(found["user"]))
    return found


def learn(case, tensors, u, i, rating, weight, rate):
    """p <- p - lr (g + wd p) for the rows of one rating; its loss before that."""
    p, q = list(tensors["user_factors"][u]), list(tensors["item_factors"][i])
    x = case["mu"] + sum(p[k] * q[k] for k in range(K))
    x += tensors["user_bias"][u] if "user_bias" in tensors else 0.0
    x += tensors["item_bias"][i] if "item_bias" in tensors else 0.0
    prediction, slope = x, 1.0
    if case["range"]:
        lo, hi = case["range"]
        share = 1 / (1 + math.exp(-x))
        prediction, slope = lo + (hi - lo) * share, (hi - lo) * share * (1 - share)
    factor = weight * (0.5 if case["half"] else 1.0)
    g = 2 * factor * (prediction - rating) * slope
    for k in range(K):
        tensors["user_factors"][u][k] -= rate * (g * q[k] + case["weight_decay"] * p[k])
        tensors["item_factors"][i][k] -= rate * (g * p[k] + case["weight_decay"] * q[k])
    if "user_bias" in tensors:
        tensors["user_bias"][u] -= rate * g
    if "item_bias" in tensors:
        tensors["item_bias"][i] -= rate * g
    return factor * (prediction - rating) ** 2


def run(case):
    rng = np.random.default_rng(case["seed"])
    initial = initial_tensors(case, rng)
    tensors = {name: tensor.copy() for name, tensor in initial.items()}
    rounds = [draw_round(case, rng, rows) for rows in ROUNDS]
    for rate, of_round in zip(RATES, rounds):
        columns = zip(of_round["user"], of_round["item"], of_round["rating"], of_round["weight"])
        of_round["loss"] = number(sum(learn(case, tensors, *row, rate) for row in columns))
        of_round["learning_rate"] = rate
    return case | {
        "n_users": U, "n_items": I, "n_factors": K,
        "initial": by_name(initial),
        "rounds": rounds,
        "final": by_name(tensors),
    }


def number(value):
    """Nine digits: more than float32 has, fewer than two machines' exp() may disagree on."""
    return float(f"{value:.9g}")


def by_name(tensors):
    """Each tensor row by row."""
    return {name: [number(value) for value in np.ravel(tensor)] for name, tensor in tensors.items()}


def pretty(value, depth=0):
    """JSON with a line for each key and for each list of numbers."""
    pad = "  " * (depth + 1)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(pad + pretty(item, depth + 1) for item in value) + "\n" + "  " * depth + "]"
    if not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    lines = [f"{pad}{json.dumps(key)}: {pretty(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


if __name__ == "__main__":
    text = "[\n" + ",\n".join(pretty(run(case)) for case in CASES) + "\n]\n"
    path = pathlib.Path(__file__).with_name("reference.json")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if path.read_text() == text else f"{path} is not what this script computes")
    path.write_text(text)
