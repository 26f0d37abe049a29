"""Hostile texts in every argument of every function, and in the names of everything: each is an answer or an error, and nothing else happens."""

import os
import pathlib
import unittest

import duckdb
from support import SMALL, InFolder, connect, one

# Ends of strings, identifiers, lists and comments, further statements, placeholders of our own files of SQL, and what is no name at all.
HOSTILE = [
    "x'; DROP TABLE victim; --", 'x"; DROP TABLE victim; --', "x; DROP TABLE victim", "x\n; DROP TABLE victim; --", "x\r\nDROP TABLE victim",
    "x)); DROP TABLE victim; --", "x*/ ; DROP TABLE victim; /*", "/* x", "x -- y", "$$; DROP TABLE victim; $$", "$1", "?", ":x", "\\'; DROP TABLE victim; --",
    "{relation}{store}{id}{columns}", "' || (SELECT DROP) || '", "x' OR 1 = 1 --", "1); DELETE FROM victim; --", "\0; DROP TABLE victim; --", "ratings\0x", "default\0",
    "(SELECT * FROM ratings); DROP TABLE victim; --", "(DELETE FROM victim)", "(SELECT * FROM ratings) -- x", "(INSERT INTO victim VALUES (2))",
    "(WITH x AS (DELETE FROM victim RETURNING *) FROM x)", "ʼ; DROP TABLE victim; --", "ﬀ＇＂ ⭐ \u202e\u200b\u2028", "\x1b[31m\x07", "", " ", "'", '"', '""', ".", "a.b.c.d",
    "%", "victim", "nowhere/x", "x" * 5_000,
]  # fmt: skip

# What stands where another argument is hostile. A function that is not here fails the test.
POSITIONAL = {
    "cofi_train": ["ratings", 2], "cofi_lr_find": ["ratings", 2], "cofi_drop": ["other"], "cofi_export": ["m", "out"], "cofi_report": ["m", "out"],
    "cofi_models": [], "cofi_history": [], "cofi_options": [], "cofi_info": [], "cofi_users": [], "cofi_items": [], "cofi_evaluate": ["ratings"],
    "cofi_confusion": ["ratings"], "cofi_pca": [2], "cofi_recommend_all": [2],
}  # fmt: skip
ALSO = {"cofi_train": {"epochs": 1, "model": "other"}, "cofi_lr_find": {"model": "other"}}
OF_A_PAIR = {"cofi_baseline", "cofi_predict", "cofi_predict_proba"}

# As names: of a database, a schema, a table, columns and a model at once.
NAMES = [
    'd"; DROP TABLE victim; --', "d'; DROP TABLE victim; --", "d; DROP TABLE victim", "d\n--\n", "/* d", "d */", "d.e", "{store}", "$1 ? :x", "⭐ ʼ＇\u202e", "select", " d ", "D\\",
    '"""', "''",
]  # fmt: skip


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Injecting(InFolder):
    def setUp(self):
        super().setUp()
        # What a hostile path names lies here, and the test sees it.
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        self.connection = connect(self.file)
        self.connection.execute(SMALL)
        self.connection.execute("CREATE TABLE victim AS SELECT 1 AS one")
        for model in ("m", "default"):
            self.connection.execute("CALL cofi_train('ratings', 2, epochs := 1, model := $1)", [model])
        self.world = self.seen()

    def seen(self):
        """What a statement of somebody else would have changed."""
        tables = "SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE schema_name <> 'cofi_store' ORDER BY ALL"
        settings = "SELECT name, value FROM duckdb_settings() WHERE name NOT LIKE '%memory%' AND name <> 'search_path' ORDER BY ALL"
        databases = "SELECT database_name, path FROM duckdb_databases() ORDER BY ALL"
        counted = "SELECT (SELECT list(one) FROM victim), (SELECT count(*) FROM ratings)"
        return [self.connection.execute(sql).fetchall() for sql in (tables, settings, databases, counted)]

    def call(self, sql, arguments):
        """Whether there was an answer; an error is never an internal one."""
        try:
            self.connection.execute(sql, arguments).fetchall()
            return True
        except (duckdb.InternalException, duckdb.FatalException):
            raise
        except duckdb.Error as error:
            self.assertNotIn("failed unexpectedly", str(error))
            return False

    def check_function(self, name, calls):
        outcomes = [self.call(sql, arguments) for sql, arguments in calls]
        self.assertEqual(self.seen(), self.world, name)
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        self.assertEqual({path.parent for path in files}, {self.folder}, name)
        return sum(outcomes)

    def test_every_argument_of_every_table_function(self):
        sql = "SELECT function_name, parameters FROM duckdb_functions() WHERE function_name LIKE 'cofi%' AND function_type = 'table'"
        functions = dict(self.connection.execute(sql).fetchall())
        self.assertEqual(set(functions), set(POSITIONAL))
        for name, parameters in functions.items():
            positional = POSITIONAL[name]
            named = sorted(parameter for parameter in parameters if not parameter.startswith("col"))
            places = ", ".join("?" for _ in positional)
            calls = []
            for index in range(len(positional)):
                also = "".join(f", {option} := {value!r}" for option, value in ALSO.get(name, {}).items())
                calls += [(f"FROM {name}({places}{also})", [*positional[:index], text, *positional[index + 1 :]]) for text in HOSTILE]
            for option in named:
                also = "".join(f", {other} := {value!r}" for other, value in ALSO.get(name, {}).items() if other != option)
                given = ", ".join(part for part in (places, f"{option} := ?{also}") if part)
                calls += [(f"FROM {name}({given})", [*positional, text]) for text in HOSTILE]
            self.check_function(name, calls)

    def test_every_text_of_every_scalar_function(self):
        sql = "SELECT function_name, parameter_types FROM duckdb_functions() WHERE function_name LIKE 'cofi%' AND function_type = 'scalar'"
        for name, types in self.connection.execute(sql).fetchall():
            usual = {"BIGINT": 1, "VARCHAR": "1", "BOOLEAN": True}
            arguments = [usual[kind] for kind in types]
            model = 2 if name in OF_A_PAIR or len(types) > 2 else 1
            if "factors" not in name and name not in OF_A_PAIR:
                model = 2
            if len(types) > model:
                arguments[model] = "m"
            calls = []
            for index in [index for index, kind in enumerate(types) if kind == "VARCHAR"]:
                places = ", ".join(f"?::{kind}" for kind in types)
                calls += [(f"SELECT {name}({places})", [*arguments[:index], text, *arguments[index + 1 :]]) for text in HOSTILE]
            n_answered = self.check_function(name, calls)
            if types[0] == "VARCHAR" and name != "cofi_predict_proba":
                self.assertGreaterEqual(n_answered, len(HOSTILE), name)

    def test_names_of_everything(self):
        for number, name in enumerate(NAMES):
            with self.subTest(name=name):
                self.check_name(number, name)

    def check_name(self, number, name):
        connection, table = self.connection, ".".join([quoted(name)] * 3)
        user, item, rating = (quoted(name + role) for role in ("u", "i", "r"))
        connection.execute(f"ATTACH '{self.folder}/{number}.duckdb' AS {quoted(name)}")
        connection.execute(f"CREATE SCHEMA {quoted(name)}.{quoted(name)}")
        connection.execute(
            f"CREATE TABLE {table} AS SELECT $1 || user_id AS {user}, $1 || item_id AS {item}, rating AS {rating} FROM ratings", [name]
        )
        model = "m" if "\n" in name else name.replace(".", "") + "m"
        # A name with a control character is none of a model, so it cannot be reached from outside either: inside it is not needed.
        inside = "\n" in name
        if inside:
            connection.execute(f"USE {quoted(name)}")
        full = model if inside else f"{name}.{model}"
        columns = "user_col := $user, item_col := $item, rating_col := $rating"
        given = {"ratings": table, "model": full, "user": name + "u", "item": name + "i", "rating": name + "r"}
        training = f"FROM cofi_train($ratings, 2, epochs := 1, model := $model, {columns})"
        if '"' in name and duckdb.__version__.startswith("1."):
            # DuckDB 1.5 does not find a sequence in a database of such a name, whoever asks: an error, and nothing is stored.
            with self.assertRaisesRegex(duckdb.Error, "cofi_train"):
                connection.execute(training, given).fetchall()
            connection.execute(f"DETACH {quoted(name)}")
            self.assertEqual(self.seen(), self.world)
            return
        self.assertEqual(len(connection.execute(training, given).fetchall()), 1)
        connection.execute(f"FROM cofi_train($ratings, 2, epochs := 1, model := $model, {columns}, warm_start := true)", given).fetchall()
        for function in ("cofi_evaluate", "cofi_confusion"):
            self.assertTrue(connection.execute(f"FROM {function}($ratings, model := $model, {columns})", given).fetchall())
        self.assertEqual(len(connection.execute("FROM cofi_history(model := $1)", [full]).fetchall()), 1)
        predicted = connection.execute(f"SELECT count(cofi_predict({user}, {item}, $1)) FROM {table}", [full]).fetchone()[0]
        self.assertGreater(predicted, 200)
        known = connection.execute("SELECT id FROM cofi_users(model := $1) ORDER BY ALL LIMIT 1", [full]).fetchone()[0]
        self.assertTrue(known.startswith(name))
        self.assertEqual(len(connection.execute("SELECT cofi_recommend($1, 2, $2, false)", [known, full]).fetchone()[0]), 2)
        connection.execute("FROM cofi_report($1, 'page.html')", [full]).fetchall()
        connection.execute("FROM cofi_export($1, 'model.onnx')", [full]).fetchall()
        self.assertNotIn("<script>alert", pathlib.Path("page.html").read_text())
        stored = f"SELECT list(name) FROM {quoted(name)}.cofi_store.models"
        self.assertEqual(one(connection, stored), [model])
        connection.execute("CALL cofi_drop($1)", [full]).fetchall()
        self.assertEqual(one(connection, stored), None)
        connection.execute("USE test")
        connection.execute(f"DETACH {quoted(name)}")
        self.assertEqual(self.seen(), self.world)


if __name__ == "__main__":
    unittest.main()
