"""What cofi promises of files, libraries and the network: SECURITY.md, held against real processes."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import duckdb
from support import SMALL, InFolder, connect, one, run

IN_MEMORY = "/proc/self/fd/"

# Everything that could write or ask somebody: three kinds of model, their answers, both kinds of file.
EVERYTHING = """
c = connect(sys.argv[1])
c.execute(SMALL)
for name, options in (('dot', ''), ('mlp', ", architecture := 'mlp', layers := [4]"), ('classes', ", loss := 'cross_entropy'")):
    c.execute(f"CALL cofi_train('ratings', 2, model := '{name}'{options})").fetchall()
    c.execute(f"SELECT count(cofi_predict(user_id, item_id, '{name}')) FROM ratings").fetchall()
    c.execute(f"FROM cofi_recommend_all(2, model := '{name}')").fetchall()
c.execute(f"CALL cofi_export('dot', '{sys.argv[2]}/m.onnx')").fetchall()
c.execute(f"CALL cofi_report('mlp', '{sys.argv[2]}/m.html')").fetchall()
c.execute("CALL cofi_drop('classes')").fetchall()
c.execute("FROM cofi_info()").fetchall()
c.close()
"""

TRAIN = """
import duckdb, sys
c = connect()
c.execute(SMALL)
for setting in sys.argv[1:]: c.execute(setting)
try: c.execute("CALL cofi_train('ratings', 2)").fetchall()
except duckdb.Error as error: print(error)
print(c.execute("SELECT value FROM cofi_info() WHERE property IN ('library', 'onnxruntime') ORDER BY property LIMIT 1").fetchone()[0])
"""

LAYERED = """c = connect(sys.argv[1])
c.execute(SMALL)
c.execute("CALL cofi_train('ratings', 2, architecture := 'mlp')").fetchall()"""

CLOSED = {
    "enable_external_access is false": "SET enable_external_access = false",
    "disabled_filesystems has LocalFileSystem": "SET disabled_filesystems = 'LocalFileSystem'",
}

# System calls that change what others see, but for the descriptors that they return.
CHANGES = re.compile(r"(?:openat?2?\(.*O_(?:WRONLY|RDWR|CREAT|TRUNC)|creat|mkdir|rename|unlink|link|symlink|rmdir|truncate|chmod|chown|mknod|utime)")


def files(folder):
    """Every file below a folder, with its bytes, and the modes of all."""
    return {str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None) for path in pathlib.Path(folder).rglob("*")}


class Closed(InFolder):
    """Where the host opens no files, nobody has cofi open any."""

    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache"
        self.cache.mkdir()

    def train(self, *settings, **environment):
        return run(TRAIN, *settings, **{"XDG_CACHE_HOME": self.cache, "ORT_DYLIB_PATH": None, **environment}).splitlines()

    @unittest.skipUnless(sys.platform == "linux", "only Linux has files in memory to load a library from")
    def test_the_copy_inside_is_not_unpacked(self):
        for setting in CLOSED.values():
            said = self.train(setting)
            self.assertEqual(len(said), 1, said)
            self.assertTrue(said[0].startswith(IN_MEMORY), said)
            self.assertEqual(files(self.cache), {})

    def test_a_copy_that_is_there_is_used(self):
        (library,) = self.train()
        before = files(self.cache)
        for setting in CLOSED.values():
            self.assertEqual(self.train(setting), [library])
        self.assertEqual(files(self.cache), before)

    def test_no_library_is_named(self):
        (library,) = self.train()
        named = f"SET cofi_onnxruntime = '{library}'"
        for words, setting in CLOSED.items():
            # In whatever order: the name alone has loaded nothing.
            for settings in ([setting, named], [named, setting]):
                said = self.train(*settings)
                self.assertIn(f"cofi_onnxruntime = '{library}': no library is loaded by its name while the setting {words}", said[0])
            self.assertEqual(self.train(named, "FROM cofi_info()", setting), [library])
            # Who starts the process may name one all the same.
            self.assertEqual(self.train(setting, ORT_DYLIB_PATH=library), [library])

    def test_a_locked_configuration_stays(self):
        connection = connect()
        connection.execute("SET lock_configuration = true")
        for name, value in (("cofi_onnxruntime", "'/x.so'"), ("cofi_keep_connection", "true")):
            with self.assertRaisesRegex(duckdb.Error, "locked"):
                connection.execute(f"SET {name} = {value}")

    def test_statements_that_were_prepared_before(self):
        for words, setting in CLOSED.items():
            connection = connect()
            connection.execute(SMALL)
            connection.execute("CALL cofi_train('ratings', 2)").fetchall()
            paths = [self.folder / name for name in ("m.onnx", "m.html")]
            for path, function in zip(paths, ("cofi_export", "cofi_report")):
                connection.execute(f"PREPARE {function} AS FROM {function}('default', '{path}')")
            # Macros with the names of what cofi asks do not change the answer.
            connection.execute("CREATE MACRO current_setting(x) AS 'true'")
            connection.execute('CREATE MACRO "glob"(x) AS TABLE SELECT 1 AS file')
            connection.execute(setting)
            for path, function in zip(paths, ("cofi_export", "cofi_report")):
                for sql in (f"EXECUTE {function}", f"FROM {function}('default', '{path}')"):
                    with self.assertRaisesRegex(duckdb.Error, f"no file is written while the setting {words}"):
                        connection.execute(sql).fetchall()
                self.assertFalse(path.exists())
            self.assertIsNotNone(one(connection, "SELECT cofi_predict(1, 101)"))
            with self.assertRaisesRegex(duckdb.Error, "(?i)permission|disabled"):
                connection.execute("CALL cofi_train('(SELECT 1 AS u, 2 AS i, 3 AS r FROM read_text(''/etc/hostname''))', 2)")

    def test_a_layered_model_asks_as_well(self):
        (library,) = self.train()
        run(LAYERED, self.file)
        asks = """c = connect(sys.argv[1])
c.execute(f"SET cofi_onnxruntime = '{sys.argv[2]}'")
c.execute(sys.argv[3])
for sql in ("SELECT cofi_predict(1, 101)", "FROM cofi_recommend_all(1)", "FROM cofi_evaluate('ratings')"):
    try: print(c.execute(sql).fetchall())
    except duckdb.Error as error: print(str(error).splitlines()[0])"""
        said = run(asks, self.file, library, CLOSED["enable_external_access is false"], ORT_DYLIB_PATH=None).splitlines()
        self.assertEqual(["no library is loaded by its name" in line for line in said], [True] * 3, said)


@unittest.skipUnless(sys.platform == "linux", "the cases are those of POSIX, the way out is Linux's file in memory")
class Cache(InFolder):
    """A cache folder that somebody else has a hand in."""

    def library(self, cache):
        return run(TRAIN, XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None).splitlines()

    def test_it_is_private(self):
        cache = self.folder / "cache"
        for mode in (None, 0o777, 0o755):
            if mode is not None:
                (cache / "cofi").chmod(mode)
            (library,) = self.library(cache)
            self.assertTrue(library.startswith(str(cache)))
            found = files(cache)
            self.assertEqual(found[str(cache / "cofi")][0] & 0o777, 0o700)
            self.assertEqual({mode & 0o777 for mode, content in found.values() if content is not None}, {0o600})

    def test_a_link_is_not_followed(self):
        elsewhere, cache = self.folder / "elsewhere", self.folder / "cache"
        elsewhere.mkdir()
        cache.mkdir()
        (cache / "cofi").symlink_to(elsewhere)
        (library,) = self.library(cache)
        self.assertTrue(library.startswith(IN_MEMORY), library)
        self.assertEqual(files(elsewhere), {})

    def test_a_folder_above_that_all_may_write(self):
        cache = self.folder / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        (library,) = self.library(cache)
        self.assertTrue(library.startswith(IN_MEMORY), library)
        cache.chmod(0o1777)
        (library,) = self.library(cache)
        self.assertTrue(library.startswith(str(cache)), library)

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "only root can give a folder to somebody else")
    def test_a_folder_of_somebody_else(self):
        cache = self.folder / "cache"
        (library,) = self.library(cache)
        right = pathlib.Path(library).read_bytes()
        for path, kept in ((cache / "cofi", False), (cache, False), (pathlib.Path(library), True)):
            os.chown(path, 65534, 65534)
            (found,) = self.library(cache)
            self.assertEqual(found.startswith(str(cache)), kept, found)
            os.chown(path, 0, 0)
        # The file of somebody else, right as its bytes were, was replaced by one of our own.
        self.assertEqual(pathlib.Path(library).stat().st_uid, 0)
        self.assertEqual(pathlib.Path(library).read_bytes(), right)


@unittest.skipUnless(shutil.which("strace"), "strace, which shows what a process asks the system for, is not here")
class Traced(InFolder):
    def test_no_network_and_no_other_files(self):
        places = {name: self.folder / name for name in ("database", "cache", "named", "work", "home", "tmp")}
        for place in places.values():
            place.mkdir()
        trace = self.folder / "trace"
        environment = {
            **os.environ, "XDG_CACHE_HOME": str(places["cache"]), "HOME": str(places["home"]), "TMPDIR": str(places["tmp"]), "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(pathlib.Path(__file__).parent),
        }  # fmt: skip
        environment.pop("ORT_DYLIB_PATH", None)
        command = ["strace", "-f", "-y", "-qq", "-e", "trace=%network,%file,ftruncate,fchmod,fchown", "-o", str(trace)]
        code = f"import sys\nfrom support import *\n{EVERYTHING}"
        whole = subprocess.run(
            [*command, sys.executable, "-c", code, places["database"] / "x.duckdb", places["named"]], env=environment, cwd=places["work"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        if "ptrace" in whole.stderr and "not permitted" in whole.stderr:
            self.skipTest("the system does not let strace look")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        calls = [line.split(None, 1)[1] for line in trace.read_text(errors="replace").splitlines() if " = -1 " not in line]
        # A test of nothing would see nothing.
        self.assertTrue(any(str(places["named"] / "m.onnx") in call and "rename" in call for call in calls))

        network = [call for call in calls if re.match(r"(?:socket|connect|bind|listen|accept|send|recv)", call)]
        self.assertEqual(network, [])
        allowed = [f'"{places[name]}/' for name in ("database", "named")] + [f'"{places["cache"]}/cofi', f"<{places['cache']}/cofi", f"<{places['database']}/", "<memfd:", '"/dev/null"']
        changed = [call for call in calls if CHANGES.match(call) and not any(place in call for place in allowed)]
        self.assertEqual(changed, [])
        self.assertEqual([files(places[name]) for name in ("work", "home", "tmp")], [{}] * 3)
        self.assertEqual({path.name for path in places["named"].iterdir()}, {"m.onnx", "m.html"})
        self.assertEqual({path.name for path in places["database"].iterdir()}, {"x.duckdb"})


if __name__ == "__main__":
    unittest.main()
