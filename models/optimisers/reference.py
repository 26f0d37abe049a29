"""The truth beside the optimisers: a few steps of PyTorch's own, from fixed values and gradients, in float64.

    python3 models/optimisers/reference.py            writes reference.json beside this file
    python3 models/optimisers/reference.py --check    fails if that would change it

`decayed` has the weight decay of the case, `undecayed` none: two parameter groups. Learning rates change from step
to step, as a schedule has them; beta1 is the momentum of SGD. Moments are listed at the end as `<parameter>.m` and
`<parameter>.v`.
"""

import json
import pathlib
import sys

import torch

STEPS = 6
RATES = [0.01, 0.02, 0.05, 0.05, 0.02, 0.01]

CASES = [
    dict(name="adamw", rule="adamw", weight_decay=0.1, beta1=0.9, beta2=0.99, eps=1e-5),
    dict(name="adam", rule="adam", weight_decay=0.1, beta1=0.9, beta2=0.999, eps=1e-8),
    dict(name="sgd", rule="sgd", weight_decay=0.1, beta1=0.9, beta2=0.0, eps=0.0),
    dict(name="adamw without decay", rule="adamw", weight_decay=0.0, beta1=0.8, beta2=0.99, eps=1e-5),
    dict(name="adam without decay", rule="adam", weight_decay=0.0, beta1=0.8, beta2=0.99, eps=1e-5),
    dict(name="sgd without decay", rule="sgd", weight_decay=0.0, beta1=0.8, beta2=0.0, eps=0.0),
]

SHAPES = {"decayed": (3, 2), "undecayed": (4,)}


def single(seed, shape):
    """Values that float32 holds exactly; some gradients are zero."""
    draws = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.where(draws.abs() < 0.2, 0.0, draws).to(torch.float64)


def optimiser(case, groups):
    betas = (case["beta1"], case["beta2"])
    if case["rule"] == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, betas=betas, eps=case["eps"])
    if case["rule"] == "adam":
        return torch.optim.Adam(groups, lr=1.0, betas=betas, eps=case["eps"])
    return torch.optim.SGD(groups, lr=1.0, momentum=case["beta1"])


def run(number, case):
    drawn = {name: single(100 * number + k, shape) for k, (name, shape) in enumerate(SHAPES.items())}
    parameters = {name: torch.nn.Parameter(values) for name, values in drawn.items()}
    initial = {name: listed(parameter) for name, parameter in parameters.items()}
    decays = {"decayed": case["weight_decay"], "undecayed": 0.0}
    rule = optimiser(case, [dict(params=[parameters[name]], weight_decay=decays[name]) for name in SHAPES])
    gradients = []
    for step in range(STEPS):
        for k, (name, parameter) in enumerate(parameters.items()):
            parameter.grad = single(100 * number + 10 * (step + 1) + k, parameter.shape)
        gradients.append({name: listed(parameter.grad) for name, parameter in parameters.items()})
        for group in rule.param_groups:
            group["lr"] = RATES[step]
        rule.step()
    final = {name: listed(parameter) for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        state = rule.state[parameter]
        final[f"{name}.m"] = listed(state["momentum_buffer" if case["rule"] == "sgd" else "exp_avg"])
        if case["rule"] != "sgd":
            final[f"{name}.v"] = listed(state["exp_avg_sq"])
    return case | dict(learning_rates=RATES, initial=initial, gradients=gradients, final=final)


def listed(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def pretty(value, depth=0):
    """JSON with a line for each key and for each list of numbers."""
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        lines = [f"{pad}{json.dumps(key)}: {pretty(item, depth + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{end}}}"
    if isinstance(value, list) and isinstance(value[0], dict):
        return "[\n" + ",\n".join(pad + pretty(item, depth + 1) for item in value) + f"\n{end}]"
    return json.dumps(value)


if __name__ == "__main__":
    text = pretty([run(number, case) for number, case in enumerate(CASES)]) + "\n"
    path = pathlib.Path(__file__).with_name("reference.json")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if path.read_text() == text else f"{path} is not what this script computes")
    path.write_text(text)
