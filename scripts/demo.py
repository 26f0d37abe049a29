"""A recommender for MovieLens 100K, from nothing but SQL: what `make demo` shows.

    demo.py [SEED]

Four fifths of the ratings train the model, the fifth that the seed picks is held out to see what it is worth.
"""

import pathlib
import sys
import time

import duckdb

EXTENSION = "build/release/cofi.duckdb_extension"
DATABASE = pathlib.Path("build/demo.duckdb")
REPORT = "build/report.html"
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 42
FILM, USER = "Star Wars (1977)", 196


def main() -> None:
    for leftover in (DATABASE, DATABASE.with_name(f"{DATABASE.name}.wal")):
        leftover.unlink(missing_ok=True)
    connection = duckdb.connect(str(DATABASE), config={"allow_unsigned_extensions": "true"})
    print(f"cofi on MovieLens 100K, in DuckDB {duckdb.__version__}; the database is {DATABASE}, to go on with.")
    for title, sql in STEPS:
        show(connection, title, sql)
    connection.close()


STEPS = [
    ("Load the extension and the ratings; hold a fifth of them out", f"""
LOAD '{EXTENSION}';
CREATE TABLE films AS
    SELECT item, title || coalesce(' (' || year || ')', '') AS title FROM read_csv('data/ml-100k/items.tsv');
CREATE TABLE everything AS
    SELECT *, md5_number_lower(concat_ws(' ', {SEED}, user, item)) % 5 = 0 AS held FROM read_csv('data/ml-100k/ratings.tsv');
CREATE TABLE ratings AS SELECT user, item, rating FROM everything WHERE NOT held;
CREATE TABLE held_out AS SELECT user, item, rating FROM everything WHERE held;
SELECT (SELECT count(*) FROM ratings) AS ratings, (SELECT count(*) FROM held_out) AS held_out"""),
    ("Train a model of 50 latent factors; a fifth of its ratings is held out once more, to validate each epoch on", """
SELECT * FROM cofi_train('ratings', 50)"""),
    ("Predict the first held-out ratings by id", """
SELECT user, item, title, rating, cofi_predict(user, item) AS predicted
FROM held_out JOIN films USING (item) ORDER BY user, item LIMIT 5"""),
    ("How good the model is on the held-out ratings, beside its baselines", """
SELECT * FROM cofi_evaluate('held_out')"""),
    (f"Ten films like {FILM}", f"""
SELECT rank, title, similarity
FROM (SELECT unnest(cofi_similar(item, 10), recursive := true) FROM films WHERE title = '{FILM}') JOIN films USING (item)
ORDER BY rank"""),
    (f"Ten films for user {USER}, who has not rated them", f"""
SELECT rank, title, score FROM (SELECT unnest(cofi_recommend({USER}, 10), recursive := true)) JOIN films USING (item)
ORDER BY rank"""),
    ("The five best films, whoever watches: the highest biases", """
SELECT title, bias, n_ratings FROM cofi_items() JOIN films ON item = id ORDER BY bias DESC LIMIT 5"""),
    ("And the five worst", """
SELECT title, bias, n_ratings FROM cofi_items() JOIN films ON item = id ORDER BY bias LIMIT 5"""),
    ("The model in pictures: open the file in a browser", f"""
SELECT * FROM cofi_report('default', '{REPORT}', titles := 'films')"""),
]  # fmt: skip


def show(connection: duckdb.DuckDBPyConnection, title: str, sql: str) -> None:
    """Prints a title, the SQL, and the rows of its last statement."""
    print(f"\n{title}\n{'─' * len(title)}{sql};\n", flush=True)
    begin = time.monotonic()
    rows = connection.execute(sql).fetchall()
    seconds = time.monotonic() - begin
    columns = [column[0] for column in connection.description]
    cells = [columns] + [[text(value) for value in row] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    right = [isinstance(value, (int, float)) or value is None for value in rows[0]] if rows else []
    for row in cells:
        aligned = (cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in zip(row, widths, right))
        print("  " + "  ".join(aligned).rstrip())
        if row is columns:
            print("  " + "  ".join("─" * width for width in widths))
    print(f"  ({seconds:.2f} s)")


def text(value: object) -> str:
    """A value for a person: fractions with four places, counts with commas only where they are long."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"{value:,}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
