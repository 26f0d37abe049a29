"""Holds the crates of Cargo.lock against deny.toml: licences, bans and sources, and RustSec's advisories where they can be had.

    deny.py CARGO_DENY

A line for each check: `ok`, `failed` with what cargo-deny says, or `skipped` with the reason. Advisories are a database on the
network, which is fetched; where it cannot be, that check alone is skipped.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120


def main():
    program = pathlib.Path(sys.argv[1])
    if not program.exists():
        print(f"cargo-deny ... skipped: no {program} (make configure compiles it)")
        return 0
    outcomes = [check(program, which) for which in ("licenses", "bans", "sources", "advisories")]
    return int("failed" in outcomes)


def check(program, which):
    """Runs one check, prints its line and gives the outcome."""
    # Everything but advisories is decided by what lies here.
    offline = [] if which == "advisories" else ["--offline"]
    command = [program, *offline, "--log-level", "error", "check", "--hide-inclusion-graph", which]
    try:
        whole = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        said, is_ok = whole.stdout + whole.stderr, whole.returncode == 0
    except subprocess.TimeoutExpired:
        said, is_ok = "failed to fetch advisory database in time", False
    unreachable = which == "advisories" and "failed to fetch advisory database" in said
    outcome = "ok" if is_ok else "skipped" if unreachable else "failed"
    reason = ": the advisory database cannot be fetched here" if unreachable else f"\n{said}" if outcome == "failed" else ""
    print(f"{which} ... {outcome}{reason}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
