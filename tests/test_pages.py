import base64
import gzip
import html
import re

import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY

import build_index
import describe_run
import render_table
from whatwhere.config.load import load
from whatwhere.files import read_table
from whatwhere.pages import MAX_ROWS, table

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


@pytest.fixture
def benchmarks(tmp_path):
    folder = tmp_path / "benchmarks"
    (folder / "train" / "a").mkdir(parents=True)
    (folder / "train" / "a" / "n1.tsv").write_text(HEADER + "10\t0:00:10\t50\t1\t1\t1\t0\t0\t90\t9\n")
    (folder / "train" / "a" / "n2.tsv").write_text(HEADER + "20\t0:00:20\t80\t1\t1\t1\t0\t0\t90\t18\n")
    (folder / "collect_scores.tsv").write_text(HEADER + "0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t-\t0.1\n")
    return folder


def test_run_times_are_sums_over_the_jobs_of_a_rule(benchmarks):
    times = describe_run.times(benchmarks).set_index("rule")
    assert times.index.tolist() == ["train", "collect_scores", "all rules"]
    assert times.loc["train"].tolist() == [2, 30, 20, 27, 80]
    assert times.loc["all rules", ["n_jobs", "max_memory_mb"]].tolist() == [3, 80]
    assert pd.isna(times.loc["collect_scores", "max_memory_mb"])


@pytest.mark.slow
def test_the_run_page_holds_configuration_and_versions(benchmarks, tmp_path):
    config = load([]).config
    summary = {name: [1, 1] for name in describe_run.KEYS}
    summary |= {"model": ["whole", "short"], "converged": [1, 0.5], "at_edge": 0}
    pd.DataFrame(summary).to_csv(tmp_path / "summary.csv", index=False)
    paths = [tmp_path / name for name in ("summary.csv", "run_times.csv", "software.csv", "run.html")]
    describe_run.main(config, REPOSITORY, benchmarks, *paths)
    page = paths[3].read_text()
    assert "<td>short</td>" in page
    assert "<td>whole</td>" not in page
    shown = page.partition("<pre>")[2].partition("</pre>")[0]
    assert yaml.safe_load(html.unescape(shown)) == config
    versions = read_table(paths[2]).set_index("package")["version"]
    assert versions["torch"].startswith("2.")
    assert set(versions.index) >= {"numpy", "snakemake", "python", "whatwhere (this workflow)"}


def test_a_run_without_doubtful_fits_says_so():
    summary = pd.DataFrame({name: [1] for name in describe_run.KEYS} | {"converged": [1.0], "at_edge": [0.0]})
    (text,) = describe_run.doubtful(summary)
    assert "All fits converged" in text
    assert "<table" in "".join(describe_run.doubtful(summary.assign(at_edge=0.1)))


def test_a_page_escapes_what_it_shows(tmp_path):
    hostile = pd.DataFrame({"name": ["<script>alert(1)</script>"], "value": [None]})
    hostile.to_csv(tmp_path / "t.csv", index=False)
    render_table.main(tmp_path / "t.csv", "t", tmp_path / "t.html")
    page = (tmp_path / "t.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "NaN" not in page


def test_a_table_is_narrow_without_what_all_rows_share_and_what_is_empty():
    rows = pd.DataFrame({"model": "ridge", "mean_feve": [0.5, 0.25], "missing": None, "n_seeds": 3})
    page = table(rows)
    assert "<p>In all rows: model ridge, n seeds 3.</p>" in page
    assert page.count("<th>") == 1
    assert "<th>mean feve</th>" in page


def test_long_tables_are_cut_and_say_so():
    page = table(pd.DataFrame({"neuron": range(MAX_ROWS + 1)}))
    assert page.count("<tr") == MAX_ROWS + 1
    assert f"Rows 1 to {MAX_ROWS} of {MAX_ROWS + 1}." in page


CAPTIONS = sorted((REPOSITORY / "rules" / "captions").glob("*.rst"))


def index_of(folder, results, rows):
    """The first page of a run with these results and answers."""
    pd.DataFrame(rows).to_csv(folder / "sentences.csv", index=False)
    titles = {"fig1": "Figure 1: the model", "fig4": "Figure 4: two cell types"}
    titles |= {"recording": "Recordings", "barcodes": "Barcodes", "most_exciting": "Most exciting images"}
    labels, datasets = {"cnn_a": "CNN <A>", "m": "network"}, {"d": "drawings", "v4": "macaque V4"}
    template = REPOSITORY / "rules" / "captions" / "index.html"
    (folder / "front.html").write_text("<p>front & center</p>")
    explorer = [folder / "explore.html"] if "explore.html" in results else []
    for path in explorer:
        path.write_text("<p>every neuron</p>")
    shown = {"results": results, "titles": titles, "labels": labels, "datasets": datasets, "run": "mine"}
    shown |= {"captions": CAPTIONS, "template": template}
    (folder / "begun.html").write_text(build_index.page(**shown))
    inputs = folder / "sentences.csv", folder / "front.html", explorer, template.with_name("opening.html")
    build_index.main(shown, *inputs, folder / "index.html", folder / "opening.html")
    return (folder / "index.html").read_text()


ANSWER = {"question": 3, "text": "Better?", "sentence": "Yes: a < b."}
OPEN = {"question": 6, "text": "Others?", "sentence": "Not answered by this run: add an experiment."}


def test_the_first_page_shows_every_figure_with_its_caption_and_links_every_result(tmp_path):
    figures = ["fig4", "fig1", "recording/v4", "barcodes/e/d/cnn_a", "most_exciting/e/d/m"]
    results = [*(f"figures/{name}.svg" for name in figures), "datasets/d.html", "explore.html"]
    page = index_of(tmp_path, [*results, "tables/scores.csv"], [ANSWER, OPEN])
    assert page.index("Figure 1: the model") < page.index("Figure 4: two cell types")
    for path in results:
        assert f'"{path}"' in page
    assert "Barcodes: CNN &lt;A&gt; on drawings" in page
    assert "Recordings: macaque V4" in page
    assert page.count("<figcaption>") == len(figures)
    assert "{{" not in page
    assert "<strong>a</strong> Feature weights of all neurons" in page
    assert 'href="pages/tables/scores.html"' in page
    assert "Scores of the selected fits on test data" in page


def test_the_first_page_sets_answers_apart_from_open_questions(tmp_path):
    page = index_of(tmp_path, [], [ANSWER, OPEN])
    assert "<strong>Yes:</strong> a &lt; b." in page
    assert page.index("3. Better?") < page.index("<details") < page.index("6. Others?")
    assert "<details" not in index_of(tmp_path, [], [ANSWER])
    assert "explore.html" not in page


def test_the_report_opens_with_the_answers_and_holds_the_explorer(tmp_path):
    index_of(tmp_path, [], [ANSWER])
    assert "<p>front & center</p>" in (tmp_path / "opening.html").read_text()
    assert "button" not in (tmp_path / "opening.html").read_text()
    index_of(tmp_path, ["explore.html"], [ANSWER])
    inside = re.search("<span hidden>(.*)</span>", (tmp_path / "opening.html").read_text()).group(1)
    assert gzip.decompress(base64.b64decode(inside)) == b"<p>every neuron</p>"


def test_the_page_of_a_run_that_goes_on_shows_figures_and_no_answer(tmp_path):
    page = index_of(tmp_path, ["figures/fig1.svg", "tables/scores.csv"], [ANSWER])
    begun = (tmp_path / "begun.html").read_text()
    for text in ("This run goes on", 'http-equiv="refresh"', "Pending until all models are fitted"):
        assert text in begun
        assert text not in page
    assert '"figures/fig1.svg"' in begun
    assert "pages/answers.html" not in begun
    assert "scores.csv" not in begun
