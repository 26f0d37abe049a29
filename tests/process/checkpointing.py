"""`FORCE CHECKPOINT` lets no transaction that may write begin until older ones have ended: functions that read go on beside it.

That a training gives up when it cannot be stored takes a minute to see: `make faults` does.
"""

import unittest

from support import InFolder, run

WORLD = """
import threading
c = connect(sys.argv[1])
c.execute(LARGE)
c.execute("CALL cofi_train('ratings', 4, epochs := 1)").fetchall()
predictions = "SELECT sum(cofi_predict(user_id, item_id)) FROM ratings"
# Read to the end, so that no transaction stays open.
expected = c.execute(predictions).fetchall()
told = {}

def run(name, connection, sql):
    try:
        told[name] = connection.execute(sql).fetchall()
    except duckdb.Error as error:
        told[name] = str(error)

def begin(name, sql):
    connection = c.cursor()
    thread = threading.Thread(target=run, args=(name, connection, sql), daemon=True)
    thread.start()
    return thread

# A transaction that has read before somebody else changed the catalog: whoever forces a checkpoint waits for it.
older = c.cursor()
older.execute('BEGIN')
older.execute('SELECT 1 FROM ratings LIMIT 1').fetchall()
c.cursor().execute('CREATE TABLE later AS SELECT 1 AS x')
checkpoint = begin('checkpoint', 'FORCE CHECKPOINT')
time.sleep(0.5)
"""


class Checkpointing(InFolder):
    def test_what_reads_goes_on_beside_it(self):
        output = run(
            WORLD
            + """
assert older.execute(predictions).fetchall() == expected
assert older.execute("SELECT model FROM cofi_evaluate('ratings') WHERE metric = 'n'").fetchall() == [(100_000,)]
older.execute("EXPLAIN SELECT * FROM cofi_train('ratings', 4)").fetchall()
assert checkpoint.is_alive(), told
older.execute('COMMIT')
checkpoint.join(30)
assert isinstance(told['checkpoint'], list), told
print('went on')
""",
            self.file,
        )
        self.assertEqual(output, "went on\n")


if __name__ == "__main__":
    unittest.main()
