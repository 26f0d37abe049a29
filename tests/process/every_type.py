"""Every function with values of every type, NULL and extremes: an error or an answer, and the connection goes on."""

import unittest

from support import InFolder, run

# What a child process runs: a crash ends that process, and the test tells.
WORLD = """
import os, re
os.chdir(sys.argv[1])
connection = connect()
connection.execute("CREATE TABLE ratings AS SELECT u AS user_id, i AS item_id, 1 + (u + i) % 5 AS rating FROM range(4) a(u), range(4) b(i)")
TRAINED = "CALL cofi_train('ratings', 2, epochs := 1, batch_size := 'full', validation_fraction := 0)"
connection.execute(TRAINED).fetchall()
# One that each of the functions can be asked.
connection.execute(TRAINED[:-1] + ", loss := 'cross_entropy', y_range := NULL, model := 'classifier')").fetchall()
connection.execute("SET enable_progress_bar = false")
answer = connection.execute("SELECT cofi_predict(1, 2)").fetchone()
types = connection.execute("DESCRIBE FROM test_all_types()").fetchall()
n_calls = n_answers = 0

def call(sql, *values):
    global n_calls, n_answers
    n_calls += 1
    try:
        connection.execute(sql, *values).fetchall()
        n_answers += 1
    except duckdb.Error as error:
        # A panic that was contained is a bug all the same, and so is what the host calls one.
        assert not re.search("failed unexpectedly|INTERNAL|FATAL", str(error)), f"{sql}: {error}"
    assert connection.execute("SELECT 42").fetchone() == (42,), sql

def functions(kind):
    return connection.execute(
        "SELECT function_name, list(DISTINCT parameters) FROM duckdb_functions() "
        "WHERE function_name LIKE '%cofi\\\\_%' ESCAPE '\\\\' AND function_type = $1 GROUP BY ALL ORDER BY 1", [kind]).fetchall()

def goes_on():
    assert connection.execute("SELECT cofi_predict(1, 2)").fetchone() == answer
    print(n_calls, n_answers)
"""

SCALARS = """
FITTING = {"__cofi_read": ["42", "1", "2", "3.0", "1.0", "true"]}
FITTING.update({name: ["1", "2", "'classifier'", "true"] for name in ("cofi_predict", "cofi_predict_proba", "cofi_baseline",
    "cofi_similar", "cofi_similar_users", "cofi_recommend")})
FITTING.update({name: ["1", "'default'"] for name in ("cofi_user_factors", "cofi_item_factors")})
named = functions("scalar")
assert sorted(name for name, _ in named) == sorted(FITTING), named
for name, overloads in named:
    for n_arguments in sorted({len(overload) for overload in overloads}):
        for place in range(n_arguments):
            for column, *_ in types:
                for given in (f'"{column}"', f'"{column}"::VARCHAR'):
                    arguments = FITTING[name][:n_arguments]
                    arguments[place] = given
                    call(f"SELECT {name}({', '.join(arguments)}) FROM test_all_types()")
        call(f"SELECT {name}({', '.join(['NULL'] * n_arguments)})")
goes_on()
"""

TABLES = """
FITTING = {"cofi_train": ["'ratings'", "2"], "cofi_lr_find": ["'ratings'", "2"], "cofi_recommend_all": ["3"], "cofi_evaluate": ["'ratings'"],
    "cofi_confusion": ["'ratings'"], "cofi_pca": ["2"], "cofi_report": ["'default'", "'report.html'"], "cofi_drop": ["'nobody'"],
    "cofi_export": ["'default'", "'model.onnx'"]}
FITTING.update({name: [] for name in ("cofi_users", "cofi_items", "cofi_models", "cofi_history", "cofi_options", "cofi_info")})
named = functions("table")
assert sorted(name for name, _ in named) == sorted(FITTING), named
SHORT = {"cofi_train": {"model": "'other'", "epochs": "1", "batch_size": "'full'", "validation_fraction": "0"}, "cofi_lr_find": {"validation_fraction": "0"}}
# What was tried as an option of a training reads the same of another function.
of_training = set()
for name, overloads in sorted(named, key=lambda row: row[0] != "cofi_train"):
    positional, options = FITTING[name], [option for option in overloads[0] if not option.startswith("col")]
    for place in range(len(positional)):
        options.append(place)
    for option in options:
        if name == "cofi_lr_find" and option in of_training:
            continue
        of_training |= {option} if name == "cofi_train" else set()
        for column, *_ in types:
            for row in range(3 if column in ("bigint", "varchar", "double_array") else 2):
                connection.execute(f'SET VARIABLE given = (SELECT "{column}" FROM test_all_types() LIMIT 1 OFFSET {row})')
                if option == "epochs" and re.fullmatch("[0-9.]{4,7}", connection.execute("SELECT getvariable('given')::VARCHAR").fetchone()[0] or ""):
                    continue  # a training of so many epochs would be answered, much later
                places, rest = list(positional), dict(SHORT.get(name, {}))
                if isinstance(option, int):
                    places[option] = "getvariable('given')"
                else:
                    rest[option] = "getvariable('given')"
                call(f"FROM {name}({', '.join(places + [f'{key} := {value}' for key, value in rest.items()])})")
goes_on()
"""

# Columns of every type where ratings are read, as users, items, ratings, weights and times.
COLUMNS = """
for column, *_ in types:
    for role in ("user_col", "item_col", "rating_col", "weight_col", "time_col"):
        rows = f'SELECT u AS user_id, i AS item_id, 1 + (u + i) % 5 AS rating, "{column}" AS other FROM range(6) a(u), range(4) b(i), test_all_types()'
        call(f"FROM cofi_train('({rows})', 2, epochs := 1, model := 'other', {role} := 'other')")
        if role in ("user_col", "item_col", "rating_col"):
            call(f"FROM cofi_evaluate('({rows})', {role} := 'other')")
            call(f"FROM cofi_confusion('({rows})', {role} := 'other')")
    call(f"FROM cofi_report('default', 'report.html', titles := '(SELECT 1 AS item_id, \\"{column}\\" AS title FROM test_all_types())')")
goes_on()
"""


class EveryType(InFolder):
    def check(self, calls, least):
        n_calls, n_answers = map(int, run(WORLD + calls, self.folder).split())
        self.assertGreater(n_calls, least)
        self.assertGreater(n_answers, n_calls // 100, "hardly a call was answered")
        self.assertLess(n_answers, n_calls)

    def test_arguments_of_scalars(self):
        self.check(SCALARS, 3000)

    def test_arguments_of_table_functions(self):
        self.check(TABLES, 6000)

    def test_columns_of_ratings(self):
        self.check(COLUMNS, 400)


if __name__ == "__main__":
    unittest.main()
