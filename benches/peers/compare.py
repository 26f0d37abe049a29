"""Trains cofi and its peers on the same ratings and split, and prints one table of times and errors.

    compare.py [TABLE ...] [--threads N] [--factors N] [--peers NAME,NAME] [--no-grid] [--repeat N] [--seed N]

A TABLE is `ml-100k`, `million` (synthetic, made by generate.py when it is not there) or a file that generate.py wrote. A
fifth of the rows, drawn at random, is held out; those whose user or item has no other row are left out for all. Every
training is a process of its own with the same number of threads. Options are chosen on a fifth of the training part, then
the whole training part is learned. Predictions are cut to the range of the ratings; RMSE is over the held-out rows.

The time of cofi is that of the whole SQL call, of a peer that from arrays in memory to a model; the shortest of the repeats,
which go round all lines in turn. `x` is a line's time over that of cofi's first line. CPU is the time that its threads worked,
which other work on the machine disturbs less. What cannot be run is named; progress goes to stderr.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import duckdb
import numpy
from settings import GOALS, MOST_RATINGS_OF_SMALL, PEERS, SMALL, Options, Peer

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build/bench"
MILLION = ("--users", "6040", "--items", "3706", "--ratings", "1000209", "--seed", "1")


@dataclasses.dataclass
class Line:
    peer: str
    setting: str
    options: Options
    seconds: float = float("inf")
    fit_seconds: float = float("inf")
    cpu_seconds: float = float("inf")
    version: str = ""
    rmse: float = float("nan")
    more: str = ""


def main() -> None:
    arguments = parsed()
    print(f"{arguments.threads} thread(s), {arguments.factors} factors, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for table in arguments.tables:
        name, about, rows = ratings(table)
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            compare(name, about, rows, pathlib.Path(folder), arguments)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", default=["ml-100k"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--factors", type=int, default=50)
    parser.add_argument("--peers", help="names, separated by semicolons; all that are there and not too slow, if none are given")
    parser.add_argument("--no-grid", action="store_true", help="named settings only")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)
    return arguments


# ----- the comparison


def compare(name, about, rows, folder, arguments) -> None:
    train, held = split(rows, arguments.seed)
    print(f"\n{name}: {len(train[2]):,} ratings to train on, {len(held[2]):,} held out{about}")
    outer, inner = write(folder / "outer", train, held), write(folder / "inner", *split(train, arguments.seed + 1000))
    lines = []
    for peer_name, peer in wanted(arguments, len(rows[2])):
        named = {setting: options for setting, options in peer.named.items() if supported(peer_name, options)}
        if len(rows[2]) > MOST_RATINGS_OF_SMALL:
            named = {setting: options for setting, options in named.items() if setting not in SMALL}
        lines += [Line(peer_name, setting, options) for setting, options in named.items()]
        if peer.grid and not arguments.no_grid:
            lines.append(best_of_grid(peer_name, peer, inner, arguments))
    for turn in range(arguments.repeat):
        for line in lines:
            run(line, outer, arguments, turn)
    show(lines)
    for goal in GOALS:
        judge(goal, lines)


def wanted(arguments, n_ratings: int):
    names = arguments.peers.split(";") if arguments.peers else list(PEERS)
    for name in names:
        peer = PEERS[name]
        there = not peer.needs or pathlib.Path(peer.needs).exists() or importlib.util.find_spec(peer.needs.partition("/")[0]) is not None
        if not there:
            print(f"left out: {name}, which is not here")
        elif n_ratings > peer.most_ratings and not arguments.peers:
            print(f"left out: {name}, which would take hours")
        else:
            yield name, peer


def supported(peer: str, options: Options) -> bool:
    """Whether this build of cofi knows the options."""
    if peer != "cofi" or "operators" not in str(options["sql"]):
        return True
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute("LOAD 'build/release/cofi.duckdb_extension'")
    known = connection.execute("SELECT count(*) FROM cofi_options() WHERE name = 'operators'").fetchone()[0] > 0
    connection.close()
    return known


def best_of_grid(name: str, peer: Peer, inner: pathlib.Path, arguments) -> Line:
    tried = [Line(name, "best of grid", options) for options in peer.grid]
    for line in tried:
        run(line, inner, arguments, 0)
    best = min(tried, key=lambda line: line.rmse if line.rmse == line.rmse else float("inf"))
    return Line(name, "best of grid", best.options, more=f"of {len(tried)}: {words(best.options)}")


def run(line: Line, folder: pathlib.Path, arguments, turn: int) -> None:
    """One training; keeps the shortest time."""
    print(f"{line.peer}, {line.setting}: {words(line.options)}", file=sys.stderr, flush=True)
    command = [sys.executable if word == "python" else word for word in PEERS[line.peer].command]
    answer = folder / "answer.f32"
    common = {"factors": arguments.factors, "threads": arguments.threads, "seed": arguments.seed}
    options = [f"{name}={value}" for name, value in {**common, **line.options}.items()]
    pinned = {name: str(arguments.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
    done = subprocess.run([*command, folder, answer, *options], env={**os.environ, **pinned}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{line.peer} failed with {words(line.options)}:\n{done.stderr}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    line.version = said["version"]
    for name in ("seconds", "fit_seconds", "cpu_seconds"):
        setattr(line, name, min(getattr(line, name), said[name]))
    if "first_seconds" in said and not turn:
        line.more = ", ".join(filter(None, [line.more, f"the first call {said['first_seconds']:.2f} s"]))
    truth = numpy.fromfile(folder / "held.ratings.f32", dtype=numpy.float32)
    low, high = numpy.fromfile(folder / "range.f32", dtype=numpy.float32)
    found = numpy.clip(numpy.fromfile(answer, dtype=numpy.float32), low, high)
    line.rmse = float(numpy.sqrt(((found.astype(numpy.float64) - truth) ** 2).mean()))


def show(lines: list[Line]) -> None:
    first = next((line for line in lines if line.peer == "cofi"), Line("", "", {}))
    head = f"{'seconds':>9}{'x':>8}{'CPU':>9}{'x CPU':>8}{'of it fit':>11}"
    print(f"{'peer':<18}{'setting':<17}{'RMSE':>8}{'MSE':>8}{head}  options")
    for line in lines:
        times = f"{line.seconds:>9.2f}{line.seconds / first.seconds:>8.2f}{line.cpu_seconds:>9.2f}{line.cpu_seconds / first.cpu_seconds:>8.2f}{line.fit_seconds:>11.2f}"
        print(f"{line.peer:<18}{line.setting:<17}{line.rmse:>8.4f}{line.rmse**2:>8.4f}{times}  {line.more or words(line.options)}")
    print("versions: " + ", ".join(sorted({f"{line.peer} {line.version}" for line in lines})))


def judge(goal, lines: list[Line]) -> None:
    ours, theirs, most, above = goal
    found = {(line.peer, line.setting): line for line in lines}
    if ours not in found or theirs not in found:
        return
    a, b = found[ours], found[theirs]
    ratio, difference = a.seconds / b.seconds, a.rmse - b.rmse
    cpu = a.cpu_seconds / b.cpu_seconds
    met = "met" if ratio <= most and difference <= above else "MISSED"
    print(f"{' '.join(ours)} against {' '.join(theirs)}: time {ratio:.3f}, CPU {cpu:.3f} (at most {most:.3f}), RMSE {difference:+.4f} (at most {above:+.4f}): {met}")


def words(options: Options) -> str:
    return ", ".join(str(value) if name == "sql" else f"{name} {value}" for name, value in options.items()) or "as documented"


# ----- the ratings


def ratings(table: str):
    """The name, what is to be said of it, and the columns user, item, rating."""
    if table == "ml-100k":
        rows = numpy.loadtxt("data/ml-100k/ratings.tsv", delimiter="\t", skiprows=1, usecols=(0, 1, 2))
        return "MovieLens 100K", "", (rows[:, 0].astype(numpy.int64), rows[:, 1].astype(numpy.int64), rows[:, 2].astype(numpy.float32))
    file = WORK / "million.duckdb" if table == "million" else pathlib.Path(table)
    if table == "million" and not file.exists():
        subprocess.run([sys.executable, "benches/generate.py", file, *MILLION], check=True, stdout=subprocess.DEVNULL)
    connection = duckdb.connect(str(file), read_only=True)
    columns = connection.execute("SELECT user_id, item_id, rating FROM ratings").fetchnumpy()
    floor = connection.execute("SELECT value FROM about WHERE name = 'noise_floor'").fetchone()[0]
    connection.close()
    return f"synthetic, {file.stem}", f"; no model errs less than {floor}", tuple(columns[name] for name in ("user_id", "item_id", "rating"))


def split(rows, seed: int):
    """The rows to train on, and of a fifth at random those whose user and item are among them."""
    order = numpy.random.default_rng(seed).permutation(len(rows[2]))
    n_held = len(order) // 5
    train, held = (tuple(column[part] for column in rows) for part in (order[n_held:], order[:n_held]))
    known = numpy.isin(held[0], numpy.unique(train[0])) & numpy.isin(held[1], numpy.unique(train[1]))
    return train, tuple(column[known] for column in held)


def write(folder: pathlib.Path, train, held) -> pathlib.Path:
    """The files that peers read, with numbers from 0."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for column, name in enumerate(("users", "items")):
        ids, places = numpy.unique(train[column], return_inverse=True)
        places.astype(numpy.int32).tofile(folder / f"train.{name}.i32")
        numpy.searchsorted(ids, held[column]).astype(numpy.int32).tofile(folder / f"held.{name}.i32")
    for name, rows in (("train", train), ("held", held)):
        rows[2].astype(numpy.float32).tofile(folder / f"{name}.ratings.f32")
    numpy.array([train[2].min(), train[2].max()], dtype=numpy.float32).tofile(folder / "range.f32")
    return folder


if __name__ == "__main__":
    main()
