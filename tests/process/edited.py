"""Stored tables that somebody edited: every function answers with finite numbers or refuses, and a way out that the errors name mends it.

One edit of nine is tried; all of them with COFI_EDITS=all, as `make fuzz` does.
"""

import os
import unittest

from support import InFolder, finish, start

WORLD = """
import math, os, re
os.chdir(sys.argv[1])
connection = connect()
connection.execute("SET enable_progress_bar = false")
connection.execute("CREATE TABLE ratings AS SELECT u AS user_id, i AS item_id, 1 + (u * i) % 5 AS rating FROM range(5) a(u), range(6) b(i) WHERE (u + i) % 4 > 0")
KINDS = {"dot": "bias := true", "without biases": "bias := false", "mlp": "architecture := 'mlp', layers := [3]", "classifier": "loss := 'cross_entropy', y_range := NULL"}

def train(kind):
    connection.execute(f"CALL cofi_train('ratings', 2, epochs := 1, batch_size := 'full', {KINDS[kind]})").fetchall()
    return connection.execute("SELECT id FROM cofi_store.models").fetchone()[0]

CALLS = [
    "SELECT cofi_predict(u, i) FROM range(6) a(u), range(7) b(i)", "SELECT cofi_baseline(u, i) FROM range(6) a(u), range(7) b(i)",
    "SELECT map_values(cofi_predict_proba(u, i)) FROM range(5) a(u), range(6) b(i)",
    "SELECT unnest(cofi_similar(i, 3), recursive := true) FROM range(7) b(i)", "SELECT unnest(cofi_similar_users(u, 100), recursive := true) FROM range(6) a(u)",
    "SELECT unnest(cofi_recommend(u, 3), recursive := true) FROM range(6) a(u)", "SELECT unnest(cofi_recommend(u, 9, 'default', false), recursive := true) FROM range(6) a(u)",
    "SELECT cofi_user_factors(u) FROM range(6) a(u)", "SELECT cofi_item_factors(i) FROM range(7) b(i)",
    "FROM cofi_recommend_all(3)", "FROM cofi_users()", "FROM cofi_items()", "FROM cofi_pca(2)", "FROM cofi_pca(1, side := 'users', top := 2)",
    "FROM cofi_evaluate('ratings')", "FROM cofi_confusion('ratings')", "FROM cofi_models()", "FROM cofi_history()",
    "FROM cofi_export('default', 'model.onnx')", "FROM cofi_report('default', 'report.html')",
    "CALL cofi_train('ratings', NULL, epochs := 1, warm_start := true)", "CALL cofi_lr_find('ratings', NULL, warm_start := true)",
]
EVERY_NTH = int(sys.argv[2])
n_asked = n_edits = n_refused = n_answered = n_dropped = 0

def numbers(value):
    if isinstance(value, float):
        yield value
    for part in value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else ():
        yield from numbers(part)

def edit(kind, *statements):
    global n_asked, n_edits, n_refused, n_answered, n_dropped
    n_asked += 1
    if n_asked % EVERY_NTH > 0:
        return
    connection.execute("DROP SCHEMA IF EXISTS cofi_store CASCADE")
    number = train(kind)
    for statement in statements:
        connection.execute(statement.replace("{n}", str(number)))
    try:
        # What is kept in the process is of the model as it was.
        connection.execute("UPDATE cofi_store.models SET created_at = created_at + INTERVAL 1 SECOND")
    except duckdb.Error:
        pass
    n_edits += 1
    for call in CALLS:
        try:
            rows = connection.execute(call).fetchall()
        except duckdb.Error as error:
            assert not re.search("failed unexpectedly|INTERNAL|FATAL|Assert", str(error)), f"{kind}, {statements}: {call}: {error}"
            n_refused += 1
        else:
            n_answered += 1
            # What tells of a table, tells what is in it.
            if not re.search("cofi_models|cofi_history|cofi_report|cofi_lr_find", call):
                assert all(map(math.isfinite, numbers(rows))), f"{kind}, {statements}: {call}: {rows}"
        assert connection.execute("SELECT 42").fetchone() == (42,)
    # Dropping the model does, as long as its row is there and `models` and `history` have their columns. A training does without that, too.
    of_all_models = re.compile(r"(?!UPDATE|.*DROP NOT NULL).*cofi_store\.(models|history)|.*SET name")
    if n_edits % 2 == 0 and not any(map(of_all_models.match, statements)):
        connection.execute("CALL cofi_drop('default')").fetchall()
        assert connection.execute("SELECT count(*) FROM cofi_store.models").fetchone() == (0,)
        n_dropped += 1
    # The ways out that the errors name, from the mildest on.
    told = []
    for mend in ("SELECT 1", "CALL cofi_drop('default')", "DROP SCHEMA cofi_store CASCADE"):
        try:
            connection.execute(mend).fetchall()
            train(kind)
            is_mended = connection.execute("SELECT cofi_predict(1, 2)").fetchone()[0] is not None
        except duckdb.Error as error:
            assert not re.search("failed unexpectedly|INTERNAL|FATAL|Assert", str(error)), f"{kind}, {statements}: {mend}: {error}"
            told.append(str(error))
            is_mended = False
        if is_mended:
            return
    assert False, f"{kind}, {statements}: nothing mends it: {told}"

def end():
    print(n_edits, n_refused, n_answered, n_dropped)
"""

COLUMNS = """
NUMBERS = ["NULL", "'nan'", "'infinity'", "'-infinity'", "3e38", "-1", "0", "2147483647"]
TABLES = {"users_{n}": {"id": ["NULL", "-id", "0"], "idx": ["NULL", "0", "-1", "idx + 1", "2147483647 - idx"],
        "bias": NUMBERS, "deviation": NUMBERS, "n_ratings": ["NULL", "-1", "2147483647"],
        "factors": ["NULL", "[NULL, 1]", "['nan'::FLOAT, 1]", "['infinity'::FLOAT, 1]", "[3e38, 3e38]", "[0, 0]"]},
    "seen_{n}": {"user_idx": ["NULL", "-1", "0", "5", "2147483647"], "item_idx": ["NULL", "-1", "0", "6", "2147483647"]},
    "layers_{n}": {"position": ["NULL", "1", "-1"], "name": ["NULL", "''", "'layer1.bias'", "'class_values'"], "n_columns": ["NULL", "0", "-1", "2147483647"],
        '"values"': ["NULL", "[]", "[NULL]", "['nan'::FLOAT]", "[1]", '"values" || [1]', "[3e38, 3e38, 3e38]"]},
    "models": {"id": ["NULL", "-1", "9223372036854775807"], "name": ["NULL", "''", "'other'"], "format_version": ["NULL", "0", "-1", "2", "2147483647"],
        "spec": ["NULL", "''", "'{}'", "'null'", "repeat('[', 100000)"], "seed": ["NULL", "-1"], "mean": NUMBERS, "mu": NUMBERS, "lo": NUMBERS, "hi": NUMBERS,
        "n_users": ["NULL", "-1", "9223372036854775807"], "n_ratings": ["NULL", "9223372036854775807"], "valid_loss": NUMBERS, "created_at": ["NULL", "'infinity'", "'-infinity'"]},
    "history": {"model_id": ["NULL", "-1"], "epoch": ["NULL", "-1"], "train_loss": NUMBERS, "device": ["NULL", "''"]}}
TABLES["items_{n}"] = TABLES["users_{n}"]
SPEC = ["user_width", "item_width", "lowest", "highest", "levels", "architecture", "loss", "columns", "place", "ratings_per_step", "layers", "n_factors", "seed", "y_range"]
for kind in KINDS if len(sys.argv) < 4 else [sys.argv[3]]:
    for table, columns in TABLES.items():
        if table == "layers_{n}" and kind not in ("mlp", "classifier") or table in ("models", "history", "seen_{n}") and kind == "without biases":
            continue
        for column, values in columns.items():
            of_all = f"ALTER TABLE cofi_store.{table} ALTER {column} DROP NOT NULL"
            for value in values:
                edit(kind, of_all, f"UPDATE cofi_store.{table} SET {column} = {value}")
                edit(kind, of_all, f"UPDATE cofi_store.{table} SET {column} = {value} WHERE rowid = (SELECT max(rowid) FROM cofi_store.{table})")
    for key in SPEC:
        for value in ("null", "0", "-1", "1e300", "9223372036854775807", "18446744073709551615", '""', "[]", '["nan"]', "{}", '"mlp"', '"cross_entropy"'):
            edit(kind, f"UPDATE cofi_store.models SET spec = json_merge_patch(spec, '{{\\"{key}\\": {value}}}')")
end()
"""

STRUCTURE = """
EVERY = ["users_{n}", "items_{n}", "seen_{n}", "models", "history"]
for kind in ("dot", "mlp"):
    for table in EVERY + (["layers_{n}"] if kind == "mlp" else []):
        whole = f"cofi_store.{table}"
        edit(kind, f"DROP TABLE {whole}")
        edit(kind, f"DELETE FROM {whole}")
        edit(kind, f"DELETE FROM {whole} WHERE rowid = 1")
        edit(kind, f"DELETE FROM {whole} WHERE rowid = 0")
        edit(kind, f"INSERT INTO {whole} FROM {whole}")
        edit(kind, f"CREATE TABLE cofi_store.other AS FROM {whole} WHERE rowid % 2 = 0 OR rowid < 2", f"DROP TABLE {whole}", f"CREATE VIEW {whole} AS FROM cofi_store.other")
        edit(kind, f"DROP TABLE {whole}", f"CREATE VIEW {whole} AS SELECT 1 / 0 AS id")
        edit(kind, f"DROP TABLE {whole}", f"CREATE TABLE {whole} (other INTEGER)")
        edit(kind, f"DROP TABLE {whole}", f"CREATE MACRO cofi_store.{table}() AS 1")
        for column, *_ in connection.execute(f"DESCRIBE cofi_store.{table}".replace("{n}", str(train(kind)))).fetchall():
            column = f'"{column}"'
            edit(kind, f"ALTER TABLE {whole} DROP COLUMN {column}")
            edit(kind, f"ALTER TABLE {whole} RENAME COLUMN {column} TO another")
            for other in ("VARCHAR", "BLOB", "INTEGER[]", "HUGEINT", "STRUCT(a INTEGER)", "DOUBLE"):
                edit(kind, f"ALTER TABLE {whole} ALTER {column} DROP NOT NULL", f"ALTER TABLE {whole} ALTER {column} TYPE {other} USING try_cast({column}::VARCHAR AS {other})")
    edit(kind, "ALTER TABLE cofi_store.users_{n} ALTER factors TYPE FLOAT[] USING factors::FLOAT[]", "UPDATE cofi_store.users_{n} SET factors = [1]")
    edit(kind, "ALTER TABLE cofi_store.users_{n} ALTER factors TYPE FLOAT[3] USING [1, 2, 3]::FLOAT[3]")
end()
"""


class EditedTables(InFolder):
    def check(self, edits, least, *arguments):
        every_nth = 1 if os.environ.get("COFI_EDITS") == "all" else 9
        child = start(WORLD + edits, self.folder, every_nth, *arguments)
        n_edits, n_refused, n_answered, n_dropped = map(int, finish(child, 1200).split())
        self.assertGreater(n_edits, least // every_nth)
        # Some edits are none, and some are of what a function does not read.
        self.assertGreater(n_refused, 4 * n_edits)
        self.assertGreater(n_answered, n_edits)
        self.assertGreater(n_dropped, n_edits // 10)

    def test_values_of_a_product_of_factors(self):
        self.check(COLUMNS, 200, "dot")

    def test_values_of_a_model_without_biases(self):
        self.check(COLUMNS, 100, "without biases")

    def test_values_of_an_mlp(self):
        self.check(COLUMNS, 200, "mlp")

    def test_values_of_a_classifier(self):
        self.check(COLUMNS, 200, "classifier")

    def test_tables_that_are_others(self):
        self.check(STRUCTURE, 200)


if __name__ == "__main__":
    unittest.main()
