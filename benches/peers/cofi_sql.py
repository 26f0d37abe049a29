"""cofi itself: the whole `CALL cofi_train(...)` over a table of integers in a database in memory.

`seconds` is a call in a process that has trained before; `first_seconds` the very first one, which also loads ONNX Runtime,
and unpacks it where no process of this user has before. The option `sql` is what stands behind the named arguments.
"""

import duckdb
import protocol

EXTENSION = "build/release/cofi.duckdb_extension"
# Longer calls are not repeated: loading the library does not count in them.
LONG = 60.0


def main() -> None:
    job = protocol.job()
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{job.options.get('extension', EXTENSION)}'; SET threads = {job.threads}")
    table(connection, "ratings", {"user_id": job.users, "item_id": job.items, "rating": job.ratings})
    table(connection, "held_out", {"user_id": job.held_users, "item_id": job.held_items})
    options = f"validation_fraction := 0, seed := {job.seed}" + ", ".join(["", *filter(None, [job.options.get("sql")])])
    first = times = trained(connection, job, options)
    if first["seconds"] < LONG:
        times = trained(connection, job, options)
    predictions = connection.execute(
        "SELECT coalesce(cofi_predict(user_id, item_id), cofi_baseline(user_id, item_id)) AS rating FROM held_out ORDER BY rowid"
    ).fetchnumpy()["rating"]
    version = connection.execute("SELECT value FROM cofi_info() WHERE property = 'cofi'").fetchone()[0]
    job.finish(predictions, times, version, first_seconds=first["seconds"])


def trained(connection: duckdb.DuckDBPyConnection, job: protocol.Job, options: str) -> dict[str, float]:
    """The seconds of the whole call, and as `fit_seconds` those of its epochs."""
    clock = protocol.Clock()
    found = connection.execute(f"CALL cofi_train('ratings', {job.factors}, {options})")
    place = [column[0] for column in found.description].index("seconds")
    rows = found.fetchall()
    return {**clock.stop(), "fit_seconds": sum(row[place] for row in rows)}


def table(connection: duckdb.DuckDBPyConnection, name: str, columns: dict) -> None:
    connection.register("columns", columns)
    connection.execute(f"CREATE TABLE {name} AS FROM columns")
    connection.unregister("columns")


if __name__ == "__main__":
    main()
