"""README's example of an approximate index, on the extension `vss` of a DuckDB for which PyPI has it."""

import json
import re
import subprocess
import unittest

from support import ROOT, InFolder, connect

# `make configure` fills this folder where the packages can be had.
HOST = ROOT / "configure/venv-vss/bin/python"

# Items in two circles, as many as make an approximate index differ from a search through all.
RATINGS = """CREATE TABLE ratings AS
SELECT u AS user_id, i AS item_id, 1 + (hash(u % 37 * 1000 + i % 61) + u * i) % 5 AS rating
FROM range(1500) users(u), range(2000) items(i) WHERE hash(u * 2000 + i) % 60 = 0"""

CHILD = """
import duckdb, glob, json, os, sys
import duckdb_extension_vss
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
[extension] = glob.glob(os.path.join(os.path.dirname(duckdb_extension_vss.__file__), "extensions/*/vss.duckdb_extension"))
connection.execute(f"LOAD '{extension}'")
table, width, statements, items = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
connection.execute(f"CREATE MACRO cofi_items() AS TABLE SELECT id, factors::FLOAT[{width}] AS factors FROM '{table}'")
create, index, ask, find = statements
connection.execute(create)
connection.execute(index)
answers, plans = [], []
for item in items:
    connection.execute(ask.replace("50", str(item)))
    plans.append(connection.execute("EXPLAIN " + find).fetchall()[0][1])
    answers.append(connection.execute(find).fetchall())
print(json.dumps({"answers": answers, "uses_index": all("HNSW_INDEX_SCAN" in plan for plan in plans)}))
"""


class Nearest(InFolder):
    def test_an_index_finds_what_cofi_similar_finds(self):
        if not HOST.exists():
            self.skipTest("no DuckDB with its extension vss here: make configure/venv-vss/done")
        connection = connect(self.file)
        connection.execute(RATINGS)
        connection.execute("CALL cofi_train('ratings', 8, epochs := 3)")
        table, items = self.folder / "items.parquet", list(range(0, 2000, 40))
        connection.execute(f"COPY (SELECT id, factors::FLOAT[] AS factors FROM cofi_items()) TO '{table}'")
        exact = connection.execute(
            "SELECT list_transform(cofi_similar(item, 10), lambda x: [x.item, x.similarity]) FROM unnest(?) t(item)", [items]
        ).fetchall()
        arguments = [HOST, "-c", CHILD, str(table), "8", json.dumps(statements()), json.dumps(items)]
        child = subprocess.run(arguments, capture_output=True, text=True)
        self.assertEqual(child.returncode, 0, child.stderr)
        found = json.loads(child.stdout)
        self.assertTrue(found["uses_index"])
        n_found = 0
        for item, [similar], answer in zip(items, exact, found["answers"], strict=True):
            self.assertEqual((answer[0][0], len(answer)), (item, 11))
            similarities = dict(similar)
            for other, similarity in answer[1:]:
                if other in similarities:
                    n_found += 1
                    self.assertAlmostEqual(similarity, similarities[other], delta=1e-5)
        self.assertGreater(n_found, 0.9 * 10 * len(items))


def statements():
    """README's statements after the extension is loaded: a table, an index, whom to ask about, the question."""
    text = (ROOT / "README.md").read_text()
    [block] = [block for block in re.findall("```sql\n(.*?)```", text, re.DOTALL) if "USING HNSW" in block]
    block = re.sub("--.*", "", block)
    return [statement.strip() for statement in block.split(";") if statement.strip()][2:]


if __name__ == "__main__":
    unittest.main()
