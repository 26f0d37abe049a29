"""Makes a table of synthetic ratings of MovieLens 20M's shape, or of another.

    generate.py FILE.duckdb|FILE.parquet [--users N] [--items N] [--ratings N] [--rank N] [--seed N] [--text-ids] [--shuffle]

Nobody ever gave these ratings. How many ratings users have follows a power law, and so does how often items are rated. A
rating is a constant, a bias of the user, one of the item and the product of `rank` factors of each, drawn from normal
distributions, plus noise, brought to the half stars from 0.5 to 5. No pair of a user and an item occurs twice. The same
arguments make the same table. Rows come user by user, as in MovieLens; `--shuffle` mixes them.

The noise floor that is printed, and stored in the table `about` (in Parquet: the file's metadata), is the root mean squared
error of the best possible prediction, the expected rating given the planted numbers: no model gets below it but by luck.
"""

import argparse
import math
import pathlib
import sys
import time

import duckdb
import numpy

# Standard deviations, in stars: with the noise they make MovieLens's 1.05.
MEAN, OF_USERS, OF_ITEMS, OF_PRODUCT, OF_NOISE = 3.5, 0.4, 0.45, 0.5, 0.75
LOWEST, HIGHEST, STEP = 0.5, 5.0, 0.5
# Drawn at a time, so that memory does not grow with the table.
CHUNK = 2_000_000
# Weights of items are (rank + shift)^-2: in MovieLens 20M the first has 0.34 % of all ratings, half of the items 30 or fewer.
SHIFT = 0.011
# The share of all items that a user rates at most.
MOST = 0.35


def main() -> None:
    arguments = parsed()
    begin = time.monotonic()
    about = write(arguments.file, arguments, lambda done: report(done, arguments.ratings))
    for name, value in about.items():
        print(f"{name:<14}{value}")
    print(f"{'seconds':<14}{time.monotonic() - begin:.0f}")


def parsed(words=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--users", type=int, default=138_493)
    parser.add_argument("--items", type=int, default=26_744)
    parser.add_argument("--ratings", type=int, default=20_000_263)
    parser.add_argument("--rank", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text-ids", action="store_true", help="ids such as 'user 17' instead of numbers")
    parser.add_argument("--shuffle", action="store_true", help="rows in no order")
    arguments = parser.parse_args(words)
    if not arguments.users <= arguments.ratings <= arguments.users * int(arguments.items * MOST):
        parser.error(f"ratings: between one a user and {MOST:.0%} of the items for each")
    return arguments


def report(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done / of:.0%}", end="" if done < of else "\r", file=sys.stderr, flush=True)


def write(file: pathlib.Path, arguments: argparse.Namespace, progress=lambda done: None) -> dict[str, str]:
    """Writes the file anew, and says what is in it."""
    is_parquet = file.suffix == ".parquet"
    database = file.with_suffix(".tmp.duckdb") if is_parquet else file
    for old in (file, database):
        old.unlink(missing_ok=True)
    connection = duckdb.connect(str(database))
    id_type, ids = ("VARCHAR", "'user ' || user_id, 'item ' || item_id") if arguments.text_ids else ("INTEGER", "user_id, item_id")
    connection.execute(f"CREATE TABLE ratings (user_id {id_type}, item_id {id_type}, rating FLOAT)")
    squares, done = 0.0, 0
    for users, items, ratings, errors in chunks(arguments):
        connection.register("chunk", {"user_id": users, "item_id": items, "rating": ratings})
        connection.execute(f"INSERT INTO ratings SELECT {ids}, rating FROM chunk")
        connection.unregister("chunk")
        squares += errors
        done += len(users)
        progress(done)
    about = {
        "data": "synthetic",
        "shape": f"{done} ratings of {arguments.users} users and {arguments.items} items, rank {arguments.rank}, seed {arguments.seed}",
        "noise_floor": f"{math.sqrt(squares / done):.4f}",
        "made_by": "benches/generate.py",
    }
    if arguments.shuffle:
        connection.execute("CREATE TABLE mixed AS FROM ratings ORDER BY hash(user_id, item_id)")
        connection.execute("DROP TABLE ratings; ALTER TABLE mixed RENAME TO ratings")
    if is_parquet:
        metadata = ", ".join(f"{name}: '{value}'" for name, value in about.items())
        connection.execute(f"COPY ratings TO '{file}' (FORMAT parquet, KV_METADATA {{{metadata}}})")
    else:
        connection.execute("CREATE TABLE about (name VARCHAR, value VARCHAR)")
        connection.executemany("INSERT INTO about VALUES (?, ?)", list(about.items()))
    connection.close()
    if is_parquet:
        database.unlink()
    return about


def chunks(arguments: argparse.Namespace):
    """Users, items, ratings, and the sum of squared errors of the best possible prediction, of some users at a time."""
    random = numpy.random.default_rng(arguments.seed)
    counts = activity(random, arguments)
    weights = (numpy.arange(arguments.items) + SHIFT * arguments.items) ** -2.0
    # Item 1 need not be the one rated most.
    random.shuffle(weights)
    cumulated = numpy.cumsum(weights / weights.sum())
    user_bias, item_bias = (random.normal(0, of, n) for of, n in ((OF_USERS, arguments.users), (OF_ITEMS, arguments.items)))
    of_factors = math.sqrt(OF_PRODUCT / math.sqrt(arguments.rank))
    user_factors, item_factors = (random.normal(0, of_factors, (n, arguments.rank)).astype(numpy.float32) for n in (arguments.users, arguments.items))
    signals, expected = expectations()
    ends = numpy.cumsum(counts)
    first = 0
    while first < arguments.users:
        last = max(first + 1, int(numpy.searchsorted(ends, ends[first] - counts[first] + CHUNK)))
        users, items = pairs(random, counts[first:last], weights, cumulated)
        users += first
        signal = MEAN + user_bias[users] + item_bias[items] + numpy.einsum("nk,nk->n", user_factors[users], item_factors[items])
        ratings = numpy.clip(numpy.round((signal + random.normal(0, OF_NOISE, len(users))) / STEP) * STEP, LOWEST, HIGHEST)
        errors = ((ratings - numpy.interp(signal, signals, expected)) ** 2).sum()
        yield (users + 1).astype(numpy.int32), (items + 1).astype(numpy.int32), ratings.astype(numpy.float32), float(errors)
        first = last


def activity(random: numpy.random.Generator, arguments: argparse.Namespace) -> numpy.ndarray:
    """How many ratings each user has: a seventh of the mean at least, the rest from a Pareto distribution, cut at the most."""
    mean = arguments.ratings / arguments.users
    least, most = max(1, int(mean / 7)), int(arguments.items * MOST)
    raw = numpy.minimum(random.pareto(1.3, arguments.users), 200)
    counts = numpy.full(arguments.users, least, dtype=numpy.int64)
    # What the cut takes from some is given to the others.
    for _ in range(50):
        left = arguments.ratings - counts.sum()
        open_ = numpy.where(counts < most, raw, 0)
        if left <= len(counts) // 100 or not open_.any():
            break
        counts = numpy.minimum(counts + (left * open_ / open_.sum()).astype(numpy.int64), most)
    left = int(arguments.ratings - counts.sum())
    while left > 0:
        some = numpy.flatnonzero(counts < most)[:left]
        counts[some] += 1
        left -= len(some)
    return counts


def pairs(random, counts, weights, cumulated):
    """For each user so many items, each once: those wanted most are likeliest."""
    n_items = len(weights)
    found = numpy.empty(0, dtype=numpy.int64)
    missing = counts.copy()
    for _ in range(4):
        # More than are missing, as some come twice.
        drawn = numpy.repeat(numpy.arange(len(counts)), missing + missing // 4 + 1)
        items = numpy.minimum(numpy.searchsorted(cumulated, random.random(len(drawn))), n_items - 1)
        new = numpy.setdiff1d(drawn * n_items + items, found)
        # In sorted order the first ones would all be low ids: as many as are missing, at random.
        new = new[numpy.lexsort((random.random(len(new)), new // n_items))]
        users = new // n_items
        place = numpy.arange(len(new)) - numpy.searchsorted(users, users)
        found = numpy.sort(numpy.concatenate((found, new[place < missing[users]])))
        missing = counts - numpy.bincount(found // n_items, minlength=len(counts))
    rest = []
    for user in numpy.flatnonzero(missing):
        # Few users have rated so much that drawing does not find the rest: the smallest of exponential times, without those taken.
        begin, end = numpy.searchsorted(found, (user * n_items, (user + 1) * n_items))
        times = random.exponential(size=n_items) / weights
        times[found[begin:end] - user * n_items] = numpy.inf
        rest.append(user * n_items + numpy.argpartition(times, missing[user])[: missing[user]])
    found = numpy.sort(numpy.concatenate([found, *rest]))
    return found // n_items, found % n_items


def expectations() -> tuple[numpy.ndarray, numpy.ndarray]:
    """The expected rating of each planted signal, half stars and their ends reckoned in; between these it is interpolated."""
    signals = numpy.linspace(LOWEST - 8, HIGHEST + 8, 4001)
    borders = numpy.arange(LOWEST + STEP / 2, HIGHEST, STEP)
    below = numpy.array([[(1 + math.erf((border - signal) / OF_NOISE / math.sqrt(2))) / 2 for border in borders] for signal in signals])
    return signals, HIGHEST - STEP * below.sum(axis=1)


if __name__ == "__main__":
    main()
