"""The quality of the default model on MovieLens 100K, and the time it takes beside a plain PyTorch loop.

    quality.py [THREADS]

Random splits 80/20 with seeds 1, 2 and 3. The mean squared error is that of the stored model, computed in plain SQL over
the held-out rows: `coalesce(cofi_predict, cofi_baseline)`. The PyTorch loop has the same split, batch size, optimiser,
schedule and number of threads; without PyTorch its columns stay empty.
"""

import json
import pathlib
import platform
import statistics
import sys
import time

import duckdb
import numpy

try:
    import torch
    from peers import torch_loop
except ImportError:
    torch = None

EXTENSION = pathlib.Path("build/release/cofi.duckdb_extension")
RATINGS = "data/ml-100k/ratings.tsv"
SEEDS = (1, 2, 3)
N_FACTORS = 50
GOAL = 0.825

# name of the setting: its options in SQL
SETTINGS = {"defaults": "", "fastai's": ", y_range := [0, 5.5], batch_size := 64, mean := false"}


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print(f"MovieLens 100K, 80/20, {N_FACTORS} factors; {threads} thread(s), {platform.machine()}")
    print(f"DuckDB {duckdb.__version__}, PyTorch {torch.__version__ if torch else 'is not here'}\n")
    print(f"{'setting':<10}{'seed':>5}{'MSE':>9}{'baseline':>10}{'seconds':>9}{'MSE torch':>11}{'seconds':>9}{'ratio':>7}")
    missed = False
    for name, options in SETTINGS.items():
        errors, ratios = [], []
        for seed in SEEDS:
            train, held = split(seed)
            error, baseline, seconds, spec = with_cofi(train, held, options, seed, threads)
            line = f"{name:<10}{seed:>5}{error:>9.4f}{baseline:>10.4f}{seconds:>9.2f}"
            if torch:
                torch_error, torch_seconds = with_torch(train, held, spec, seed, threads)
                line += f"{torch_error:>11.4f}{torch_seconds:>9.2f}{seconds / torch_seconds:>7.2f}"
                ratios.append(seconds / torch_seconds)
            print(line, flush=True)
            errors.append(error)
        spread = max(errors) - min(errors)
        ratio = f", cofi takes {statistics.mean(ratios):.2f} of PyTorch's time" if ratios else ""
        print(f"{name}: mean MSE {statistics.mean(errors):.4f}, spread {spread:.4f}, goal {GOAL}{ratio}\n")
        missed |= not statistics.mean(errors) <= GOAL
    sys.exit(1 if missed else 0)


def split(seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The rows (user, item, rating) to train on and those held out, drawn at random."""
    rows = numpy.loadtxt(RATINGS, delimiter="\t", skiprows=1, usecols=(0, 1, 2), dtype=numpy.int64)
    order = numpy.random.default_rng(seed).permutation(len(rows))
    n_held = len(rows) // 5
    return rows[order[n_held:]], rows[order[:n_held]]


def with_cofi(train, held, options, seed, threads):
    """The stored model's and the baseline's mean squared error, the seconds of the training, and what it was made with."""
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{EXTENSION}'; SET threads = {threads}")
    for name, rows in (("ratings", train), ("validation", held)):
        columns = {"user_id": rows[:, 0].copy(), "item_id": rows[:, 1].copy(), "rating": rows[:, 2].copy()}
        connection.register("columns", columns)
        connection.execute(f"CREATE TABLE {name} AS FROM columns")
        connection.unregister("columns")
    begin = time.monotonic()
    connection.execute(f"SELECT * FROM cofi_train('ratings', {N_FACTORS}, validation_fraction := 0, seed := {seed}{options})").fetchall()
    seconds = time.monotonic() - begin
    error, baseline = connection.execute(
        """SELECT avg((coalesce(cofi_predict(user_id, item_id), cofi_baseline(user_id, item_id)) - rating) ** 2),
                  avg((cofi_baseline(user_id, item_id) - rating) ** 2) FROM validation"""
    ).fetchone()
    spec, low, high, constant = connection.execute("SELECT spec, lo, hi, mu FROM cofi_models()").fetchone()
    connection.close()
    return error, baseline, seconds, {**json.loads(spec), "lo": low, "hi": high, "mu": constant}


def with_torch(train, held, spec, seed, threads):
    """The same, as the stored spec says, with a plain PyTorch loop: its mean squared error and the seconds of its training."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    begin = time.monotonic()
    sizes = tuple(int(max(train[:, side].max(), held[:, side].max())) + 1 for side in (0, 1))
    predict = torch_loop.train(
        train[:, 0], train[:, 1], train[:, 2], sizes, N_FACTORS,
        low=spec["lo"], high=spec["hi"], mu=spec["mu"], init=spec["init_std"], epochs=spec["epochs"], batch=spec["ratings_per_step"],
        rate=spec["learning_rate"], decay=0.2 if spec["weight_decay"] == "auto" else spec["weight_decay"],
        beta2=spec["betas"][1], eps=spec["eps"],
    )  # fmt: skip
    seconds = time.monotonic() - begin
    return float(((predict(held[:, 0], held[:, 1]) - held[:, 2]) ** 2).mean()), seconds


if __name__ == "__main__":
    main()
