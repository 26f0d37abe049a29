"""Runs the fuzzers of `tests/fuzz` with AddressSanitizer, one after the other, then a session in Python and the tests of panics with AddressSanitizer, then
the edits of stored tables one by one; the last line counts.

    fuzz.py [TARGET...]          FUZZ_SECONDS each (600), from the corpus in tests/fuzz/corpus
    fuzz.py --keep [TARGET...]   the same; what reaches code that the corpus did not is added to it afterwards

The stable compiler carries what it takes, but calls it unstable. An input that breaks something lies in build/fuzz/ afterwards.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import time

from test import HOSTS, ROOT, count_unittest, onnxruntime_library

TARGETS = ["arguments", "stored", "graphs"]
CORPUS = ROOT / "tests/fuzz/corpus"
SCRATCH = ROOT / "build/fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))
# What cargo-fuzz would say.
FLAGS = """--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Ccodegen-units=16 -Cllvm-args=-sanitizer-coverage-level=4
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"""


def environment():
    return {
        **os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": " ".join(FLAGS.split()), "COFI_ONNXRUNTIME_DIR": str(ROOT / "configure/onnxruntime"),
        "CARGO_TARGET_DIR": str(ROOT / "target/fuzz"), "ORT_DYLIB_PATH": str(onnxruntime_library()), "ASAN_OPTIONS": "detect_leaks=0",
    }  # fmt: skip


def build(*arguments):
    """The folder of the built programs. The target is named so that the flags are not those of build scripts, too."""
    target = next(line.split()[1] for line in subprocess.check_output(["rustc", "-vV"], text=True).splitlines() if line.startswith("host:"))
    command = ["cargo", "build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml", "--target", target, *arguments]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True)
    return ROOT / "target/fuzz" / target / "release"


def fuzz(program, target):
    """Whether nothing was found."""
    found = SCRATCH / target
    found.mkdir(parents=True, exist_ok=True)
    log = SCRATCH / f"{target}.log"
    options = [f"-max_total_time={SECONDS}", "-max_len=600", "-len_control=20", "-timeout=20", "-rss_limit_mb=4000", f"-artifact_prefix={SCRATCH}/{target}-"]
    with log.open("wb") as output:
        whole = subprocess.run([program, found, CORPUS / target, *options], env=environment(), stdout=output, stderr=subprocess.STDOUT)
    lines = log.read_text(errors="replace").splitlines()
    print(f"{target:<12}{next((line for line in reversed(lines) if line.startswith('Done ')), 'stopped')}", flush=True)
    if whole.returncode != 0:
        print("\n".join(line for line in lines if not line.startswith("#"))[-8000:])
    return whole.returncode == 0


def keep(program, target):
    """Adds to the corpus what reaches code that nothing in it does: edges alone, not how often, so that it stays small."""
    options = ["-merge=1", "-use_counters=0", "-max_len=600"]
    subprocess.run([program, CORPUS / target, SCRATCH / target, *options], env=environment(), stderr=subprocess.DEVNULL, check=True)


def sanitized(cache):
    """The environment of a host with AddressSanitizer; the runtime is gcc's, which has a library to be preloaded, with that of C++, whose exceptions it
    looks for at the start.

    ONNX Runtime is the one inside the extension, unpacked below `cache`, or to memory where that is no folder. NVIDIA's driver is made up, and fails to tell the memory."""
    driver = SCRATCH / "driver"
    driver.mkdir(parents=True, exist_ok=True)
    library = ["-DCODE=0", "-DMEMORY=2", "-shared", "-fPIC", "-o", driver / "libcuda.so.1"]
    subprocess.run(["gcc", *library, "tests/process/driver.c"], cwd=ROOT, check=True)
    preloaded = (subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip() for name in ("libasan.so", "libstdc++.so.6"))
    more = {"LD_PRELOAD": " ".join(preloaded), "PYTHONMALLOC": "malloc", "ORT_DYLIB_PATH": "", "XDG_CACHE_HOME": str(cache)}
    return {**environment(), **more, "LD_LIBRARY_PATH": str(driver), "TOLD": str(driver / "told")}


def session(version, folder, extension, cache):
    """Whether a host with AddressSanitizer gets through `tests/sanitizer/session.py`."""
    command = [str(ROOT / folder / "bin/python"), "tests/sanitizer/session.py", str(extension)]
    whole = subprocess.run(command, cwd=ROOT, env=sanitized(cache), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    print(f"a sanitised session [duckdb {version}]: {whole.stdout.splitlines()[-1] if whole.returncode == 0 else 'failed'}", flush=True)
    if whole.returncode != 0:
        print(whole.stdout[-8000:])
    return whole.returncode == 0


def sanitized_extension(name, arguments=(), packaging=()):
    """The extension with the fuzzers' flags, packaged."""
    built = SCRATCH / name
    built.mkdir(parents=True, exist_ok=True)
    shutil.copy(build("--example", "extension", *arguments) / "examples/libextension.so", built / "libcofi.so")
    extension = built / "cofi.duckdb_extension"
    subprocess.run([ROOT / HOSTS["2.0.0"] / "bin/python", "scripts/package.py", built, extension, *packaging], cwd=ROOT, check=True)
    return extension


def panics(version, folder, extension):
    """The tests of panics in a host with AddressSanitizer: how many passed and failed."""
    return tests(f"sanitised panics [duckdb {version}]", folder, "tests/panics", "*.py", {**sanitized(SCRATCH / "cache"), "COFI_EXTENSION": str(extension)})


def edits(version, folder):
    """All edits of stored tables, on one host: how many tests passed and failed."""
    more = {"COFI_EDITS": "all", "COFI_EXTENSION": str(ROOT / "build/release/cofi.duckdb_extension"), "XDG_CACHE_HOME": str(ROOT / "build/cache")}
    return tests(f"edited tables [duckdb {version}]", folder, "tests/process", "edited.py", {**os.environ, **more})


def tests(what, folder, start, pattern, environment):
    """How many of some tests passed and failed."""
    command = [str(ROOT / folder / "bin/python"), "-m", "unittest", "discover", "--verbose", "--start-directory", start, "--pattern", pattern]
    whole = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    passed, failed, _ = count_unittest(whole)
    failed = failed or int(whole.returncode != 0)
    print(f"{what}: {passed} passed, {failed} failed", flush=True)
    if failed:
        print(whole.stdout)
    return passed, failed


def main():
    begun = time.monotonic()
    asked = [argument for argument in sys.argv[1:] if argument != "--keep"]
    folder = build()
    passed = failed = 0
    for target in asked or TARGETS:
        is_fine = fuzz(folder / target, target)
        passed, failed = passed + is_fine, failed + (not is_fine)
        if is_fine and "--keep" in sys.argv:
            keep(folder / target, target)
    if not asked:
        extension = sanitized_extension("extension")
        # The fuzzers stop at a panic, this one must not.
        panicking = sanitized_extension("panicking", ["--features", "cofi/force-panic", "--config", 'profile.release.panic="unwind"'], ["--panics"])
        for (version, host), cache in zip(HOSTS.items(), (SCRATCH / "cache", pathlib.Path("/dev/null")), strict=True):
            is_fine = session(version, host, extension, cache)
            passed, failed = passed + is_fine, failed + (not is_fine)
        for version, host in HOSTS.items():
            for more in (panics(version, host, panicking), edits(version, host)):
                passed, failed = passed + more[0], failed + more[1]
    print(f"{time.monotonic() - begun:.0f} s\n{passed} passed, {failed} failed")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


if __name__ == "__main__":
    main()
