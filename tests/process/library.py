"""ONNX Runtime: found, unpacked, missing or broken. Loading the extension and predicting need none."""

import ctypes.util
import os
import pathlib
import unittest

import duckdb
from support import InFolder, finish, run, start

TRAIN = """import sys
c = connect()
c.execute(SMALL)
print(c.execute("SELECT count(*) FROM cofi_train('ratings', 4)").fetchone()[0])"""

TRAIN_AND_SAY = """import sys
c = connect(sys.argv[1])
c.execute(SMALL)
try: print(c.execute("SELECT count(*) FROM cofi_train('ratings', 4)").fetchone()[0])
except duckdb.Error as error: print(error)
print(c.execute('SELECT count(*) FROM cofi_models()').fetchone()[0])"""


class Library(InFolder):
    def test_two_processes_unpack_it_at_once(self):
        cache = self.folder / "cache"
        children = [start(TRAIN, XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None) for _ in range(2)]
        self.assertEqual([finish(child) for child in children], ["5\n", "5\n"])
        files = [path for path in cache.rglob("*") if path.is_file()]
        self.assertEqual([path.name.split(".")[0] for path in files if "onnxruntime" in path.name], ["libonnxruntime"], files)

    def test_a_damaged_copy_in_the_cache_is_replaced(self):
        cache = self.folder / "cache"
        run(TRAIN, XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None)
        copy = next(path for path in cache.rglob("*onnxruntime*") if path.is_file())
        whole = copy.read_bytes()
        copy.chmod(0o644)
        copy.write_bytes(whole[: len(whole) // 2])
        self.assertEqual(run(TRAIN, XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None), "5\n")

    @unittest.skipUnless(os.path.exists("/proc/self"), "an anonymous memory file is Linux's")
    def test_no_usable_cache_folder(self):
        self.assertEqual(run(TRAIN, XDG_CACHE_HOME="/proc/nowhere", HOME="/proc/nowhere", ORT_DYLIB_PATH=None), "5\n")

    def test_a_missing_library(self):
        missing = self.folder / "libnothing.so"
        output = run(TRAIN_AND_SAY, self.file, ORT_DYLIB_PATH=missing)
        self.assertIn(str(missing), output)
        self.assertTrue(output.endswith("\n0\n"), output)

    def test_a_broken_library(self):
        broken = self.folder / "libbroken.so"
        broken.write_text("this is no library")
        output = run(TRAIN_AND_SAY, self.file, ORT_DYLIB_PATH=broken)
        self.assertIn(str(broken), output)
        self.assertTrue(output.endswith("\n0\n"), output)

    def test_a_library_that_is_something_else(self):
        other = ctypes.util.find_library("m")
        output = run(TRAIN_AND_SAY, self.file, ORT_DYLIB_PATH=other)
        self.assertIn(other, output)
        self.assertTrue(output.endswith("\n0\n"), output)

    def test_the_setting_comes_first(self):
        missing = self.folder / "libsetting.so"
        output = run(
            f"""c = connect()
c.execute(SMALL)
c.execute("SET cofi_onnxruntime = '{missing}'")
try: c.execute("CALL cofi_train('ratings', 4)").fetchall()
except duckdb.Error as error: print(error)
c.execute("RESET cofi_onnxruntime")
print(len(c.execute("CALL cofi_train('ratings', 4)").fetchall()))""",
            ORT_DYLIB_PATH=None,
        )
        self.assertIn(str(missing), output)
        self.assertTrue(output.endswith("\n5\n"), output)

    def test_answers_need_no_library(self):
        run("import sys\nc = connect(sys.argv[1])\nc.execute(SMALL)\nc.execute(\"CALL cofi_train('ratings', 4)\").fetchall()", self.file)
        output = run(
            """import sys
c = connect(sys.argv[1])
print(c.execute('SELECT cofi_predict(1, 101) IS NOT NULL, len(cofi_similar(101, 3)), len(cofi_recommend(1, 1))').fetchone())
print(c.execute("SELECT count(*) > 0 FROM cofi_info()").fetchone())
print('onnxruntime' in open('/proc/self/maps').read())""",
            self.file, ORT_DYLIB_PATH=self.folder / "libnothing.so", XDG_CACHE_HOME=self.folder / "cache",
        )  # fmt: skip
        self.assertEqual(output.splitlines()[0], "(True, 3, 1)")
        self.assertEqual(output.splitlines()[2], "False")
        self.assertFalse(pathlib.Path(self.folder / "cache").exists(), "an answer has unpacked the library")

    def test_loading_writes_nothing(self):
        code = "import sys\nc = connect(sys.argv[1])\nprint(one(c, \"SELECT count(*) FROM duckdb_schemas() WHERE schema_name LIKE 'cofi%'\"))"
        output = run(code, self.file, XDG_CACHE_HOME=self.folder / "cache", ORT_DYLIB_PATH=None)
        self.assertEqual(output, "0\n")
        self.assertFalse((self.folder / "cache").exists())
        self.assertEqual(duckdb.connect(str(self.file)).execute("SELECT count(*) FROM duckdb_tables()").fetchone(), (0,))


if __name__ == "__main__":
    unittest.main()
