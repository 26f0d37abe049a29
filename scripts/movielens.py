"""Fetches MovieLens 100K and writes it as three tab-separated tables.

    movielens.py FOLDER

GroupLens does not allow others to hand the data set on, so it is fetched, never committed. The Python package recbole
carries it whole and in the order of the original `u.data`; only the files are taken out, the package is not installed.
"""

import csv
import hashlib
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "recbole==1.2.1"
INSIDE = "recbole/dataset_example/ml-100k/ml-100k"

CITATION = """MovieLens 100K: F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context.
ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872"""

# name of the table: its columns here, the ending of its file there, rows, SHA-256 of what is written
TABLES = {
    "ratings": (["user", "item", "rating", "timestamp"], "inter", 100_000, "5344e217a76268fedbfb1552741c89ab9281ccd7bfd3ea43a11bddafb11a55bc"),
    "items": (["item", "title", "year", "genres"], "item", 1_682, "21dc5886fe723ebb8fdbc1da4faec0767756c415f137411dd017472f09054f7d"),
    "users": (["user", "age", "gender", "occupation", "zip_code"], "user", 943, "a0eb2b1e95b52845a937b9ae9f963863a7fa66524a3e7fad993b27293fd1bcde"),
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as download:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", download, PACKAGE], check=True)
        wheel = next(pathlib.Path(download).glob("recbole-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            for name, (columns, ending, n_rows, digest) in TABLES.items():
                rows = read_table(archive.read(f"{INSIDE}.{ending}").decode("utf-8"))
                if name == "items":
                    rows = [clean_item(row) for row in rows]
                write_table(folder / f"{name}.tsv", columns, rows, n_rows, digest)
    print(CITATION)


def read_table(text: str) -> list[list[str]]:
    """The rows below the header, in the order of the file."""
    return list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def clean_item(row: list[str]) -> list[str]:
    """An item without the package's slips: a misspelt title without a year, and a year left in its title."""
    item, title, year, genres = row
    if title == "unkonwn":
        title, year = "unknown", ""
    elif not year.isdigit():
        title, year = title.removesuffix(")").rsplit(" (", 1)
    return [item, title, year, genres]


def write_table(path: pathlib.Path, columns: list[str], rows: list[list[str]], n_rows: int, digest: str) -> None:
    """Writes a table, or stops where it is not the known one."""
    content = "".join("\t".join(row) + "\n" for row in [columns, *rows]).encode("utf-8")
    found = hashlib.sha256(content).hexdigest()
    if len(rows) != n_rows or found != digest:
        sys.exit(f"movielens: {path.name} has {len(rows)} rows and SHA-256 {found}, not {n_rows} rows and {digest}")
    path.write_bytes(content)
    print(f"{path}: {len(rows):,} rows")


if __name__ == "__main__":
    main()
