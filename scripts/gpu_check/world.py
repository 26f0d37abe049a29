"""What is trained on: MovieLens 100K, and made-up ratings of MovieLens's shapes."""

import time

# Users and items of MovieLens 100K, 1M and 20M.
SHAPES = {100_000: (943, 1_682), 1_000_000: (6_040, 3_706), 20_000_000: (138_493, 26_744)}

# The first rows have every user and every item once at least, so that some of the rows have tables of the same size as all of them. The users of the others go by a
# square, their items by Zipf's law. What `hash` gives is the same on every machine with this DuckDB.
MADE = """
CREATE OR REPLACE TABLE made AS
SELECT place, user_id, item_id,
       greatest(0.5, least(5, round(2 * (3.5 + 1.4 * (draw(user_id, 4) - 0.5) + 1.6 * (draw(item_id, 5) - 0.5) + 2 * (draw(place, 6) - 0.5))) / 2))::FLOAT AS rating
FROM (SELECT i::INTEGER AS place,
             CASE WHEN i < {cover} THEN i % {users} ELSE floor({users} * draw(i, 1) * draw(i, 2)) END::INTEGER AS user_id,
             CASE WHEN i < {cover} THEN i % {items} ELSE least({items} - 1, floor(exp(draw(i, 3) * ln({items} + 1)) - 1)) END::INTEGER AS item_id
      FROM range({n}) ratings(i))
"""


def connect(extension):
    """A database in memory with cofi."""
    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"LOAD '{extension}'")
    connection.execute("CREATE MACRO draw(a, b) AS (hash(a::BIGINT, b::BIGINT) >> 11)::DOUBLE / 9007199254740992")
    return connection


def make(connection, n):
    """The table `made` of so many ratings; returns how many users and items it has."""
    nearest = min(SHAPES, key=lambda size: abs(size - n))
    users, items = SHAPES[nearest]
    users, items = min(users, n), min(items, n)
    connection.execute(MADE.format(n=n, users=users, items=items, cover=max(users, items)))
    return users, items


def take(connection, n):
    """The view `part`: the first rows of `made`."""
    connection.execute(f"CREATE OR REPLACE VIEW part AS SELECT user_id, item_id, rating FROM made WHERE place < {n}")


def read_movielens(connection, folder):
    connection.execute(f"CREATE OR REPLACE TABLE movielens AS SELECT \"user\" AS user_id, item AS item_id, rating FROM read_csv('{folder / 'ratings.tsv'}')")


def train(connection, ratings, factors, **options):
    """The rows of a training, each by its columns' names, and the seconds of the whole call."""
    begin = time.monotonic()
    named = "".join(f", {name} := {literal(value)}" for name, value in options.items())
    found = connection.execute(f"CALL cofi_train('{ratings}', {literal(factors)}{named})")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()], time.monotonic() - begin


def literal(value):
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


def properties(connection, name=None):
    """What cofi_info() says, or its values of one property."""
    rows = connection.execute("SELECT property, value FROM cofi_info()").fetchall()
    return rows if name is None else [value for property, value in rows if property == name]
