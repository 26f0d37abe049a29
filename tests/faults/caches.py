"""The folder that the library is unpacked into: full, read-only, not this user's to write, shared, or with something else in it."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

from common import FOLDER, IS_LONG, InFolder, begin, changed, figure, finish, mounted, without_rights

# Trains where the cache folder is in trouble, and tells what was said and which library it was.
TRAIN = """
import duckdb, json
def trained():
    c = connect()
    c.execute(WORLDS.split(';')[0])
    try:
        c.execute('CALL ' + VERSIONS['small'][1])
        said = None
    except duckdb.Error as error:
        said = str(error)
    library = one(c, "SELECT value FROM cofi_info() WHERE property = 'library'") if said is None else None
    return dict(said=said, library=library)
"""
TRAIN_AND_TELL = TRAIN + "print(json.dumps(trained()))"

MOUNT = """
import subprocess
subprocess.run(['mount', '-t', 'tmpfs', '-o', sys.argv[1], 'tmpfs', '/mnt'], check=True)
result = trained()
result['left'] = [(str(path), size(path)) for path in pathlib.Path('/mnt').rglob('*') if path.is_file()]
print(json.dumps(result))
"""

# No file may grow beyond a megabyte, not even one in memory; and then they may again.
NO_ROOM_ANYWHERE = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
first = trained()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(json.dumps([first, trained()]))
"""

IN_MEMORY = "/proc/self/fd/"


@unittest.skipUnless(sys.platform == "linux", "only Linux has files in memory to load a library from")
class Caches(InFolder):
    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache"

    def child(self, code=TRAIN_AND_TELL):
        return json.loads(finish(begin(code, XDG_CACHE_HOME=self.cache, ORT_DYLIB_PATH=None)))

    def in_mount(self, options):
        output = mounted(TRAIN + MOUNT, options, XDG_CACHE_HOME="/mnt/cache", ORT_DYLIB_PATH=None)
        if output is None:
            self.skipTest("a file system cannot be mounted here")
        result = json.loads(output)
        self.assertIsNone(result["said"])
        return result

    def test_a_full_disk(self):
        result = self.in_mount("size=8m")
        self.assertTrue(result["library"].startswith(IN_MEMORY), result)
        self.assertEqual([path for path, _ in result["left"] if "libonnxruntime" in path], [], "an unfinished file was left behind")
        figure("cache on a full disk (tmpfs)", "the library was loaded from memory, nothing left behind")

    def test_no_room_anywhere(self):
        first, then = self.child(TRAIN + NO_ROOM_ANYWHERE)
        self.assertIn("File too large", first["said"])
        self.assertIn(f"cache folder {self.cache}/cofi: ", first["said"])
        self.assertIn("in memory", first["said"])
        self.assertIn("SET cofi_onnxruntime = '", first["said"])
        self.assertIsNone(then["said"])
        self.assertTrue(then["library"].startswith(str(self.cache)))
        figure("no room for the library anywhere (RLIMIT_FSIZE)", "refused with the reason; trained when there was room, in the same process")

    def test_a_folder_in_which_nothing_may_be_executed(self):
        result = self.in_mount("noexec")
        self.assertTrue(result["library"].startswith(IN_MEMORY), result)
        figure("cache mounted noexec", "the library was loaded from memory")

    def test_a_file_system_that_is_read_only(self):
        result = self.in_mount("ro")
        self.assertTrue(result["library"].startswith(IN_MEMORY), result)
        figure("cache on a read-only file system", "the library was loaded from memory")

    def test_a_folder_that_may_not_be_written(self):
        for above in (False, True):
            with self.subTest(above=above):
                folder = self.cache / str(above)
                folder.mkdir(parents=True)
                if not above:
                    (folder / "cofi").mkdir()
                (folder if above else folder / "cofi").chmod(0o500)
                code = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nfrom common import *\n{TRAIN_AND_TELL}"
                # Modes do not hold root back, so root's right to pass over them is taken from the child.
                whole = subprocess.run(
                    [sys.executable, "-c", code], env=changed({"XDG_CACHE_HOME": folder, "ORT_DYLIB_PATH": None}), capture_output=True,
                    text=True, preexec_fn=without_rights if os.geteuid() == 0 else None, timeout=120,
                )  # fmt: skip
                self.assertEqual(whole.returncode, 0, whole.stderr)
                result = json.loads(whole.stdout)
                self.assertIsNone(result["said"])
                self.assertTrue(result["library"].startswith(IN_MEMORY), result)
                self.assertEqual([path for path in folder.rglob("*") if path.is_file()], [])
        figure("cache folder not writable", "itself and the one above it: the library was loaded from memory")

    def test_what_stands_in_its_place(self):
        library = pathlib.Path(self.child()["library"])
        n_bytes = library.stat().st_size
        outside = self.folder / "outside"

        def folder():
            library.mkdir()

        def link():
            outside.write_bytes(bytes(64))
            library.symlink_to(outside)

        places = {
            "half of it": lambda: library.write_bytes(whole[: n_bytes // 2]),
            "as many zeros": lambda: library.write_bytes(bytes(n_bytes)),
            "one bit wrong": lambda: library.write_bytes(whole[:-1000] + bytes([whole[-1000] ^ 1]) + whole[-999:]),
            "a link to another file": link,
            "a link to nothing": lambda: library.symlink_to(self.folder / "nothing"),
            "a pipe": lambda: os.mkfifo(library),
            "a folder": folder,
        }
        whole = library.read_bytes()
        for name, place in places.items():
            with self.subTest(name):
                library.unlink()
                place()
                result = self.child()
                self.assertIsNone(result["said"])
                if name == "a folder":
                    self.assertTrue(result["library"].startswith(IN_MEMORY), result)
                    library.rmdir()
                    self.child()
                self.assertEqual(library.read_bytes() == whole, True)
                self.assertFalse(library.is_symlink())
        self.assertEqual(outside.read_bytes(), bytes(64))
        figure("something else in the library's place", f"{', '.join(places)}: replaced or loaded from memory, never loaded")

    def test_processes_that_unpack_it_at_once(self):
        n_processes = 6 if IS_LONG else 3
        children = [begin(TRAIN_AND_TELL, XDG_CACHE_HOME=self.cache, ORT_DYLIB_PATH=None) for _ in range(n_processes)]
        results = [json.loads(finish(child)) for child in children]
        self.assertEqual({result["said"] for result in results}, {None})
        self.assertEqual(len({result["library"] for result in results}), 1)
        self.assertEqual(len([path for path in self.cache.rglob("*onnxruntime*") if path.is_file()]), 1)
        figure("processes that share a new cache folder", f"{n_processes} at once, all trained with one file")


if __name__ == "__main__":
    unittest.main()
