"""A host that keeps its database open while it has no connection, as connection pools do, through DuckDB's C API."""

import ctypes
import time
import unittest

import _duckdb
from support import EXTENSION, SMALL, InFolder

# Longer than the moment that cofi keeps its connections when no other is left.
RELEASED = 3


class Pooling(InFolder):
    def test_without_a_connection_loaded_models_answer_and_nothing_else_does(self):
        pool = self.pool()
        with pool.connection() as connection:
            connection.query(SMALL)
            connection.query("CALL cofi_train('ratings', 4)")
            expected = connection.query("SELECT cofi_predict(1, 101)")
        time.sleep(RELEASED)
        with pool.connection() as connection:
            self.assertEqual(connection.query("SELECT cofi_predict(1, 101)"), expected)
            for sql in ("CALL cofi_train('ratings', 4)", "CALL cofi_drop('default')", "SELECT cofi_predict(1, 101, 'other')"):
                with self.assertRaisesRegex(RuntimeError, "cofi_keep_connection"):
                    connection.query(sql)

    def test_without_a_connection_no_model_answers_that_was_replaced_or_dropped(self):
        pool = self.pool()
        with pool.connection() as connection:
            connection.query(SMALL)
            for name in ("default", "gone"):
                connection.query(f"CALL cofi_train('ratings', 4, model := '{name}')")
                connection.query(f"SELECT cofi_predict(1, 101, '{name}')")
            connection.query("CALL cofi_train('ratings', 3)")
            connection.query("CALL cofi_drop('gone')")
        time.sleep(RELEASED)
        with pool.connection() as connection:
            for name in ("default", "gone"):
                with self.assertRaisesRegex(RuntimeError, "cofi_keep_connection"):
                    connection.query(f"SELECT cofi_predict(1, 101, '{name}')")

    def test_the_setting_keeps_the_connections(self):
        pool = self.pool()
        with pool.connection() as connection:
            connection.query("SET GLOBAL cofi_keep_connection = true")
            connection.query(SMALL)
        time.sleep(RELEASED)
        with pool.connection() as connection:
            connection.query("CALL cofi_train('ratings', 4)")
        time.sleep(RELEASED)
        with pool.connection() as connection:
            self.assertEqual(connection.query("SELECT len(cofi_user_factors(1))"), "4")

    def pool(self):
        pool = Pool(self.file)
        self.addCleanup(pool.close)
        return pool


class Pool:
    """A database, opened through the C API that the Python package exports."""

    def __init__(self, file):
        self.api = ctypes.CDLL(_duckdb.__file__)
        self.api.duckdb_result_error.restype = self.api.duckdb_value_varchar.restype = ctypes.c_char_p
        self.api.duckdb_value_varchar.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
        config = ctypes.c_void_p()
        self.api.duckdb_create_config(ctypes.byref(config))
        self.api.duckdb_set_config(config, b"allow_unsigned_extensions", b"true")
        self.database = ctypes.c_void_p()
        assert self.api.duckdb_open_ext(str(file).encode(), ctypes.byref(self.database), config, None) == 0
        self.api.duckdb_destroy_config(ctypes.byref(config))
        with self.connection() as connection:
            connection.query(f"LOAD '{EXTENSION}'")

    def connection(self):
        return Connection(self.api, self.database)

    def close(self):
        self.api.duckdb_close(ctypes.byref(self.database))


class Connection:
    """A connection for the length of a `with`."""

    def __init__(self, api, database):
        self.api, self.handle = api, ctypes.c_void_p()
        assert api.duckdb_connect(database, ctypes.byref(self.handle)) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.api.duckdb_disconnect(ctypes.byref(self.handle))

    def query(self, sql):
        """The first value as text."""
        result = (ctypes.c_void_p * 6)()  # duckdb_result
        try:
            if self.api.duckdb_query(self.handle, sql.encode(), result) != 0:
                raise RuntimeError((self.api.duckdb_result_error(result) or b"").decode())
            text = self.api.duckdb_value_varchar(result, 0, 0)
            return None if text is None else text.decode()
        finally:
            self.api.duckdb_destroy_result(result)


if __name__ == "__main__":
    unittest.main()
