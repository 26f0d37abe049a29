"""What is told of GPUs, with a driver made up for the purpose: that a training runs on one is for `make gpu-check` and a machine that has one."""

import pathlib
import shutil
import subprocess
import unittest

from support import InFolder, run

DRIVER = pathlib.Path(__file__).with_name("driver.c").read_text()

ASK = """
c = connect()
c.execute(SMALL)
told = c.execute("SELECT property || ': ' || value FROM cofi_info() WHERE property IN ('driver', 'gpu', 'provider library')").fetchall()
print(*(line for line, in told), sep='\\n')
for device in ('cuda', 'cuda:1', 'cuda:2'):
    try:
        c.execute(f"CALL cofi_train('ratings', 4, device := '{device}')")
    except duckdb.Error as error:
        print(error)
"""

AUTO = """
c = connect()
c.execute(SMALL)
c.execute("CALL cofi_train('ratings', 4, epochs := 2000)")
c.execute("SELECT count(*) FROM cofi_lr_find('ratings', 4)").fetchall()
print(one(c, "SELECT device FROM cofi_models()"))
"""


@unittest.skipUnless(shutil.which("gcc"), "the driver of these tests is compiled")
class Gpu(InFolder):
    def setUp(self):
        super().setUp()
        self.log = self.folder / "told"
        self.log.touch()

    def told(self):
        """What was asked since the last time."""
        told = self.log.read_text().split()
        self.log.write_text("")
        return told

    def ask(self, source, code=0, memory=0, what=ASK):
        (self.folder / "driver.c").write_text(source)
        options = [f"-DCODE={code}", f"-DMEMORY={memory}", "-shared", "-fPIC", "-o", self.folder / "libcuda.so.1"]
        subprocess.run(["gcc", *options, self.folder / "driver.c"], check=True)
        return run(what, LD_LIBRARY_PATH=self.folder, ORT_DYLIB_PATH=None, TOLD=self.log).splitlines()

    def test_gpus_are_listed_and_what_is_missing_is_named(self):
        provider, driver, first, second, cuda, other, none = self.ask(DRIVER)
        self.assertEqual(provider, "provider library: none: the library was built for the CPU")
        self.assertEqual(driver, "driver: up to CUDA 13.1")
        # How much is free is told where it takes no context of its own.
        self.assertEqual([first, second], ["gpu: cuda:0: Abacus 40, 8.0 GiB", "gpu: cuda:1: Abacus 41, 24.0 GiB, of which 1.5 GiB free"])
        for line, number in ((cuda, 0), (other, 1)):
            self.assertRegex(line, f"device = 'cuda:{number}': missing: an ONNX Runtime built for CUDA .*pip install 'onnxruntime-gpu.*; or use device := 'cpu'")
        self.assertRegex(none, "missing: a GPU 2: the driver shows 2, counted from 0; and an ONNX Runtime built for CUDA")
        # Once by cofi_info, once by each training that named a GPU; every context that was begun is ended.
        self.assertEqual(self.told(), ["init", "retain", "release", "init", "init", "init"])

    def test_auto_asks_no_driver_where_it_would_not_help(self):
        self.assertEqual(self.ask(DRIVER, what=AUTO), ["cpu"])
        self.assertEqual(self.told(), [])

    def test_a_driver_that_fails_is_told_in_its_own_words(self):
        _, driver, cuda, *_ = self.ask(DRIVER, code=100)
        self.assertRegex(driver, r"driver: none: .*cuInit failed: CUDA_ERROR_NO_DEVICE \(100\)")
        self.assertRegex(cuda, r"missing: NVIDIA's driver \(.*CUDA_ERROR_NO_DEVICE \(100\)\): install .*; and an ONNX Runtime built for CUDA")

    def test_memory_that_is_not_told_is_unknown(self):
        *_, second, _, _, _ = self.ask(DRIVER, memory=2)
        self.assertRegex(second, r"cuda:1: Abacus 41, 24.0 GiB, of which an unknown part is free: .*cuMemGetInfo_v2 failed: CUDA_ERROR_OUT_OF_MEMORY \(2\)")
        self.assertEqual(self.told()[:3], ["init", "retain", "release"])
        # A driver older than a function.
        _, _, first, *_ = self.ask(DRIVER.replace("GetState", "GetNoState"))
        self.assertRegex(first, "cuda:0: Abacus 40, 8.0 GiB, of which an unknown part is free: .* has no function cuDevicePrimaryCtxGetState")

    def test_what_is_no_driver_is_none(self):
        self.assertEqual(self.ask("int other(void) { return 0; }")[1], "driver: none: libcuda.so.1 has no function cuInit")


if __name__ == "__main__":
    unittest.main()
