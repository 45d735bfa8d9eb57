"""First pages of a run and of its report: answers, figures, explorer, links -> index.html, opening.html."""

import base64
import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2
from docutils.core import publish_parts

from whatwhere.files import atomic, read_table
from whatwhere.logs import run_job

MAX_EXPLORER = 20_000_000
"""Bytes of a compressed explorer that the report still holds."""


def caption(text: str, params: dict[str, str]) -> str:
    """A caption of the report, a template of reStructuredText with params of the job, as HTML."""
    filled = jinja2.Template(text).render(snakemake={"params": params})
    return str(publish_parts(filled, writer="html5")["fragment"])


def described(
    figure: str, titles: dict[str, str], labels: dict[str, str], datasets: dict[str, str]
) -> tuple[str, str, dict[str, str]]:
    """Title, name of the caption and params of the caption of a figure below the folder of the run."""
    name, *wildcards = Path(figure).with_suffix("").parts[1:]
    match wildcards:
        case [dataset]:
            return f"{titles[name]}: {datasets[dataset]}", name, {"label": datasets[dataset]}
        case [_, dataset, model]:
            shown = {"model": labels[model], "dataset": datasets[dataset]}
            return f"{titles[name]}: {shown['model']} on {shown['dataset']}", name, shown
    return titles[name], name, {}


def answers(sentences: str | Path) -> list[dict[str, object]]:
    """Questions and answers, each split into its first words, the verdict, and the rest."""
    found = []
    for row in read_table(sentences).itertuples():
        verdict, colon, rest = str(row.sentence).partition(":")
        answered = not verdict.startswith("Not answered")
        words = {"verdict": verdict + colon, "rest": rest} if answered else {"rest": row.sentence}
        found.append({"question": row.question, "text": row.text, "answered": answered, **words})
    return found


def page(
    results: list[str],
    titles: dict[str, str],
    labels: dict[str, str],
    datasets: dict[str, str],
    run: str,
    captions: Iterable[str | Path],
    template: str | Path,
    sentences: str | Path | None = None,
) -> str:
    """The page of a run as HTML; its links are relative, so that the folder of the run can move.

    ``results`` are paths below this folder. ``titles`` are those of figures, by the names of their files or
    folders, in the order of the page; ``captions`` are files that are named as their figures; ``template`` is
    one of jinja2. Without ``sentences`` the run goes on, and the page shows the results that are there.
    """
    texts = {Path(path).stem: Path(path).read_text(encoding="utf-8") for path in captions}
    figures = []
    drawn = [path for path in results if path.startswith("figures/")]
    for path in sorted(drawn, key=lambda path: list(titles).index(Path(path).with_suffix("").parts[1])):
        title, name, params = described(path, titles, labels, datasets)
        figures.append({"path": path, "title": title, "caption": caption(texts[name], params)})
    tables = [Path(path).stem for path in results if path.startswith("tables/")]
    described_datasets = [Path(path).stem for path in results if path.startswith("datasets/")]
    return jinja2.Template(Path(template).read_text(encoding="utf-8"), autoescape=True).render(
        run=run,
        pending=sentences is None,
        answers=[] if sentences is None else answers(sentences),
        figures=figures,
        datasets=[(name, datasets[name]) for name in described_datasets],
        explorer="explore.html" in results,
        tables=[{"name": name, "caption": caption(texts["table"], {"name": name})} for name in tables],
    )


def main(
    shown: dict[str, Any],
    sentences: str | Path,
    front: str | Path,
    explorer: list[str],
    opening_template: str | Path,
    index: str | Path,
    opening: str | Path,
) -> None:
    """Writes the page ``index`` of a run, with arguments of :func:`page`, and the ``opening`` of its report.

    The report is one file: its opening holds ``front``, the answers and their pictures, and the explorer, if
    any, which a browser opens from a script, because it shows no frame of more than 2 MB.
    """
    with atomic(index) as temporary:
        temporary.write_text(page(**shown, sentences=sentences), encoding="utf-8")
    inside = [gzip.compress(Path(path).read_bytes(), mtime=0) for path in explorer]
    with atomic(opening) as temporary:
        content = jinja2.Template(Path(opening_template).read_text(encoding="utf-8")).render(
            front=Path(front).read_text(encoding="utf-8"),
            explorer="".join(base64.b64encode(one).decode() for one in inside if len(one) <= MAX_EXPLORER),
        )
        temporary.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    run_job(main, snakemake)
