"""Pages of the report: tables and facts as self-contained HTML."""

import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from whatwhere.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS = 500
"""A browser opens a page of the report only up to 2 MB, so longer tables are cut."""

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1e293b; max-width: 90rem; }
p { max-width: 60rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.table { overflow: auto; max-height: 85vh; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 12px; }
th, td { padding: .2rem .4rem; text-align: left; border-bottom: 1px solid #e2e8f0; vertical-align: top; }
th { border-bottom: 2px solid #475569; position: sticky; top: 0; background: white; }
svg { max-width: 100%; height: auto; }
pre { background: #f1f5f9; padding: 1rem; overflow-x: auto; font-size: 12px; }
"""


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def heading(text: str) -> str:
    """A heading within a page."""
    return f"<h2>{escape(text)}</h2>"


def items(texts: list[str]) -> str:
    """A list of lines of plain text."""
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>"


def code(text: str) -> str:
    """Preformatted text."""
    return f"<pre>{escape(text)}</pre>"


def picture(figure: "Figure") -> str:
    """A figure as SVG within the page; closes it."""
    # Most pages have none.
    from matplotlib import pyplot as plt

    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    plt.close(figure)
    drawing = stream.getvalue()
    return drawing[drawing.index("<svg") :]


def number(value: float) -> str:
    """Four significant digits; empty where undefined."""
    return "" if pd.isna(value) else f"{value:.4g}"


def table(frame: pd.DataFrame) -> str:
    """The first :data:`MAX_ROWS` rows of a table; missing values are empty.

    The table fits its window: values that all rows share stand above it, columns without values are left out,
    headings wrap, and what is still wider scrolls within the page.
    """
    known = frame.dropna(axis=1, how="all")
    alike = [name for name in known if len(known) > 1 and known[name].nunique(dropna=False) == 1]
    shared = ", ".join(f"{_words(str(name))} {_text(known[name].iloc[0])}" for name in alike)
    shown = known.drop(columns=alike).head(MAX_ROWS).rename(columns=lambda name: _words(str(name)))
    body = shown.to_html(index=False, border=0, na_rep="", float_format=number, escape=True)
    above = paragraph(f"In all rows: {shared}.") if shared else ""
    rest = paragraph(f"Rows 1 to {len(shown)} of {len(frame)}.") if len(shown) < len(frame) else ""
    return f'{above}<div class="table">{body}</div>{rest}'


def _words(name: str) -> str:
    """The name of a column with spaces, at which a heading can wrap."""
    return name.replace("_", " ")


def _text(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def write_page(title: str, content: list[str], path: str | Path) -> None:
    """Writes a page with pieces of HTML under a title."""
    body = "\n".join(content)
    with atomic(path) as temporary:
        temporary.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{_STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n",
            encoding="utf-8",
        )
