"""Takes ONNX Runtime's CPU library out of its PyPI package, for the tests and for embedding in a release build.

    python scripts/onnxruntime.py OUT_DIR

writes into OUT_DIR
    libonnxruntime.so.1.31.1    the library, named as in the package (libonnxruntime.1.31.1.dylib on macOS)
    libonnxruntime.zst          the same, compressed
    LICENSE, ThirdPartyNotices.txt, and notices.zst: both as one text, compressed
    manifest.txt                file, version and SHA-256 of the library; written last
and does nothing where the manifest is there already. The build embeds it when COFI_ONNXRUNTIME_DIR names OUT_DIR.
Needs the package zstandard.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.31.1"
LIBRARY = re.compile(r"onnxruntime/capi/(libonnxruntime\.(?:so\.[\d.]+|[\d.]+\.dylib))")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    if is_up_to_date(out):
        return
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(download(Path(folder))) as wheel:
            unpack(wheel, out)


def is_up_to_date(out: Path) -> bool:
    """Whether the manifest is of this version and no file beside it is missing."""
    try:
        lines = dict(line.split("=", 1) for line in (out / "manifest.txt").read_text().splitlines())
    except (OSError, ValueError):
        return False
    files = [lines.get("file", ""), "libonnxruntime.zst", "notices.zst", "LICENSE", "ThirdPartyNotices.txt"]
    return lines.get("version") == VERSION and all((out / name).is_file() for name in files)


def download(folder: Path) -> Path:
    """The wheel for this interpreter and machine."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), f"onnxruntime=={VERSION}"]
    if subprocess.run(command).returncode != 0:
        sys.exit(f"the package onnxruntime {VERSION} could not be fetched for Python {sys.version.split()[0]}")
    return next(folder.glob("onnxruntime-*.whl"))


def unpack(wheel: zipfile.ZipFile, out: Path) -> None:
    """Writes all files, the manifest last: a run that was broken off is done again."""
    import zstandard

    found = [match for match in map(LIBRARY.fullmatch, wheel.namelist()) if match]
    if len(found) != 1:
        sys.exit(f"expected one library in {wheel.filename}, found {[match[0] for match in found]}")
    (match,) = found
    library = wheel.read(match[0])
    licence, notices = wheel.read("onnxruntime/LICENSE"), wheel.read("onnxruntime/ThirdPartyNotices.txt")
    header = f"ONNX Runtime {VERSION}: its licence, then the notices of what it contains.\n\n".encode()
    compress = zstandard.ZstdCompressor(level=19).compress
    write(out / match[1], library)
    write(out / "libonnxruntime.zst", compress(library))
    write(out / "LICENSE", licence)
    write(out / "ThirdPartyNotices.txt", notices)
    write(out / "notices.zst", compress(header + licence + b"\n\n" + notices))
    sha256 = hashlib.sha256(library).hexdigest()
    write(out / "manifest.txt", f"file={match[1]}\nversion={VERSION}\nsha256={sha256}\n".encode())


def write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


if __name__ == "__main__":
    main()
