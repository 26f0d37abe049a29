"""A panic in every stage of every function and in every kernel becomes an error, the session goes on, and the same call works afterwards.

The extension is one with the feature `force-panic` (Cargo.toml): it panics where the environment variable COFI_FORCE_PANIC says.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process"))

from support import InFolder, run  # noqa: E402

WORLD = """
import os
os.chdir(sys.argv[1])
connection = connect()
connection.execute("CREATE TABLE ratings AS SELECT u AS user_id, i AS item_id, 1 + (u * i) % 5 AS rating FROM range(40) a(u), range(30) b(i)")
connection.execute("CALL cofi_train('ratings', 4, epochs := 1)").fetchall()
connection.execute("CALL cofi_train('ratings', 4, epochs := 1, loss := 'cross_entropy', model := 'classifier')").fetchall()
connection.execute("CALL cofi_train('ratings', 4, epochs := 1, architecture := 'mlp', layers := [8], model := 'layers')").fetchall()
before = connection.execute("SELECT cofi_predict(1, 2), cofi_predict(1, 2, 'layers')").fetchone()
tried = []

def panics(place, call, expected="COFI_FORCE_PANIC asks for it in {place}", before_again=None):
    os.environ["COFI_FORCE_PANIC"] = place
    try:
        connection.execute(call).fetchall()
    except duckdb.Error as error:
        told = str(error)
    else:
        raise AssertionError(f"no panic in {place}: {call}")
    finally:
        del os.environ["COFI_FORCE_PANIC"]
    assert expected.replace("{place}", place) in told, f"{place}: {told}"
    assert connection.execute("SELECT 42").fetchone() == (42,), place
    if before_again:
        connection.execute(before_again).fetchall()
    connection.execute(call).fetchall()
    assert connection.execute("SELECT cofi_predict(1, 2), cofi_predict(1, 2, 'layers')").fetchone() == before, place
    tried.append(place)

def functions(kind):
    return [name for (name,) in connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_name LIKE '%cofi\\\\_%' ESCAPE '\\\\' AND function_type = $1 ORDER BY 1", [kind]).fetchall()]
"""

FUNCTIONS = """
TABLES = {"cofi_train": "'ratings', 4, epochs := 1, model := 'other'", "cofi_lr_find": "'ratings', 4", "cofi_recommend_all": "3", "cofi_evaluate": "'ratings'",
    "cofi_confusion": "'ratings'", "cofi_pca": "2", "cofi_report": "'default', 'report.html'", "cofi_drop": "'nobody'", "cofi_export": "'default', 'model.onnx'"}
TABLES.update({name: "" for name in ("cofi_users", "cofi_items", "cofi_models", "cofi_history", "cofi_options", "cofi_info")})
SCALARS = {"cofi_predict": "1, 2", "cofi_baseline": "1, 2", "cofi_predict_proba": "1, 2, 'classifier'", "cofi_similar": "1, 2", "cofi_similar_users": "1, 2",
    "cofi_recommend": "1, 2", "cofi_user_factors": "1", "cofi_item_factors": "1"}
assert functions("table") == sorted(TABLES) and functions("scalar") == sorted([*SCALARS, "__cofi_read"])
for name, arguments in TABLES.items():
    if name == "cofi_drop":
        # A model can be dropped once, and is when the rows are asked for.
        for stage in ("bind", "init", "next"):
            trained = "CALL cofi_train('ratings', 4, epochs := 1, model := 'nobody')"
            connection.execute(trained).fetchall()
            panics(f"cofi_drop {stage}", "FROM cofi_drop('nobody')", before_again=trained)
        continue
    for stage in ("bind", "init", "next"):
        panics(f"{name} {stage}", f"FROM {name}({arguments})")
for name, arguments in SCALARS.items():
    panics(f"{name} call", f"SELECT {name}({arguments})")
# The function that a training reads its ratings with.
panics("__cofi_read call", "FROM cofi_train('ratings', 4, epochs := 1, model := 'other')")
panics("scalar init", "SELECT cofi_predict(1, 2)")
panics("thread init", "FROM cofi_models()")
panics("rows next", "FROM cofi_models()")
# Nobody can be told of a panic while something is dropped.
n_models = len(connection.execute("FROM cofi_models()").fetchall())
os.environ["COFI_FORCE_PANIC"] = "values drop"
assert len(connection.execute("FROM cofi_models()").fetchall()) == n_models > 0
connection.execute("SELECT cofi_predict(1, 2)").fetchall()
del os.environ["COFI_FORCE_PANIC"]
assert connection.execute("SELECT cofi_predict(1, 2), cofi_predict(1, 2, 'layers')").fetchone() == before
print(len(tried))
"""

KERNELS = """
connection.execute("SET threads = 4")
TRAININGS = {"FactorisationStep": "", "ClassicPass": ", optimizer := 'classic_sgd'", "TableRead": ", architecture := 'mlp', layers := [8], updates := 'sparse'",
    "TableLearn": ", architecture := 'mlp', layers := [8], updates := 'sparse'", "Update": ", architecture := 'mlp', layers := [8]"}
for kernel, options in TRAININGS.items():
    # A warm start reads the model as it was: what broke off must not have changed it.
    panics(f"{kernel} kernel", f"FROM cofi_train('ratings', 4, epochs := 1, model := 'other'{options})", "unexpected end")
# Large enough for several threads.
wide = "FROM cofi_train('(SELECT u AS user_id, i AS item_id, 1 + (u * i) % 5 AS rating FROM range(3000) a(u), range(40) b(i))', 32, epochs := 1, model := 'other'"
panics("thread kernel", wide + ", batch_size := 16384)", "unexpected end")
print(len(tried))
"""

LOADING = """
import os
os.environ["COFI_FORCE_PANIC"] = "extension load"
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
try:
    connection.execute(f"LOAD '{EXTENSION}'")
except duckdb.Error as error:
    assert "COFI_FORCE_PANIC asks for it in extension load" in str(error), error
else:
    raise AssertionError("it is loaded")
assert connection.execute("SELECT 42").fetchone() == (42,)
del os.environ["COFI_FORCE_PANIC"]
connection.execute(f"LOAD '{EXTENSION}'")
print(len(connection.execute("FROM cofi_options()").fetchall()))
"""


class Panics(InFolder):
    def test_every_stage_of_every_function(self):
        self.assertEqual(int(run(WORLD + FUNCTIONS, self.folder, RUST_BACKTRACE=0)), 15 * 3 + 8 + 4)

    def test_every_kernel(self):
        self.assertEqual(int(run(WORLD + KERNELS, self.folder, RUST_BACKTRACE=0)), 6)

    def test_loading(self):
        self.assertGreater(int(run(LOADING, RUST_BACKTRACE=0)), 20)


if __name__ == "__main__":
    unittest.main()
