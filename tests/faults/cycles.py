"""Databases opened, loaded into and closed a thousand times: nothing grows."""

import json
import unittest

from common import IS_LONG, InFolder, begin, figure, finish

N_CYCLES = 1000 if IS_LONG else 30
N_WARM = 100 if IS_LONG else 20

# What memory may grow by in all cycles, in megabytes: twice what was measured.
GROWTH = 60

CYCLES = """
import json
file, n_warm, n_cycles = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
import duckdb
def cycle(number):
    # In memory and in files by turns; every tenth database trains, the others answer from nothing.
    c = connect(':memory:' if number % 2 else f'{file}-{number % 10}')
    c.execute('SET threads = 2')
    if number % 10 < 2:
        c.execute('CREATE OR REPLACE ' + WORLDS.split(';')[0].strip().removeprefix('CREATE '))
        c.execute('CALL ' + VERSIONS['small'][1])
        assert one(c, "SELECT len(cofi_user_factors(1, 'm'))") == 4
    else:
        one(c, 'SELECT count(*) FROM cofi_models()')
    c.close()
def settled():
    # cofi lets go of a closed database after half a second.
    time.sleep(1.5)
    return usage()
for number in range(n_warm):
    cycle(number)
before = settled()
begun = time.monotonic()
for number in range(n_cycles):
    cycle(number)
seconds = time.monotonic() - begun
wait_until(lambda: usage()[:2] <= before[:2], 20)
print(json.dumps([before, usage(), seconds]))
"""


class Cycles(InFolder):
    def test_open_load_close(self):
        before, after, seconds = json.loads(finish(begin(CYCLES, self.file, N_WARM, N_CYCLES), 600))
        names = ("threads", "handles", "MiB of memory")
        changes = ", ".join(f"{name} {first} to {last}" for name, first, last in zip(names, before, after, strict=True))
        figure("open, load, close", f"{N_CYCLES} times in {seconds:.0f} s after {N_WARM} to warm up: {changes}")
        self.assertLessEqual(after[0], before[0])
        self.assertLessEqual(after[1], before[1])
        self.assertLess(after[2] - before[2], GROWTH)


if __name__ == "__main__":
    unittest.main()
