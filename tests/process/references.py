"""The scripts that compute expected values still compute the files beside them, those in NumPy alone."""

import subprocess
import sys
import unittest

import support

SCRIPTS = [
    "models/dot/reference.py",
    "models/mlp/reference.py",
    "models/cross_entropy/reference.py",
    "models/rows/reference.py",
    "tests/reference/metrics.py",
    "tests/reference/pca.py",
]


class References(unittest.TestCase):
    def test_every_file_is_what_its_script_computes(self):
        for script in SCRIPTS:
            with self.subTest(script):
                whole = subprocess.run([sys.executable, support.ROOT / script, "--check"], capture_output=True, text=True)
                self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)


if __name__ == "__main__":
    unittest.main()
