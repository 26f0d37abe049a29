"""Who is compared, and with which options.

A setting is a name and options. `defaults` is what the peer's documents use, but for factors and threads, which are the same
for all. The best of `grid` is chosen on a split of the training part alone; every grid has the defaults in it.
"""

import dataclasses
import itertools

Options = dict[str, object]


@dataclasses.dataclass(frozen=True)
class Peer:
    """One peer: the command of its program (`python` stands for the interpreter), its settings, and what to try."""

    command: tuple[str, ...]
    named: dict[str, Options]
    grid: tuple[Options, ...] = ()
    # The module or program without which it is left out.
    needs: str = ""
    # Tables with more ratings than this are not given to it unless it is asked for by name: hours.
    most_ratings: int = 10**12


def every(**choices) -> tuple[Options, ...]:
    """All combinations."""
    return tuple(dict(zip(choices, values)) for values in itertools.product(*choices.values()))


def sql(*options: str) -> tuple[Options, ...]:
    return tuple({"sql": option} for option in options)


# ----- cofi: named options of `cofi_train`, as they stand in SQL. The first is what the times of all are divided by.
COFI = {
    "defaults": "",
    # The recipe of fastai and of the PyTorch loop: dense AdamW, batches of 64, 5 epochs.
    "recipe": "preset := 'fastai', updates := 'dense'",
    "stock operators": "operators := 'stock'",
    "classic SGD": "optimizer := 'classic_sgd', learning_rate := 0.02, epochs := 20",
}
CLASSIC = "optimizer := 'classic_sgd', learning_rate := {}, epochs := {}, weight_decay := {}"
COFI_GRID = (
    *(CLASSIC.format(*choice) for choice in itertools.product((0.02, 0.03), (10, 20), (0.05, 0.1, 0.15))),
    "", "weight_decay := 0.3", "epochs := 8, learning_rate := 3e-3", "epochs := 8, learning_rate := 3e-3, weight_decay := 0.3", "epochs := 10, weight_decay := 0.3")

PEERS = {
    "cofi": Peer(("python", "benches/peers/cofi_sql.py"), {name: {"sql": options} for name, options in COFI.items()}, sql(*COFI_GRID)),
    "PyTorch loop": Peer(
        ("python", "benches/peers/torch_loop.py"), {"recipe": {}}, every(decay=(0.1, 0.2), rate=(3e-3, 5e-3)), "torch", 300_000,
    ),
    "fastai": Peer(
        ("python", "benches/peers/fastai_learner.py"), {"defaults": {}, "rows once": {"rows": "once"}},
        ({}, *every(rows=("once",), decay=(0.1, 0.2))), "fastai", 300_000,
    ),
    "Surprise SVD": Peer(
        ("python", "benches/peers/surprise_svd.py"), {"defaults": {}},
        ({}, *every(n_epochs=(20, 40), lr_all=(0.005, 0.01), reg_all=(0.05, 0.1))), "surprise", 5_000_000,
    ),
    "cmfrec ALS": Peer(
        ("python", "benches/peers/cmfrec_als.py"), {"defaults": {}},
        ({}, *every(lambda_=(3.0, 6.0, 15.0)), *every(lambda_=(0.05, 0.1, 0.2), scale_lam=("true",))), "cmfrec",
    ),
    # As crates.io builds it: with the instructions that every processor has.
    "libmf, the crate": Peer(("configure/libmf/crate/release/libmf-peer",), {"defaults": {}}, needs="configure/libmf/crate/release/libmf-peer"),
    # As LIBMF's own Makefile builds it: with those of this machine, and OpenMP.
    "libmf, native": Peer(
        ("configure/libmf/native/release/libmf-peer",), {"defaults": {}},
        ({}, *every(**{"lambda": (0.03, 0.05, 0.1), "rate": (0.05, 0.1), "iterations": (20, 40)})), "configure/libmf/native/release/libmf-peer",
    ),
}  # fmt: skip

# Settings with batches so small that larger tables take hours.
SMALL, MOST_RATINGS_OF_SMALL = ("recipe",), 300_000

# ----- What is asked of cofi, where both were run: a line of cofi, a line of a peer, the most of its time, the most RMSE above its.
GOALS = (
    (("cofi", "recipe"), ("PyTorch loop", "recipe"), 1 / 10, 0.002),
    (("cofi", "recipe"), ("fastai", "rows once"), 1 / 50, 0.002),
    (("cofi", "defaults"), ("Surprise SVD", "defaults"), 0.3, -0.02),
    (("cofi", "defaults"), ("libmf, native", "best of grid"), 1.0, 0.0),
)
