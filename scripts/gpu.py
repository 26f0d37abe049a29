"""Puts cofi, ONNX Runtime for NVIDIA GPUs and the libraries of CUDA's that it needs into one folder, where they find each other.

    gpu.py EXTENSION FOLDER [--lean]

The libraries come from PyPI: onnxruntime-gpu of the version that cofi embeds, with what it asks for. The driver is not among them: it belongs to the machine.
With --lean CUDA's are left out: where PyTorch with CUDA is, it brings some.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from onnxruntime import VERSION

# Of the package for Python only what is not Python's, and no other maker's compiler.
LEFT_OUT = re.compile(r"cpython|tensorrt")


def main():
    extension, folder = map(pathlib.Path, sys.argv[1:3])
    is_lean = "--lean" in sys.argv
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-", dir=folder.parent) as packages:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--target", packages]
        subprocess.run([*command, *(["--no-deps", f"onnxruntime-gpu=={VERSION}"] if is_lean else [f"onnxruntime-gpu[cuda,cudnn]=={VERSION}"])], check=True)
        found = [file for part in ("onnxruntime/capi", "nvidia") for file in pathlib.Path(packages, part).rglob("*.so*")]
        wanted = [file for file in found if file.is_file() and not LEFT_OUT.search(file.name)]
        for file in wanted:
            shutil.move(file, folder / file.name)
    shutil.copy(extension, folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: cofi with ONNX Runtime {VERSION} for CUDA, {len(wanted)} libraries, {size / 1e9:.1f} GB in all")


if __name__ == "__main__":
    main()
