"""Similar items and recommendations in batches, beside `implicit` with the very same factors.

    ranking.py [FILE.duckdb] [--threads N] [--factors N] [--k N] [--queries N]

cofi trains a model on the table (MovieLens 100K, if none is named), and `implicit` gets its factors: those of the items as
they are for `similar_items`, and one more factor, the item's bias, for `recommend`, so that both rank by the same sum. Times
are of one statement over all queries and of one call, the shortest of three in turns. Results are equal where the same items
come at the same places, or where their scores differ by less than 1e-5.
"""

import argparse
import os
import sys
import time

ARGUMENTS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGUMENTS.add_argument("file", nargs="?")
ARGUMENTS.add_argument("--threads", type=int, default=1)
ARGUMENTS.add_argument("--factors", type=int, default=50)
ARGUMENTS.add_argument("--k", type=int, default=10)
ARGUMENTS.add_argument("--queries", type=int, default=20_000, help="users and items at most")

if __name__ == "__main__":
    given = ARGUMENTS.parse_args()
    # Read when the libraries load. implicit wants BLAS on one thread, as it has threads of its own.
    os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"] = str(given.threads), "1"

import duckdb
import numpy

try:
    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares
except ImportError:
    sys.exit("left out: implicit, which is not here")

TRIES = 3
CLOSE = 1e-5


def main() -> None:
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD 'build/release/cofi.duckdb_extension'; SET threads = {given.threads}")
    if given.file:
        connection.execute(f"ATTACH '{given.file}' AS file (READ_ONLY); CREATE TABLE ratings AS FROM file.ratings; DETACH file")
    else:
        connection.execute("CREATE TABLE ratings AS SELECT #1 AS user_id, #2 AS item_id, #3 AS rating FROM read_csv('data/ml-100k/ratings.tsv', delim = '\t')")
    # One epoch: what the factors are does not matter, but that they are no noise.
    connection.execute(f"CALL cofi_train('ratings', {given.factors}, epochs := 1, validation_fraction := 0)")
    sides = [connection.execute(f"SELECT id, bias, factors FROM {side}() ORDER BY id").fetchnumpy() for side in ("cofi_users", "cofi_items")]
    (users, _, user_factors), (items, item_bias, item_factors) = (
        (side["id"], numpy.asarray(side["bias"], dtype=numpy.float32), numpy.stack([numpy.asarray(row, dtype=numpy.float32) for row in side["factors"]]))
        for side in sides
    )
    print(f"{len(users):,} users, {len(items):,} items, {given.factors} factors, top {given.k}, {given.threads} thread(s)")
    print(f"{'what':<30}{'queries':>9}{'cofi, s':>10}{'implicit, s':>13}{'cofi / implicit':>17}{'equal':>8}")

    near = AlternatingLeastSquares(factors=given.factors, num_threads=given.threads)
    near.user_factors, near.item_factors = user_factors, item_factors
    queries = items[: given.queries]
    connection.register("queries", {"id": queries})
    connection.execute("CREATE TABLE wanted_items AS FROM queries")
    places = numpy.arange(len(queries))
    compare(
        "similar items", connection, f"SELECT id, cofi_similar(id, {given.k}) AS found FROM wanted_items", "similarity",
        lambda: near.similar_items(places, N=given.k + 1), items, queries, itself=True,
    )  # fmt: skip

    best = AlternatingLeastSquares(factors=given.factors + 1, num_threads=given.threads)
    best.user_factors = numpy.hstack([user_factors, numpy.ones((len(users), 1), dtype=numpy.float32)])
    best.item_factors = numpy.hstack([item_factors, item_bias[:, None]])
    pairs = connection.execute("SELECT DISTINCT user_id, item_id FROM ratings").fetchnumpy()
    rows, columns = numpy.searchsorted(users, pairs["user_id"]), numpy.searchsorted(items, pairs["item_id"])
    seen = scipy.sparse.csr_matrix((numpy.ones(len(rows), dtype=numpy.float32), (rows, columns)), shape=(len(users), len(items)))
    queries = users[: given.queries]
    connection.register("queries", {"id": queries})
    connection.execute("CREATE TABLE wanted_users AS FROM queries")
    places = numpy.arange(len(queries))
    compare(
        "recommend, without rated ones", connection, f"SELECT id, cofi_recommend(id, {given.k}) AS found FROM wanted_users", None,
        lambda: best.recommend(places, seen[places], N=given.k, filter_already_liked_items=True), items, queries, itself=False,
    )  # fmt: skip
    if len(queries) == len(users) and has(connection, "cofi_recommend_all"):
        everyone = f"SELECT user_id AS id, list({{item: item_id, score: score, rank: rank}} ORDER BY rank) AS found FROM cofi_recommend_all({given.k}) GROUP BY ALL"
        compare(
            "recommend_all", connection, everyone, None,
            lambda: best.recommend(places, seen[places], N=given.k, filter_already_liked_items=True), items, queries, itself=False,
        )  # fmt: skip


def has(connection, function: str) -> bool:
    """Whether this build of cofi has the function."""
    return connection.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = ?", [function]).fetchone()[0] > 0


def compare(name, connection, sql, score, call, items, queries, itself) -> None:
    ours = theirs = float("inf")
    for _ in range(TRIES):
        begin = time.monotonic()
        connection.execute(f"CREATE OR REPLACE TABLE answer AS {sql}")
        ours = min(ours, time.monotonic() - begin)
        begin = time.monotonic()
        found, scores = call()
        theirs = min(theirs, time.monotonic() - begin)
    # The queries are in the order of their ids.
    answer = connection.execute("SELECT found FROM answer ORDER BY id").fetchall()
    equal = 0
    for place, (mine,) in enumerate(answer):
        other = [(items[item], value) for item, value in zip(found[place], scores[place]) if not (itself and items[item] == queries[place])][: given.k]
        mine_by_rank = [entry["item"] for entry in mine]
        by_value = dict(other)
        # Ties may come in any order: the items are the same, or the one that differs is worth as much as the last.
        last = min(value for _, value in other)
        equal += all(item in by_value or abs(worth(mine, item, score) - last) < CLOSE for item in mine_by_rank)
    print(f"{name:<30}{len(queries):>9,}{ours:>10.3f}{theirs:>13.3f}{ours / theirs:>17.2f}{equal / len(queries):>8.4f}", flush=True)


def worth(found, item, score) -> float:
    if score is None:
        return float("nan")
    return next(entry[score] for entry in found if entry["item"] == item)


if __name__ == "__main__":
    main()
