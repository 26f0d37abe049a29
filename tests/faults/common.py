"""What the fault tests share: how long they last, the figures that they report, models that tell which training they are of."""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))

import support  # noqa: E402
from support import EXTENSION, InFolder, finish, one, start, wait_until  # noqa: E402, F401

# `make faults` is the long form, `make test` runs the same in seconds.
IS_LONG = os.environ.get("COFI_FAULTS") == "long"
FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent

# What a training of the name `m` is called with: version 1 and 2 are told apart by width and numbers. The medium ones go through the
# write-ahead log as a whole, most of the large ones goes to the database's file before the commit. All trainings give the same bits in every process, so an answer tells the version.
VERSIONS = {
    "small": {1: "cofi_train('small_1', 4, model := 'm')", 2: "cofi_train('small_2', 5, model := 'm')"},
    "medium": {
        1: "cofi_train('medium_1', 24, model := 'm', epochs := 1, validation_fraction := 0)",
        2: "cofi_train('medium_2', 32, model := 'm', epochs := 1, validation_fraction := 0)",
    },
    "large": {
        1: "cofi_train('large_1', 24, model := 'm', epochs := 1, validation_fraction := 0)",
        2: "cofi_train('large_2', 32, model := 'm', epochs := 1, validation_fraction := 0)",
    },
}

WORLDS = """
CREATE TABLE small_1 AS SELECT u AS user_id, 100 + i AS item_id, 1 + (u * i) % 5 AS rating FROM range(1, 21) users(u), range(1, 21) items(i);
CREATE TABLE small_2 AS SELECT user_id, item_id, 6 - rating AS rating FROM small_1 WHERE user_id < 20;
CREATE TABLE medium_1 AS SELECT u AS user_id, 100 + u * 7 % 5000 AS item_id, 1 + u % 5 AS rating FROM range(60000) users(u);
CREATE TABLE medium_2 AS SELECT user_id, item_id, 6 - rating AS rating FROM medium_1;
CREATE TABLE large_1 AS SELECT u AS user_id, 100 + u * 7 % 5000 AS item_id, 1 + u % 5 AS rating FROM range(150000) users(u);
CREATE TABLE large_2 AS SELECT user_id, item_id, 6 - rating AS rating FROM large_1;
"""

# Everything that the answers of a model depend on; NULL-safe, so that a lost row shows.
DIGEST = """SELECT concat_ws(' ',
    (SELECT n_factors FROM cofi_models() WHERE model = 'm'),
    (SELECT sum(hash(id, bias, n_ratings, factors)::HUGEINT) FROM cofi_users(model := 'm')),
    (SELECT sum(hash(id, bias, n_ratings, factors)::HUGEINT) FROM cofi_items(model := 'm')),
    (SELECT sum(hash(user_id, item_id, coalesce(cofi_predict(user_id, item_id, 'm'), -1))::HUGEINT) FROM (FROM {ratings} ORDER BY ALL LIMIT 500)),
    (SELECT hash(list(cofi_recommend(u, 3, 'm') ORDER BY u)) FROM range(1, 4) t(u)),
    (SELECT count(*) FROM cofi_history(model := 'm')))"""


def connect(path=":memory:", **arguments):
    """A database with the extension loaded that prints nothing but answers."""
    connection = support.connect(path, **arguments)
    connection.execute("SET enable_progress_bar = false")
    return connection


def digest(connection, world):
    """What model `m` answers, as one text; `None` where there is no such model."""
    if one(connection, "SELECT count(*) FROM cofi_models() WHERE model = 'm'") == 0:
        return None
    return one(connection, DIGEST.format(ratings=f"{world}_1"))


def torn(connection):
    """What is wrong with the tables of `cofi_store`: every model has all its rows, and nothing else is there."""
    if one(connection, "SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'cofi_store'") == 0:
        return []
    wrong = []
    models = connection.execute("SELECT id, n_users, n_items, spec FROM cofi_store.models").fetchall()
    expected = {"models", "history"}
    for number, n_users, n_items, spec in models:
        has_layers = '"mlp"' in spec
        expected |= {f"{table}_{number}" for table in ["users", "items", "seen"] + (["layers"] if has_layers else [])}
        for table, n_rows in (("users", n_users), ("items", n_items)):
            found = one(connection, f"SELECT count(*) FROM cofi_store.{table}_{number}")
            if found != n_rows:
                wrong.append(f"{table}_{number} has {found} rows of {n_rows}")
    names = "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'cofi_store'"
    found = {name for (name,) in connection.execute(names).fetchall()}
    if found != expected:
        wrong.append(f"tables {sorted(found ^ expected)}")
    orphans = one(connection, "SELECT count(*) FROM cofi_store.history WHERE model_id NOT IN (SELECT id FROM cofi_store.models)")
    if orphans:
        wrong.append(f"{orphans} rows of history without a model")
    return wrong


def figure(what, text):
    """Reports a figure: a line of the table that `make faults` prints."""
    if path := os.environ.get("COFI_FAULTS_FIGURES"):
        with open(path, "a") as file:
            file.write(f"{what}\t{text}\n")


def distinct(errors):
    """What the host said, each once and only its beginning, for the table."""
    begins = {error.removeprefix("Invalid Input Error: ")[:64] for error in errors}
    return "; ".join(f"'{text}...'" for text in sorted(begins)[:4]) or "nothing"


def begin(code, *arguments, **environment):
    """A child process as `start` makes it, that has this module as well."""
    return start(f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nfrom common import *\n{code}", *arguments, **environment)


def kill(child):
    """Ends a child as nothing can be prepared for, and tells what it had printed."""
    child.send_signal(signal.SIGKILL)
    output, _ = child.communicate(timeout=60)
    return output


def size(path):
    """The bytes of a file, 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def usage():
    """Threads, handles and megabytes of memory of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") >> 20


def mounted(code, *arguments, **environment):
    """Runs `code` where it may mount file systems that nobody else sees, with the rights of root or of its own namespace.

    Gives `None` where the system allows neither.
    """
    isolated = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    trial = [*isolated, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    try:
        if subprocess.run(trial, capture_output=True).returncode != 0:
            return None
    except FileNotFoundError:
        return None
    code = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nfrom common import *\nimport duckdb, json\n{code}"
    whole = subprocess.run(
        [*isolated, sys.executable, "-c", code, *map(str, arguments)], env=changed(environment),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if whole.returncode != 0:
        raise AssertionError(f"the child process ended with {whole.returncode}: {whole.stdout}{whole.stderr}")
    return whole.stdout


def changed(environment):
    """The environment with some variables set, or taken away where they are `None`."""
    whole = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    return {name: value for name, value in whole.items() if environment.get(name, "") is not None}


def soon(condition, child, seconds=120):
    """Waits with hardly a pause until a condition holds; false when the child has ended before."""
    limit = time.monotonic() + seconds
    while not condition():
        if child.poll() is not None or time.monotonic() > limit:
            return False
        time.sleep(0.0002)
    return True


def without_rights():
    """Called in a child of root before it is executed: what the modes of files forbid is forbidden to it as well."""
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
