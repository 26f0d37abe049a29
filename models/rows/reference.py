"""The truth beside the updates of the rows of a batch: factorisation learned by AdamW, Adam and SGD, number by number.

Written from README.md as plain loops over rows and columns. What a row missed is not worked out in closed form but walked
through: a factor for each missed step, a power of q for each missed step. All arithmetic is float64; what both sides start
from (initial tensors, ratings) is rounded to float32 first.

    python3 models/rows/reference.py            writes reference.json beside this file
    python3 models/rows/reference.py --check    fails if that would change it
"""

import json
import math
import pathlib
import sys

import numpy as np

STEPS, B, U, I, K = 50, 6, 13, 11, 5

CASES = [
    dict(name="adamw, one cycle", rule="adamw", seed=1, bias=True, mu=0.25, range=[0.5, 5.5], repeated="user",
         weight_decay=0.2, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=2e-2, beta1=0.9),
    dict(name="adamw without decay", rule="adamw", seed=2, bias=False, mu=3.25, range=None, repeated="item",
         weight_decay=0.0, beta2=0.999, eps=1e-8, schedule="constant", learning_rate=2e-2, beta1=0.8),
    dict(name="adamw without momentum", rule="adamw", seed=3, bias=True, mu=0.0, range=[0.5, 5.5], repeated="item",
         weight_decay=0.5, beta2=0.9, eps=1e-3, schedule="constant", learning_rate=5e-3, beta1=0.0),
    dict(name="adam", rule="adam", seed=4, bias=True, mu=0.25, range=[0.5, 5.5], repeated="user",
         weight_decay=0.0, beta2=0.99, eps=1e-5, schedule="one_cycle", learning_rate=2e-2, beta1=0.9),
    dict(name="sgd", rule="sgd", seed=5, bias=True, mu=3.25, range=None, repeated="item",
         weight_decay=0.0, beta2=0.0, eps=0.0, schedule="constant", learning_rate=3e-2, beta1=0.9),
]


def single(values, digits):
    """Short decimals, as the float32 that a reader of them gets."""
    return np.round(values, digits).astype(np.float32).astype(np.float64)


def initial_tensors(case, rng):
    def draw(*shape):
        return single(0.4 * rng.random(shape) - 0.2, 4)

    tensors = {"user_factors": draw(U, K), "item_factors": draw(I, K)}
    if case["bias"]:
        tensors |= {"user_bias": draw(U), "item_bias": draw(I)}
    return tensors


def draw_batch(case, rng):
    """6 ratings. Low numbers are frequent, high ones rare, users 11 and 12 and item 10 never there; half are of number 3."""
    batch = {"user": (11 * rng.random(B) ** 2).astype(int), "item": (10 * rng.random(B) ** 2).astype(int)}
    batch[case["repeated"]][::2] = 3
    batch["rating"] = 1.0 + np.floor(9 * rng.random(B)) / 2
    return {name: column.tolist() for name, column in batch.items()}


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


class Row:
    """One row of a table: its numbers, what the rule remembers of them, and the steps done when it was last written."""

    def __init__(self, values, decays):
        self.values, self.decays = [float(value) for value in np.ravel(values)], decays
        self.m, self.v = [0.0] * len(self.values), [0.0] * len(self.values)
        self.clock = 0


class Training:
    def __init__(self, case, tensors):
        self.case, self.rates, self.done = case, [], 0
        self.tables = {
            name: [Row(values, name.endswith("factors")) for values in tensor] for name, tensor in tensors.items()
        }

    def correction(self, t, rate, beta1):
        """(step size, epsilon) of step t."""
        if self.case["rule"] == "sgd":
            return rate, None
        root = math.sqrt(1 - self.case["beta2"] ** t)
        return rate * root / (1 - beta1**t), self.case["eps"] * root

    def decay(self, row, rate):
        return 1 - rate * self.case["weight_decay"] if row.decays and self.case["rule"] == "adamw" else 1.0

    def catch_up(self, row, t, rate, beta1, values_only=False):
        """What the steps after row.clock and up to self.done would have done, with step t's scalars."""
        missed = self.done - row.clock
        step_size, epsilon = self.correction(t, rate, beta1)
        q = beta1 if epsilon is None else beta1 / math.sqrt(self.case["beta2"])
        decay, way, fade1, fade2, power = 1.0, 0.0, 1.0, 1.0, 1.0
        for number in range(missed):
            decay *= self.decay(row, self.rates[row.clock + number])
            power *= q
            way += power
            fade1 *= beta1
            fade2 *= self.case["beta2"]
        for k in range(len(row.values)):
            pace = row.m[k] if epsilon is None else row.m[k] / (math.sqrt(row.v[k]) + epsilon)
            row.values[k] = row.values[k] * decay - step_size * way * pace
            if not values_only:
                row.m[k] *= fade1
                row.v[k] *= fade2

    def update(self, row, g, t, rate, beta1):
        step_size, epsilon = self.correction(t, rate, beta1)
        beta2 = self.case["beta2"]
        for k in range(len(row.values)):
            if epsilon is None:
                row.m[k] = beta1 * row.m[k] + g[k]
                row.values[k] -= step_size * row.m[k]
                continue
            row.m[k] = beta1 * row.m[k] + (1 - beta1) * g[k]
            row.v[k] = beta2 * row.v[k] + (1 - beta2) * g[k] ** 2
            row.values[k] = row.values[k] * self.decay(row, rate) - step_size * row.m[k] / (math.sqrt(row.v[k]) + epsilon)
        row.clock = t

    def step(self, batch, rate, beta1):
        """The batch's loss; rows that are not in it are neither read nor written."""
        t = self.done + 1
        there = {name: sorted(set(batch[name.split("_")[0]])) for name in self.tables}
        for name, rows in there.items():
            for number in rows:
                self.catch_up(self.tables[name][number], t, rate, beta1)
        loss, g = self.loss_and_gradients(batch)
        for name, rows in there.items():
            for number in rows:
                self.update(self.tables[name][number], g[name][number], t, rate, beta1)
        self.rates.append(rate)
        self.done = t
        return loss

    def loss_and_gradients(self, batch):
        """L = 1/B sum (range(mu + b_u + b_i + p_u . q_i) - rating)^2"""
        case, tables = self.case, self.tables
        g = {name: {} for name in tables}
        loss = 0.0
        for u, i, rating in zip(batch["user"], batch["item"], batch["rating"]):
            p, q = tables["user_factors"][u].values, tables["item_factors"][i].values
            x = case["mu"] + sum(p[k] * q[k] for k in range(K))
            if case["bias"]:
                x += tables["user_bias"][u].values[0] + tables["item_bias"][i].values[0]
            prediction, slope = x, 1.0
            if case["range"]:
                lo, hi = case["range"]
                share = 1 / (1 + math.exp(-x))
                prediction, slope = lo + (hi - lo) * share, (hi - lo) * share * (1 - share)
            loss += (prediction - rating) ** 2 / B
            dx = 2 / B * (prediction - rating) * slope
            parts = [("user_factors", u, [dx * q[k] for k in range(K)]), ("item_factors", i, [dx * p[k] for k in range(K)])]
            if case["bias"]:
                parts += [("user_bias", u, [dx]), ("item_bias", i, [dx])]
            for name, row, part in parts:
                sums = g[name].setdefault(row, [0.0] * len(part))
                for k in range(len(part)):
                    sums[k] += part[k]
        return loss, g

    def tensors(self):
        """Every state by name."""
        found = {}
        for name, rows in self.tables.items():
            found[name] = [value for row in rows for value in row.values]
            found[f"{name}.m"] = [value for row in rows for value in row.m]
            if self.case["rule"] != "sgd":
                found[f"{name}.v"] = [value for row in rows for value in row.v]
            found[f"{name}.clock"] = [row.clock for row in rows]
            if rows[0].decays and self.case["weight_decay"] > 0:
                logs = [math.log(self.decay(rows[0], rate)) for rate in self.rates]
                found[f"{name}.log_decay"] = [sum(logs[: row.clock]) for row in rows]
        return found


def run(case):
    rng = np.random.default_rng(case["seed"])
    initial = initial_tensors(case, rng)
    training = Training(case, initial)
    batches = [draw_batch(case, rng) for _ in range(STEPS)]
    losses, rates, betas = [], [], []
    for step, batch in enumerate(batches):
        rate, beta1 = settings(case, step)
        losses.append(training.step(batch, rate, beta1))
        rates.append(rate)
        betas.append(beta1)
    final = training.tensors()
    clocks = training.tables["user_factors"]
    assert clocks[12].clock == 0 and len({row.clock for row in clocks}) > 3
    for rows in training.tables.values():
        for row in rows:
            training.catch_up(row, STEPS, rates[-1], betas[-1], values_only=True)
    settled = {name: [value for row in rows for value in row.values] for name, rows in training.tables.items()}
    return case | {
        "n_users": U, "n_items": I, "n_factors": K,
        "learning_rates": numbers(rates), "beta1s": numbers(betas),
        "initial": tensors(initial),
        "user": [batch["user"] for batch in batches],
        "item": [batch["item"] for batch in batches],
        "rating": [batch["rating"] for batch in batches],
        "losses": numbers(losses),
        "final": tensors(final),
        "settled": tensors(settled),
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
