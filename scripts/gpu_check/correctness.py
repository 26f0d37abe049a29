"""Whether a GPU computes what the CPU does, stays within its memory, and refuses what cannot fit."""

import re

import world

# Of one step graph: the same seed gives the same batches, so each epoch's loss has to agree, and the model's error.
CASES = {
    "dot, batches of 64": {"batch_size": 64, "updates": "dense"},
    "dot, batches of 512": {"batch_size": 512, "updates": "dense"},
    "dot, batches of 8,192": {"batch_size": 8192, "updates": "dense"},
    "dot, rows of the batch": {"batch_size": 512, "updates": "sparse"},
    "dot without range, l2": {"batch_size": 512, "y_range": None, "l2": 0.001, "updates": "dense"},
    "sgd": {"batch_size": 512, "optimizer": "sgd", "learning_rate": 0.5, "updates": "dense"},
    "mlp": {"batch_size": 512, "architecture": "mlp", "updates": "dense"},
    "mlp with dropout": {"batch_size": 512, "architecture": "mlp", "dropout": 0.1, "updates": "dense"},
    "classifier": {"batch_size": 512, "loss": "cross_entropy", "updates": "dense"},
}
# Of the losses a share, of the root of the mean squared error so many stars.
LOSSES, ERRORS = 1e-3, 0.002

# Bytes of a factor while Adam trains it, and the most factors there are.
OF_A_FACTOR, MOST_FACTORS = 40, 4096


class Correctness:
    def __init__(self, connection, arguments, say):
        self.connection, self.arguments, self.device, self.say = connection, arguments, arguments.device, say
        self.n_failed = 0
        # Of each training on the device, where it ran and on which operators.
        self.placed = set()

    def run(self):
        world.read_movielens(self.connection, self.arguments.data)
        self.say(f"correctness on MovieLens 100K: {self.device} beside the CPU's stock operators, the same seed")
        self.say(f"         {'losses to 1e-3, RMSE to 0.002':<32}{'losses differ by':>18}{'RMSE':>9}{'CPU':>9}{'seconds':>9}{'CPU':>9}")
        for name, options in CASES.items():
            self.contained(name, self.case, name, options)
        for part in (self.large, self.twice, self.placement, self.memory, self.refusal):
            self.contained(part.__name__, part)
        return self.n_failed

    def contained(self, name, part, *arguments):
        """A part that cannot be run has failed, and the others are run."""
        try:
            part(*arguments)
        except Exception as error:
            self.check(False, f"{name}: {error}")

    def check(self, passed, what):
        if not passed:
            self.n_failed += 1
        self.say(f"  {'ok    ' if passed else 'FAILED'} {what}")

    def train(self, ratings="movielens", factors=50, **options):
        return world.train(self.connection, ratings, factors, **{"epochs": self.arguments.epochs, **options})

    def case(self, name, options):
        factors = None if "architecture" in options else 50
        there, there_seconds = self.train(factors=factors, device=self.device, **options)
        self.placed.update(self.connection.execute("SELECT device, operators FROM cofi_models()").fetchall())
        here, here_seconds = self.train(factors=factors, device="cpu", operators="stock", **options)
        losses = max(abs(a["train_loss"] / b["train_loss"] - 1) for a, b in zip(there, here, strict=True))
        rmse, expected = there[-1]["rmse"], here[-1]["rmse"]
        passed = losses <= LOSSES and abs(rmse - expected) <= ERRORS
        self.check(passed, f"{name:<32}{losses:>18.1e}{rmse:>9.4f}{expected:>9.4f}{there_seconds:>9.1f}{here_seconds:>9.1f}")

    def large(self):
        """Of more than 2^20 ratings the GPU takes another order than the CPU: only the model's error is to agree."""
        world.make(self.connection, self.arguments.large)
        world.take(self.connection, self.arguments.large)
        (*_, there), _ = self.train("part", device=self.device)
        (*_, here), _ = self.train("part", device="cpu")
        passed = abs(there["rmse"] - here["rmse"]) <= ERRORS
        self.check(passed, f"{self.arguments.large:,} made-up ratings: RMSE {there['rmse']:.4f}, on the CPU {here['rmse']:.4f}")

    def twice(self):
        """Tells whether a GPU gives the same bits twice. Additions to repeated rows may come in any order, so they need not."""
        for name in ("once", "again"):
            self.train(device=self.device, batch_size=512, model=name)
        once, again = (self.connection.execute(f"SELECT id, bias, factors FROM cofi_items(model := '{name}') ORDER BY id").fetchall() for name in ("once", "again"))
        largest = max(abs(a - b) for one, other in zip(once, again, strict=True) for a, b in zip(one[2], other[2], strict=True))
        self.say(f"  the same training twice: {'the same bits' if once == again else f'factors differ by up to {largest:.1e}'}")

    def placement(self):
        """That no node of a step runs on the CPU, cofi asks of ONNX Runtime in cofi_info(); and where the trainings of CASES have run, cofi_models() says."""
        device = self.device if ":" in self.device else "cpu"
        state = [value for value in world.properties(self.connection, "device") if value.startswith(f"{device}:")]
        self.check(state == [f"{device}: usable"] or device not in ("cpu", "cuda:0"), f"every node of a training of each kind runs there: {state}")
        found = sorted(f"{operators} on {device}" for device, operators in self.placed)
        self.check({device for device, _ in self.placed} == {self.device}, f"operators of the trainings above: {', '.join(found)}")

    def memory(self):
        """What is free before and after, in MiB: what a training took has to come back."""
        free = [self.free()]
        for _ in range(3):
            self.train(device=self.device, epochs=1)
            free.append(self.free())
        # The first training loads what stays loaded.
        lost = free[1] - free[-1]
        self.say(f"  free on {self.device}: {', '.join(f'{mib:,.0f}' for mib in free)} MiB, before and after each of three trainings")
        self.check(self.device == "cpu" or min(free) > 0, "what is free is known each time")
        self.check(lost < 256, f"two more trainings left {lost:.0f} MiB less")

    def free(self):
        """MiB that are free on the device; none are told of a CPU."""
        of_device = [gpu for gpu in world.properties(self.connection, "gpu") if gpu.startswith(f"{self.device}:")]
        return mebibytes(of_device, "of which (.+) free")

    def refusal(self):
        """A training that cannot fit is refused with what it needs and what there is, before anything is allocated."""
        all_of_it = mebibytes(world.properties(self.connection, "gpu"), r", ([\d.]+ \w+)(?:, of|$)") * 2**20
        # On the CPU it is the setting that is too small.
        self.connection.execute(f"SET memory_limit = '{'100TB' if all_of_it else '100MB'}'")
        n_users = max(10_000, int(1.2 * all_of_it / OF_A_FACTOR / MOST_FACTORS))
        self.connection.execute(f"CREATE OR REPLACE TABLE wide AS SELECT i::INTEGER AS user_id, (i % 100)::INTEGER AS item_id, i % 5 + 1 AS rating FROM range({n_users}) ratings(i)")
        message = "it was not refused"
        try:
            self.train("wide", MOST_FACTORS, device=self.device, validation_fraction=0)
        except Exception as error:
            message = str(error)
        self.connection.execute("RESET memory_limit")
        # An allocation that fails later is told with the same figures, behind other words.
        early = f"(memory|device = '{self.device}'): the training needs at least .*iB"
        self.check(re.search(early, message), f"{MOST_FACTORS} factors of {n_users:,} users: {message}")


def mebibytes(texts, pattern):
    """The first of the sizes that a pattern finds; 0 where there is none."""
    for found in (match for text in texts if (match := re.search(pattern, text))):
        number, unit = found[1].split()
        return float(number) * {"KiB": 2**-10, "MiB": 1, "GiB": 2**10, "TiB": 2**20}[unit]
    return 0.0
