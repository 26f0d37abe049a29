"""The truth beside the loss `cross_entropy`: forward pass, gradients, AdamW and one-cycle schedule in NumPy.

Written from the formulas in README.md, with gradients derived by hand (and held against central differences below),
so that it shares nothing with the Rust code but the mathematics. All arithmetic is float64; what both sides start from
(initial tensors) is rounded to float32 first.

    python3 models/cross_entropy/reference.py            writes reference.json beside this file
    python3 models/cross_entropy/reference.py --check    fails if that would change it
"""

import json
import math
import pathlib
import sys

import numpy as np

STEPS, B, U, I, K = 50, 16, 13, 11, 5

CASES = [
    dict(name="bias, mean and range, five classes", seed=1, n_classes=5, bias=True, mu=0.25, range=[0.5, 5.5],
         repeated="user", weight_decay=0.1, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=5e-3, beta1=0.9),
    dict(name="bias, no range, nine classes", seed=2, n_classes=9, bias=True, mu=0.5, range=None,
         repeated="item", weight_decay=0.1, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=2e-2, beta1=0.9),
]


def single(values, digits):
    """Short decimals, as the float32 that a reader of them gets."""
    return np.round(values, digits).astype(np.float32).astype(np.float64)


def initial_tensors(case, rng):
    def draw(half_width, *shape):  # plain uniforms keep the same stream in every NumPy
        return single(half_width * (2 * rng.random(shape) - 1), 4)

    tensors = {"user_factors": draw(0.2, U, K), "item_factors": draw(0.2, I, K)}
    if case["bias"]:
        tensors |= {"user_bias": draw(0.2, U), "item_bias": draw(0.2, I)}
    return tensors | {"class_weights": draw(1, case["n_classes"]), "class_offsets": draw(1, case["n_classes"])}


def draw_batch(case, rng):
    """16 ratings as classes; in half of them the user (or item) is number 3."""
    batch = {"user": (U * rng.random(B)).astype(int), "item": (I * rng.random(B)).astype(int)}
    batch[case["repeated"]][::2] = 3
    batch["class"] = (case["n_classes"] * rng.random(B)).astype(int)
    return batch


def score(case, p, batch):
    """x = mu + b_u + b_i + p_u . q_i, score = lo + (hi - lo) sigmoid(x); and its slope in x"""
    u, i = batch["user"], batch["item"]
    x = case["mu"] + np.sum(p["user_factors"][u] * p["item_factors"][i], axis=1)
    if case["bias"]:
        x = x + p["user_bias"][u] + p["item_bias"][i]
    if case["range"] is None:
        return x, np.ones(B)
    lo, hi = case["range"]
    s = 1 / (1 + np.exp(-x))
    return lo + (hi - lo) * s, (hi - lo) * s * (1 - s)


def log_probabilities(p, s):
    """logit_c = s class_weights_c + class_offsets_c, less the logarithm of the sum of their exponentials"""
    logits = s[:, None] * p["class_weights"] + p["class_offsets"]
    largest = logits.max(axis=1, keepdims=True)
    return logits - largest - np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))


def loss_and_gradients(case, p, batch):
    """L = -1/B sum log softmax(logits)[class], dL/dlogit_c = 1/B (probability_c - [c = class])"""
    u, i = batch["user"], batch["item"]
    s, slope = score(case, p, batch)
    logs = log_probabilities(p, s)
    rows = np.arange(B)
    dlogits = np.exp(logs) / B
    dlogits[rows, batch["class"]] -= 1 / B
    dx = dlogits @ p["class_weights"] * slope
    g = {name: np.zeros_like(tensor) for name, tensor in p.items()}
    g["class_weights"] = s @ dlogits
    g["class_offsets"] = dlogits.sum(axis=0)
    np.add.at(g["user_factors"], u, dx[:, None] * p["item_factors"][i])
    np.add.at(g["item_factors"], i, dx[:, None] * p["user_factors"][u])
    if case["bias"]:
        np.add.at(g["user_bias"], u, dx)
        np.add.at(g["item_bias"], i, dx)
    return float(-np.mean(logs[rows, batch["class"]])), g


def settings(case, step):
    """fastai's fit_one_cycle at the beginning of the batch: (learning rate, beta1)."""
    rate = case["learning_rate"]
    if case["schedule"] == "constant":
        return rate, case["beta1"]

    def sched_cos(start, end, pos):
        return start + (1 + math.cos(math.pi * (1 - pos))) * (end - start) / 2

    pct = step / STEPS
    if pct < 0.25:
        return sched_cos(rate / 25, rate, pct / 0.25), sched_cos(0.95, 0.85, pct / 0.25)
    pos = (pct - 0.25) / 0.75
    return sched_cos(rate, rate / 1e5, pos), sched_cos(0.85, 0.95, pos)


def adamw(case, p, g, m, v, t, rate, beta1):
    """Loshchilov and Hutter 2019, algorithm 2, epsilon outside the root; t counts from 1.

    Biases and offsets do not decay.
    """
    beta2, eps = case["beta2"], case["eps"]
    for name in p:
        if name in ("user_factors", "item_factors", "class_weights"):
            p[name] = p[name] * (1 - rate * case["weight_decay"])
        m[name] = beta1 * m[name] + (1 - beta1) * g[name]
        v[name] = beta2 * v[name] + (1 - beta2) * g[name] ** 2
        denominator = np.sqrt(v[name]) / math.sqrt(1 - beta2**t) + eps
        p[name] = p[name] - rate / (1 - beta1**t) * m[name] / denominator


def check_gradients(case, p, batch, h=1e-5):
    _, g = loss_and_gradients(case, p, batch)
    for name in p:
        for place in np.ndindex(p[name].shape):
            shifted = {key: value.copy() for key, value in p.items()}
            shifted[name][place] += h
            above, _ = loss_and_gradients(case, shifted, batch)
            shifted[name][place] -= 2 * h
            below, _ = loss_and_gradients(case, shifted, batch)
            difference = (above - below) / (2 * h)
            assert abs(difference - g[name][place]) < 1e-8, (case["name"], name, place)


def run(case):
    rng = np.random.default_rng(case["seed"])
    p = initial_tensors(case, rng)
    m = {name: np.zeros_like(tensor) for name, tensor in p.items()}
    v = {name: np.zeros_like(tensor) for name, tensor in p.items()}
    batches = [draw_batch(case, rng) for _ in range(STEPS)]
    check_gradients(case, p, batches[0])

    initial, losses, rates, betas = dict(p), [], [], []
    for step, batch in enumerate(batches):
        loss, g = loss_and_gradients(case, p, batch)
        if step == 0:
            first_gradients = g
        rate, beta1 = settings(case, step)
        adamw(case, p, g, m, v, step + 1, rate, beta1)
        losses.append(loss)
        rates.append(rate)
        betas.append(beta1)

    probabilities = np.exp(log_probabilities(p, score(case, p, batches[0])[0]))
    moments = {f"{name}.m": tensor for name, tensor in m.items()} | {f"{name}.v": tensor for name, tensor in v.items()}
    return case | {
        "n_users": U, "n_items": I, "n_factors": K,
        "learning_rates": numbers(rates), "beta1s": numbers(betas),
        "initial": tensors(initial),
        "user": [batch["user"].tolist() for batch in batches],
        "item": [batch["item"].tolist() for batch in batches],
        "class": [batch["class"].tolist() for batch in batches],
        "losses": numbers(losses),
        "first_gradients": tensors(first_gradients),
        "final": tensors(p | moments),
        "final_probabilities": numbers(probabilities),
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
    text = "[\n" + ",\n".join(pretty(run(case)) for case in CASES) + "\n]\n"
    path = pathlib.Path(__file__).with_name("reference.json")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if path.read_text() == text else f"{path} is not what this script computes")
    path.write_text(text)
