"""`cofi_evaluate` against the same metrics in NumPy, from what `cofi_predict` and `cofi_baseline` answer for every pair."""

import unittest

import numpy
import support

N_USERS, N_ITEMS, K = 40, 60, 7


class Evaluating(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.connection = support.connect()
        random = numpy.random.default_rng(3)
        rows = [(user, item, int(random.integers(1, 6)), random.random()) for user in range(N_USERS) for item in range(N_ITEMS)]
        # Of users and items from 30 and 50 on the model sees nothing.
        cls.rated = [row[:3] for row in rows if row[3] < 0.25 and row[0] < 30 and row[1] < 50]
        # Some of these pairs are rated, too: to be judged, they have to be recommended all the same.
        cls.held = [row[:3] for row in rows if 0.2 < row[3] < 0.35]
        for name, table in (("ratings", cls.rated), ("held", cls.held)):
            cls.connection.execute(f"CREATE TABLE {name} (u INTEGER, i INTEGER, r DOUBLE)")
            cls.connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", table)

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()

    def test_regressions_and_classifiers(self):
        for options in ("", ", preset := 'cross_entropy'", ", preset := 'mlp', layers := [8]", ", bias := false"):
            with self.subTest(options):
                self.connection.execute(f"CALL cofi_train('ratings', NULL, validation_fraction := 0{options})").fetchall()
                for relevant_from in (None, 4):
                    self.check(relevant_from)

    def check(self, relevant_from):
        argument = "NULL" if relevant_from is None else relevant_from
        found = self.connection.execute(
            f"SELECT metric, model, global_mean, biases, popular FROM cofi_evaluate('held', k := {K}, relevant_from := {argument})"
        ).fetchall()
        expected = self.expected(relevant_from)
        self.assertEqual([row[0] for row in found], list(expected))
        for metric, *values in found:
            for contender, value, wanted in zip(("model", "global_mean", "biases", "popular"), values, expected[metric]):
                if wanted is None:
                    self.assertIsNone(value, (metric, contender))
                else:
                    self.assertLess(abs(value - wanted), 1e-9, (metric, contender, value, wanted))

    def expected(self, relevant_from):
        grid = self.connection.execute(
            f"SELECT u, i, cofi_predict(u, i), cofi_baseline(u, i) FROM range({N_USERS}) a(u), range({N_ITEMS}) b(i) ORDER BY u, i"
        ).fetchall()
        predicted = numpy.array([numpy.nan if row[2] is None else row[2] for row in grid]).reshape(N_USERS, N_ITEMS)
        baseline = numpy.array([row[3] for row in grid]).reshape(N_USERS, N_ITEMS)
        named = self.connection.execute(
            "SELECT u, i, list_sort(map_entries(cofi_predict_proba(u, i))) FROM held"
        ).fetchall() if self.is_classifier() else []
        probable = {(u, i): max(entries, key=lambda entry: entry["value"])["key"] for u, i, entries in named if entries}

        users, items = (numpy.array([row[side] for row in self.held]) for side in (0, 1))
        ratings = numpy.array([row[2] for row in self.held], dtype=float)
        known = ~numpy.isnan(predicted[users, items])
        mean = float(numpy.float32(numpy.mean([row[2] for row in self.rated])))
        model = numpy.where(known, predicted[users, items], baseline[users, items])
        contenders = {"model": model, "mean": numpy.full(len(ratings), mean), "biases": baseline[users, items]}
        # The nearest level, the lower one of two.
        nearest = {name: numpy.clip(numpy.ceil(values - 0.5), 1, 5) for name, values in contenders.items()}
        for place, (user, item, _) in enumerate(self.held):
            nearest["model"][place] = probable.get((user, item), nearest["model"][place])
        scores = {name: ratings - values for name, values in contenders.items()}

        def row(of):
            return [*(float(of(name)) for name in contenders), None]

        expected = {
            "n": row(lambda name: len(ratings)),
            "mse": row(lambda name: numpy.mean(scores[name] ** 2)),
            "rmse": row(lambda name: numpy.sqrt(numpy.mean(scores[name] ** 2))),
            "mae": row(lambda name: numpy.mean(numpy.abs(scores[name]))),
            "accuracy": row(lambda name: numpy.mean(nearest[name] == ratings)),
            "coverage": [float(known.mean()), 1.0, 1.0, None],
        }
        return {**expected, **self.rankings(predicted, relevant_from)}

    def rankings(self, predicted, relevant_from):
        counts = numpy.zeros(N_ITEMS)
        for _, item, _ in self.rated:
            counts[item] += 1
        liked = self.connection.execute(f"SELECT i, cofi_baseline(-1, i) FROM range({N_ITEMS}) b(i) ORDER BY i").fetchall()
        liked = numpy.array([row[1] for row in liked])
        known_items = numpy.flatnonzero(~numpy.isnan(predicted).all(axis=0))
        totals = {name: [] for name in ("model", "biases", "popular")}
        recommended = {name: set() for name in totals}
        for user in range(30):
            asked = {item for u, item, _ in self.held if u == user}
            relevant = {item for u, item, rating in self.held if u == user and (relevant_from is None or rating >= relevant_from)}
            seen = {item for u, item, _ in self.rated if u == user} - asked
            candidates = [item for item in known_items if item not in seen]
            if not relevant:
                continue
            for name, worth in (("model", predicted[user]), ("biases", liked), ("popular", counts)):
                best = sorted(candidates, key=lambda item: (-worth[item], item))[:K]
                recommended[name] |= set(best)
                hits = [item in relevant for item in best]
                ranks = numpy.flatnonzero(hits) + 1
                ideal = min(K, len(relevant))
                totals[name].append([
                    len(ranks) / K,
                    len(ranks) / len(relevant),
                    sum(1 / numpy.log2(1 + ranks)) / sum(1 / numpy.log2(1 + rank) for rank in range(1, ideal + 1)),
                    sum((place + 1) / rank for place, rank in enumerate(ranks)) / ideal,
                    float(len(ranks) > 0),
                ])  # fmt: skip
        means = {name: numpy.mean(rows, axis=0) for name, rows in totals.items()}
        n_users = float(len(totals["model"]))
        expected = {"n_users": [n_users, None, n_users, n_users]}
        for place, metric in enumerate(("precision", "recall", "ndcg", "map", "hit_rate")):
            model, biases, popular = (float(means[name][place]) for name in totals)
            expected[f"{metric}@{K}"] = [model, None, biases, popular]
        model, biases, popular = (len(recommended[name]) / len(known_items) for name in totals)
        expected[f"item_coverage@{K}"] = [model, None, biases, popular]
        return expected

    def is_classifier(self):
        return self.connection.execute("SELECT loss FROM cofi_models()").fetchone()[0] == "cross_entropy"


if __name__ == "__main__":
    unittest.main()
