"""A session through everything that cofi does at the host's border, in a Python that has AddressSanitizer preloaded; `scripts/fuzz.py` starts it.

    session.py EXTENSION

A wrong access ends the process with a report. What is computed is checked elsewhere: here it is enough that it is.
"""

import os
import sys
import tempfile

import duckdb

EXTENSION = sys.argv[1]

RATINGS = """CREATE TABLE {name} AS SELECT {user} AS user_id, {item} AS item_id, 1 + (u * i + u) % 5 AS rating,
    CASE WHEN (u + i) % 7 = 0 THEN NULL ELSE 1 + u % 3 END AS weight, TIMESTAMP '2020-01-01' + INTERVAL (u * i) HOUR AS at
FROM range({users}) a(u), range({items}) b(i) WHERE (u + 2 * i) % 5 > 0"""

TRAININGS = {
    "dot": "'ratings', 8", "texts": "'texts', 8", "narrow": "'ratings', 1, bias := false, y_range := NULL",
    "weighted": "'ratings', 20, weight_col := 'weight'", "by time": "'texts', 4, time_col := 'at'", "dense": "'ratings', 17, updates := 'dense'",
    "sparse": "'ratings', 33, updates := 'sparse'", "adam": "'ratings', 8, optimizer := 'adam'", "sgd": "'ratings', 8, optimizer := 'sgd', bias := 'user'",
    "classic": "'wide', 16, optimizer := 'classic_sgd'", "wide": "'wide', 50, batch_size := 4096", "half": "'ratings', 8, preset := 'cofi_cost', epochs := 3",
    "classifier": "'ratings', 8, loss := 'cross_entropy'", "layers": "'ratings', NULL, architecture := 'mlp', layers := [20, 10], dropout := 0.1",
    "sparse layers": "'texts', 8, architecture := 'mlp', layers := [8], updates := 'sparse'", "accumulated": "'ratings', 8, accumulate := 4",
    "stock": "'ratings', 8, operators := 'stock'", "patient": "'ratings', 8, patience := 1, epochs := 20", "validated": "'ratings', 8, validation := 'wide'",
    "half a name": "'main.ratings', 8, l2 := 0.1", "large": "'(SELECT u AS user_id, u % 7 AS item_id, u % 5 AS rating FROM range(30000) a(u))', 30", "query": "'(FROM ratings WHERE user_id > 3)', 8",
}  # fmt: skip

PAIRS = "(SELECT u, i FROM range(-3, 45) a(u), range(-3, 40) b(i))"

QUERIES = [
    "SELECT cofi_predict(u, i, '{model}'), cofi_baseline(u, i, '{model}') FROM {pairs}",
    "SELECT cofi_predict('user number ' || u, 'an item with a long name ' || i, '{model}') FROM {pairs}",
    "SELECT cofi_predict(u::VARCHAR, i::VARCHAR, '{model}') FROM {pairs}",
    "SELECT cofi_predict(nullif(u, 3), nullif(i, 4), CASE WHEN u % 2 = 0 THEN '{model}' ELSE 'dot' END) FROM {pairs}",
    "SELECT cofi_predict_proba(u, i, '{model}') FROM {pairs}",
    "SELECT cofi_similar(i, 1 + i % 50, '{model}') FROM range(50) b(i)", "SELECT cofi_similar('an item with a long name ' || i, 5, '{model}') FROM range(50) b(i)",
    "SELECT cofi_similar_users(u, 100, '{model}') FROM range(50) a(u)", "SELECT cofi_recommend(u, 5, '{model}') FROM range(-2, 50) a(u)",
    "SELECT cofi_recommend('user number ' || u, 5, '{model}', false) FROM range(-2, 50) a(u)",
    "SELECT cofi_user_factors(u, '{model}'), cofi_item_factors('an item with a long name ' || u, '{model}') FROM range(50) a(u)",
    "FROM cofi_recommend_all(7, model := '{model}')", "FROM cofi_users(model := '{model}')", "FROM cofi_items(model := '{model}')",
    "FROM cofi_pca(2, model := '{model}')", "FROM cofi_evaluate('ratings', model := '{model}', k := 5)", "FROM cofi_evaluate('texts', model := '{model}')",
    "FROM cofi_confusion('ratings', model := '{model}')", "FROM cofi_history(model := '{model}')", "FROM cofi_export('{model}', '{folder}/model.onnx')",
    "FROM cofi_report('{model}', '{folder}/report.html', titles := '(SELECT item_id, item_id::VARCHAR AS title FROM ratings)', ratings := 'ratings')",
]  # fmt: skip

OTHERS = [
    "FROM cofi_models()", "FROM cofi_info()", "FROM cofi_options()", "FROM cofi_lr_find('ratings', 8)", "FROM cofi_train('ratings', 8, warm_start := true, model := 'dot')",
    "FROM cofi_train('nobody', 8)", "FROM cofi_train('ratings', 8, seed := [1, NULL, 'x'])", "FROM cofi_train('ratings', -1)", "SELECT cofi_predict(1, 2, 'nobody')",
    "SELECT cofi_recommend(1, -1)", "SELECT __cofi_read(1, 2, 3.0)", "FROM cofi_train('scratch', 4)", "FROM cofi_drop('narrow')", "FROM cofi_drop('narrow')",
    "FROM cofi_train('strange', 4, model := 'strange')", "SET cofi_onnxruntime = '/nowhere/libonnxruntime.so'", "FROM cofi_info()", "RESET cofi_onnxruntime",
    "FROM cofi_train('ratings', 8, device := 'cuda')", "SET threads = 1", "FROM cofi_train('wide', 8, model := 'dot')", "SELECT cofi_predict(u, i) FROM {pairs}",
    "SET memory_limit = '100MB'", "FROM cofi_train('ratings', 4096, model := 'large')", "FROM cofi_train('SELECT 1', 4)",
    "UPDATE cofi_store.models SET lo = 'nan', created_at = created_at + INTERVAL 1 HOUR WHERE name = 'texts'", "SELECT cofi_predict('user number 1', '2', 'texts')",
    "DROP SCHEMA cofi_store CASCADE", "SELECT cofi_predict(1, 2)", "FROM cofi_recommend_all(3)", "FROM cofi_models()",
]  # fmt: skip


def connect(path=":memory:"):
    connection = duckdb.connect(path, config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{EXTENSION}'")
    connection.execute("SET threads = 4")
    connection.execute("SET enable_progress_bar = false")
    return connection


def ask(connection, sql):
    """Whether it was answered; what was not is an error, and no crash."""
    try:
        connection.execute(sql).fetchall()
    except duckdb.Error:
        return False
    return True


def main():
    n_asked = n_answered = 0
    with tempfile.TemporaryDirectory(prefix="cofi-sanitizer-") as folder:
        connection = connect(f"{folder}/test.duckdb")
        number, text = ("u", "i"), ("'user number ' || u", "'an item with a long name ' || i")
        for name, (user, item), users, items in [("ratings", number, 40, 35), ("texts", text, 40, 35), ("wide", number, 400, 300)]:
            connection.execute(RATINGS.format(name=name, user=user, item=item, users=users, items=items))
        connection.execute("CREATE TEMP TABLE scratch AS FROM ratings")
        connection.execute("CREATE TABLE strange AS SELECT uuid() AS user_id, {'a': i} AS item_id, i % 3 + 0.5 AS rating FROM range(100) b(i)")
        for model, arguments in TRAININGS.items():
            assert ask(connection, f"FROM cofi_train({arguments}{'' if 'epochs' in arguments else ', epochs := 2'}, model := '{model}')"), model
            for query in QUERIES:
                n_asked += 1
                n_answered += ask(connection, query.format(model=model, pairs=PAIRS, folder=folder))
        other = connect()  # a second database of the process
        other.execute("CREATE TABLE ratings AS SELECT u AS user_id, u % 7 AS item_id, u % 5 AS rating FROM range(200) a(u)")
        assert ask(other, "FROM cofi_train('ratings', 4)") and ask(other, "SELECT cofi_predict(1, 1)")
        other.close()
        for sql in OTHERS:
            n_asked += 1
            n_answered += ask(connection, sql.format(pairs=PAIRS) if "pairs" in sql else sql)
        connection.close()
    print(f"{n_asked} asked, {n_answered} answered")
    assert n_answered > n_asked // 2


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os.environ.pop("LD_PRELOAD", None)
