"""What reads a model, beside the same in double precision; and how it is stopped."""

import threading
import time
import unittest

import duckdb
import numpy
from support import LARGE, InFolder, connect, one

# As many users and items as make all pairs a matter of minutes.
WIDE = """CREATE TABLE ratings AS
SELECT u AS user_id, u * 7 % 15000 AS item_id, 1 + u % 5 AS rating FROM range(15000) users(u)"""


def factors(connection, side):
    """Ids, biases and factors of one side, in double precision."""
    rows = connection.execute(f"SELECT id, bias, factors::FLOAT[] AS factors FROM cofi_{side}() ORDER BY id").fetchall()
    ids, biases, table = zip(*rows, strict=True)
    return numpy.array(ids), numpy.array(biases, dtype=float), numpy.array(table, dtype=float)


class Reading(InFolder):
    def test_answers_are_those_of_double_precision(self):
        connection = connect(self.file)
        connection.execute(LARGE)
        # Of half of the pairs the rating is not known.
        connection.execute("DELETE FROM ratings WHERE hash(user_id * 100 + item_id) % 2 = 0")
        connection.execute("CALL cofi_train('ratings', 20, epochs := 3, init_std := 0.3)")
        (users, user_biases, p), (items, item_biases, q) = factors(connection, "users"), factors(connection, "items")
        mu, lo, hi = connection.execute("SELECT mu, lo, hi FROM cofi_models()").fetchone()
        ratings = lo + (hi - lo) / (1 + numpy.exp(-(mu + user_biases[:, None] + item_biases + p @ q.T)))
        place_of_user, place_of_item = ({id: place for place, id in enumerate(ids)} for ids in (users, items))

        predicted = connection.execute("SELECT u.id, i.id, cofi_predict(u.id, i.id) FROM cofi_users() u, cofi_items() i").fetchnumpy()
        found = numpy.array([ratings[place_of_user[u], place_of_item[i]] for u, i in zip(*list(predicted.values())[:2], strict=True)])
        self.assertLess(numpy.abs(found - list(predicted.values())[2]).max(), 1e-5)

        unseen = ratings.copy()
        for user, item in connection.execute("SELECT DISTINCT user_id, item_id FROM ratings").fetchall():
            unseen[place_of_user[user], place_of_item[item]] = -numpy.inf
        best = -numpy.sort(-unseen, axis=1)
        rows = connection.execute('SELECT "user", item, score, rank FROM cofi_recommend_all(10)').fetchall()
        self.assertEqual(len(rows), 10 * len(users))
        for user, item, score, rank in rows:
            self.assertLess(abs(score - unseen[place_of_user[user], place_of_item[item]]), 1e-5)
            self.assertLess(abs(score - best[place_of_user[user], rank - 1]), 1e-5)

        directions = q / numpy.linalg.norm(q, axis=1)[:, None]
        cosines = directions @ directions.T
        numpy.fill_diagonal(cosines, -numpy.inf)
        nearest = -numpy.sort(-cosines, axis=1)
        sql = "SELECT seed, unnest(cofi_similar(seed, 10), recursive := true) FROM (SELECT id AS seed FROM cofi_items())"
        for seed, item, similarity, rank in connection.execute(sql).fetchall():
            self.assertLess(abs(similarity - cosines[place_of_item[seed], place_of_item[item]]), 1e-5)
            self.assertLess(abs(similarity - nearest[place_of_item[seed], rank - 1]), 1e-5)

    def test_an_interrupt_stops_recommendations_to_everybody(self):
        connection = connect(self.file)
        connection.execute(WIDE)
        connection.execute("CALL cofi_train('ratings', 16, epochs := 1, batch_size := 'full', validation_fraction := 0)")
        threading.Timer(0.5, connection.interrupt).start()
        begin = time.monotonic()
        with self.assertRaises(duckdb.InterruptException):
            connection.execute("SELECT sum(score) FROM cofi_recommend_all(15000)").fetchall()
        self.assertLess(time.monotonic() - begin, 15)
        self.assertEqual(one(connection, "SELECT count(*) FROM cofi_recommend_all(1)"), 15000)


if __name__ == "__main__":
    unittest.main()
