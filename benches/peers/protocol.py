"""What a peer is asked and what it answers.

A peer is a program of its own: `PEER FOLDER ANSWER name=value ...`. FOLDER has the ratings to train on (`train.users.i32`,
`train.items.i32`, `train.ratings.f32`: dense numbers from 0, as plain little-endian arrays) and the pairs to predict
(`held.users.i32`, `held.items.i32`), all of them known from training. The values `factors`, `threads` and `seed` are always
given; others are the peer's own options. It writes its predictions to ANSWER (float32) and prints as its last line a JSON
object: `seconds` from these arrays in memory to a trained model, whatever it builds in between; `cpu_seconds` that its threads
worked meanwhile, which other work on the machine disturbs less; `fit_seconds` of the training alone; `version`.
"""

import dataclasses
import json
import pathlib
import sys
import time

import numpy


@dataclasses.dataclass(frozen=True)
class Job:
    users: numpy.ndarray
    items: numpy.ndarray
    ratings: numpy.ndarray
    held_users: numpy.ndarray
    held_items: numpy.ndarray
    factors: int
    threads: int
    seed: int
    options: dict[str, str]
    answer: pathlib.Path

    @property
    def n_users(self) -> int:
        return int(self.users.max()) + 1

    @property
    def n_items(self) -> int:
        return int(self.items.max()) + 1

    @property
    def scale(self) -> tuple[float, float]:
        """The lowest and the highest rating."""
        return float(self.ratings.min()), float(self.ratings.max())

    def number(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))

    def finish(self, predictions: numpy.ndarray, times: dict[str, float], version: str, **more) -> None:
        numpy.asarray(predictions, dtype=numpy.float32).tofile(self.answer)
        print(json.dumps({**times, "version": version, **more}))


def job() -> Job:
    folder, answer = map(pathlib.Path, sys.argv[1:3])
    options = dict(argument.split("=", 1) for argument in sys.argv[3:])
    common = {name: int(options.pop(name)) for name in ("factors", "threads", "seed")}
    columns = [numpy.fromfile(folder / name, dtype=numpy.int32) for name in ("train.users.i32", "train.items.i32")]
    columns.append(numpy.fromfile(folder / "train.ratings.f32", dtype=numpy.float32))
    columns += [numpy.fromfile(folder / name, dtype=numpy.int32) for name in ("held.users.i32", "held.items.i32")]
    return Job(*columns, **common, options=options, answer=answer)


class Clock:
    """Seconds since it was made, and since `fit` was called."""

    def __init__(self):
        self.begin = self.fit_begin = time.monotonic()
        self.cpu = time.process_time()

    def fit(self) -> None:
        self.fit_begin = time.monotonic()

    def stop(self) -> dict[str, float]:
        now = time.monotonic()
        return {"seconds": now - self.begin, "fit_seconds": now - self.fit_begin, "cpu_seconds": time.process_time() - self.cpu}
