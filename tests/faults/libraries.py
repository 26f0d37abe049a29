"""Libraries that the user names and that are not fit: of another machine, cut short, too old, another one than the loaded one."""

import json
import pathlib
import struct
import subprocess
import sys
import unittest

from common import InFolder, begin, figure, finish

# Names one library after the other in one process, and tells what was said of each.
TRY = """
import duckdb, json
c = connect()
c.execute(WORLDS.split(';')[0])
said = []
for library in json.loads(sys.argv[1]):
    c.execute(f"SET cofi_onnxruntime = '{library}'")
    try:
        c.execute('CALL ' + VERSIONS['small'][1])
        said.append(None)
    except duckdb.Error as error:
        said.append(str(error))
print(json.dumps(said))
"""

TOO_OLD = """
typedef struct { const void *(*get_api)(unsigned); const char *(*get_version)(void); } Base;
static const void *get_api(unsigned number) { (void)number; return 0; }
static const char *get_version(void) { return "1.20.1"; }
static const Base base = { get_api, get_version };
const Base *OrtGetApiBase(void) { return &base; }
"""


@unittest.skipUnless(sys.platform == "linux", "ELF files are Linux's")
class Libraries(InFolder):
    def setUp(self):
        super().setUp()
        output = finish(begin("c = connect()\nc.execute(WORLDS)\nc.execute('CALL ' + VERSIONS['small'][1])\nprint(one(c, \"SELECT value FROM cofi_info() WHERE property = 'library'\"))", XDG_CACHE_HOME=self.folder, ORT_DYLIB_PATH=None))
        self.library = pathlib.Path(output.strip())
        self.whole = self.library.read_bytes()

    def refused(self, name, content, reason):
        """A library that is refused with the reason and the way out, after which the right one is loaded."""
        path = self.folder / name
        path.write_bytes(content)
        wrong, right = self.tried(path, self.library)
        self.assertIn(f"onnx runtime library {path} (the setting cofi_onnxruntime): ", wrong)
        self.assertRegex(wrong, reason)
        self.assertIn("SET cofi_onnxruntime = '", wrong)
        self.assertIsNone(right)

    def tried(self, *libraries):
        return json.loads(finish(begin(TRY, json.dumps([str(library) for library in libraries]), ORT_DYLIB_PATH=None)))

    def test_of_another_machine(self):
        for name, offset, machine in (("of-s390.so", 18, 22), ("of-arm-32.so", 18, 40), ("of-riscv.so", 18, 243)):
            with self.subTest(name):
                header = bytearray(self.whole)
                struct.pack_into("<H", header, offset, machine)
                self.refused(name, header, "it cannot be loaded: ")
        figure("a library of another machine", "refused with the loader's reason; the right one loaded afterwards")

    def test_cut_short(self):
        for share in (0.0, 0.00001, 0.0005, 0.1, 0.5, 0.9, 0.999):
            with self.subTest(share=share):
                self.refused(f"cut-{share}.so", self.whole[: int(share * len(self.whole))], "it cannot be loaded: |it is cut short: ")
        figure("a named library that is cut short", "at seven lengths, refused; the right one loaded afterwards")

    def test_too_old(self):
        source, old = self.folder / "old.c", self.folder / "old.so"
        source.write_text(TOO_OLD)
        try:
            subprocess.run(["cc", "-shared", "-fPIC", "-o", old, source], check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            self.skipTest("no C compiler to make a library with")
        self.refused("named.so", old.read_bytes(), "its version 1.20.1 is too old")
        figure("a library that is too old", "refused with its version; the right one loaded afterwards")

    def test_another_one_after_one_was_loaded(self):
        other = self.folder / "other.so"
        other.write_bytes(self.whole)
        first, second, again = self.tried(self.library, other, self.library)
        self.assertIsNone(first)
        self.assertIn(f"'{other}': this process has loaded the onnx runtime library {self.library} already", second)
        self.assertIn("restart the process", second)
        self.assertIsNone(again)
        figure("another library after one was loaded", "refused, and the loaded one goes on")


if __name__ == "__main__":
    unittest.main()
