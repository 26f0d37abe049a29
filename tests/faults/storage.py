"""Disks that fill up while a model is saved."""

import json
import unittest

from common import IS_LONG, InFolder, begin, figure, finish, mounted

# The disk has room for these shares of what saving model 2 takes.
SHARES = (0.0, 0.02, 0.3, 0.8) if IS_LONG else (0.5,)

# Saves version 2 beside version 1 where there is not enough room, and says what is left.
SAVE = """
import shutil, duckdb, json
def saved(file, world, limit, lift):
    c = connect(file)
    c.execute(WORLDS)
    c.execute('CALL ' + VERSIONS[world][1])
    c.execute('CHECKPOINT')
    old = digest(c, world)
    limit(c)
    try:
        c.execute('CALL ' + VERSIONS[world][2])
        said = None
    except duckdb.Error as error:
        said = str(error)
    try:
        at_once = digest(c, world) == old
    except duckdb.Error as error:
        at_once = str(error)
    lift()
    c.close()
    c = wait_for(file)
    wrong, is_old = torn(c), digest(c, world) == old
    c.execute('CALL ' + VERSIONS[world][2])
    return dict(said=said, at_once=at_once, wrong=wrong, is_old=is_old, trained=one(c, 'SELECT n_factors FROM cofi_models()'))
def wait_for(file):
    time.sleep(1)  # cofi lets go of a closed database after half a second
    return connect(file)
"""

FILL = """
import subprocess
world, share, needed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200m', 'tmpfs', '/mnt'], check=True)
def fill(c):
    room = os.statvfs('/mnt').f_bavail * os.statvfs('/mnt').f_frsize
    with open('/mnt/filler', 'wb') as file:
        file.write(bytes(room - int(share * needed)))
result = saved('/mnt/test.duckdb', world, fill, lambda: os.unlink('/mnt/filler'))
print(json.dumps(result))
"""

LIMIT = """
import resource
file, world, share, needed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
def limit(c):
    # The medium model goes through the log, a file of its own, and the large one to the end of the database's file.
    before = size(file) if world == 'large' else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + int(share * needed), hard))
print(json.dumps(saved(file, world, limit, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))))
"""

# What a model takes, about, in the log or in the file.
NEEDED = {"medium": 9_000_000, "large": 15_000_000}


class DiskFull(InFolder):
    def test_a_full_disk_while_a_model_is_saved(self):
        for world, needed in NEEDED.items():
            for share in SHARES:
                with self.subTest(world, share=share):
                    output = mounted(SAVE + FILL, world, share, needed)
                    if output is None:
                        self.skipTest("a small file system cannot be mounted here")
                    self.check(json.loads(output), "No space left on device")
        self.say("disk full while saving", "a small tmpfs")

    def test_a_file_that_must_not_grow_while_a_model_is_saved(self):
        for world, needed in NEEDED.items():
            for share in SHARES:
                with self.subTest(world, share=share):
                    file = self.folder / f"{world}-{share}.duckdb"
                    self.check(json.loads(finish(begin(SAVE + LIMIT, file, world, share, needed))), "File too large")
        self.say("no room in the file while saving", "RLIMIT_FSIZE")

    def check(self, result, reason):
        self.assertIn(reason, result["said"] or "")
        # In the same session as well as after the database was opened again.
        self.assertEqual((result["at_once"], result["wrong"], result["is_old"]), (True, [], True), result)
        self.assertEqual(result["trained"], 32)

    def say(self, what, how):
        shares = ", ".join(f"{share:.0%}" for share in SHARES)
        figure(what, f"{len(NEEDED) * len(SHARES)} times ({how}, room for {shares} of it): refused, the old model stayed, trains again")


if __name__ == "__main__":
    unittest.main()
