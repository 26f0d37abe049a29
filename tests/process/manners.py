"""Good manners: a silent standard error, progress on a terminal, the same numbers from every process."""

import os
import pty
import subprocess
import sys
import unittest

from support import InFolder, pathlib, run

# 30 thousand ratings, in an order that the seed of the shuffle decides, and a digest of the embeddings that come out.
DIGEST = """import hashlib, sys
c = connect()
c.execute(f"SET threads = {sys.argv[1]}")
c.execute(f'''CREATE TABLE ratings AS SELECT (u || 'th')::VARCHAR AS user_id, i AS item_id, 1 + (u * i + u + i) % 5 AS rating
FROM range(300) users(u), range(100) items(i) ORDER BY hash(u, i, {sys.argv[2]})''')
c.execute("CALL cofi_train('ratings', 8, epochs := 2)").fetchall()
rows = c.execute('SELECT id, bias, factors FROM cofi_users() ORDER BY id').fetchall()
rows += c.execute('SELECT id, bias, factors FROM cofi_items() ORDER BY id').fetchall()
print(hashlib.sha256(repr(rows).encode()).hexdigest())"""

TRAINING = """c = connect()
c.execute(LARGE)
c.execute("SET enable_progress_bar = true")
c.execute("CALL cofi_train('ratings', 16, epochs := 600, batch_size := 256)").fetchall()"""


class Manners(InFolder):
    def test_embeddings_are_the_same_bit_for_bit(self):
        digests = {run(DIGEST, threads, shuffle) for threads, shuffle in ((1, 1), (2, 1), (2, 7), (1, 7))}
        self.assertEqual(len(digests), 1)

    def test_standard_error_stays_empty(self):
        child = self.child(stderr=subprocess.PIPE)
        _, errors = child.communicate(timeout=120)
        self.assertEqual((child.returncode, errors), (0, b""))

    def test_a_terminal_sees_progress(self):
        ours, theirs = pty.openpty()
        child = self.child(stderr=theirs)
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:
            pass  # what a terminal says when its other end is closed
        os.close(ours)
        self.assertEqual(child.wait(60), 0)
        self.assertRegex(seen.decode(), r"epoch \d+")

    def child(self, stderr):
        code = f"from support import *\n{TRAINING}"
        return subprocess.Popen([sys.executable, "-c", code], cwd=pathlib.Path(__file__).parent, stdin=subprocess.DEVNULL, stderr=stderr)


if __name__ == "__main__":
    unittest.main()
