import subprocess
import sys

from conftest import REPOSITORY

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
