"""A table as a page of the report: table.csv -> table.html."""

from pathlib import Path

from whatwhere.files import read_table
from whatwhere.logs import run_job
from whatwhere.pages import paragraph, table, write_page


def main(path: str | Path, name: str, page: str | Path) -> None:
    """Writes the table ``path`` to ``page``."""
    note = f"The file is {path}; undefined values are empty."
    write_page(f"Table {name}", [paragraph(note), table(read_table(path))], page)


if __name__ == "__main__":
    run_job(main, snakemake)
