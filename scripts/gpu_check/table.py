"""Ratings a second by the number of ratings and the size of a batch: cofi on the GPU and on the CPU, PyTorch on the GPU."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

import world

FACTORS = 50

# Bytes that a rating moves where the rows of a batch are updated: two rows of values and two moments read and written, and the rating itself.
ROW_BYTES = 2 * FACTORS * 3 * 2 * 4 + 28
# Bytes that a step moves of each number of the tables where all rows are: value, gradient and two moments read, all but the gradient written, the gradient written before.
TABLE_BYTES = 32


# What cofi chooses for many ratings.
USUAL_BATCH = 16_384

# The share of the time in which ratings a second are measured; the rest is for 'auto'.
OF_CELLS = 0.85


class Table:
    def __init__(self, connection, arguments, say):
        self.connection, self.arguments, self.device, self.say = connection, arguments, arguments.device, say
        begin = time.monotonic()
        self.end, self.end_of_all = begin + OF_CELLS * arguments.seconds, begin + arguments.seconds
        self.n_cells = len(arguments.sizes) * len(arguments.batches)
        self.n_failed = 0
        # Ratings a second in the faster place, of the last size and about the batch that cofi chooses for many ratings.
        self.usual = None

    def run(self):
        """How many measurements of cofi on the device have failed."""
        about = next(iter(self.torch(120, "bandwidth")), None)
        self.bandwidth = about and about["bandwidth"]
        if about:
            self.say(f"\nPyTorch {about['torch']} (CUDA {about['cuda']}), {about['name']}: a copy moves {self.bandwidth / 1e9:,.0f} GB/s")
        else:
            self.say("\nPyTorch cannot be asked: cofi is measured beside the CPU alone")
        self.contained(self.starting)
        for n in self.arguments.sizes:
            self.contained(self.size, n)
        self.contained(self.auto)
        return self.n_failed

    def contained(self, part, *arguments):
        """A part that cannot be run has failed, and the others are run."""
        try:
            part(*arguments)
        except Exception as error:
            self.n_failed += 1
            self.say(f"  FAILED {part.__name__}: {error}")

    def torch(self, seconds, *arguments):
        """What torch_loop.py answers within some seconds; nothing where it fails, which is told."""
        command = [sys.executable, str(pathlib.Path(__file__).with_name("torch_loop.py")), self.device, *map(str, arguments)]
        try:
            # What this process has found for cofi is not for PyTorch.
            child = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
            answer = child.stdout
            if child.returncode:
                self.say(f"  PyTorch ended with {child.returncode}: {child.stderr.strip().splitlines()[-1:]}")
        except subprocess.TimeoutExpired as late:
            answer = (late.stdout or b"").decode(errors="replace")
            self.say(f"  PyTorch had not ended after {seconds:.0f} s")
        lines = [line for line in answer.splitlines() if line.startswith("{") and line.endswith("}")]
        return [json.loads(line) for line in lines]

    def starting(self):
        """What each training takes to begin."""
        world.make(self.connection, 1000)
        world.take(self.connection, 1000)
        whole = [world.train(self.connection, "part", 4, device=self.device, epochs=1, validation_fraction=0)[1] for _ in range(3)]
        self.say(f"three trainings of 1,000 ratings: {', '.join(f'{seconds:.2f}' for seconds in whole)} s")

    def auto(self):
        """What 'auto' chooses for the table that was the last, the largest, as far as the time allows."""
        n = self.connection.execute("SELECT count(*) FROM made").fetchone()[0]
        # Reading and the trials come besides.
        expected = 10 + 1.5 * n / self.usual if self.usual else 0
        for epochs in (1, 5):
            if expected > self.end_of_all - time.monotonic():
                self.say(f"  'auto', all of the ratings, {epochs} epoch(s): no time was left for it")
                return
            rows, whole = world.train(self.connection, "made", FACTORS, device="auto", epochs=epochs, validation_fraction=0)
            self.say(f"  'auto', all of the ratings, {epochs} epoch(s): on {rows[-1]['device']}, {sum(row['seconds'] for row in rows):.1f} s of epochs, {whole:.1f} s in all")
            expected = 5 * whole

    def size(self, n):
        users, items = world.make(self.connection, n)
        self.say(f"\n{n:,} made-up ratings of {users:,} users and {items:,} items, {FACTORS} factors, AdamW; ratings a second in millions")
        self.say(f"{'batch':>9}{self.device:>10}{'CPU':>10}{'to CPU':>9}{'of bandwidth':>14}  updates, ratings and steps an epoch")
        lost, rates, faster = [], {}, {}
        for batch in self.arguments.batches:
            share = max(0.0, (self.end - time.monotonic()) / max(1, self.n_cells))
            self.n_cells -= 1
            if share == 0.0:
                self.say(f"{batch:>9,}  no time was left for it")
                continue
            try:
                there = self.cell(n, (users, items), batch, self.device, share / 3)
            except Exception as error:
                self.n_failed += 1
                self.say(f"{batch:>9,}  FAILED {error}")
                continue
            here = self.on_cpu(n, (users, items), batch, share / 3)
            self.say(
                f"{batch:>9,}{millions(there['rate']):>10}{millions(here):>10}{ratio(there['rate'], here):>9}{self.of_bandwidth(there, batch, users + items):>14}"
                f"  {there['updates']}, {there['n']:,} in {there['steps']:,}"
            )
            rates[batch] = there["rate"]
            faster[batch] = max(there["rate"], here or 0.0)
            if here and not there["rate"] > here:
                lost.append(batch)
        self.usual = faster[min(faster, key=lambda batch: abs(batch - USUAL_BATCH))] if faster else None
        self.say(f"  of {len(rates)} sizes of a batch the CPU is faster with {', '.join(f'{batch:,}' for batch in lost) or 'none'}")
        # After cofi: whatever PyTorch does, that is there.
        if self.bandwidth:
            try:
                self.beside(rates, self.peers(users, items))
            except Exception as error:
                self.say(f"  PyTorch could not be asked: {error}")

    def on_cpu(self, n, sizes, batch, seconds):
        """The CPU's ratings a second; none where it fails, which is told: it is the device that is checked."""
        try:
            return self.cell(n, sizes, batch, "cpu", seconds)["rate"]
        except Exception as error:
            self.say(f"{batch:>9,}  on the CPU: {error}")
            return None

    def beside(self, rates, peers):
        self.say(f"{'batch':>9}{'PyTorch':>10}{'sparse':>10}  and {self.device} to them")
        for batch in self.arguments.batches:
            dense, sparse = (peers.get((batch, kind)) for kind in ("dense", "sparse"))
            ratios = "".join(f"{ratio(rates.get(batch), rate):>9}" for rate in (dense, sparse))
            self.say(f"{batch:>9,}{millions(dense):>10}{millions(sparse):>10}{ratios}")

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
        updates = self.connection.execute("SELECT updates FROM cofi_models() WHERE model = 'default'").fetchone()[0]
        return {"rate": part / epoch, "n": part, "steps": -(-part // batch), "updates": updates}

    def peers(self, users, items):
        """PyTorch's ratings a second by batch size and kind."""
        import numpy

        columns = self.connection.execute("SELECT user_id, item_id, rating FROM made").fetchnumpy()
        with tempfile.TemporaryDirectory() as folder:
            for name, column, kind in (("users", "user_id", numpy.int64), ("items", "item_id", numpy.int64), ("ratings", "rating", numpy.float32)):
                numpy.save(pathlib.Path(folder, name), columns[column].astype(kind))
            # Two kinds for each size of a batch, in a fifth of the time of those that are left, these included.
            n_batches = len(self.arguments.batches)
            seconds = max(0.05, min(1.0, (self.end - time.monotonic()) / (self.n_cells + n_batches) / 10))
            # It begins, and warms up, before it counts.
            found = self.torch(60 + 10 * seconds * n_batches, folder, users, items, FACTORS, seconds, *self.arguments.batches)
        return {(row["batch"], row["kind"]): row.get("rate") for row in found}

    def of_bandwidth(self, cell, batch, n_rows):
        if not self.bandwidth:
            return "-"
        of_a_rating = ROW_BYTES if cell["updates"] == "sparse" else 28 + TABLE_BYTES * n_rows * (FACTORS + 1) / batch
        return f"{cell['rate'] * of_a_rating / self.bandwidth:.1%}"


def millions(rate):
    return f"{rate / 1e6:.3g}" if rate else "-"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours and theirs else "-"
