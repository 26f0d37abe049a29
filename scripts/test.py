"""Runs the checks, part by part, and closes with one line: how many passed and how many failed.

    test.py lint               rustfmt, clippy, rustdoc, warnings denied
    test.py release|debug      the lints, the Rust, SQL, process and fault tests, with that build

A part that passes is one line; of one that fails the whole output is shown. A part that cannot even be run has failed.
"""

import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOSTS = {"2.0.0": "configure/venv", "1.5.6": "configure/venv-1.5"}


# The runner of tests/sql is a package of its own.
HOST_TESTS = ["--manifest-path", "tests/host/Cargo.toml"]


class Tally:
    """What has passed and failed, and the names of what was skipped."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, []

    def part(self, name, command, count, **environment):
        """Runs one part. `count` reads its output: passed, failed, names skipped."""
        print(f"{name:<34}", end="", flush=True)
        start = time.monotonic()
        whole = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        passed, failed, skipped = count(whole)
        if whole.returncode != 0 and failed == 0:
            failed = 1  # it ended before it could count, or in a way that it did not count
        self.passed += passed
        self.failed += failed
        self.skipped += [f"{name}: {reason}" for reason in skipped]
        print(f"{passed:>5} passed, {failed} failed  ({time.monotonic() - start:.0f} s)", flush=True)
        if failed:
            print(whole.stdout, flush=True)

    def close(self):
        for reason in self.skipped:
            print(f"skipped: {reason}")
        skipped = f", {len(self.skipped)} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}")
        # No test at all is no success either.
        sys.exit(0 if self.failed == 0 and self.passed > 0 else 1)


def lint(tally):
    cargo = ["cargo", "clippy", "--release", "--all-targets", "--", "-D", "warnings"]
    tally.part("rustfmt", ["cargo", "fmt", "--check"], count_status)
    tally.part("rustfmt of the SQL tests' runner", ["cargo", "fmt", "--check", *HOST_TESTS], count_status)
    tally.part("clippy", cargo, count_status)
    tally.part("clippy of the SQL tests' runner", ["cargo", "clippy", *HOST_TESTS, "--", "-D", "warnings"], count_status)
    tally.part("rustdoc", ["cargo", "doc", "--release", "--no-deps"], count_status, RUSTDOCFLAGS="-D warnings")


def test(tally, profile):
    tally.part("crates", [sys.executable, "scripts/deny.py", "configure/deny/bin/cargo-deny"], count_denied)
    extension = ROOT / "build" / profile / "cofi.duckdb_extension"
    cargo = ["cargo", "test", "--no-fail-fast"] + (["--release"] if profile == "release" else [])
    # The Rust tests have no extension to unpack the library from. SQL and process tests use the copy inside it.
    environment = {"COFI_EXTENSION": str(extension), "XDG_CACHE_HOME": str(ROOT / "build/cache")}
    tally.part(
        "Rust tests", cargo, count_cargo, COFI_REQUIRE_ONNXRUNTIME="1", ORT_DYLIB_PATH=str(onnxruntime_library())
    )
    sanitized(tally)
    tally.part("SQL tests [both DuckDBs]", ["cargo", "run", "--quiet", *HOST_TESTS], count_cargo, **environment)
    for version, environment_folder in HOSTS.items():
        python = [str(ROOT / environment_folder / "bin/python"), "-m", "unittest", "discover", "--verbose"]
        command = [*python, "--start-directory", "tests/process", "--pattern", "*.py"]
        tally.part(f"process tests [duckdb {version}]", command, count_unittest, **environment)
        # The short form of `make faults`.
        command = [*python, "--start-directory", "tests/faults", "--pattern", "*.py"]
        tally.part(f"fault tests [duckdb {version}]", command, count_unittest, **environment)
    panics(tally, environment)


def onnxruntime_library():
    """The library that the extension embeds."""
    onnxruntime = ROOT / "configure/onnxruntime"
    return onnxruntime / re.search("^file=(.+)$", (onnxruntime / "manifest.txt").read_text(), re.MULTILINE).group(1)


def panics(tally, environment):
    """What becomes of a panic, with an extension that has some on purpose: a build of its own, which no release can be."""
    extension = ROOT / "build/forced/cofi.duckdb_extension"
    tally.part("an extension that panics", ["cargo", "build", "--profile", "forced", "--features", "force-panic"], count_status)
    library = str(ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "forced")
    package = [str(ROOT / HOSTS["2.0.0"] / "bin/python"), "scripts/package.py", library, str(extension)]
    # Packaged as a release it is refused.
    tally.part("its packaging as a release", ["sh", "-c", '! "$@"', "sh", *package], count_status)
    tally.part("its packaging for tests", [*package, "--panics"], count_status)
    for version, folder in HOSTS.items():
        command = [str(ROOT / folder / "bin/python"), "-m", "unittest", "discover", "--verbose", "--start-directory", "tests/panics", "--pattern", "*.py"]
        tally.part(f"panics [duckdb {version}]", command, count_unittest, **{**environment, "COFI_EXTENSION": str(extension)})


def sanitized(tally):
    """The innermost loops with AddressSanitizer, which the stable compiler carries, but calls unstable."""
    binary = ROOT / "build/kernels-sanitized"
    binary.parent.mkdir(exist_ok=True)
    compiler = ["rustc", "--edition", "2024", "--test", "-Zsanitizer=address", "-C", "opt-level=1", "-C", "debug-assertions=on"]
    tally.part("kernels for AddressSanitizer", [*compiler, "-o", str(binary), "tests/sanitizer/kernels.rs"], count_status, RUSTC_BOOTSTRAP="1")
    tally.part("kernels under AddressSanitizer", [str(binary)], count_cargo)


def count_status(whole):
    return int(whole.returncode == 0), int(whole.returncode != 0), []


def count_cargo(whole):
    """Sums the closing lines of all test binaries; a binary that did not close counts as one failure."""
    closings = re.findall(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", whole.stdout, re.MULTILINE)
    started = len(re.findall(r"^running \d+ tests?$", whole.stdout, re.MULTILINE))
    passed, failed = (sum(int(closing[column]) for closing in closings) for column in (0, 1))
    ignored = re.findall(r"^test (.+) \.\.\. ignored", whole.stdout, re.MULTILINE)
    return passed, failed + started - len(closings), ignored


def count_denied(whole):
    """Counts the lines of deny.py, one a check."""
    outcomes = re.findall(r"^(\S+) \.\.\. (ok|failed|skipped)(.*)$", whole.stdout, re.MULTILINE)
    passed, failed = (sum(outcome == wanted for _, outcome, _ in outcomes) for wanted in ("ok", "failed"))
    return passed, failed, [f"{name}{reason}" for name, outcome, reason in outcomes if outcome == "skipped"]


def count_unittest(whole):
    ran = re.search(r"^Ran (\d+) tests? in", whole.stdout, re.MULTILINE)
    if not ran:
        return 0, 1, []
    bad = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", whole.stdout.splitlines()[-1]))
    skipped = re.findall(r"^(.+ \.\.\. skipped .*)$", whole.stdout, re.MULTILINE)
    return int(ran.group(1)) - bad - len(skipped), bad, skipped


def main():
    what = sys.argv[1]
    tally = Tally()
    lint(tally)
    if what != "lint":
        test(tally, what)
    tally.close()


if __name__ == "__main__":
    main()
