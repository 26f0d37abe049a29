"""The truth beside the architecture `mlp`: forward pass, gradients, AdamW and one-cycle schedule in NumPy.

Written from the formulas in README.md, with gradients derived by hand (and held against central differences below),
so that it shares nothing with the Rust code but the mathematics. All arithmetic is float64; what both sides start from
(initial tensors, ratings, dropout masks) is rounded to float32 first.

    python3 models/mlp/reference.py            writes reference.json beside this file
    python3 models/mlp/reference.py --check    fails if that would change it
"""

import json
import math
import pathlib
import sys

import numpy as np

STEPS, B, U, I = 50, 16, 13, 11

CASES = [
    dict(name="two hidden layers, range and dropout", seed=4, user_width=5, item_width=3, layers=[7, 4], dropout=0.2,
         mu=0.25, range=[0.5, 5.5], repeated="user",
         weight_decay=0.1, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=5e-3, beta1=0.9),
    dict(name="two hidden layers, no range", seed=2, user_width=3, item_width=6, layers=[4, 6], dropout=0.0,
         mu=3.25, range=None, repeated="item",
         weight_decay=0.01, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=1e-2, beta1=0.9),
    dict(name="one hidden layer, constant rate", seed=3, user_width=4, item_width=2, layers=[6], dropout=0.0,
         mu=0.0, range=[0.5, 5.5], repeated="user",
         weight_decay=0.01, beta2=0.999, eps=1e-8, schedule="constant", learning_rate=5e-3, beta1=0.8),
]

# A pre-activation nearer to the kink of the ReLU may have another sign in single precision.
CLEAR_OF_THE_KINK = 2e-5


def single(values, digits):
    """Short decimals, as the float32 that a reader of them gets."""
    return np.round(values, digits).astype(np.float32).astype(np.float64)


def initial_tensors(case, rng):
    def draw(half_width, *shape):  # plain uniforms keep the same stream in every NumPy
        return single(half_width * (2 * rng.random(shape) - 1), 4)

    user_width, item_width, first = case["user_width"], case["item_width"], case["layers"][0]
    p = {"user_factors": draw(0.5, U, user_width), "item_factors": draw(0.5, I, item_width)}
    bound = 1 / math.sqrt(user_width + item_width)
    p["layer1.user"] = draw(bound, user_width, first)
    p["layer1.item"] = draw(bound, item_width, first)
    p["layer1.bias"] = draw(bound, first)
    for number, (fan_in, width) in enumerate(zip(case["layers"], case["layers"][1:] + [1]), start=2):
        p[f"layer{number}.weight"] = draw(1 / math.sqrt(fan_in), fan_in, width)
        p[f"layer{number}.bias"] = draw(1 / math.sqrt(fan_in), width)
    return p


def draw_batch(case, rng):
    """16 ratings; in half of them the user (or item) is number 3. With dropout a mask for each hidden layer."""
    batch = {"user": (U * rng.random(B)).astype(int), "item": (I * rng.random(B)).astype(int)}
    batch[case["repeated"]][::2] = 3
    batch["rating"] = 1.0 + np.floor(9 * rng.random(B)) / 2
    if case["dropout"]:
        kept = single(1 / (1 - case["dropout"]), 6)
        for name, width in masks(case):
            batch[name] = np.where(rng.random((B, width)) < case["dropout"], 0.0, kept)
    return batch


def masks(case):
    """The mask inputs and the widths of their layers."""
    if not case["dropout"]:
        return []
    return [(f"dropout{number}", width) for number, width in enumerate(case["layers"], start=1)]


def forward(case, p, batch):
    """prediction = range(mu + last(... relu(p_u W_user + q_i W_item + bias) * mask ...))

    Gives the predictions, their slopes in x, and for each hidden layer its pre-activation and its masked output. A
    batch without masks is predicted without dropout.
    """
    z = p["user_factors"][batch["user"]] @ p["layer1.user"] + p["item_factors"][batch["item"]] @ p["layer1.item"]
    z = z + p["layer1.bias"]
    hidden = []
    for number in range(1, len(case["layers"]) + 1):
        a = np.maximum(z, 0) * batch.get(f"dropout{number}", 1.0)
        hidden.append((z, a))
        z = a @ p[f"layer{number + 1}.weight"] + p[f"layer{number + 1}.bias"]
    x = case["mu"] + z[:, 0]
    if case["range"] is None:
        return x, np.ones(B), hidden
    lo, hi = case["range"]
    s = 1 / (1 + np.exp(-x))
    return lo + (hi - lo) * s, (hi - lo) * s * (1 - s), hidden


def loss_and_gradients(case, p, batch):
    """L = 1/B sum (prediction - rating)^2; from the last layer to the first, dz is dL/d(pre-activation)."""
    u, i = batch["user"], batch["item"]
    prediction, slope, hidden = forward(case, p, batch)
    error = prediction - batch["rating"]
    dz = (2 / B * error * slope)[:, None]
    g = {name: np.zeros_like(tensor) for name, tensor in p.items()}
    for number in range(len(hidden), 0, -1):
        z, a = hidden[number - 1]
        g[f"layer{number + 1}.weight"] = a.T @ dz
        g[f"layer{number + 1}.bias"] = dz.sum(axis=0)
        dz = dz @ p[f"layer{number + 1}.weight"].T * batch.get(f"dropout{number}", 1.0) * (z > 0)
    g["layer1.user"] = p["user_factors"][u].T @ dz
    g["layer1.item"] = p["item_factors"][i].T @ dz
    g["layer1.bias"] = dz.sum(axis=0)
    np.add.at(g["user_factors"], u, dz @ p["layer1.user"].T)
    np.add.at(g["item_factors"], i, dz @ p["layer1.item"].T)
    nearest = min(float(np.abs(z).min()) for z, _ in hidden)
    assert nearest > CLEAR_OF_THE_KINK, (case["name"], nearest, "take another seed")
    return float(np.mean(error**2)), g


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

    The biases of layers do not decay.
    """
    beta2, eps = case["beta2"], case["eps"]
    for name in p:
        if not name.endswith(".bias"):
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

    prediction, _, _ = forward(case, p, {"user": batches[0]["user"], "item": batches[0]["item"]})
    moments = {f"{name}.m": tensor for name, tensor in m.items()} | {f"{name}.v": tensor for name, tensor in v.items()}
    return case | {
        "n_users": U, "n_items": I,
        "learning_rates": numbers(rates), "beta1s": numbers(betas),
        "initial": tensors(initial),
        "user": [batch["user"].tolist() for batch in batches],
        "item": [batch["item"].tolist() for batch in batches],
        "rating": [batch["rating"].tolist() for batch in batches],
    } | {
        name: [batch[name].ravel().tolist() for batch in batches] for name, _ in masks(case)
    } | {
        "losses": numbers(losses),
        "first_gradients": tensors(first_gradients),
        "final": tensors(p | moments),
        "final_predictions": numbers(prediction),
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
