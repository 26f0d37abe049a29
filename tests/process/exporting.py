"""Exported models in plain ONNX Runtime: the same answers as in SQL, for the same ids."""

import json
import pathlib
import subprocess
import sys
import unittest

import duckdb
import numpy
import onnxruntime
from support import SMALL, InFolder, connect, one, run

# Every interaction, end and set of biases, with the outputs of its file.
MODELS = {
    "dot": "'ratings', 8",
    "dot without a range": "'ratings', 150, y_range := NULL",
    "dot alone": "'ratings', 8, preset := 'dot'",
    "dot in other units": "'large', 8",
    "dot with biases of users": "'ratings', 8, preset := 'cofi_cost', epochs := 50",
    "mlp": "'ratings', 8, architecture := 'mlp', layers := [20, 10]",
    "mlp of fastai": "'ratings', NULL, preset := 'mlp'",
    "wide mlp without a range": "'ratings', 150, architecture := 'mlp', layers := [140], y_range := NULL",
    "classifier": "'ratings', 8, loss := 'cross_entropy'",
    "classifier of fractions": "'fractions', 8, loss := 'cross_entropy', bias := false, y_range := NULL",
    "mlp classifier": "'ratings', 8, loss := 'cross_entropy', architecture := 'mlp', layers := [20]",
}

# Users and items as numbers and texts: each as what its columns are, and an id that no model has seen.
KINDS = {
    "numbers": ("user_id", "item_id", -7, 9223372036854775807),
    "texts": ("CASE user_id WHEN 3 THEN '' ELSE 'Amélie ' || user_id END", "'it''s 🎬 ' || item_id", "amélie 1", " "),
    "numbers and texts": ("user_id - 9223372036854775807", "item_id::VARCHAR", 0, "0101"),
}


def world(kind):
    """A database with ratings, in three scales, whose ids are of a kind."""
    user, item, _, _ = KINDS[kind]
    connection = connect()
    connection.execute(SMALL)
    connection.execute(f"CREATE OR REPLACE TABLE ratings AS SELECT {user} AS user_id, {item} AS item_id, rating FROM ratings")
    connection.execute("CREATE TABLE large AS FROM ratings SELECT user_id, item_id, 1000000 + 1e5 * rating AS rating")
    connection.execute("CREATE TABLE fractions AS FROM ratings SELECT user_id, item_id, rating / 8 - 0.1 AS rating")
    return connection


def ids(values):
    """Ids as ONNX Runtime takes them."""
    return numpy.array(values, dtype=object if isinstance(values[0], str) else numpy.int64)


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


class Exporting(InFolder):
    def export(self, connection, model):
        path = self.folder / f"{model}.onnx"
        row = connection.execute("FROM cofi_export($1, $2)", [model, str(path)]).fetchone()
        self.assertEqual(row[:2], (str(path), path.stat().st_size))
        return session(path), row

    def check(self, connection, model, unknown_user, unknown_item):
        """A model's file against SQL, for every pair of known ids at once and one by one, and for unknown ids."""
        exported, row = self.export(connection, model)
        of_a_pair = "cofi_predict(user_id, item_id, $1), " + (
            "map_values(cofi_predict_proba(user_id, item_id, $1))" if "classifier" in model else "NULL"
        )
        pairs = f"""SELECT user_id, item_id, {of_a_pair} FROM (SELECT DISTINCT user_id FROM ratings), (SELECT DISTINCT item_id FROM ratings)
            WHERE cofi_predict(user_id, item_id, $1) IS NOT NULL"""
        users, items, ratings, probabilities = zip(*connection.execute(pairs, [model]).fetchall())
        self.assertGreater(len(users), 300)
        scale = max(1, numpy.abs(ratings).max())

        given = exported.run(None, {"user": ids(users), "item": ids(items)})
        self.assertEqual([output.name for output in exported.get_outputs()], row[4].split(", "))
        self.assertEqual([output.type for output in exported.get_outputs()], ["tensor(float)"] * len(given))
        self.assertEqual(given[0].shape, (len(users),))
        self.assertLess(numpy.abs(given[0] - ratings).max(), 1e-5 * scale)
        self.assertGreater(numpy.std(ratings), 1e-3 * scale, "a test of nothing: all predictions are the same")
        if "classifier" in model:
            self.assertLess(numpy.abs(given[1] - numpy.array(probabilities)).max(), 1e-5)
            self.assertLess(numpy.abs(given[1].sum(axis=1) - 1).max(), 1e-6)
        for place in range(0, len(users), 7):
            alone = exported.run(None, {"user": ids(users[place : place + 1]), "item": ids(items[place : place + 1])})
            for together, output in zip(given, alone):
                self.assertEqual(output.shape, together[place : place + 1].shape)
                self.assertLess(numpy.abs(output[0] - together[place]).max(), 1e-5 * scale)

        some_users = [users[0], unknown_user, users[0], unknown_user, users[1]]
        some_items = [items[0], items[0], unknown_item, unknown_item, items[1]]
        mixed = exported.run(None, {"user": ids(some_users), "item": ids(some_items)})
        for together, output in zip(given, mixed):
            self.assertTrue(numpy.isnan(output[1:4]).all(), output)
            self.assertTrue(numpy.allclose(output[[0, 4]], together[[0, 1]], rtol=1e-6, atol=1e-5), output)
        nothing = exported.run(None, {"user": ids(users)[:0], "item": ids(items)[:0]})
        self.assertEqual([len(output) for output in nothing], [0] * len(given))

    def check_kind(self, kind):
        connection = world(kind)
        unknown = KINDS[kind][2:]
        types = [("VARCHAR", "tensor(string)") if isinstance(value, str) else ("BIGINT", "tensor(int64)") for value in unknown]
        for model, arguments in MODELS.items():
            with self.subTest(model=model):
                connection.execute(f"CALL cofi_train({arguments}, model := '{model}')").fetchall()
                self.check(connection, model, *unknown)
        exported, row = self.export(connection, "dot")
        self.assertEqual(list(row[2:4]), [name for name, _ in types])
        self.assertEqual([(i.name, i.type) for i in exported.get_inputs()], [("user", types[0][1]), ("item", types[1][1])])

    def test_numbers(self):
        self.check_kind("numbers")

    def test_texts(self):
        self.check_kind("texts")

    def test_numbers_and_texts(self):
        self.check_kind("numbers and texts")

    def test_an_unknown_side_without_a_bias_gives_nan(self):
        # Only users have biases, and whatever the layers make of an unknown item must not be told.
        connection = world("numbers")
        for model, arguments in (("users", "preset := 'cofi_cost'"), ("none", "preset := 'mlp', layers := [4]")):
            connection.execute(f"CALL cofi_train('ratings', 4, model := '{model}', {arguments}, epochs := 1)").fetchall()
            exported, _ = self.export(connection, model)
            (given,) = exported.run(None, {"user": ids([1, 0, 2]), "item": ids([1, 101, 101])})
            self.assertEqual(numpy.isnan(given).tolist(), [True, True, False])

    def test_the_file_tells_what_it_is(self):
        connection = world("numbers")
        connection.execute("CALL cofi_train('fractions', 4, loss := 'cross_entropy', model := 'told', y_range := NULL)").fetchall()
        exported, row = self.export(connection, "told")
        meta = exported.get_modelmeta()
        version = one(connection, "SELECT value FROM cofi_info() WHERE property = 'cofi'")
        created = one(connection, "SELECT strftime(created_at, '%Y-%m-%dT%H:%M:%SZ') FROM cofi_models()")
        classes = [number for (number,) in connection.execute("SELECT DISTINCT rating::FLOAT FROM fractions ORDER BY 1").fetchall()]
        properties = dict(meta.custom_metadata_map)
        self.assertTrue(numpy.allclose(json.loads(properties.pop("classes")), classes, rtol=1e-6))
        self.assertEqual(
            properties,
            {"cofi_version": version, "model": "told", "created": created, "user_type": "BIGINT", "item_type": "BIGINT"},
        )
        self.assertEqual(meta.producer_name, "cofi")
        self.assertIn("softmax(score * class_weights + class_offsets)", meta.description)
        self.assertIn("user_factors[u] . item_factors[i] + user_bias[u] + item_bias[i]", meta.description)
        self.assertEqual(row[4], "rating, probabilities")

    def test_the_same_model_is_the_same_file(self):
        connection = world("texts")
        connection.execute("CALL cofi_train('ratings', 4)").fetchall()
        paths = [self.folder / name for name in ("one.onnx", "other.onnx")]
        for path in paths:
            connection.execute("CALL cofi_export('default', $1)", [str(path)]).fetchall()
        self.assertEqual(paths[0].read_bytes(), paths[1].read_bytes())

    def test_it_loads_in_silence(self):
        connection = world("texts")
        for model in ("dot", "mlp", "classifier"):
            connection.execute(f"CALL cofi_train({MODELS[model]}, model := '{model}')").fetchall()
            self.export(connection, model)
            code = """import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
session.run(None, {'user': numpy.array(['', 'x']), 'item': numpy.array(['y', ''])})"""
            child = subprocess.run([sys.executable, "-c", code, self.folder / f"{model}.onnx"], capture_output=True, text=True)
            self.assertEqual((child.returncode, child.stdout, child.stderr), (0, "", ""))

    def test_a_file_is_replaced_whole_or_not_at_all(self):
        connection = world("numbers")
        connection.execute("CALL cofi_train('ratings', 64)").fetchall()
        path = self.folder / "model.onnx"
        path.write_text("what was there before")
        link = self.folder / "link.onnx"
        link.symlink_to(path)
        for model, error in (("absent", "absent"), ("default", None)):
            try:
                connection.execute("CALL cofi_export($1, $2)", [model, str(link)]).fetchall()
                self.assertIsNone(error)
            except duckdb.Error as raised:
                self.assertIn(error, str(raised))
                self.assertEqual(path.read_text(), "what was there before")
        session(path)
        self.assertTrue(link.is_symlink())
        self.assertEqual(sorted(found.name for found in self.folder.iterdir()), ["link.onnx", "model.onnx"])

    @unittest.skipUnless(sys.platform == "linux", "limits of the file size are checked on Linux")
    def test_a_disk_that_is_full(self):
        path = self.folder / "model.onnx"
        path.write_text("what was there before")
        output = run(
            f"""import resource, sys
c = connect()
c.execute({SMALL!r})
c.execute("CALL cofi_train('ratings', 64)").fetchall()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try: c.execute("CALL cofi_export('default', $1)", [sys.argv[1]]).fetchall()
except duckdb.Error as error: print(error)""",
            path,
        )
        self.assertIn(f"path = '{path}': expected the path of a file", output)
        self.assertEqual(path.read_text(), "what was there before")
        self.assertEqual([found.name for found in self.folder.iterdir()], ["model.onnx"])

    def test_places_that_cannot_be_written(self):
        connection = world("numbers")
        connection.execute("CALL cofi_train('ratings', 4)").fetchall()
        for path in (self.folder, self.folder / "nowhere/model.onnx", f"{self.folder}/file/", "/dev/null", "/proc/model.onnx", ""):
            with self.assertRaisesRegex(duckdb.Error, f"cofi_export: path = '{path}': expected the path of a file"):
                connection.execute("CALL cofi_export('default', $1)", [str(path)]).fetchall()
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertTrue(pathlib.Path("/dev/null").is_char_device())

    def test_nothing_is_written_before_it_runs(self):
        connection = world("numbers")
        connection.execute("CALL cofi_train('ratings', 4)").fetchall()
        path = self.folder / "model.onnx"
        connection.execute(f"PREPARE later AS FROM cofi_export('default', '{path}')")
        connection.execute(f"EXPLAIN FROM cofi_export('default', '{path}')").fetchall()
        self.assertFalse(path.exists())
        connection.execute("EXECUTE later").fetchall()
        self.assertTrue(path.exists())


if __name__ == "__main__":
    unittest.main()
