"""Closing a database closes it: the file is free, the log is written back, nothing is left behind."""

import os
import shutil
import unittest

import duckdb
from support import SMALL, InFolder, connect, finish, one, run, start, wait_until

# What a session did before it closed.
SESSIONS = {
    "only loads": "",
    "trains": "c.execute(SMALL); c.execute(\"CALL cofi_train('ratings', 4)\")",
    "trains and predicts": "c.execute(SMALL); c.execute(\"CALL cofi_train('ratings', 4)\"); c.execute('SELECT cofi_predict(1, 101)').fetchall()",
    "fails to train": "c.execute(SMALL)\ntry: c.execute(\"CALL cofi_train('ratings', 0)\")\nexcept duckdb.Error: pass",
    "leaves a result unread": "c.execute(LARGE); r = c.execute(lasting(c, 5))",
}


class Closing(InFolder):
    def test_another_process_gets_the_file_and_the_log_is_gone(self):
        for name, session in SESSIONS.items():
            with self.subTest(name):
                file = self.folder / f"{name}.duckdb"
                child = start(f"import sys\nc = connect(sys.argv[1])\n{session}\nc.close()\nprint('closed', flush=True)\nsys.stdin.read()", file)
                self.assertTrue(any(line.endswith("closed\n") for line in child.stdout))  # behind a progress bar or not
                free = wait_until(lambda file=file: opens(file), 10)
                finish(child)
                self.assertTrue(free, "the file is still locked long after closing")
                self.assertFalse(file.with_name(f"{file.name}.wal").exists())

    def test_a_process_that_ends_at_once_leaves_no_log_behind(self):
        for name, ending in {"closes": "c.close()", "ends": "", "closes with a function": "c.close()"}.items():
            with self.subTest(name):
                file = self.folder / f"{name}.duckdb"
                function = "c.create_function('f', lambda x: x, ['BIGINT'], 'BIGINT')" if "function" in name else ""
                run(f"import sys\nc = connect(sys.argv[1])\n{function}\n{SESSIONS['trains and predicts']}\n{ending}", file)
                self.assertTrue(file.exists())
                self.assertFalse(file.with_name(f"{file.name}.wal").exists())

    def test_a_process_may_end_while_others_of_its_threads_train(self):
        for number in range(8):
            output = run(
                """
import ctypes, threading
c = connect(sys.argv[1])
c.execute(LARGE)
c.execute("CALL cofi_train('ratings', 4, epochs := 1)").fetchall()
def train(model):
    c.cursor().execute(f"CALL cofi_train('ratings', 8, epochs := 1000, model := '{model}')")
def train_again(model):
    while True:
        c.cursor().execute(f"CALL cofi_train('ratings', 2, epochs := 1, model := '{model}')").fetchall()
for function, model in [(train, 'a'), (train_again, 'b'), (train_again, 'c')]:
    threading.Thread(target=function, args=[model], daemon=True).start()
time.sleep(0.03 * int(sys.argv[2]))
print('ends', flush=True)
# As a program in C ends: its globals are destroyed, and nobody has waited for a thread. Python's lock is held, for the host's own sake.
ctypes.PyDLL(None).exit(0)
""",
                self.file.with_stem(f"ends-{number}"),
                number,
            )
            self.assertEqual(output, "ends\n")

    def test_the_same_process_opens_it_again_read_only(self):
        first = connect(self.file)
        first.execute(SMALL)
        first.execute("CALL cofi_train('ratings', 4)")
        first.close()
        self.assertTrue(wait_until(lambda: opens(self.file, read_only=True), 10))
        again = connect(self.file, read_only=True)
        self.assertEqual(one(again, "SELECT len(cofi_user_factors(1))"), 4)
        again.close()
        self.assertTrue(wait_until(lambda: opens(self.file), 10))

    def test_one_of_two_connections_closes(self):
        first, second = connect(self.file), connect(self.file)
        first.execute(SMALL)
        first.close()
        self.assertFalse(wait_until(lambda: run_opens(self.file), 1))
        second.execute("CALL cofi_train('ratings', 4)")
        self.assertEqual(one(second, "SELECT len(cofi_user_factors(1))"), 4)

    def test_a_copy_of_the_file_is_read_only_and_answers(self):
        first = connect(self.file)
        first.execute(SMALL)
        first.execute("CALL cofi_train('ratings', 4)")
        expected = first.execute("SELECT user_id, item_id, cofi_predict(user_id, item_id) FROM ratings ORDER BY ALL").fetchall()
        first.close()
        self.assertTrue(wait_until(lambda: opens(self.file), 10))
        copy = self.folder / "cofi.duckdb"
        shutil.copy(self.file, copy)
        copy.chmod(0o444)
        reader = connect(copy, read_only=True)
        found = reader.execute("SELECT user_id, item_id, cofi_predict(user_id, item_id) FROM ratings ORDER BY ALL").fetchall()
        self.assertEqual(found, expected)
        recommended = "SELECT u AS user_id, unnest(cofi_recommend(u, 20)).item AS item_id FROM range(1, 21) t(u)"
        self.assertGreater(one(reader, f"SELECT count(*) FROM ({recommended})"), 0)
        self.assertEqual(one(reader, f"SELECT count(*) FROM ({recommended}) JOIN ratings USING (user_id, item_id)"), 0)
        with self.assertRaisesRegex(duckdb.Error, "(?i)read.only"):
            reader.execute("CALL cofi_train('ratings', 4)").fetchall()

    def test_many_databases_leave_nothing_behind(self):
        output = run(
            """
import resource
def usage():
    return len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd')), int(open('/proc/self/statm').read().split()[1]) * 4096 >> 20
def session(number):
    c = connect()
    c.execute('SET threads = 1')
    if number % 10 == 0:
        c.execute(SMALL)
        c.execute("CALL cofi_train('ratings', 4)")
        c.execute('SELECT cofi_predict(1, 101)').fetchall()
    c.close()
for number in range(40): session(number)
time.sleep(3)
before = usage()
for number in range(200): session(number)
wait_until(lambda: usage()[:2] <= before[:2], 10)
print(*before, *usage())
"""
        )
        threads, files, megabytes, threads_after, files_after, megabytes_after = (int(word) for word in output.split())
        self.assertLessEqual(threads_after, threads)
        self.assertLessEqual(files_after, files)
        self.assertLess(megabytes_after - megabytes, 60, "megabytes of memory for 200 databases")

    @unittest.skipUnless(os.path.exists("/proc/self"), "the names of threads are read as Linux has them")
    def test_a_helper_reads_ratings_for_the_thread_that_waits_and_goes(self):
        output = run(
            """
import threading
c = connect()
c.execute('SET threads = 2')
c.execute('CREATE TABLE ratings AS SELECT range % 1000 AS user_id, range % 100 AS item_id, range % 5 AS rating FROM range(2000000)')
def helpers():
    for task in os.listdir('/proc/self/task'):
        try:
            if open(f'/proc/self/task/{task}/comm').read() == 'cofi-help\\n':
                yield int(open(f'/proc/self/task/{task}/stat').read().split()[13])
        except OSError:
            pass
worked = False
def look():
    global worked
    while not worked and not is_over:
        worked = any(ticks > 0 for ticks in helpers())
        time.sleep(0.001)
is_over = False
looking = threading.Thread(target=look)
looking.start()
# Which of its threads the host lets wait is its own affair: sometimes none is left to help.
for training in range(20):
    try:
        c.execute("CALL cofi_train('ratings', 1, y_range := [7, 8])")
    except duckdb.Error as error:
        assert 'y_range' in str(error), error
    if worked: break
is_over = True
looking.join()
print(worked, wait_until(lambda: not list(helpers()), 10))
"""
        )
        self.assertEqual(output.split(), ["True", "True"])


def opens(file, **arguments):
    """Whether a file that another process may hold can be opened here."""
    try:
        duckdb.connect(str(file), config={"allow_unsigned_extensions": "true"}, **arguments).close()
        return True
    except (duckdb.IOException, duckdb.ConnectionException):
        return False


def run_opens(file):
    """Whether another process can open a file that this one may hold."""
    return run("import sys\ntry: duckdb.connect(sys.argv[1]); print('open')\nexcept duckdb.IOException: print('locked')", file) == "open\n"


if __name__ == "__main__":
    unittest.main()
