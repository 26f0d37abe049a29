"""Runs the fault tests of `tests/faults` at full length, on both DuckDBs side by side, and prints what was done as a table.

    faults.py release|debug

What has not ended after fourteen and a half minutes is stopped, and has failed. The last line counts.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from test import HOSTS, ROOT, count_unittest

SECONDS = 14.5 * 60


class Host:
    """All fault tests on one DuckDB, in a process of their own."""

    def __init__(self, version, folder, profile, scratch):
        self.version = version
        self.figures, self.log = scratch / f"{version}.figures", scratch / f"{version}.log"
        self.figures.touch()
        environment = {
            **os.environ, "COFI_FAULTS": "long", "COFI_FAULTS_FIGURES": str(self.figures),
            "COFI_EXTENSION": str(ROOT / "build" / profile / "cofi.duckdb_extension"), "XDG_CACHE_HOME": str(ROOT / "build/cache"),
        }  # fmt: skip
        command = [str(ROOT / folder / "bin/python"), "-W", "ignore", "-m", "unittest", "discover", "--verbose"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--start-directory", "tests/faults", "--pattern", "*.py"], cwd=ROOT, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def finish(self, deadline):
        """How many tests passed and failed, and what was skipped; its part of the table is printed."""
        ended = True
        try:
            self.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            ended = False
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        print(f"\nDuckDB {self.version}")
        for line in self.figures.read_text().splitlines():
            what, text = line.split("\t", 1)
            print(f"  {what:<44} {text}")
        output = self.log.read_text(errors="replace")
        passed, failed, skipped = count_unittest(subprocess.CompletedProcess([], 0, output))
        if not ended:
            output += f"\nstopped after {SECONDS:.0f} s"
        if not ended or (self.process.returncode != 0 and failed == 0):
            failed += 1
        if failed:
            print(output)
        return passed, failed, skipped


def main():
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cofi-faults-") as scratch:
        hosts = [Host(version, folder, sys.argv[1], pathlib.Path(scratch)) for version, folder in HOSTS.items()]
        counted = [host.finish(begun + SECONDS) for host in hosts]
    for host, (_, _, skipped) in zip(hosts, counted, strict=True):
        for reason in skipped:
            print(f"skipped on DuckDB {host.version}: {reason}")
    passed, failed = (sum(counts[column] for counts in counted) for column in (0, 1))
    n_skipped = sum(len(skipped) for _, _, skipped in counted)
    print(f"\n{time.monotonic() - begun:.0f} s")
    print(f"{passed} passed, {failed} failed" + (f", {n_skipped} skipped" if n_skipped else ""))
    sys.exit(0 if failed == 0 and passed > 0 else 1)


if __name__ == "__main__":
    main()
