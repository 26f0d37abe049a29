"""Turns the shared object that cargo built into an extension that DuckDB loads: the object and 534 bytes of footer.

    package.py TARGET_FOLDER OUT [--panics]

A library that panics where it is asked to (Cargo.toml, `force-panic`) is refused without `--panics`.

The footer is DuckDB's: a WebAssembly custom section named duckdb_signature, then eight fields of 32 bytes (the last is
the number 4, before it the platform, the C API's version, the extension's version and the kind of ABI; three are empty),
then room for a signature.
"""

import os
import pathlib
import platform
import re
import sys
import tempfile

# The oldest DuckDB whose table of C API functions has all that the bindings read. `extension.rs` asks for the same.
C_API_VERSION = "v1.5.6"

# What only a library with the feature `force-panic` has in it.
PANICS = b"COFI_FORCE_PANIC"

OBJECTS = {"linux": "libcofi.so", "osx": "libcofi.dylib", "windows": "cofi.dll"}


def main() -> None:
    target_folder, out = (pathlib.Path(argument) for argument in sys.argv[1:3])
    version = "v" + re.search(r'^version = "(.+)"', pathlib.Path("Cargo.toml").read_text(), re.MULTILINE).group(1)
    system, machine = host_platform()
    shared_object = (target_folder / OBJECTS[system]).read_bytes()
    if PANICS in shared_object and "--panics" not in sys.argv:
        sys.exit("package: this library panics where it is asked to: that is for tests alone, build it without the feature force-panic")
    write_atomically(out, shared_object + footer(version, C_API_VERSION, f"{system}_{machine}"))
    size = out.stat().st_size / 1e6
    print(f"{out}: cofi {version} for {system}_{machine}, DuckDB's C API {C_API_VERSION}, {size:.1f} MB")


def footer(extension_version: str, c_api_version: str, platform_name: str) -> bytes:
    """The 534 bytes after the shared object."""
    section = b"\x00\x93\x04\x10duckdb_signature\x80\x04"
    fields = ["", "", "", "C_STRUCT", extension_version, c_api_version, platform_name, "4"]
    padded = b"".join(field.encode("ascii").ljust(32, b"\x00") for field in fields)
    whole = section + padded + bytes(256)
    assert len(whole) == 534 and all(len(field) <= 32 for field in fields)
    return whole


def host_platform() -> tuple[str, str]:
    """DuckDB's names of this system and this kind of processor."""
    system = {"Linux": "linux", "Darwin": "osx", "Windows": "windows"}.get(platform.system())
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower())
    if system is None or machine is None or (system, machine) == ("windows", "arm64"):
        sys.exit(f"package: there is no DuckDB platform for {platform.system()} on {platform.machine()}")
    return system, machine


def write_atomically(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file at once: a host that has the old one mapped keeps it whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


if __name__ == "__main__":
    main()
