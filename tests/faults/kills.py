"""The process killed while it unpacks the library, saves, drops and trains again: every model is whole or absent afterwards."""

import pathlib
import random
import shutil
import tempfile
import time
import unittest

from common import IS_LONG, VERSIONS, begin, connect, digest, figure, finish, kill, size, soon, torn

# How many kills there are while the library is unpacked, while a large and a medium model are saved, and anywhere.
N_UNPACKING, N_LARGE, N_MEDIUM, N_ANYWHERE = (14, 14, 10, 16) if IS_LONG else (2, 2, 2, 3)

# A database for each world, without a free block, so that whatever is saved makes it grow; and all answers there will be.
PREPARE = """c = connect()
c.execute(WORLDS)
for world, versions in VERSIONS.items():
    c.execute(f"CALL {versions[2]}")
    print(digest(c, world))
    if world == 'small':
        c.execute("CALL cofi_train('small_1', NULL, model := 'm', warm_start := true)")
        print(digest(c, world))
    file = connect(f"{sys.argv[1]}.{world}")
    file.execute(WORLDS)
    file.execute(f"CALL {versions[1]}")
    print(digest(file, world))
    file.close()"""

TRAIN = """c = connect(sys.argv[1])
print('begin', flush=True)
c.execute('CALL ' + VERSIONS[sys.argv[2]][2])
print('end', flush=True)"""

# What the model is after each statement.
CIRCLE = {"train_2": "2", "warm": "warm", "drop": None, "train_1": "1"}
RUN_IN_CIRCLES = """c = connect(sys.argv[1])
statements = {'train_1': VERSIONS['small'][1], 'train_2': VERSIONS['small'][2], 'drop': "cofi_drop('m')",
    'warm': "cofi_train('small_1', NULL, model := 'm', warm_start := true)"}
while True:
    for name in sys.argv[2].split(','):
        print(name, flush=True)
        c.execute('CALL ' + statements[name])"""


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="cofi-kills-", ignore_cleanup_errors=True)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.base = cls.folder / "base.duckdb"
        cls.random = random.Random(7)
        found = finish(begin(PREPARE, cls.base)).splitlines()
        small_2, warm, small_1, medium_2, medium_1, large_2, large_1 = found
        assert len(set(found)) == 7, found
        cls.known = {
            "small": {"1": small_1, "2": small_2, "warm": warm, None: None},
            "medium": {"1": medium_1, "2": medium_2},
            "large": {"1": large_1, "2": large_2},
        }

    def copied(self, world):
        """A database whose model is version 1."""
        file = self.folder / f"{world}-{self.random.getrandbits(60)}.duckdb"
        shutil.copy(f"{self.base}.{world}", file)
        self.addCleanup(file.unlink, missing_ok=True)
        return file

    def left(self, file, world):
        """Which version the database has after a kill; it opens, nothing of it is torn, and it trains again."""
        connection = connect(file)
        self.assertEqual(torn(connection), [])
        found = digest(connection, world)
        versions = [version for version, known in self.known[world].items() if known == found]
        self.assertEqual(len(versions), 1, f"not a model that ever was: {found}")
        connection.execute(f"CALL {VERSIONS['small'][2]}")
        self.assertEqual(digest(connection, "small"), self.known["small"]["2"])
        connection.close()
        return versions[0]

    def test_while_the_library_is_unpacked(self):
        n_bytes, n_inside, n_kills = None, 0, 0
        for number in range(-1, 3 * N_UNPACKING):
            if n_inside == N_UNPACKING:
                break
            cache, file = self.folder / f"cache-{number}", self.copied("small")
            self.addCleanup(shutil.rmtree, cache, ignore_errors=True)
            child = begin(TRAIN, file, "small", XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None)
            if number < 0:
                finish(child)  # nobody kills the first one, to see how large the library is
                (library,) = cache.rglob("libonnxruntime*")
                n_bytes = library.stat().st_size
                self.assertEqual(self.left(file, "small"), "2")
                continue
            wanted = (number % N_UNPACKING + self.random.random()) / N_UNPACKING * n_bytes
            soon(lambda cache=cache, wanted=wanted: any(size(part) >= wanted for part in cache.glob("cofi/libonnxruntime*.part")), child)
            kill(child)
            n_kills += 1
            # What tells where it was hit: the file under its temporary name, and none under the real one.
            parts, whole = list(cache.glob("cofi/libonnxruntime*.part")), list(cache.glob("cofi/libonnxruntime*.so"))
            n_inside += bool(parts) and not whole
            self.assertEqual(self.left(file, "small"), "1")
            after = self.copied("small")
            finish(begin(TRAIN, after, "small", XDG_CACHE_HOME=cache, ORT_DYLIB_PATH=None))
            self.assertEqual([path.stat().st_size for path in cache.glob("cofi/libonnxruntime*.so")], [n_bytes])
            self.assertEqual(self.left(after, "small"), "2")
        figure("killed while unpacking", f"{n_kills}, {n_inside} of them inside for certain: a part was there, no library; the old model stayed, the cache worked")
        self.assertEqual(n_inside, N_UNPACKING)

    def test_while_a_large_model_is_saved(self):
        self.kill_while_growing("large", N_LARGE, lambda file: file, "the database's file")

    def test_while_the_log_is_written(self):
        self.kill_while_growing("medium", N_MEDIUM, lambda file: file.with_name(f"{file.name}.wal"), "the write-ahead log")

    def kill_while_growing(self, world, n_wanted, file_that_grows, name):
        """Kills while a file grows, which nothing but the saving transaction makes it do."""
        left, n_inside, growth = [], 0, 0
        for number in range(-1, 3 * n_wanted):
            if n_inside == n_wanted:
                break
            file = self.copied(world)
            grows = file_that_grows(file)
            before = size(grows)
            child = begin(TRAIN, file, world)
            if number < 0:
                while child.poll() is None:
                    growth = max(growth, size(grows) - before)
                finish(child)
                self.assertGreater(growth, 100_000)
                self.assertEqual(self.left(file, world), "2")
                continue
            wanted = before + 1 + (number % n_wanted + self.random.random()) / n_wanted * growth
            soon(lambda grows=grows, wanted=wanted: size(grows) >= wanted, child)
            kill(child)
            has_grown = size(grows) > before
            version = self.left(file, world)
            left.append(version)
            # Grown, and the old model is there: it was between the first byte written and the end of the commit.
            n_inside += has_grown and version == "1"
        figure(
            f"killed while saving ({name})",
            f"{len(left)}, {n_inside} of them inside the transaction for certain: grown by up to {growth >> 10} KiB, and not committed; "
            f"old model {left.count('1')} times, new one {left.count('2')} times",
        )
        self.assertEqual(n_inside, n_wanted)

    def test_anywhere_in_training_dropping_and_retraining(self):
        hit, n_longest = {}, 0
        for _ in range(N_ANYWHERE):
            file = self.copied("small")
            child = begin(RUN_IN_CIRCLES, file, ",".join(CIRCLE))
            begun = ["train_1"] + [child.stdout.readline().strip() for _ in range(self.random.randrange(1, 14))]
            time.sleep(0.06 * self.random.random())
            begun += kill(child).split()
            running, before = begun[-1], begun[-2]
            version = self.left(file, "small")
            self.assertIn(version, (CIRCLE[running], CIRCLE[before]))
            hit[running] = hit.get(running, 0) + 1
            n_longest = max(n_longest, len(begun) - 2)
        where = ", ".join(f"{name} {count}" for name, count in sorted(hit.items()))
        figure("killed anywhere", f"{N_ANYWHERE}, after up to {n_longest} statements, in: {where}")


if __name__ == "__main__":
    unittest.main()
