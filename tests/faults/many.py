"""Ten million users of one rating each: what a training takes whose tables are all that there is."""

import os
import threading
import time
import unittest

from common import IS_LONG, InFolder, connect, figure, one, usage

N_USERS = 10_000_000 if IS_LONG else 200_000
N_ITEMS = 50_000
# A rating as it is kept and read, a user's row with two moments and the copy that is stored, and what DuckDB holds: 290 bytes a user were measured. A
# smaller table has the library and the host's own beside it.
BYTES_A_USER, BYTES_BESIDE = 330, 400 << 20


class Watch:
    """The most memory of this process while it is open."""

    def __enter__(self):
        self.most, self.is_open = usage()[2], True
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while self.is_open:
            self.most = max(self.most, usage()[2])
            time.sleep(0.02)

    def __exit__(self, *_):
        self.is_open = False
        self.thread.join()


@unittest.skipUnless(os.path.exists("/proc/self/statm"), "memory is read from /proc")
class Many(InFolder):
    def test_users_of_one_rating_each(self):
        connection = connect(self.file)
        connection.execute(
            f"""CREATE TABLE ratings AS
            SELECT u AS user_id, (hash(u) % {N_ITEMS})::INTEGER AS item_id, 1 + (hash(u, 1) % 5)::INTEGER AS rating FROM range({N_USERS}) users(u)"""
        )
        connection.execute("CHECKPOINT")
        begun = time.monotonic()
        with Watch() as memory:
            rows = connection.execute("SELECT epoch, rmse, seconds FROM cofi_train('ratings', 8, epochs := 2, validation_fraction := 0.1)").fetchall()
        trained = time.monotonic() - begun
        self.assertEqual(len(rows), 2)
        # There is nothing to be learned, and nothing was made up: ratings of 1 to 5 at random vary by the root of 2.
        self.assertLess(abs(rows[-1][1] - 2**0.5), 0.02)
        self.assertLess(memory.most << 20, N_USERS * BYTES_A_USER + BYTES_BESIDE)
        n_users = one(connection, "SELECT n_users FROM cofi_models()")
        begun = time.monotonic()
        # Whoever rated once was either learned from or is not known.
        self.assertEqual(one(connection, "SELECT count(cofi_predict(user_id, item_id)) FROM ratings"), n_users)
        predicted = time.monotonic() - begun
        figure(
            f"{N_USERS} users of one rating, 8 factors",
            f"trained in {trained:.0f} s (2 epochs of {rows[-1][2]:.1f} s), {memory.most} MiB at most; loaded and all predicted in {predicted:.1f} s",
        )


if __name__ == "__main__":
    unittest.main()
