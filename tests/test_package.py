"""The package from outside: its names, its command line, and its wheel."""

import os
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from conftest import REPOSITORY
from test_labels import NAMES, SHAPE, model_of

import whatwhere
from whatwhere.__main__ import main
from whatwhere.errors import UserError

PROGRAM = """
import sys
import whatwhere
assert dir(whatwhere) == sorted([*whatwhere.__all__, "__version__"])
assert not {"torch", "numpy", "pandas"} & {*sys.modules}
sys.modules |= dict.fromkeys(("bokeh", "matplotlib", "seaborn"))  # as if they were not installed
import numpy as np
from whatwhere.api import definition
rng = np.random.default_rng(0)
model = definition("factorized_three_layers")
model["cores"][0] |= {"channels": [2], "kernels": [3], "padding": ["valid"]}
model["cores"][0] |= {"smooth_layers": [1], "sparse_layers": [0]}
model["grid"] = [{"smoothness": [0.003], "joint_l1": [0.02]}]
model["training"] |= {"max_steps": 5, "evaluate_every": 5}
fitted = whatwhere.fit(rng.random((60, 8, 8)), rng.poisson(2.0, (60, 3)), model=model)
try:
    fitted.plot()
except whatwhere.UserError as error:
    print(whatwhere.__version__, whatwhere.__file__, error, sep="\\n")
"""


def test_names_of_the_package_are_those_of_its_modules():
    from whatwhere import api, comparison, errors
    from whatwhere.fitted import model

    assert whatwhere.fit is api.fit
    assert whatwhere.load is api.load
    assert whatwhere.compare is api.compare
    assert whatwhere.Comparison is comparison.Comparison
    assert whatwhere.FittedModel is model.FittedModel
    assert whatwhere.UserError is errors.UserError
    assert issubclass(UserError, ValueError)
    assert {*whatwhere.__all__} < {*dir(whatwhere)}
    with pytest.raises(AttributeError, match="no attribute 'fits'"):
        _ = whatwhere.fits


def test_stubs_name_what_the_package_has():
    stub = (REPOSITORY / "workflow_scripts/whatwhere/__init__.pyi").read_text(encoding="utf-8")
    named = {line.rpartition(" as ")[2] for line in stub.splitlines() if " as " in line}
    assert named == {*whatwhere.__all__}


def test_a_fit_is_printed_saved_and_shown(tmp_path, monkeypatch, capsys, rng):
    from conftest import factorized

    given = {}

    def fit(images, responses, **options):
        given.update(options, images=images.values, responses=responses.values)
        return model_of(factorized(), rng)

    monkeypatch.setattr("whatwhere.api.fit", fit)
    images, responses = rng.random((*SHAPE[1:], 40)), rng.random((40, 3))
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "all.npz", responses=responses)
    arguments = ["fit", str(tmp_path / "images.npy"), str(tmp_path / "all.npz:responses")]
    saved = tmp_path / "model.pt"
    assert main([*arguments, "--images_layout", "y,x,image", "--output", str(saved)]) == 0
    np.testing.assert_array_equal(given["images"], images)
    np.testing.assert_array_equal(given["responses"], responses)
    assert (given["images_layout"], given["responses_layout"], given["model"]) == (
        ["y", "x", "image"],
        None,
        None,
    )
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    assert main(["show", str(saved)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("FittedModel: cnn_factorized for 3 neurons")
    assert printed.startswith(shown.partition("\ntest:")[0])
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "none.npy", "none.npy"], "none.npy: no such file"),
        (["show", "none.pt"], "none.pt: no such file"),
        (["check", "none.yaml"], "none.yaml"),
        (["plan", "none.yaml"], "none.yaml"),
        (["answers", "none.yaml"], "none.yaml"),
    ],
)
def test_what_is_missing_is_named_in_one_line(arguments, message, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"]])
def test_help_needs_no_files(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.slow
def test_a_wheel_is_built_installed_and_used_without_the_plotting_stack(tmp_path):
    source, target = tmp_path / "source", tmp_path / "installed"
    for folder in ("workflow_scripts", "config"):
        shutil.copytree(REPOSITORY / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, source)

    def run(*command):
        environment = os.environ | {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"whatwhere-{whatwhere.__version__}-py3-none-any.whl"
    run(*pip, "install", "--no-deps", "--no-index", "--target", target, wheel)
    version, place, error = run(sys.executable, "-c", PROGRAM).splitlines()
    assert version == whatwhere.__version__
    assert place == str(target / "whatwhere" / "__init__.py")
    assert "whatwhere[plots]" in error
    assert (target / "whatwhere" / "py.typed").exists()
    assert "answers" in run(target / "bin" / "whatwhere", "--help")


def test_every_package_is_in_the_wheel():
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folder = REPOSITORY / "workflow_scripts"
    found = {
        ".".join(path.parent.relative_to(folder).parts) for path in folder.glob("whatwhere/**/__init__.py")
    }
    assert found == {*listed["packages"]} - {"whatwhere.defaults"}


@pytest.mark.slow
def test_a_reader_that_stops_reading_causes_no_traceback():
    command = f"set -o pipefail; {sys.executable} -m whatwhere plan | head -n 1"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow_scripts")}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("run quick")
