"""Other hosts than Python's: the command line, Node, ADBC; and a process that has another ONNX Runtime in it."""

import os
import shutil
import subprocess
import unittest

import _duckdb
import duckdb
from common import EXTENSION, FOLDER, ROOT, WORLDS, InFolder, changed, figure

# Neither belongs to the hosts that everything is tested on; see `make configure`.
OTHERS = ROOT / "configure/venv-hosts/bin"
NODE_MODULES = ROOT / "configure/node/node_modules"

SMALL = WORLDS.split(";")[0]
# The command line and Node bring a DuckDB of their own, 1.5: so of the two runs of these tests one has them.
IS_THEIR_VERSION = duckdb.__version__.startswith("1.5.")

ADBC = """
import sys
from adbc_driver_manager import dbapi
driver, file, extension, small = sys.argv[1:]
options = {'path': file, 'allow_unsigned_extensions': 'true'}
for again in (False, True):
    with dbapi.connect(driver, entrypoint='duckdb_adbc_init', db_kwargs=options, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"LOAD '{extension}'")
            if not again:
                cursor.execute(small)
                cursor.execute("SELECT * FROM cofi_train('small_1', 4)")
                print(cursor.fetch_arrow_table().num_rows)
            cursor.execute("SELECT len(cofi_user_factors(1)), len(cofi_similar(101, 3)), cofi_predict(1, 101) BETWEEN 1 AND 5")
            print(cursor.fetchone())
"""

# The package is imported and has run a model before cofi loads its own library, and runs it again afterwards.
BESIDE_ANOTHER = """
import sys
import onnxruntime
import numpy
packages, extension, small = sys.argv[1:]
def other():
    # y = x + x, as a model by hand: the smallest ONNX file there is.
    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content
    def value(name):
        shape = field(2, field(1, b'\\x08\\x02'))
        return field(1, name) + field(2, field(1, b'\\x08\\x01' + shape))
    node = field(1, b'x') + field(1, b'x') + field(2, b'y') + field(4, b'Add')
    graph = field(1, node) + field(2, b'g') + field(11, value(b'x')) + field(12, value(b'y'))
    model = b'\\x08\\x08' + field(7, graph) + field(8, b'\\x10\\x11')
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    return session.run(None, {'x': numpy.array([1, 2], numpy.float32)})[0].tolist()
print(other())
sys.path.insert(0, packages)
import duckdb
c = duckdb.connect(config={'allow_unsigned_extensions': 'true'})
c.execute(f"LOAD '{extension}'")
c.execute(small)
print(len(c.execute("SELECT * FROM cofi_train('small_1', NULL, architecture := 'mlp', layers := [5])").fetchall()))
print(c.execute("SELECT cofi_predict(1, 101) BETWEEN 0 AND 6").fetchone()[0])
print(c.execute("SELECT value FROM cofi_info() WHERE property = 'onnxruntime'").fetchone()[0] != onnxruntime.__version__)
print(other())
"""


class Others(InFolder):
    def tool(self, path):
        if not os.path.exists(path):
            self.skipTest(f"{os.path.relpath(path, ROOT)} is not there: its package could not be installed")
        return str(path)

    def answer(self, *command, **environment):
        whole = subprocess.run(command, env=changed(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        return whole.stdout.split("\n")


class Hosts(Others):
    def test_adbc(self):
        python = self.tool(OTHERS / "python")
        try:
            self.answer(python, "-c", "import adbc_driver_manager.dbapi, pyarrow")
        except AssertionError:
            self.skipTest("adbc-driver-manager or pyarrow could not be installed")
        lines = self.answer(python, "-c", ADBC, _duckdb.__file__, str(self.file), EXTENSION, SMALL)
        self.assertEqual(lines[:3], ["5", "(4, 3, True)", "(4, 3, True)"])
        figure("ADBC (adbc-driver-manager)", "trains, answers, answers again from the file")

    def test_another_onnxruntime_in_the_process(self):
        python = self.tool(OTHERS / "python")
        try:
            self.answer(python, "-c", "import onnxruntime, numpy")
        except AssertionError:
            self.skipTest("another onnxruntime could not be installed")
        packages = os.path.dirname(os.path.dirname(duckdb.__file__))
        lines = self.answer(python, "-c", BESIDE_ANOTHER, packages, EXTENSION, SMALL, ORT_DYLIB_PATH=None)
        self.assertEqual(lines[:5], ["[2.0, 4.0]", "5", "True", "True", "[2.0, 4.0]"])
        figure("another onnxruntime in the process", "both compute, before and after each other")


if IS_THEIR_VERSION:

    class HostsOfTheirOwn(Others):
        def test_the_command_line(self):
            duckdb_cli = self.tool(OTHERS / "duckdb")
            sql = f"LOAD '{EXTENSION}'; {SMALL}; SELECT count(*) FROM cofi_train('small_1', 4); SELECT len(cofi_similar(101, 3));"
            self.assertEqual(self.answer(duckdb_cli, "-unsigned", "-csv", "-noheader", self.file, "-c", sql)[:2], ["5", "3"])
            sql = f"LOAD '{EXTENSION}'; SELECT len(cofi_user_factors(1)), count(*) FROM cofi_models();"
            self.assertEqual(self.answer(duckdb_cli, "-unsigned", "-csv", "-noheader", self.file, "-c", sql)[0], "4,1")
            # Read from a file, and ended by its own command.
            script = self.folder / "script.sql"
            script.write_text(f"LOAD '{EXTENSION}';\nCALL cofi_train('small_1', 3);\nSELECT len(cofi_user_factors(1));\n.quit\n")
            self.assertEqual(self.answer(duckdb_cli, "-unsigned", "-csv", "-noheader", self.file, "-f", script)[-2], "3")
            self.assertFalse(self.file.with_name(f"{self.file.name}.wal").exists())
            figure("DuckDB's command line (duckdb-cli)", "trains, answers, answers again from the file")

        def test_node(self):
            self.tool(NODE_MODULES / "@duckdb/node-api")
            node = shutil.which("node")
            if node is None:
                self.skipTest("no node here")
            script = self.folder / "smoke.mjs"  # packages are looked for from where a script lies
            shutil.copy(FOLDER / "smoke.mjs", script)
            (self.folder / "node_modules").symlink_to(NODE_MODULES)
            lines = self.answer(node, str(script), str(self.file), EXTENSION, SMALL)
            self.assertEqual(lines[:5], ["trained 5", "open 4", "anew 4 true", "kept 6", "done"])
            self.assertFalse(self.file.with_name(f"{self.file.name}.wal").exists())
            figure("Node (@duckdb/node-api)", "trains, answers, connections opened and closed between requests")


if __name__ == "__main__":
    unittest.main()
