"""Ratings a second by the number of ratings and the size of a batch: cofi on the GPU and on the CPU, PyTorch on the GPU."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy
import world

FACTORS = 50
BATCHES = (64, 256, 1024, 4096, 16_384, 65_536, 262_144)

# Bytes that a rating moves where the rows of a batch are updated: two rows of values and two moments read and written, and the rating itself.
ROW_BYTES = 2 * FACTORS * 3 * 2 * 4 + 28
# Bytes that a step moves of each number of the tables where all rows are: value, gradient and two moments read, all but the gradient written, the gradient written before.
TABLE_BYTES = 32


class Table:
    def __init__(self, connection, arguments, say):
        self.connection, self.arguments, self.device, self.say = connection, arguments, arguments.device, say
        self.end = time.monotonic() + arguments.seconds
        self.n_cells = len(arguments.sizes) * len(arguments.batches)

    def run(self):
        about = self.torch("bandwidth")[0]
        self.bandwidth = about["bandwidth"]
        self.say(f"\nPyTorch {about['torch']} (CUDA {about['cuda']}), {about['name']}: a copy moves {self.bandwidth / 1e9:,.0f} GB/s")
        self.starting()
        for n in self.arguments.sizes:
            self.size(n)
        self.auto()

    def torch(self, *arguments):
        """What torch_loop.py answers; nothing where it fails, which is told."""
        command = [sys.executable, str(pathlib.Path(__file__).with_name("torch_loop.py")), self.device, *map(str, arguments)]
        # What this process has found for cofi is not for PyTorch.
        child = subprocess.run(command, capture_output=True, text=True)
        if child.returncode:
            self.say(f"  PyTorch ended with {child.returncode}: {child.stderr.strip().splitlines()[-1:]}")
        return [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]

    def starting(self):
        """What each training takes to begin."""
        world.make(self.connection, 1000)
        world.take(self.connection, 1000)
        whole = [world.train(self.connection, "part", 4, device=self.device, epochs=1, validation_fraction=0)[1] for _ in range(3)]
        self.say(f"three trainings of 1,000 ratings: {', '.join(f'{seconds:.2f}' for seconds in whole)} s")

    def auto(self):
        """What 'auto' chooses for the table that was the last, the largest."""
        for epochs in (1, 5):
            rows, whole = world.train(self.connection, "made", FACTORS, device="auto", epochs=epochs, validation_fraction=0)
            self.say(f"  'auto', all of the ratings, {epochs} epoch(s): on {rows[-1]['device']}, {sum(row['seconds'] for row in rows):.1f} s of epochs, {whole:.1f} s in all")

    def size(self, n):
        users, items = world.make(self.connection, n)
        self.say(f"\n{n:,} made-up ratings of {users:,} users and {items:,} items, {FACTORS} factors, AdamW; ratings a second in millions")
        self.say(f"{'batch':>9}{self.device:>10}{'CPU':>10}{'PyTorch':>10}{'sparse':>10}{'to CPU':>9}{'PyTorch':>9}{'sparse':>9}{'of bandwidth':>14}  updates, ratings and steps an epoch")
        peers = self.peers(users, items)
        lost, measured = [], 0
        for batch in self.arguments.batches:
            share = max(0.0, (self.end - time.monotonic()) / max(1, self.n_cells))
            self.n_cells -= 1
            if share == 0.0:
                self.say(f"{batch:>9,}  no time was left for it")
                continue
            try:
                there, here = (self.cell(n, (users, items), batch, device, share / 3) for device in (self.device, "cpu"))
            except Exception as error:
                self.say(f"{batch:>9,}  {error}")
                continue
            dense, sparse = (peers.get((batch, kind)) for kind in ("dense", "sparse"))
            rates = "".join(f"{millions(rate):>10}" for rate in (there["rate"], here["rate"], dense, sparse))
            ratios = "".join(f"{ratio(there['rate'], rate):>9}" for rate in (here["rate"], dense, sparse))
            self.say(f"{batch:>9,}{rates}{ratios}{self.of_bandwidth(there, batch, users + items):>14}  {there['updates']}, {there['n']:,} in {there['steps']:,}")
            measured += 1
            if not there["rate"] > here["rate"]:
                lost.append(batch)
        self.say(f"  of {measured} sizes of a batch the CPU is faster with {', '.join(f'{batch:,}' for batch in lost) or 'none'}")

    def cell(self, n, sizes, batch, device, seconds):
        """The second of two epochs, over as many ratings as take some of the time: each has all users and items, so that the tables are as large as with all ratings."""
        part = min(n, max(max(sizes), 100 * batch))
        while True:
            world.take(self.connection, part)
            options = {"device": device, "epochs": 2, "batch_size": batch, "validation_fraction": 0}
            began = time.monotonic()
            rows, _ = world.train(self.connection, "part", FACTORS, **options)
            epoch, passed = rows[-1]["seconds"], time.monotonic() - began
            # Again with more, where that fits into the time, reading and saving included, and changes much.
            wanted = min(n, int(part * max(1.0, min(8.0, (seconds - passed) / 2 / max(passed, 1e-3)))))
            seconds -= passed
            if wanted < 1.5 * part or seconds <= 0:
                break
            part = wanted
        updates = self.connection.execute("SELECT updates FROM cofi_models()").fetchone()[0]
        return {"rate": part / epoch, "n": part, "steps": -(-part // batch), "updates": updates}

    def peers(self, users, items):
        """PyTorch's ratings a second by batch size and kind."""
        columns = self.connection.execute("SELECT user_id, item_id, rating FROM made").fetchnumpy()
        with tempfile.TemporaryDirectory() as folder:
            for name, column, kind in (("users", "user_id", numpy.int64), ("items", "item_id", numpy.int64), ("ratings", "rating", numpy.float32)):
                numpy.save(pathlib.Path(folder, name), columns[column].astype(kind))
            # Two kinds for each size of a batch, in a fifth of the time.
            seconds = max(0.05, min(1.0, (self.end - time.monotonic()) / max(1, self.n_cells) / 10))
            found = self.torch(folder, users, items, FACTORS, seconds, *self.arguments.batches)
        return {(row["batch"], row["kind"]): row.get("rate") for row in found}

    def of_bandwidth(self, cell, batch, n_rows):
        of_a_rating = ROW_BYTES if cell["updates"] == "sparse" else 28 + TABLE_BYTES * n_rows * (FACTORS + 1) / batch
        return f"{cell['rate'] * of_a_rating / self.bandwidth:.1%}"


def millions(rate):
    return f"{rate / 1e6:.3g}" if rate else "-"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if theirs else "-"
