"""The setting `threads`, changed while functions run: DuckDB waits for all its threads, and a function on one of them must not wait for DuckDB."""

import unittest

from support import InFolder, run

# A thread each, so that whoever hangs does not keep the others from telling.
WORLD = """
import os, threading
c = connect()
c.execute('SET threads = 4')
c.execute(LARGE)
c.execute("CALL cofi_train('ratings', 4, epochs := 1)").fetchall()
expected = one(c, "SELECT sum(cofi_predict(user_id, item_id)) FROM ratings")
told = []

def until_refused(sql):
    own = c.cursor()
    while not told:
        try:
            own.execute(sql).fetchall()
        except duckdb.Error as error:
            told.append(str(error))

def change():
    n = 1
    # Which thread a function runs on is the host's affair: sometimes none of its pool's, and then nothing is in the way.
    while not told:
        n = 5 - n
        c.cursor().execute(f'SET threads = {n}')
        time.sleep(0.3)

def go(sql):
    threads = [threading.Thread(target=until_refused, args=[sql], daemon=True), threading.Thread(target=change, daemon=True)]
    for thread in threads: thread.start()
    for thread in threads: thread.join(60)
    assert not any(thread.is_alive() for thread in threads), 'it hangs'
    assert 'change threads while no function of cofi runs' in told[0], told
    assert one(c, "SELECT sum(cofi_predict(user_id, item_id)) FROM ratings") == expected
    print('went on', flush=True)
"""


class ChangingThreads(InFolder):
    def test_a_training_is_given_up_and_all_goes_on(self):
        output = run(WORLD + """go("CALL cofi_train('ratings', 4, epochs := 3, model := 'other')")""")
        self.assertEqual(output.split("\n")[-2], "went on")

    def test_predictions_are_given_up_and_all_goes_on(self):
        output = run(WORLD + """go("SELECT sum(cofi_predict(user_id, item_id)), count(cofi_recommend(user_id, 1)) FROM (FROM ratings LIMIT 20000)")""")
        self.assertEqual(output.split("\n")[-2], "went on")


if __name__ == "__main__":
    unittest.main()
