"""What is told of GPUs, with a driver made up for the purpose: that a training runs on one is for `make gpu` and a machine that has one."""

import shutil
import subprocess
import unittest

from support import InFolder, run

# The functions of cuda.h that are asked, with two GPUs.
DRIVER = """
#include <stdio.h>
#include <stddef.h>
int cuInit(unsigned flags) { return CODE; }
int cuDriverGetVersion(int *version) { *version = 13010; return 0; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int number) { *device = 40 + number; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = device == 40 ? 8000000000ul : 24500000000ul; return 0; }
int cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "Abacus %d", device) < 0; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
"""

ASK = """
c = connect()
c.execute(SMALL)
told = c.execute("SELECT property || ': ' || value FROM cofi_info() WHERE property IN ('driver', 'gpu')").fetchall()
for device in ('cuda', 'cuda:1', 'cuda:2'):
    try:
        c.execute(f"CALL cofi_train('ratings', 4, device := '{device}')")
    except duckdb.Error as error:
        told.append((str(error),))
c.execute("CALL cofi_train('ratings', 4, epochs := 1)")
told.append((one(c, "SELECT device FROM cofi_models()"),))
print(*(line for line, in told), sep='\\n')
"""


@unittest.skipUnless(shutil.which("gcc"), "the driver of these tests is compiled")
class Gpu(InFolder):
    def ask(self, source, *options):
        (self.folder / "driver.c").write_text(source)
        subprocess.run(["gcc", "-shared", "-fPIC", *options, "-o", self.folder / "libcuda.so.1", self.folder / "driver.c"], check=True)
        return run(ASK, LD_LIBRARY_PATH=self.folder, ORT_DYLIB_PATH=None).splitlines()

    def test_gpus_are_listed_and_what_is_missing_is_named(self):
        driver, first, second, cuda, other, none, trained_on = self.ask(DRIVER, "-DCODE=0")
        self.assertEqual(driver, "driver: up to CUDA 13.1")
        self.assertEqual([first, second], ["gpu: cuda:0: Abacus 40, 8.0 GB", "gpu: cuda:1: Abacus 41, 24.5 GB"])
        for line, number in ((cuda, 0), (other, 1)):
            self.assertRegex(line, f"device = 'cuda:{number}': missing: an ONNX Runtime built for CUDA .*pip install 'onnxruntime-gpu.*; or use device := 'cpu'")
        self.assertRegex(none, "missing: a GPU 2: the driver shows 2, counted from 0; and an ONNX Runtime built for CUDA")
        self.assertEqual(trained_on, "cpu")

    def test_a_driver_that_fails_is_told_in_its_own_words(self):
        driver, cuda, *_ = self.ask(DRIVER, "-DCODE=100")
        self.assertRegex(driver, r"driver: none: .*cuInit failed: CUDA_ERROR_NO_DEVICE \(100\)")
        self.assertRegex(cuda, r"missing: NVIDIA's driver \(.*CUDA_ERROR_NO_DEVICE \(100\)\): install .*; and an ONNX Runtime built for CUDA")

    def test_what_is_no_driver_is_none(self):
        driver, *_, trained_on = self.ask("int other(void) { return 0; }")
        self.assertEqual((driver, trained_on), ("driver: none: libcuda.so.1 has no function cuInit", "cpu"))


if __name__ == "__main__":
    unittest.main()
