"""Checks cofi on an NVIDIA GPU: what it computes, beside the CPU; its memory; its speed, beside the CPU and PyTorch. Writes what it found to a dated file.

    check.py [--part look|correctness|table|all] [--device cuda:0] [--out FOLDER] [--seconds N] [--sizes N ...] [--batches N ...]

Made by `make gpu-pack`, it lies beside all that it needs but Python, NumPy and PyTorch: an archive, perhaps in pieces, which it unpacks beside itself. In the sources `make
gpu-check` names the folders. It ends with 1 where a check has failed, or where there is no GPU, and then says what cofi makes of the machine.

`--device cpu` rehearses it on a machine without a GPU: the same code, the CPU in the GPU's place.
"""

import argparse
import datetime
import importlib.util
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ARCHIVE = "pack.tar.xz"

sys.path.insert(0, str(HERE))


def main():
    arguments = parsed()
    folder = arguments.folder or unpacked()
    find_libraries(folder)
    extension = next(folder.rglob("cofi.duckdb_extension"))
    arguments.data = arguments.data or next(folder.rglob("ratings.tsv")).parent

    import world
    from correctness import Correctness
    from table import Table

    connection = world.connect(extension)
    record = Record()
    look(connection, arguments, record.say)
    if arguments.part == "look":
        return
    record.begin(arguments.out)
    n_failed = 0
    try:
        if arguments.part in ("correctness", "all"):
            n_failed += Correctness(connection, arguments, record.say).run()
        if arguments.part in ("table", "all"):
            n_failed += Table(connection, arguments, record.say).run()
    except BaseException as error:
        n_failed += 1
        record.say(f"it ended early: {error or type(error).__name__}")
        raise
    finally:
        record.say(f"\n{n_failed} check(s) failed")
        print(f"written to {record.path}")
    sys.exit(1 if n_failed else 0)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=("look", "correctness", "table", "all"), default="all", help="a look alone says what there is; default: all")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--folder", type=pathlib.Path, help="cofi beside ONNX Runtime for CUDA; default: what was packed")
    parser.add_argument("--data", type=pathlib.Path, help="the folder of MovieLens 100K; default: what was packed")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(), help="the folder of the record")
    parser.add_argument("--epochs", type=int, default=5, help="of the trainings that are compared")
    parser.add_argument("--large", type=int, default=1_500_000, help="made-up ratings of which only the error is compared")
    parser.add_argument("--seconds", type=float, default=240, help="of the table, about")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000, 20_000_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024, 4096, 16_384, 65_536, 262_144])
    return parser.parse_args()


def unpacked():
    """The folder of what was packed; it is unpacked once."""
    folder = HERE / "pack"
    if not (folder / "whole").exists():
        pieces = sorted(HERE.glob(ARCHIVE + "*"))
        if not pieces:
            sys.exit(f"check: there is no {ARCHIVE} beside {__file__}: name the folder of `make gpu` with --folder, or make one with `make gpu-pack`")
        with Joined(pieces) as joined, tarfile.open(fileobj=joined, mode="r|xz") as archive:
            archive.extractall(folder, filter="data")
        (folder / "whole").touch()
    return folder


class Joined:
    """Files one after the other as one to be read from."""

    def __init__(self, paths):
        self.left, self.file = list(paths), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.file:
            self.file.close()

    def read(self, size):
        found = b""
        while len(found) < size and (self.file or self.left):
            self.file = self.file or open(self.left.pop(0), "rb")
            more = self.file.read(size - len(found))
            if not more:
                self.file.close()
                self.file = None
            found += more
        return found


def find_libraries(folder):
    """Shows this process DuckDB, where it was packed, and ONNX Runtime; and to that the CUDA libraries that PyTorch brings, where none were packed."""
    site = folder / "site"
    if site.is_dir():
        sys.path.insert(0, str(site))
    library = next((path for path in sorted(folder.rglob("libonnxruntime.so.*"))), None)
    if library is None:
        return
    os.environ["ORT_DYLIB_PATH"] = str(library)
    packages = library.parent.parent.parent
    found = importlib.util.find_spec("nvidia")
    if not list(library.parent.glob("libcudart*")) and not (packages / "nvidia").exists() and found and found.submodule_search_locations:
        (packages / "nvidia").symlink_to(list(found.submodule_search_locations)[0])


def look(connection, arguments, say):
    """What there is; ends here where there is no GPU."""
    import world

    say(f"command  check.py {' '.join(sys.argv[1:])}")
    say(f"commit   {commit()}")
    say(f"machine  {os.cpu_count()} cores, {processor()}, {platform.system()} {platform.machine()}, Python {platform.python_version()}")
    say(f"date     {datetime.date.today()}\n")
    begin = time.monotonic()
    rows = world.properties(connection)
    seconds = time.monotonic() - begin
    for name, value in rows:
        say(f"{name:<18}{value}")
    # 'auto' asks for a GPU only where a training takes longer than four seconds.
    say(f"\nthe library, and the first step on each device, took {seconds:.2f} s\n")
    if arguments.device != "cpu" and not any(name == "device" and value.startswith("cuda:0: usable") for name, value in rows):
        say("there is no GPU that cofi can use: nothing was checked")
        sys.exit(1)


def commit():
    """Of cofi: it was packed with it, or is that of the sources."""
    if (HERE / "commit").exists():
        return (HERE / "commit").read_text().strip()
    return subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip() or "unknown"


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


class Record:
    """What was said, from some line on in a file, too, line by line: what ends the process takes none of it away."""

    def __init__(self):
        self.lines, self.path = [], None

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)
        if self.path:
            with self.path.open("a") as file:
                file.write(line + "\n")

    def begin(self, folder):
        """To a file of its own: one of the same day stays."""
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{datetime.date.today()}-gpu{suffix}.txt" for suffix in ("", *(f"-{number}" for number in range(2, 100)))]
        self.path = next(folder / name for name in names if not (folder / name).exists())
        self.path.write_text("\n".join(self.lines) + "\n")


if __name__ == "__main__":
    main()
