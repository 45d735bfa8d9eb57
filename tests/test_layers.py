"""No import runs upward: every package knows only those below it."""

import ast
import functools

import pytest
from conftest import REPOSITORY

LIBRARY = REPOSITORY / "workflow_scripts" / "whatwhere"
LAYERS = ["config", "models", "localization", "training"]


@functools.cache
def imported(path):
    """Names of the library's packages and modules that a module imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "whatwhere":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {name.name for name in node.names}
        elif isinstance(node, ast.Import):
            names |= {name.name.split(".")[1] for name in node.names if name.name.startswith("whatwhere.")}
    return names


def reached(package):
    """Everything of the library that a package needs, directly or not."""
    found, waiting = set(), [package]
    while waiting:
        name = waiting.pop()
        folder = LIBRARY / name
        files = folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
        new = {other for file in files for other in imported(file)} - found
        found |= new
        waiting += new
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_needs_none_above_it(package):
    above = LAYERS[LAYERS.index(package) + 1 :]
    assert reached(package) & set(above) == set()


def test_training_stands_on_models_and_localization():
    """Otherwise nothing is tested above."""
    assert {"models", "localization"} <= reached("training")


def test_the_configuration_is_read_without_torch():
    modules = {"config"} | reached("config")
    files = [file for name in modules for file in ((LIBRARY / name).rglob("*.py"))]
    files += [LIBRARY / f"{name}.py" for name in modules if (LIBRARY / f"{name}.py").exists()]
    assert not [file for file in files if "import torch" in file.read_text(encoding="utf-8")]
