"""A training that is not read to its end, or stopped: when it stores its model and when it does not."""

import threading
import time
import unittest

import duckdb
from support import LARGE, SMALL, InFolder, connect, lasting, one

# Minutes of epochs, none of which are wanted.
LONG = "cofi_train('ratings', 16, epochs := 5000, batch_size := 64)"


class Cancelling(InFolder):
    def test_an_interrupt_stops_a_long_training(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        connection.execute("CALL cofi_train('ratings', 3)")
        threading.Timer(1.5, connection.interrupt).start()
        begin = time.monotonic()
        with self.assertRaises(duckdb.InterruptException):
            connection.execute(f"SELECT * FROM {LONG}").fetchall()
        self.assertLess(time.monotonic() - begin, 15)
        self.assertEqual(one(connection, "SELECT n_factors FROM cofi_models()"), 3)
        connection.execute("CALL cofi_train('ratings', 4, epochs := 1)")
        self.assertEqual(one(connection, "SELECT len(cofi_user_factors(1))"), 4)

    def test_a_short_training_is_stored_though_nobody_fetches(self):
        connection = connect(self.file)
        connection.execute(SMALL)
        connection.execute("SELECT * FROM cofi_train('ratings', 4)")
        self.assertEqual(one(connection.cursor(), "SELECT n_factors FROM cofi_models()"), 4)

    def test_a_limit_stops_a_long_training(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        begin = time.monotonic()
        rows = connection.execute(f"SELECT epoch FROM {LONG} LIMIT 1").fetchall()
        self.assertEqual(rows, [(1,)])
        self.assertLess(time.monotonic() - begin, 15)
        self.assertEqual(one(connection, "SELECT count(*) FROM cofi_models()"), 0)

    def test_a_long_training_whose_rows_nobody_reads(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        reader = connection.cursor()
        reader.execute(lasting(connection, 6))
        reader.close()
        # DuckDB 1.5's Python client runs a statement to its end though nobody reads the rows, 2.0's only its first step.
        if duckdb.__version__.startswith("1."):
            self.assertEqual(one(connection, "SELECT count(*) FROM cofi_models()"), 1)
        else:
            with self.assertRaisesRegex(duckdb.Error, "read to its end"):
                connection.execute("SELECT cofi_predict(1, 1)").fetchall()

    def test_a_prepared_statement_trains_each_time(self):
        connection = connect(self.file)
        connection.execute(SMALL)
        connection.execute("PREPARE train AS SELECT * FROM cofi_train('ratings', 4)")
        self.assertEqual(one(connection, "SELECT count(*) FROM cofi_models()"), 0)
        ids = []
        for _ in range(3):
            self.assertEqual(len(connection.execute("EXECUTE train").fetchall()), 5)
            ids.append(one(connection, "SELECT id FROM test.cofi_store.models"))
        self.assertEqual(ids, sorted(set(ids)))

    def test_arguments_may_be_parameters(self):
        connection = connect(self.file)
        connection.execute(SMALL)
        for n_factors in (2, 3):
            connection.execute("SELECT * FROM cofi_train(?, ?, model := ?)", ["ratings", n_factors, "it's"]).fetchall()
            self.assertEqual(one(connection, "SELECT n_factors FROM cofi_models()"), n_factors)
        found = connection.execute("SELECT cofi_predict(?, ?, ?)", [1, 101, "it's"]).fetchone()[0]
        self.assertEqual(found, one(connection, "SELECT cofi_predict(1, 101, 'it''s')"))

    def test_predictions_do_not_wait_for_a_training(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        connection.execute("CALL cofi_train('ratings', 3, epochs := 1)")
        trainer = connection.cursor()
        thread = threading.Thread(target=lambda: swallow(trainer, f"SELECT * FROM {LONG}"))
        thread.start()
        time.sleep(1)
        slowest = 0
        for _ in range(20):
            begin = time.monotonic()
            self.assertEqual(one(connection, "SELECT count(cofi_predict(user_id, item_id)) FROM ratings LIMIT 1"), 100_000)
            slowest = max(slowest, time.monotonic() - begin)
        trainer.interrupt()
        thread.join(15)
        self.assertFalse(thread.is_alive())
        self.assertLess(slowest, 5)

    def test_predictions_while_the_model_is_trained_again_and_again(self):
        connection = connect(self.file)
        connection.execute(SMALL)
        connection.execute("CALL cofi_train('ratings', 4)")
        expected = {one(connection, "SELECT cofi_predict(1, 101)")}
        is_done, trainer = threading.Event(), connection.cursor()

        def train():
            while not is_done.is_set():
                trainer.execute("CALL cofi_train('ratings', 4)").fetchall()

        thread = threading.Thread(target=train)
        thread.start()
        try:
            found = {one(connection, "SELECT cofi_predict(1, 101)") for _ in range(400)}
        finally:
            is_done.set()
            thread.join(60)
        self.assertEqual(found, expected)

    def test_two_trainings_at_once(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        threads, errors = [], []
        for n_factors in (3, 5):
            sql = f"CALL cofi_train('ratings', {n_factors}, epochs := 2)"
            threads.append(threading.Thread(target=lambda cursor=connection.cursor(), sql=sql: swallow(cursor, sql, errors)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        # Only one that ends before the other begins is replaced by it (`tests/faults/changes.py` knows which it is).
        self.assertEqual([error for error in errors if "another training has stored it while this one ran" not in error], [])
        self.assertLessEqual(len(errors), 1)
        stored = one(connection, "SELECT n_factors FROM cofi_models()")
        self.assertIn(stored, (3, 5))
        self.assertEqual(one(connection, "SELECT len(cofi_user_factors(1))"), stored)
        tables = one(connection, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'cofi_store' AND table_name LIKE 'users_%'")
        self.assertEqual(tables, 1)


def swallow(cursor, sql, errors=None):
    """Runs a statement in a thread; its error is kept, or of no interest."""
    try:
        cursor.execute(sql).fetchall()
    except duckdb.Error as error:
        if errors is not None:
            errors.append(str(error))


if __name__ == "__main__":
    unittest.main()
