"""What others do meanwhile: change the ratings, drop the schema, detach the database, train the same name, load the extension again."""

import json
import threading
import time
import unittest

import duckdb
from common import EXTENSION, IS_LONG, VERSIONS, WORLDS, InFolder, begin, connect, digest, distinct, figure, finish, one, torn
from support import LARGE, lasting

SECONDS = 10 if IS_LONG else 2


class Background:
    """Statements that a thread runs again and again on a connection of its own, and what the host said to them."""

    def __init__(self, connection, *statements, seconds=SECONDS):
        self.connection, self.statements = connection.cursor(), statements
        self.end = time.monotonic() + seconds
        self.n_done, self.errors = 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while time.monotonic() < self.end:
            for statement in self.statements:
                try:
                    self.connection.execute(statement).fetchall()
                    self.n_done += 1
                except duckdb.Error as error:
                    self.errors.append(str(error))

    def finish(self, test, *allowed):
        """Waits for the end; any error but the allowed ones has failed the test."""
        self.thread.join(SECONDS + 60)
        test.assertFalse(self.thread.is_alive(), f"{self.statements} is stuck")
        test.assertGreater(self.n_done, 0, self.errors[:3])
        test.assertEqual([error for error in self.errors if not any(text in error for text in allowed)][:3], [])


class Changes(InFolder):
    def test_two_trainings_of_one_name(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        connection.execute(WORLDS.split(";")[0])
        slow = lasting(connection, 4)
        connection.execute("CALL cofi_train('small_1', 3)")
        errors = []

        def train(cursor):
            try:
                cursor.execute(slow).fetchall()
            except duckdb.Error as error:
                errors.append(str(error))

        thread = threading.Thread(target=train, args=(connection.cursor(),))
        thread.start()
        time.sleep(1)
        connection.execute("CALL cofi_train('small_1', 7)")
        self.assertTrue(thread.is_alive(), "the slow training was not slow")
        thread.join(120)
        self.assertEqual(len(errors), 1)
        self.assertIn("model 'default': another training has stored it while this one ran; that one stays", errors[0])
        self.assertEqual(one(connection, "SELECT n_factors FROM cofi_models()"), 7)
        self.assertEqual(one(connection, "SELECT len(cofi_user_factors(1))"), 7)
        self.assertEqual(torn(connection), [])
        # Alone, it is stored; and what was dropped meanwhile is no training.
        thread = threading.Thread(target=train, args=(connection.cursor(),))
        thread.start()
        time.sleep(1)
        connection.execute("CALL cofi_drop('default')")
        thread.join(120)
        self.assertEqual(len(errors), 1)
        self.assertEqual(one(connection, "SELECT n_factors FROM cofi_models()"), 16)
        figure("two trainings of one name", "the first to end is stored, the other says so and nothing of it is")

    def test_the_ratings_change_while_they_are_trained_on(self):
        connection = connect(self.file)
        connection.execute(WORLDS)
        train = Background(connection, f"CALL {VERSIONS['small'][1]}", "CALL cofi_train('medium_1', 4, epochs := 1, model := 'n')")
        change = Background(
            connection,
            "ALTER TABLE small_1 ADD COLUMN extra INTEGER DEFAULT 3",
            "INSERT INTO medium_1 SELECT 70000 + range, 100, 3 FROM range(1000)",
            "ALTER TABLE small_1 DROP COLUMN extra",
            "ALTER TABLE medium_1 RENAME rating TO score",
            "DELETE FROM medium_1 WHERE user_id >= 70000",
            "ALTER TABLE medium_1 RENAME score TO rating",
            "CREATE OR REPLACE TABLE small_1 AS FROM small_1",
        )  # fmt: skip
        change.finish(self, "onflict", "altered")
        train.finish(self, "does not exist", "no column", "not found", "altered", "onflict", "this column cannot be referenced")
        self.assertEqual(torn(connection), [])
        connection.execute(f"CALL {VERSIONS['small'][1]}")
        self.assertIsNotNone(digest(connection, "small"))
        figure("ratings changed while training", f"{SECONDS} s: {change.n_done} changes, {train.n_done} trainings, {len(train.errors)} refused: {distinct(train.errors)}")

    def test_the_schema_is_dropped_under_predictions(self):
        connection = connect(self.file)
        connection.execute(WORLDS.split(";")[0])
        ask = [
            Background(connection, "SELECT sum(cofi_predict(u, i, 'm')) FROM range(1, 21) u(u), range(101, 121) i(i)", "SELECT cofi_recommend(1, 3, 'm')"),
            Background(connection, "SELECT count(*) FROM cofi_models()", "SELECT count(*) FROM cofi_users(model := 'm')"),
        ]  # fmt: skip
        train = Background(connection, f"CALL {VERSIONS['small'][1]}")
        drop = Background(connection, f"DROP SCHEMA IF EXISTS {self.file.stem}.cofi_store CASCADE", "SELECT sum(random()) FROM range(300000)")
        for asking in ask:
            asking.finish(self, "no model 'm'", "model 'm' was stored", "has been trained again")
        train.finish(self, "another training has stored it", "onflict", "ependen")
        drop.finish(self, "onflict", "ependen", "altered")
        connection.execute(f"CALL {VERSIONS['small'][1]}")
        self.assertEqual(torn(connection), [])
        self.assertIsNotNone(digest(connection, "small"))
        said = distinct(error for background in (*ask, train, drop) for error in background.errors)
        n_asked = sum(asking.n_done for asking in ask)
        figure("DROP SCHEMA cofi_store CASCADE under load", f"{SECONDS} s: {drop.n_done // 2} drops, {n_asked} answers, {train.n_done} trainings; said: {said}")

    def test_attach_and_detach(self):
        connection = connect(self.file)
        connection.execute(WORLDS.split(";")[0])
        files = [self.folder / f"other-{number}.duckdb" for number in (1, 2)]
        for number, file in enumerate(files):
            # The same name each time, another file and another model behind it.
            connection.execute(f"ATTACH '{file}' AS other")
            connection.execute("CREATE TABLE other.ratings AS FROM small_1")
            connection.execute(f"CALL cofi_train('small_1', {3 + number}, model := 'other.m')")
            connection.execute("USE other")
            self.assertEqual(one(connection, "SELECT len(cofi_user_factors(1, 'm'))"), 3 + number)
            connection.execute("CALL cofi_train('ratings', 2, model := 'inside')")
            connection.execute(f"USE {self.file.stem}")
            connection.execute("DETACH other")
            with self.assertRaisesRegex(duckdb.Error, 'there is no attached database "other"'):
                connection.execute("SELECT cofi_predict(1, 101, 'other.m')")
            self.assertEqual(run_opens(file), "open")
        asking = Background(connection, "SELECT len(cofi_user_factors(1, 'other.m')), count(cofi_predict(u, 101, 'other.m')) FROM range(20) t(u)")
        turning = 0
        while time.monotonic() < asking.end:
            number = turning % 2
            connection.execute(f"ATTACH '{files[number]}' AS other")
            self.assertEqual(one(connection, "SELECT len(cofi_user_factors(1, 'other.m'))"), 3 + number)
            if turning % 3 == 0:
                connection.execute("CALL cofi_train('other.ratings', 2, model := 'other.inside')")
            connection.execute("DETACH other")
            turning += 1
        asking.finish(self, "there is no attached database \"other\"", "no model 'm'", "model 'm' was stored")
        said = distinct(asking.errors)
        figure("ATTACH and DETACH under predictions", f"{SECONDS} s: {turning} times, {asking.n_done} answers; said: {said}")

    def test_loaded_twice_and_in_a_transaction(self):
        connection = duckdb.connect(str(self.file), config={"allow_unsigned_extensions": "true"})
        connection.execute("BEGIN")
        connection.execute(f"LOAD '{EXTENSION}'")
        connection.execute("ROLLBACK")
        connection.execute(f"LOAD '{EXTENSION}'")
        connection.execute("BEGIN")
        connection.execute(f"LOAD '{EXTENSION}'")
        connection.execute(WORLDS.split(";")[0])
        connection.execute("COMMIT")
        connection.execute(f"CALL {VERSIONS['small'][1]}")
        cursor = connection.cursor()
        cursor.execute(f"LOAD '{EXTENSION}'")
        self.assertEqual(one(cursor, "SELECT len(cofi_user_factors(1, 'm'))"), 4)
        self.assertEqual(one(connection, "SELECT count(*) FROM duckdb_functions() WHERE function_name = 'cofi_models'"), 1)
        # In the middle of a transaction that has written, and that is rolled back.
        other = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        other.execute("BEGIN")
        other.execute("CREATE TABLE t AS SELECT 1")
        other.execute(f"LOAD '{EXTENSION}'")
        self.assertEqual(one(other, "SELECT count(*) FROM cofi_models()"), 0)
        other.execute("ROLLBACK")
        self.assertEqual(one(other, "SELECT count(*) FROM cofi_models()"), 0)
        figure("LOAD twice, in a transaction, rolled back", "works, registered once")

    def test_several_databases_in_one_process(self):
        n_databases = 6
        code = f"""
import json, threading
errors, answers = [], {{}}
def work(number):
    try:
        c = connect(f"{{sys.argv[1]}}-{{number}}" if number % 2 else ':memory:')
        c.execute(WORLDS.split(';')[0])
        end = time.monotonic() + {SECONDS}
        while time.monotonic() < end:
            c.execute(f"CALL cofi_train('small_1', {{2 + number}}, seed := {{number}})")
            found = (one(c, "SELECT n_factors FROM cofi_models()"), one(c, "SELECT len(cofi_user_factors(1))"), one(c, "SELECT cofi_predict(1, 101)"))
            answers.setdefault(number, set()).add(found)
        c.close()
    except Exception as error:
        errors.append(repr(error))
threads = [threading.Thread(target=work, args=(number,)) for number in range({n_databases})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([errors, {{number: sorted(found) for number, found in answers.items()}}]))
"""
        errors, answers = json.loads(finish(begin(code, self.file)))
        self.assertEqual(errors, [])
        self.assertEqual(len(answers), n_databases)
        for number, found in answers.items():
            self.assertEqual([answer[:2] for answer in found], [[2 + int(number)] * 2])
        self.assertEqual(len({answer[0][2] for answer in answers.values()}), n_databases)
        figure("databases in one process", f"{n_databases} at once, {SECONDS} s: each answers from its own model")


def run_opens(file):
    """Whether another process can open a file that this one has let go of."""
    return finish(begin("import duckdb\ntry: duckdb.connect(sys.argv[1]); print('open')\nexcept duckdb.IOException: print('locked')", file)).strip()


if __name__ == "__main__":
    unittest.main()
