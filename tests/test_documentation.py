import pkgutil
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY

from whatwhere.config.files import SCHEMAS, read
from whatwhere.config.reference import update

ENVIRONMENTS = REPOSITORY / "envs"


def test_every_key_is_documented_as_the_schemas_describe_it():
    readme = REPOSITORY / "config" / "README.md"
    assert readme.read_text(encoding="utf-8") == update(readme), "run make docs"


def test_no_key_lacks_its_description():
    rows = [
        line for line in update(REPOSITORY / "config" / "README.md").splitlines() if line.startswith("| `")
    ]
    empty = [row for row in rows if not row.split("|")[-2].strip()]
    assert len(rows) > 100
    assert empty == []


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_is_listed(path):
    assert f"`{path.name}`" in (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")


def pins(text):
    """Version of every pinned package of a requirements file; of several, the one of Python 3.12."""
    found = re.findall(r"^([\w.-]+)==([\w.]+)(?: ; (.*?))? ?\\?$", text, re.MULTILINE)
    return {name: version for name, version, marker in found if ">= '3.14'" not in marker}


LOCKED = {
    name: version
    for file in ("requirements.lock", "torch.txt")
    for name, version in pins((ENVIRONMENTS / file).read_text()).items()
}


def test_the_conda_environment_has_the_pins_of_the_lock():
    environment = yaml.safe_load((ENVIRONMENTS / "whatwhere.yaml").read_text())
    (packages,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    stated = pins("\n".join(packages))
    assert len(stated) == len(packages)
    assert stated == {name: LOCKED[name] for name in stated}


def test_the_conda_environment_has_everything_the_library_imports():
    environment = (ENVIRONMENTS / "whatwhere.yaml").read_text()
    direct = re.findall(r'^  "([\w-]+)', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(direct) >= {"numpy", "torch"}
    assert [name for name in direct if f"- {name}==" not in environment] == []


def test_versions_agree():
    stated = re.search(r'^version = "(.*)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)[1]
    citation = read(REPOSITORY / "CITATION.cff")
    # What is not released yet has no version.
    latest = re.search(r"^## (\d\S*)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert stated == citation["version"] == latest


def links(text):
    return [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("config/*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_between_documents_lead_somewhere(path):
    broken = [link for link in links(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()]
    assert broken == []


def keys_of(schema):
    """Names of all properties anywhere in a schema, whatever condition they depend on."""
    if isinstance(schema, list):
        return set().union(*map(keys_of, schema))
    if not isinstance(schema, dict):
        return set()
    named = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return named.union(*map(keys_of, schema.values()))


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.yaml")), ids=lambda path: path.name)
def test_no_key_of_the_schemas_is_left_out(path):
    described = (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.\[\]]+)` \|", described, re.MULTILINE)
    # A mapping is described by its keys, and the two that choose a section by its title.
    named = {key for row in rows for key in re.findall(r"\w+", row)} | {"kind", "family"}
    assert keys_of(read(path)) - named == set()


def test_every_table_has_a_caption():
    rules = "".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    made = set(re.findall(r"/tables/(\w+)\.csv", rules)) - {"answers", "sentences", "run_times", "software"}
    caption = (REPOSITORY / "rules" / "captions" / "table.rst").read_text(encoding="utf-8")
    assert len(made) >= 6
    assert [name for name in made if f'"{name}": "' not in caption] == []


def test_timings_are_those_of_the_benchmark():
    measured = pd.read_csv(REPOSITORY / "benchmarks" / "results" / "bench_cpu.csv").set_index("what").ratio
    page, on_a_gpu = (REPOSITORY / "docs" / "speed.md").read_text(encoding="utf-8").split("## On a GPU")
    rows = re.findall(r"^\| ([^|]+) \| ([0-9.]+) \|", page, re.MULTILINE)
    assert len(rows) > 8
    for what, ratio in rows:
        assert float(ratio) == pytest.approx(measured[what], rel=0.05), what
    steps = pd.read_csv(REPOSITORY / "benchmarks" / "results" / "steps_gpu.csv")
    times = steps.pivot(index="settings", columns="way", values="milliseconds")
    shown = re.findall(r"^\| (\d+) \| (.+) \|$", on_a_gpu, re.MULTILINE)
    assert len(shown) == 2
    for n_settings, cells in shown:
        found = [float(cell) if cell.strip() else np.nan for cell in cells.split("|")]
        expected = times.loc[int(n_settings), ["plain", "one by one", "recorded"]]
        np.testing.assert_allclose(found, expected, rtol=0.05)


def test_times_of_the_readme_are_those_of_the_benchmarks():
    results = REPOSITORY / "benchmarks" / "results"
    measured = pd.read_csv(results / "bench_cpu.csv")[["ratio", "target"]]
    runs = pd.read_csv(results / "whole_runs.csv")[["minutes", "goal"]]
    gpu = pd.read_csv(results / "steps_gpu.csv").query("settings == 10").set_index("way").milliseconds
    pairs = np.concatenate([measured, runs, [[gpu["recorded"] / gpu["plain"], 0.05]]]).round(3)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = [row.split("|") for row in readme.split("| goal | here |\n")[1].split("\n\n")[0].splitlines()[1:]]
    assert len(shown) > 5
    for _, what, goals, here, _ in shown:
        values = re.findall(r"\d*\.?\d+", here)
        assert len(values) == len(re.findall(r"\d*\.?\d+", goals)), what
        for goal, value in zip(re.findall(r"\d*\.?\d+", goals), values, strict=True):
            found = pairs[pairs[:, 1] == float(goal), 0]
            assert np.min(np.abs(found / float(value) - 1)) < 0.05, (what, goal, value)
            assert (float(value) <= float(goal)) or "missed" in here, (what, goal, value)


def test_references_in_docstrings_lead_somewhere():
    sources = sorted((REPOSITORY / "workflow_scripts").rglob("*.py"))
    names = {
        name
        for source in sources
        for name in re.findall(r":(?:func|class|mod|data):`(whatwhere[\w.]*)`", source.read_text())
    }
    assert len(names) > 10
    for name in names:
        pkgutil.resolve_name(name)


RESULTS = {
    "| images | 1 neuron | 10 |": ("results.md", "fig3", 5),
    "| images | OLS | ridge | lasso": ("results.md", "fig3", 3),
    "| neurons | FEVE .3 |": ("results.md", "fig3_exchange_rates", 4),
    "| images | factorized | the same": ("results.md", "fig5", 7),
    "| images | FEVE, trained |": ("results.md", "fig4_images", 4),
    "| model | correlation with the repeat mean, fields": ("results.md", "v1_like", 2),
    "| candidate | V4 201025": ("results.md", "v4_panel", 2),
    "| candidate | 201025 |": ("results.md", "v4_sessions", 9),
    "| recording, pooled |": ("results.md", "v4_pooled", 5),
    "| candidate | correlation | share": ("results.md", "v1_noisy", 1),
    "| target and way |": ("results.md", "transfer", 5),
    "| neurons | 2⁷ images": ("locations.md", "data_efficiency", 4),
}
"""Where a table begins, the page, the file that it shows, and the number of columns with our values."""


def test_every_committed_table_says_what_made_it():
    folder = REPOSITORY / "docs" / "results"
    rows = re.findall(r"^\| (`.+?`) \| `(\S+?)`", (folder / "README.md").read_text(), re.MULTILINE)
    listed = [name for names, _ in rows for name in re.findall(r"`(.+?)`", names)]
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.csv"))
    assert [source for _, source in rows if not (REPOSITORY / source).exists()] == []


def numbers(text):
    return re.findall(r"-?\d*\.\d+", text)


def assert_measured(values, name):
    """Every number is one of a committed table, rounded."""
    table = pd.read_csv(REPOSITORY / "docs" / "results" / f"{name}.csv")
    measured = table.select_dtypes("number").to_numpy().ravel()
    for value in values:
        half = 0.5 * 10.0 ** -len(value.split(".")[1])
        assert np.nanmin(np.abs(measured - float(value))) <= half * 1.001, value


@pytest.mark.parametrize("begin", RESULTS)
def test_results_of_the_pages_are_those_of_the_committed_tables(begin):
    page, name, n_columns = RESULTS[begin]
    _, rows = (REPOSITORY / "docs" / page).read_text(encoding="utf-8").split(begin)
    shown = [row.split("|")[2 : 2 + n_columns] for row in rows.split("\n\n")[0].splitlines()[2:]]
    values = [value for row in shown for cell in row for value in numbers(cell)]
    assert len(values) > 7
    assert_measured(values, name)


def test_results_of_the_readme_are_those_of_the_committed_tables():
    _, rows = (
        (REPOSITORY / "README.md").read_text(encoding="utf-8").split("| what | paper | here | scores |\n")
    )
    shown = [row.split("|") for row in rows.split("\n\n")[0].splitlines()[1:]]
    assert len(shown) > 5
    for row in shown:
        (name,) = re.findall(r"docs/results/(\w+)\.csv", row[4])
        assert numbers(row[3])
        assert_measured(numbers(row[3]), name)
