"""What cofi does in SQL, end to end, on synthetic ratings, held against what the machine and DuckDB do.

    sql.py [--users N] [--items N] [--ratings N] [--factors N] [--threads N,N] [--queries N] [--limits FILE]

The table comes from generate.py and is kept in build/bench. Limits are those of the program `limits` of benches/kernels, run now
unless a FILE with its output (`--json`) is given. A ratio is cofi's rate over that of what stands beside it: 1 is as fast.

ingest      all rows read, ids to numbers and the split: until a row behind all others is refused. Then the same with everything put in
            order: until a range is refused that no rating is in. Beside them DuckDB's count of the distinct users and items, or for
            text its join with tables of the distinct ids.
training    ratings a second inside the epochs, and of the whole call. The limit of AdamW is that of updating in random order
            three rows (factors, both moments) of a user and three of an item, of SGD that of one of each.
predict     rows a second; the limit is that of reading two rows in random order, for text DuckDB's join with both tables of ids.
similar     queries in a batch beside the bare product of the matrices in NumPy; recommend likewise.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench"
EXTENSION = "build/release/cofi.duckdb_extension"
KERNELS = "benches/kernels/Cargo.toml"
TRIES = 3
# Trainings of the bench: a name, options, and how many tables of a rating's rows a step updates.
TRAININGS = (
    ("defaults", "", 3),
    ("stock operators", "operators := 'stock'", 3),
    ("adamw, batch 16,384", "batch_size := 16384", 3),
    ("sgd", "optimizer := 'sgd', learning_rate := 0.05", 1),
    ("classic_sgd", "optimizer := 'classic_sgd'", 1),
)


def main() -> None:
    arguments = parsed()
    # Read when NumPy loads.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    os.chdir(ROOT)
    WORK.mkdir(parents=True, exist_ok=True)
    limits = {limit["threads"]: limit for limit in read_limits(arguments)}
    file = table(arguments)
    print(f"{arguments.ratings:,} synthetic ratings, {arguments.users:,} users, {arguments.items:,} items, {arguments.factors} factors")
    for threads in arguments.threads:
        Bench(file, arguments, threads, limits[threads]).run()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=8_000)
    parser.add_argument("--ratings", type=int, default=1_000_000)
    parser.add_argument("--factors", type=int, default=50)
    parser.add_argument("--threads", type=lambda words: [int(word) for word in words.split(",")], default=[1, 2])
    parser.add_argument("--queries", type=int, default=4_000, help="users and items that similar and recommend are asked for")
    parser.add_argument("--limits", type=pathlib.Path, help="what `limits --json` printed")
    return parser.parse_args()


def read_limits(arguments) -> list[dict]:
    if arguments.limits:
        return json.loads(arguments.limits.read_text())
    command = ["cargo", "run", "--quiet", "--release", "--manifest-path", KERNELS, "--bin", "limits", "--", "--json", *map(str, arguments.threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def table(arguments) -> pathlib.Path:
    shape = [f"--{name}={getattr(arguments, name)}" for name in ("users", "items", "ratings")]
    file = WORK / f"ratings-{arguments.users}-{arguments.items}-{arguments.ratings}.duckdb"
    if not file.exists():
        subprocess.run([sys.executable, "benches/generate.py", file, *shape, "--shuffle"], check=True, stdout=subprocess.DEVNULL)
    return file


class Bench:
    """One number of threads."""

    def __init__(self, file, arguments, threads, limits):
        import duckdb

        self.connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.arguments, self.threads, self.limits = arguments, threads, limits
        self.execute(f"LOAD '{EXTENSION}'; SET threads = {threads}")
        self.execute(f"ATTACH '{file}' AS file (READ_ONLY); CREATE TABLE ratings AS FROM file.ratings; DETACH file")
        self.execute("CREATE TABLE texts AS SELECT 'user ' || user_id AS user_id, 'item ' || item_id AS item_id, rating FROM ratings")
        for source in ("ratings", "texts"):
            for side in ("user", "item"):
                self.execute(f"CREATE TABLE {side}_ids_of_{source} AS SELECT {side}_id, row_number() OVER () AS n FROM (SELECT DISTINCT {side}_id FROM {source})")

    def execute(self, sql):
        return self.connection.execute(sql)

    def run(self) -> None:
        print(f"\n{self.threads} thread(s)\n{'what':<38}{'cofi':>18}{'beside it':>42}{'ratio':>8}")
        # The library is loaded once a process.
        self.execute("CREATE TABLE few AS FROM ratings LIMIT 1000")
        self.execute("CALL cofi_train('few', 1, epochs := 1, model := 'few')")
        self.ingest()
        self.training()
        self.predict()
        self.nearest()

    def ingest(self) -> None:
        n = self.arguments.ratings
        for name, source in (("ingest, integer ids", "ratings"), ("ingest, text ids", "texts")):
            if source == "ratings":
                beside, sql = "count of distinct ids", f"SELECT count(DISTINCT user_id), count(DISTINCT item_id) FROM {source}"
            else:
                beside, sql = "join with both tables of ids", joined(source)
            host = n / self.shortest(sql)
            self.execute(f"CREATE OR REPLACE TABLE ending AS FROM {source}")
            self.execute(f"INSERT INTO ending SELECT user_id, item_id, 'nan' FROM {source} LIMIT 1")
            read = min(self.until_refused("CALL cofi_train('ending', 1)", "rating = NaN") for _ in range(TRIES))
            self.execute("DROP TABLE ending")
            ordered = f"CALL cofi_train('{source}', 1, y_range := [1000, 1001])"
            ordered = min(self.until_refused(ordered, "y_range") for _ in range(TRIES))
            self.line(name, n / read, "rows", beside, host)
            self.line("  and in order", n / ordered, "rows", "the same", host)

    def until_refused(self, sql, reason) -> float:
        import duckdb

        begin = time.monotonic()
        try:
            self.execute(sql)
        except duckdb.Error as error:
            if reason not in str(error):
                raise
            return time.monotonic() - begin
        raise AssertionError(f"{sql} was not refused")

    def trained(self, source, factors, options) -> tuple[float, float]:
        """Seconds of the whole call and of its epochs."""
        begin = time.monotonic()
        found = self.execute(f"CALL cofi_train('{source}', {factors}, {options})")
        place = [column[0] for column in found.description].index("seconds")
        rows = found.fetchall()
        return time.monotonic() - begin, sum(row[place] for row in rows)

    def training(self) -> None:
        n = self.arguments.ratings
        known = {name for (name,) in self.execute("SELECT name FROM cofi_options()").fetchall()}
        for name, options, tables in TRAININGS:
            if options and options.split(" :=")[0] not in known:
                continue
            options = f"epochs := 1, validation_fraction := 0, model := 'trained'{', ' * bool(options)}{options}"
            # Stock operators take so long that one run is enough.
            runs = [self.trained("ratings", self.arguments.factors, options) for _ in range(1 if "stock" in options else TRIES)]
            whole, inside = (min(seconds) for seconds in zip(*runs, strict=True))
            limit = self.random("update", 4 * self.arguments.factors) / (2 * tables)
            self.line(f"training, {name}", n / inside, "ratings", f"random update of {2 * tables} rows", limit)
            self.line("  the whole call", n / whole, "ratings", "", None)

    def predict(self) -> None:
        n = self.arguments.ratings
        for source in ("ratings", "texts"):
            self.trained(source, self.arguments.factors, f"epochs := 1, validation_fraction := 0, model := '{source}'")
            seconds = self.shortest(f"SELECT sum(cofi_predict(user_id, item_id, '{source}')) FROM {source}")
            if source == "ratings":
                self.line("predict, integer ids", n / seconds, "rows", "random read of 2 rows", self.random("read", 4 * self.arguments.factors) / 2)
            else:
                self.line("predict, text ids", n / seconds, "rows", "join with both tables of ids", n / self.shortest(joined(source)))

    def nearest(self) -> None:
        import numpy

        n = self.arguments.queries
        users, items = (
            numpy.stack(self.execute(f"SELECT factors FROM cofi_{side}(model := 'ratings')").fetchnumpy()["factors"]).astype(numpy.float32)
            for side in ("users", "items")
        )
        for name, side, function, left in (("similar 10", "item", "cofi_similar", items), ("recommend 10", "user", "cofi_recommend", users)):
            queries = min(n, len(left))
            self.execute(f"CREATE OR REPLACE TABLE queries AS SELECT id FROM cofi_{side}s(model := 'ratings') LIMIT {queries}")
            seconds = self.shortest(f"CREATE OR REPLACE TABLE answer AS SELECT id, {function}(id, 10, 'ratings') AS found FROM queries")
            product = shortest(lambda left=left[:queries]: left @ items.T) / self.threads
            self.line(name, queries / seconds, "queries", "product alone, NumPy", queries / product)
        if self.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = 'cofi_recommend_all'").fetchone()[0]:
            seconds = self.shortest("SELECT count(*), sum(score) FROM cofi_recommend_all(10, model := 'ratings')")
            flops = 2 * len(users) * len(items) * self.arguments.factors / seconds
            self.line("recommend_all 10", flops, "FLOP", "multiply-add at best", 1e9 * max(self.limits["gigaflops"].values()))

    def random(self, access, size) -> float:
        """Rows a second at best, of the size nearest to that of a row."""
        of_access = [row for row in self.limits["rows"] if row["access"] == access]
        nearest = min((row["bytes"] for row in of_access), key=lambda found: abs(found - size))
        return max(row["gigabytes_per_second"] for row in of_access if row["bytes"] == nearest) * 1e9 / (size * (2 if access == "update" else 1))

    def shortest(self, sql) -> float:
        return shortest(lambda: self.execute(sql).fetchall())

    def line(self, name, rate, unit, beside, other) -> None:
        ours = f"{scaled(rate)} {unit}/s"
        theirs = f"{beside} {scaled(other)}" if other else ""
        ratio = f"{rate / other:.2f}" if other else ""
        print(f"{name:<38}{ours:>18}{theirs:>42}{ratio:>8}", flush=True)


def joined(source) -> str:
    return f"SELECT sum(u.n), sum(i.n) FROM {source} JOIN user_ids_of_{source} u USING (user_id) JOIN item_ids_of_{source} i USING (item_id)"


def shortest(work) -> float:
    best = float("inf")
    for _ in range(TRIES):
        begin = time.monotonic()
        work()
        best = min(best, time.monotonic() - begin)
    return best


def scaled(rate: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rate >= size:
            return f"{rate / size:.2f} {letter}"
    return f"{rate:.1f}"


if __name__ == "__main__":
    main()
