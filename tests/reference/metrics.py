"""The truth beside `src/metrics/`: rating and ranking metrics in NumPy, from the formulas in the doc comments there.

    python3 tests/reference/metrics.py            writes metrics.json beside this file
    python3 tests/reference/metrics.py --check    fails if that would change it
"""

import json
import pathlib
import sys

import numpy as np

I = 60


def single(values):
    """The float32 that a reader of these decimals gets."""
    return np.asarray(values).astype(np.float32).astype(np.float64)


def rating_case(name, rng, levels, n, named):
    levels = single(levels)
    # The last ratings are no levels: training never saw them.
    rating = levels[(len(levels) * rng.random(n)).astype(int)]
    rating[-5:] = single(np.round(rng.random(5) * 3 + 0.05, 3))
    spread = levels[-1] - levels[0]
    prediction = single(np.round(rating + spread * (0.6 * rng.random(n) - 0.3), 3))
    prediction[:len(levels) - 1] = single((levels[1:] + levels[:-1]) / 2)  # half-way: the lower one counts
    level = levels[np.argmin(np.abs(prediction[:, None] - levels[None, :]), axis=1)]
    own = [None] * n
    if named:  # a classifier, which names its most probable class itself, most times
        picks = levels[(len(levels) * rng.random(n)).astype(int)]
        own = [float(pick) if row % 3 else None for row, pick in enumerate(picks)]
        level = np.array([level[row] if pick is None else pick for row, pick in enumerate(own)])
    error = rating - prediction
    cells = [[float(a), float(p), int(np.sum((rating == a) & (level == p)))]
             for a in np.union1d(levels, rating) for p in levels]
    assert sum(count for *_, count in cells) == n
    return dict(name=name, levels=levels.tolist(), rating=rating.tolist(), prediction=prediction.tolist(), level=own,
                mse=float(np.mean(error ** 2)), rmse=float(np.sqrt(np.mean(error ** 2))),
                mae=float(np.mean(np.abs(error))), accuracy=float(np.mean(level == rating)), cells=cells)


def ranking_of(ranked, relevant, k):
    """The metrics of one user as vectors over the ranks 1 to k; a list that is shorter goes on with misses."""
    hit = np.zeros(k)
    shown = np.array(ranked[:k], dtype=int)
    hit[:len(shown)] = np.isin(shown, relevant)
    ranks = np.arange(1, k + 1)
    ideal = np.where(ranks <= len(relevant), 1.0, 0.0)
    discount = np.log(2) / np.log(1 + ranks)
    precision_at = np.cumsum(hit) / ranks
    return [hit.mean(), hit.sum() / len(relevant), (hit @ discount) / (ideal @ discount),
            (precision_at @ hit) / ideal.sum(), float(hit.any())]


def ranking_case(name, rng, k, lengths, n_relevant):
    users, metrics, recommended = [], [], set()
    for user, length in enumerate(lengths):
        ranked = np.argsort(-rng.random(I))[:length]
        count = n_relevant[user % len(n_relevant)]
        # Popular items are relevant more often, so that there are hits.
        relevant = np.argsort(-rng.random(I) + np.isin(np.arange(I), ranked) * -0.3)[:count]
        recommended |= set(ranked[:k].tolist())
        users.append(dict(ranked=ranked.tolist(), relevant=relevant.tolist(), metrics=None))
        if count:
            metrics.append(ranking_of(ranked, relevant, k))
            users[-1]["metrics"] = [float(value) for value in metrics[-1]]
    return dict(name=name, k=k, n_items=I, users=users, n_users=len(metrics),
                means=np.mean(metrics, axis=0).tolist(), coverage=len(recommended) / I)


def main():
    rng = np.random.default_rng(7)
    reference = dict(
        ratings=[
            rating_case("half stars", rng, np.arange(0.5, 5.5, 0.5), 300, named=False),
            rating_case("uneven levels", rng, [-2.0, 0.1, 0.3, 10.0], 120, named=False),
            rating_case("a classifier of five stars", rng, [1.0, 2.0, 3.0, 4.0, 5.0], 200, named=True),
        ],
        rankings=[
            ranking_case("ten of ten", rng, 10, [10] * 25, [3, 0, 12, 1, 5]),
            ranking_case("lists shorter and longer than k", rng, 7, [0, 3, 7, 20, 1, 5, 30, 2, 9], [2, 8, 0, 15]),
            ranking_case("one", rng, 1, [4] * 12, [1, 0, 20]),
        ],
    )
    text = json.dumps(reference, separators=(",", ":"), allow_nan=False) + "\n"
    path = pathlib.Path(__file__).with_suffix(".json")
    if "--check" in sys.argv[1:]:
        if path.read_text() != text:
            sys.exit(f"{path.name} is not what {pathlib.Path(__file__).name} computes")
    else:
        path.write_text(text)


main()
