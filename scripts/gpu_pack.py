"""Packs what checks cofi on a machine with a GPU, without network and with nothing but Python, NumPy and PyTorch: `python3 check.py` does the rest there.

    gpu_pack.py FOLDER OUT [--pieces] [--python 3.12]

FOLDER is that of `make gpu`: cofi, ONNX Runtime for CUDA, and CUDA's libraries, or without these (scripts/gpu.py --lean), which PyTorch's own then stand in for. With
--pieces no file is larger than 60 MB: check.py puts them together. DuckDB's wheel for that Python is fetched.
"""

import argparse
import lzma
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHIVE = "pack.tar.xz"
PIECE = 60_000_000
PLATFORMS = [f"manylinux{version}_x86_64" for version in ("_2_28", "_2_27", "_2_26", "_2_24", "_2_17", "2014")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--pieces", action="store_true")
    parser.add_argument("--python", default="3.12")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    for script in sorted((ROOT / "scripts/gpu_check").glob("*.py")):
        shutil.copy(script, arguments.out)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout
    (arguments.out / "commit").write_text(commit or "unknown\n")
    pieces = Pieces(arguments.out / ARCHIVE, PIECE if arguments.pieces else None)
    # The libraries lie as in Python's packages, beside which CUDA's are looked for.
    with tempfile.TemporaryDirectory() as site, lzma.open(pieces, "wb", preset=2) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        unpack_duckdb(site, arguments.python)
        archive.add(site, "site")
        for file in sorted(arguments.folder.iterdir()):
            archive.add(file, f"libraries/onnxruntime/capi/{file.name}")
        archive.add(ROOT / "data/ml-100k/ratings.tsv", "data/ratings.tsv")
    pieces.close()
    files = sorted(arguments.out.iterdir())
    print(f"{arguments.out}: {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB; there: python3 check.py")


def unpack_duckdb(site, python):
    pin = next(line for line in (ROOT / "scripts/hosts/duckdb-2.0.txt").read_text().splitlines() if line.startswith("duckdb=="))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", folder]
        command += ["--implementation", "cp", "--python-version", python, *(f"--platform={platform}" for platform in PLATFORMS), pin]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(site)


class Pieces:
    """A file to write to, or several of a size at most, numbered."""

    def __init__(self, path, size):
        self.path, self.size, self.files = path, size, []
        self.next()

    def next(self):
        name = self.path.name + (f".{len(self.files):02}" if self.size else "")
        self.files.append(open(self.path.with_name(name), "wb"))

    def write(self, data):
        data = memoryview(data)
        while len(data):
            room = self.size - self.files[-1].tell() if self.size else len(data)
            if room == 0:
                self.files[-1].close()
                self.next()
                continue
            self.files[-1].write(data[:room])
            data = data[room:]

    def close(self):
        self.files[-1].close()


if __name__ == "__main__":
    main()
