"""The truth beside `src/score/pca.rs`: principal components by the singular values of the centred rows, in NumPy.

    python3 tests/reference/pca.py            writes pca.json beside this file
    python3 tests/reference/pca.py --check    fails where that does not hold what this computes, to 1e-9 of the largest
"""

import json
import pathlib
import sys

import numpy as np

CASES = [
    dict(name="tall", seed=1, rows=60, factors=8, rank=8, components=8, shift=0.3, unit=1.0),
    dict(name="fewer rows than factors", seed=2, rows=5, factors=12, rank=12, components=6, shift=0.0, unit=1e-3),
    dict(name="rank 2 of 6", seed=3, rows=40, factors=6, rank=2, components=5, shift=-2.0, unit=1.0),
    dict(name="one factor", seed=4, rows=10, factors=1, rank=1, components=1, shift=5.0, unit=100.0),
    dict(name="wide", seed=5, rows=36, factors=30, rank=30, components=10, shift=0.1, unit=1.0),
]


def draw(case):
    """Rows whose components differ in spread, so that none changes place; small whole numbers keep the rank exact in float32."""
    rng = np.random.default_rng(case["seed"])
    n, k, rank = case["rows"], case["factors"], case["rank"]
    if rank < k:
        rows = np.floor(9 * rng.random((n, rank))) @ np.floor(5 * rng.random((rank, k)) - 2)
    else:
        turn = np.linalg.qr(rng.random((k, k)) - 0.5)[0]
        rows = (rng.random((n, k)) - 0.5) * 0.9 ** np.arange(k) @ turn
    return np.round((rows + case["shift"]) * case["unit"], 7).astype(np.float32)


def components(case):
    rows = draw(case)
    centred = rows.astype(np.float64)
    centred -= centred.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    scores = np.zeros((case["rows"], case["components"]))
    explained = np.zeros(case["components"])
    for place in range(min(case["components"], len(spread))):
        if spread[place] < 1e-7 * spread[0]:
            break
        loadings = directions[place]
        decides = np.flatnonzero(np.abs(loadings) >= np.abs(loadings).max() * (1 - 1e-6))[0]
        scores[:, place] = centred @ loadings * np.sign(loadings[decides])
        explained[place] = spread[place] ** 2 / np.sum(spread ** 2)
    return dict(name=case["name"], n_factors=case["factors"], n_components=case["components"],
                rows=[float(str(value)) for value in rows.ravel()], scores=scores.ravel().tolist(), explained=explained.tolist())


def main():
    found = [components(case) for case in CASES]
    path = pathlib.Path(__file__).with_suffix(".json")
    if "--check" not in sys.argv[1:]:
        path.write_text(json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n")
        return
    for kept, case in zip(json.loads(path.read_text()), found, strict=True):
        for key in ("rows", "scores", "explained"):  # the last bits of a decomposition are the machine's
            np.testing.assert_allclose(kept[key], case[key], rtol=0, atol=1e-9 * np.abs(case[key]).max(), err_msg=case["name"])


main()
