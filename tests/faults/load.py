"""Eight connections at once on one database: no crash, no standstill, no torn answer, no growth."""

import json
import unittest

from checkpointing import WORLD as CHECKPOINT
from common import IS_LONG, InFolder, begin, figure, finish

SECONDS = 300 if IS_LONG else 8

# What memory may grow by between the first fifth of the time and its end, in megabytes.
GROWTH = 120

# Names, each trained from three tables that give models of other numbers and another width, so that any answer tells of which it is.
LOAD = """
import collections, faulthandler, json, random, re, threading
import duckdb
SECONDS = float(sys.argv[2])
NAMES, WORKERS = ['a', 'b', 'c'], 8
shared = connect(sys.argv[1])
shared.execute("SET threads = 4")
for version in (1, 2, 3):
    shared.execute(f"CREATE TABLE ratings_{version} AS SELECT u AS user_id, 100 + i AS item_id, 1 + (u * i + {version} * (u + i)) % 5 AS rating FROM range(60) users(u), range(60) items(i) WHERE (u + 2 * i) % 7 <> 0")
ASK = {
    'predict': "SELECT list(cofi_predict(u, 100 + u % 7, '{m}') ORDER BY u) FROM range(50) t(u)",
    'similar': "SELECT list(cofi_similar(100 + i, 4, '{m}') ORDER BY i) FROM range(10) t(i)",
    'recommend': "SELECT list(cofi_recommend(u, 4, '{m}', false) ORDER BY u) FROM range(10) t(u)",
    'users': "SELECT sum(hash(id, bias, factors)::HUGEINT) FROM cofi_users(model := '{m}')",
    'items': "SELECT sum(hash(id, bias, factors)::HUGEINT) FROM cofi_items(model := '{m}')",
    'everybody': "SELECT sum(hash(\\"user\\", item, score, rank)::HUGEINT) FROM cofi_recommend_all(3, model := '{m}')",
}
TRAIN = "cofi_train('ratings_{v}', {k}, model := '{m}', epochs := 2)"
# What is known beforehand: all answers there may be, by question, and none for a model that is not there.
known = collections.defaultdict(set)
for version in (1, 2, 3):
    shared.execute('CALL ' + TRAIN.format(v=version, k=2 + version, m='trial'))
    for what, sql in ASK.items():
        known[what].add(repr(shared.execute(sql.format(m='trial')).fetchone()))
assert all(len(answers) == 3 for answers in known.values()), {what: len(answers) for what, answers in known.items()}
shared.execute("CALL cofi_drop('trial')")

ALLOWED = {
    'train': r"another training has stored it while this one ran",
    'drop': r"no model '|was stored in this very moment",
    'ask': r"no model '|was stored in this very moment|has been trained again with other ids or another number of factors",
    'history': r"no model '|was stored in this very moment",
}
done, refused, wrong, last = collections.Counter(), collections.Counter(), [], [time.monotonic()] * WORKERS
end = time.monotonic() + SECONDS

def work(number):
    rng, connection = random.Random(number), shared.cursor()
    while time.monotonic() < end and not wrong:
        last[number] = time.monotonic()
        name, dice = rng.choice(NAMES), rng.random()
        kind, sql = 'ask', None
        if dice < 0.12:
            kind, version = 'train', rng.choice((1, 2, 3))
            sql = 'CALL ' + TRAIN.format(v=version, k=2 + version, m=name)
        elif dice < 0.16:
            kind, sql = 'drop', f"CALL cofi_drop('{name}')"
        elif dice < 0.20:
            kind, sql = 'list', 'SELECT list(model) FROM cofi_models()'
        elif dice < 0.25:
            kind, sql = 'history', f"SELECT count(*) FROM cofi_history(model := '{name}')"
        elif dice < 0.27:
            connection.close()
            connection = shared.cursor()
            continue
        else:
            what = rng.choice(list(ASK))
            sql = ASK[what].format(m=name)
        try:
            answer = connection.execute(sql).fetchone()
            done[kind if kind != 'ask' else what] += 1
            if kind == 'ask' and repr(answer) not in known[what]:
                wrong.append(f'{sql}: {str(answer)[:300]} is of no model that ever was')
        except duckdb.Error as error:
            refused[kind] += 1
            if kind not in ALLOWED or not re.search(ALLOWED[kind], str(error)):
                wrong.append(f'{sql}: {error}')

threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(WORKERS)]
for thread in threads:
    thread.start()
early = None
while any(thread.is_alive() for thread in threads):
    time.sleep(0.2)
    if early is None and time.monotonic() > end - 0.8 * SECONDS:
        early = usage()
    stuck = time.monotonic() - min(time_ for thread, time_ in zip(threads, last) if thread.is_alive()) if any(t.is_alive() for t in threads) else 0
    if stuck > 60:
        faulthandler.dump_traceback()
        os._exit(3)
late = usage()
found = torn(shared)
shared.execute('CALL ' + TRAIN.format(v=1, k=3, m='a'))
print(json.dumps(dict(wrong=wrong, torn=found, done=done, refused=refused, early=early, late=late, bytes=size(sys.argv[1]))))
sys.stdout.flush()
"""

# A training whose caller is waited for by a checkpoint that it waits for itself when it is stored.
STUCK = CHECKPOINT + """
run('training', older, "CALL cofi_train('ratings', 4, epochs := 1)")
assert 'FORCE CHECKPOINT while no function of cofi runs' in told['training'], told
older.execute('ROLLBACK')
checkpoint.join(30)
assert isinstance(told['checkpoint'], list), told
assert c.execute(predictions).fetchall() == expected
c.execute("CALL cofi_train('ratings', 4, epochs := 1)").fetchall()
print('went on')
"""


class Load(InFolder):
    def test_eight_connections_at_once(self):
        # It gives up after a minute, which is spent waiting.
        stuck = begin(STUCK, self.folder / "stuck.duckdb") if IS_LONG else None
        result = json.loads(finish(begin(LOAD, self.file, SECONDS), SECONDS + 180).splitlines()[-1])
        self.assertEqual(result["wrong"], [])
        self.assertEqual(result["torn"], [])
        done, (threads, handles, early), (threads_after, handles_after, late) = result["done"], result["early"], result["late"]
        self.assertGreater(sum(done.values()), 10 * SECONDS)
        self.assertEqual(len(done), 10, done)
        figure("eight connections at once", f"{SECONDS} s, {sum(done.values()):,} statements: {', '.join(f'{name} {count:,}' for name, count in sorted(done.items()))}")
        figure("  refused as they should be", ", ".join(f"{name} {count:,}" for name, count in sorted(result["refused"].items())))
        figure("  memory, threads, handles", f"{early} MiB after a fifth of the time, {late} MiB at the end; {threads} and {threads_after}; {handles} and {handles_after}; file {result['bytes'] >> 20} MiB")
        self.assertLess(late - early, GROWTH, "megabytes of growth")
        self.assertLessEqual(handles_after, handles + 2)
        if stuck:
            self.assertEqual(finish(stuck), "went on\n")
            figure("a forced checkpoint that a training waits for", "the training gave up after a minute, all went on")


if __name__ == "__main__":
    unittest.main()
