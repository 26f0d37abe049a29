"""A DuckDB host for the SQL tests: reads a statement a line, answers with a line, both JSON.

    engine.py EXTENSION

A request is {"connection": number, "sql": text}, an answer {"types": letters, "rows": [[text]]} or {"error": text}.
Connections come into being when they are first used. The database is a file in a fresh folder, which is also the working
folder, so that a test names further files as it likes. Two words of DuckDB's shell are known beside SQL:

    .open [--readonly] FILE    closes all connections, then opens FILE with the extension
    .close                     closes all connections, and opens the same file again when the next statement comes
"""

import json
import os
import signal
import struct
import sys
import tempfile
import time

import duckdb

# Seconds for one statement, after which the process ends; and for a file to be free after its last connection has closed.
STATEMENT_LIMIT = 120
CLOSING_LIMIT = 5

INTEGERS = {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
REALS = {"float", "double", "decimal"}


class Engine:
    def __init__(self, extension):
        self.extension = extension
        self.file, self.read_only = "test.duckdb", False
        self.connections = {}

    def run(self, number, sql):
        words = sql.split()
        if words[0] == ".open":
            self.close()
            self.file, self.read_only = words[-1], "--readonly" in words
        if words[0] in (".open", ".close"):
            self.close()
            return {"types": "", "rows": []}
        connection = self.connection(number).execute(sql)
        types = [column[1] for column in connection.description or []]
        rows = [[show(value, kind) or "(empty)" for value, kind in zip(row, types)] for row in connection.fetchall()]
        return {"types": "".join(letter(kind) for kind in types), "rows": rows}

    def connection(self, number):
        if not self.connections:
            self.connections[number] = self.open()
        elif number not in self.connections:
            self.connections[number] = next(iter(self.connections.values())).cursor()
        return self.connections[number]

    def open(self):
        """A first connection. The same file may still be open in its other mode for the moment after a close."""
        patience = time.monotonic() + CLOSING_LIMIT
        while True:
            try:
                config = {"allow_unsigned_extensions": "true"}
                first = duckdb.connect(self.file, read_only=self.read_only, config=config)
                break
            except duckdb.ConnectionException:
                if time.monotonic() > patience:
                    raise
                time.sleep(0.05)
        first.execute(f"LOAD '{self.extension}'")
        return first

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}


def letter(kind):
    """The letter of a type in a test file: an integer, a real number, or anything else."""
    return "I" if kind.id in INTEGERS else "R" if kind.id in REALS else "T"


def show(value, kind):
    """A value as DuckDB would cast it to text, nested values included."""
    if value is None:
        return "NULL"
    if kind.id == "boolean":
        return "true" if value else "false"
    if kind.id == "float":
        return shortest_float(value)
    if kind.id in ("list", "array"):
        element = kind.children[0][1]
        return "[" + ", ".join(show(one, element) for one in value) + "]"
    if kind.id == "struct":
        return "{" + ", ".join(f"'{name}': {show(value[name], field)}" for name, field in kind.children) + "}"
    return str(value)


def shortest_float(value):
    """The fewest digits that give the same 32-bit float."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            break
    return str(float(text))


def main():
    extension = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="cofi-sql-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        engine = Engine(extension)
        for line in sys.stdin:
            request = json.loads(line)
            signal.alarm(STATEMENT_LIMIT)
            try:
                answer = engine.run(request["connection"], request["sql"])
            except Exception as error:  # the test decides what is expected
                answer = {"error": f"{error}"}
            signal.alarm(0)
            print(json.dumps(answer), flush=True)
        engine.close()


if __name__ == "__main__":
    main()
