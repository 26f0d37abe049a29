"""Databases that older releases wrote: each format version has a fixture, whose answers stay what they were."""

import json
import re
import shutil
import unittest

import duckdb
from support import ROOT, InFolder, connect, one

FIXTURES = ROOT / "tests/fixtures"
WRITTEN = int(re.search(r"FORMAT_VERSION: i64 = (\d+)", (ROOT / "src/store/schema.rs").read_text()).group(1))


class Upgrading(InFolder):
    """Every test goes through all versions; the expected values come from NumPy, see make.py there."""

    def fixtures(self, read_only=False):
        """A connection to a copy of each fixture, as the database that its models were trained in, and what is expected."""
        for version in range(1, WRITTEN + 1):
            with self.subTest(version=version):
                copy = self.folder / f"format-{version}-{read_only}.duckdb"
                shutil.copy(FIXTURES / f"format-{version}.duckdb", copy)
                connection = connect()
                connection.execute(f"ATTACH '{copy}' AS fixture{' (READ_ONLY)' if read_only else ''}")
                connection.execute("USE fixture")
                expected = json.loads((FIXTURES / f"format-{version}.json").read_text())
                stored = dict(connection.execute("SELECT name, format_version FROM cofi_store.models").fetchall())
                self.assertEqual(stored, {model: version for model in expected})
                yield connection, expected
                connection.close()

    def close(self, found, expected, model):
        """Two numbers that are the same but for 32-bit rounding, on the scale of the model's ratings."""
        scale = max(1.0, abs(model["lowest"]), abs(model["highest"]))
        self.assertLess(abs(found - expected), 1e-5 * scale)

    def ranked(self, found, expected, model, value):
        """Rows of ids and values; ids of values that are nearly the same may have changed places."""
        self.assertEqual([row["rank"] for row in found], list(range(1, len(expected) + 1)))
        for row, (_, wanted) in zip(found, expected):
            self.close(row[value], wanted, model)
        apart = [abs(first[1] - second[1]) > 1e-4 for first, second in zip(expected, expected[1:])]
        if all(apart):
            self.assertEqual([row["item"] for row in found][: len(expected) - 1], [identifier for identifier, _ in expected][: len(expected) - 1])

    def test_every_version_has_a_fixture(self):
        found = {path.name for path in FIXTURES.glob("format-*")}
        self.assertEqual(found, {f"format-{version}.{ending}" for version in range(1, WRITTEN + 1) for ending in ("duckdb", "json")})

    def check_answers(self, connection, name, model):
        facts = connection.execute("SELECT n_users, n_items, n_factors FROM cofi_models() WHERE model = $1", [name]).fetchone()
        self.assertEqual(facts, (model["n_users"], model["n_items"], model["n_factors"]))
        for number, (user, item, rating, baseline) in enumerate(model["pairs"]):
            found = connection.execute("SELECT cofi_predict($1, $2, $3), cofi_baseline($1, $2, $3)", [user, item, name]).fetchone()
            self.close(found[0], rating, model)
            self.close(found[1], baseline, model)
            if model["probabilities"] is not None:
                probabilities = list(connection.execute("SELECT cofi_predict_proba($1, $2, $3)", [user, item, name]).fetchone()[0].values())
                for one_of_them, wanted in zip(probabilities, model["probabilities"][number], strict=True):
                    self.assertLess(abs(one_of_them - wanted), 1e-5)
        for what, remove_seen in (("recommended", False), ("unseen", True)):
            for user, expected in model[what]:
                n_wanted = 3 if what == "recommended" else 2
                found = connection.execute(f"SELECT cofi_recommend($1, {n_wanted}, $2, {remove_seen})", [user, name]).fetchone()[0]
                self.ranked(found, expected, model, "score")
        for item, expected in model["similar"]:
            found = connection.execute("SELECT cofi_similar($1, 3, $2)", [item, name]).fetchone()[0]
            self.ranked(found, expected, {"lowest": 0, "highest": 1}, "similarity")
        user, factors = model["user_factors"]
        found = connection.execute("SELECT cofi_user_factors($1, $2)", [user, name]).fetchone()[0]
        self.assertEqual([round(number, 5) for number in found], [round(number, 5) for number in factors])

    def test_answers(self):
        for read_only in (False, True):
            for connection, expected in self.fixtures(read_only):
                for name, model in expected.items():
                    with self.subTest(model=name):
                        self.check_answers(connection, name, model)

    def test_everything_else_that_reads(self):
        for connection, expected in self.fixtures():
            for name, model in expected.items():
                relation = json.loads(connection.execute("SELECT spec FROM cofi_store.models WHERE name = $1", [name]).fetchone()[0])["ratings"]
                columns = "" if relation != "other" else ", user_col := 'who', item_col := 'what', rating_col := 'how much'"
                for function in ("cofi_evaluate", "cofi_confusion"):
                    self.assertTrue(connection.execute(f"FROM {function}('{relation}', model := $1{columns})", [name]).fetchall())
                self.assertGreater(len(connection.execute("FROM cofi_history(model := $1)", [name]).fetchall()), 0)
                self.assertEqual(len(connection.execute("FROM cofi_items(model := $1)", [name]).fetchall()), model["n_items"])
                self.assertEqual(len(connection.execute("FROM cofi_recommend_all(2, model := $1, remove_seen := false)", [name]).fetchall()), 2 * model["n_users"])
                for function in ("cofi_export", "cofi_report"):
                    path = self.folder / function
                    self.assertEqual(connection.execute(f"FROM {function}($1, $2)", [name, str(path)]).fetchone()[1], path.stat().st_size)

    def test_going_on_and_dropping(self):
        for connection, expected in self.fixtures():
            for name, model in expected.items():
                relation = json.loads(connection.execute("SELECT spec FROM cofi_store.models WHERE name = $1", [name]).fetchone()[0])["ratings"]
                columns = "" if relation != "other" else ", user_col := 'who', item_col := 'what', rating_col := 'how much', weight_col := 'weight'"
                user, item, before, _ = model["pairs"][0]
                connection.execute(
                    f"FROM cofi_train('{relation}', NULL, model := $1, warm_start := true, epochs := 1, learning_rate := 1e-9, patience := NULL{columns})", [name]
                ).fetchall()
                stored = connection.execute("SELECT format_version, n_factors FROM cofi_models() WHERE model = $1", [name]).fetchone()
                self.assertEqual(stored, (WRITTEN, model["n_factors"]))
                # It went on where it was, and hardly moved at this rate.
                after = connection.execute("SELECT cofi_predict($1, $2, $3)", [user, item, name]).fetchone()[0]
                self.assertLess(abs(after - before), 1e-3 * (model["highest"] - model["lowest"]))
            for number, name in enumerate(expected):
                connection.execute("CALL cofi_drop($1)", [name]).fetchall()
                self.assertEqual(one(connection, "SELECT count(*) FROM cofi_models()"), len(expected) - number - 1)
            tables = "SELECT list(table_name ORDER BY table_name) FROM duckdb_tables() WHERE schema_name = 'cofi_store'"
            self.assertEqual(one(connection, tables), ["history", "models"])

    def test_a_newer_version_is_refused_with_words(self):
        for connection, expected in self.fixtures():
            newer = WRITTEN + 1
            connection.execute("UPDATE cofi_store.models SET format_version = $1 WHERE name = 'default'", [newer])
            words = f"model 'default' is stored in format {newer}: this release of cofi reads format {WRITTEN}; use a newer release or train the model again"
            for sql in (
                "SELECT cofi_predict(1, 101)", "SELECT cofi_recommend(1, 2)", "FROM cofi_users()", "FROM cofi_evaluate('ratings')", "FROM cofi_pca(2)",
                f"FROM cofi_export('default', '{self.folder}/x')", "FROM cofi_train('ratings', NULL, warm_start := true)",
            ):  # fmt: skip
                with self.assertRaises(duckdb.Error) as refused:
                    connection.execute(sql).fetchall()
                self.assertIn(words, str(refused.exception))
            self.check_answers(connection, "texts", expected["texts"])
            # What the words say leads out.
            connection.execute("CALL cofi_train('ratings', 2)").fetchall()
            self.assertIsNotNone(one(connection, "SELECT cofi_predict(1, 101)"))


if __name__ == "__main__":
    unittest.main()
