import subprocess
import sys

from repository_copy import REPOSITORY, snakemake

from whatwhere.config import read
from whatwhere.models.families import FAMILIES


def test_what_the_snakefile_imports_does_not_import_torch():
    imports = [
        line
        for line in (REPOSITORY / "rules" / "common.smk").read_text().splitlines()
        if line.startswith("from whatwhere")
    ]
    program = "\n".join(["import sys", *imports, "sys.exit('torch' in sys.modules)"])
    assert len(imports) > 1
    folder = REPOSITORY / "workflow_scripts"
    assert subprocess.run([sys.executable, "-c", program], cwd=folder).returncode == 0


def families(condition):
    """Families that a condition of the schema names."""
    return condition.get("enum", [condition.get("const")])


def test_models_have_training_exactly_if_they_have_no_closed_form():
    schema = read(REPOSITORY / "config" / "schemas" / "models.schema.yaml")
    trained = {
        family
        for branch in schema["allOf"]
        if "training" in branch["then"].get("required", [])
        for family in families(branch["if"]["properties"]["family"])
    }
    assert set(schema["properties"]["family"]["enum"]) == set(FAMILIES)
    assert trained == {name for name, family in FAMILIES.items() if family.fit is None}


def test_figure_1_is_drawn_from_a_network_although_inference_comes_first(tmp_path):
    configuration = str(REPOSITORY / "config" / "data_efficiency.yaml")
    done = snakemake(
        REPOSITORY,
        "--dry-run",
        "--directory",
        str(tmp_path),
        "--configfile",
        configuration,
        "--",
        "results/data_efficiency/figures/fig1.svg",
    )
    assert done.returncode == 0, done.stderr
    assert "Describe the fits of factorized_two_kernels" in done.stdout
    assert "Describe the fits of localized_two_kernels" not in done.stdout
