import pkgutil
import re
import tomllib

import pytest
import yaml
from conftest import REPOSITORY
from write_keys import README, update
from write_numbers import DOCUMENTS, typed, written

from whatwhere.config.files import SCHEMAS, read

ENVIRONMENTS = REPOSITORY / "envs"


def test_every_key_is_documented_as_the_schemas_describe_it():
    assert README.read_text(encoding="utf-8") == update(), "run make docs"


def test_no_key_lacks_its_description():
    rows = [line for line in update().splitlines() if line.startswith("| `")]
    empty = [row for row in rows if not row.split("|")[-2].strip()]
    assert len(rows) > 100
    assert empty == []


@pytest.mark.parametrize("path", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_is_listed(path):
    assert f"`{path.name}`" in (REPOSITORY / "config" / "README.md").read_text(encoding="utf-8")


def pins(text):
    """Version of every pinned package of a requirements file, for Python 3.12."""
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
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["plots"]]
    direct = [re.match(r"[\w-]+", name)[0] for name in needed]
    assert set(direct) >= {"numpy", "torch", "bokeh"}
    assert [name for name in direct if f"- {name}==" not in environment] == []


def test_the_version_is_stated_in_one_place():
    import whatwhere

    # Changes that are not released have no version.
    latest = re.search(r"^## (\d\S*) ?(.*)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    citation = read(REPOSITORY / "CITATION.cff")
    assert whatwhere.__version__ == latest[1]
    assert latest[2] == f"({citation['date-released']})"
    assert "version" not in citation
    assert 'dynamic = ["version"]' in (REPOSITORY / "pyproject.toml").read_text()


def test_forms_and_the_workflow_of_the_repository_are_readable():
    folder = REPOSITORY / ".github"
    forms = [read(path) for path in folder.glob("ISSUE_TEMPLATE/*.yml") if path.stem != "config"]
    assert all({"name", "description", "body"} <= set(form) for form in forms)
    assert len(forms) == 3
    (job,) = read(folder / "workflows" / "ci.yml")["jobs"].values()
    assert {"run": ".ci/run"} in job["steps"]


def test_the_paper_cites_what_its_bibliography_has():
    cited = set(re.findall(r"@(\w+)", (REPOSITORY / "paper.md").read_text(encoding="utf-8")))
    known = set(
        re.findall(r"^@\w+\{(\w+),", (REPOSITORY / "paper.bib").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert cited == known


def links(text):
    return [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("config/*.md")])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
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
    # A mapping is described by its keys; kind and family are described by the titles of sections.
    named = {key for row in rows for key in re.findall(r"\w+", row)} | {"kind", "family"}
    assert keys_of(read(path)) - named == set()


def test_every_table_has_a_caption():
    rules = "".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    made = set(re.findall(r"/tables/(\w+)\.csv", rules)) - {"answers", "sentences", "run_times", "software"}
    caption = (REPOSITORY / "rules" / "captions" / "table.rst").read_text(encoding="utf-8")
    assert len(made) >= 6
    assert [name for name in made if f'"{name}": "' not in caption] == []


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


def test_every_committed_table_says_what_made_it():
    folder = REPOSITORY / "docs" / "results"
    rows = re.findall(r"^\| (`.+?`) \| `(\S+?)`", (folder / "README.md").read_text(), re.MULTILINE)
    listed = [name for names, _ in rows for name in re.findall(r"`(.+?)`", names)]
    assert sorted(listed) == sorted(path.name for path in folder.glob("*.csv"))
    assert [source for _, source in rows if not (REPOSITORY / source).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_numbers_of_documents_are_those_of_the_committed_tables(path):
    text = path.read_text(encoding="utf-8")
    assert text == written(text), "run make docs"
    assert typed(text) == [], "a number needs a query, see docs/write_numbers.py"


TABLE = """<!-- table
corner: images
file: docs/results/fig4_images.csv
where: model == 'localized_two_kernels'
show: "{feve:.2f}"
columns: {FEVE: {}}
rows: {2⁹: n_images == 512, 2¹⁰: n_images == 1024}
-->

| images | FEVE |
|---|---|
| 2⁹ | 0.88 |
| 2¹⁰ | 0.89 |
"""
NUMBER = '0.89<!-- {file: docs/results/fig4.csv, where: correlation > 0.9, show: "{feve_pooled:.2f}"} -->.'


@pytest.mark.parametrize(("text", "number", "other"), [(TABLE, "0.88", "0.89"), (NUMBER, "0.89", "0.90")])
def test_a_number_of_another_row_is_overwritten(text, number, other):
    assert written(text).strip() == text.strip()
    assert written(text.replace(number, other)) == written(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It reaches 0.84, not .84 or -0.2.", ["0.84", ".84", "-0.2"]),
        ("It wins in 83 % of the runs.", ["83 %"]),
        ("| model | types |\n|---|---|\n| ridge | 24 |", ["24"]),
        ("A 95 % confidence interval after 1.5 hours of Python 3.11, see arXiv:1711.02653 and A.2", []),
        ("Set `rate: 0.5`.\n```yaml\nrate: 0.5\n```\n<!-- cited: K. -->0.5<!-- end of citation -->", []),
    ],
)
def test_a_result_without_a_query_is_found(text, found):
    assert typed(f"{TABLE}\n{text} {NUMBER}") == found


@pytest.mark.parametrize("row", ["n_images == 500", "n_images > 500"])
def test_a_query_that_leaves_no_row_or_several_is_refused(row):
    with pytest.raises(ValueError, match=r"fig4_images.csv has [05] rows where .*must leave one"):
        written(TABLE.replace("n_images == 512", row))
