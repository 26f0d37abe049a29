"""What the process tests share: the extension, a small and a large world, and child processes."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import duckdb

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EXTENSION = os.path.abspath(os.environ.get("COFI_EXTENSION", ROOT / "build/release/cofi.duckdb_extension"))

# 20 users like 20 items or not, as on a checkerboard: trained in milliseconds.
SMALL = """CREATE TABLE ratings AS
SELECT u AS user_id, 100 + i AS item_id, CASE WHEN (u + i) % 2 = 0 THEN 4 + (u * i) % 2 ELSE 1 + (u + 2 * i) % 3 END AS rating
FROM range(1, 21) users(u), range(1, 21) items(i) WHERE (5 * u + 3 * i) % 11 <> 0"""

# 100 thousand ratings of the same kind: an epoch takes a noticeable while.
LARGE = """CREATE TABLE ratings AS
SELECT u AS user_id, i AS item_id, CASE WHEN (u + i) % 2 = 0 THEN 5 ELSE 1 END AS rating
FROM range(1000) users(u), range(100) items(i)"""


def connect(path=":memory:", **arguments):
    """A database with the extension loaded, that prints nothing however long a statement takes."""
    connection = duckdb.connect(str(path), config={"allow_unsigned_extensions": "true"}, **arguments)
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"LOAD '{EXTENSION}'")
    return connection


def one(connection, sql):
    """The only value of a query."""
    return connection.execute(sql).fetchone()[0]


def lasting(connection, seconds):
    """A training of the large world that takes about so long on this machine."""
    an_epoch = one(connection, "SELECT sum(seconds) / 3 FROM cofi_train('ratings', 16, epochs := 3, model := 'trial')")
    connection.execute("CALL cofi_drop('trial')")
    return f"SELECT epoch FROM cofi_train('ratings', 16, epochs := {round(seconds / an_epoch) + 1})"


def start(code, *arguments, **environment):
    """A child process that runs `code` beside this module; a value of None takes a variable away."""
    changed = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    for name in [name for name, value in environment.items() if value is None]:
        changed.pop(name)
    return subprocess.Popen(
        [sys.executable, "-c", f"from support import *\n{code}", *(str(argument) for argument in arguments)],
        cwd=pathlib.Path(__file__).parent, env=changed, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(child, seconds=120):
    """What a child process printed; a child that failed is an error with what it wrote."""
    try:
        output, errors = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    if child.returncode != 0:
        raise AssertionError(f"the child process ended with {child.returncode}: {output}{errors}")
    return output


def run(code, *arguments, **environment):
    """Runs a child process to its end."""
    return finish(start(code, *arguments, **environment))


def wait_until(condition, seconds):
    """Whether a condition holds within some seconds."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


class InFolder(unittest.TestCase):
    """Tests with a folder of their own, where `self.file` is to be the database."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cofi-process-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "test.duckdb"
