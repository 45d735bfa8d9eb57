import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import factorized
from recording_files import WRITERS, write_arrays
from tiny_run import configuration, experiment

from whatwhere.check import main
from whatwhere.config.files import read
from whatwhere.config.load import load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Lets the check write below a temporary folder."""
    monkeypatch.chdir(tmp_path)


def mine(folder, definition, **changes):
    """Path of a config with one recorded dataset and one model."""
    config = configuration(
        datasets={"mine": definition},
        models={"factorized": factorized()},
        experiments=[experiment(datasets=["mine"])],
    )
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(config | changes))
    return str(path)


@pytest.mark.parametrize("kind", sorted(set(WRITERS) - {"antolik2016"}))
def test_what_is_understood_of_every_kind_of_recording_is_printed(tmp_path, capsys, kind):
    assert main([mine(tmp_path, WRITERS[kind](tmp_path))]) == 0
    printed = capsys.readouterr().out
    assert "dataset mine" in printed
    assert "Images: 40 of 1 x 10 x 12 (channel, y, x)" in printed
    assert "Neurons: 4" in printed
    assert [path.name for path in (tmp_path / "results").rglob("*.*")] == ["check.yaml"]


def test_published_files_are_read_from_a_mirror_and_never_downloaded(tmp_path, capsys):
    definition = WRITERS["antolik2016"](tmp_path)
    assert main([mine(tmp_path, definition)]) == 0
    assert "downloaded by the workflow" in capsys.readouterr().out
    assert main([mine(tmp_path, definition, mirror=str(tmp_path / "mirror"))]) == 0
    assert "Presentations per image: 1 to 5" in capsys.readouterr().out
    assert main([mine(tmp_path, definition, mirror=str(tmp_path / "none"))]) == 1
    assert "none" in capsys.readouterr().err


def test_the_quick_configuration_is_checked_without_arguments(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert "simulated_dog: 100 neurons" in printed
    assert "all keys in full: results/quick/check.yaml\n" in printed
    complete, expected = read(Path("results/quick/check.yaml")), load([]).config
    assert complete["experiments"] == expected["experiments"]
    for section in ("datasets", "models"):
        used = {name for one in expected["experiments"] for name in one[section]}
        assert complete[section] == {name: expected[section][name] for name in used}


def test_the_check_ends_with_the_number_of_fits_their_time_and_disk(tmp_path, capsys):
    definition = write_arrays(tmp_path)
    changes = {"seeds": [0, 1, 2], "n_images": [20, "all"], "datasets": ["mine"]}
    assert main([mine(tmp_path, definition, experiments=[experiment(**changes)])]) == 0
    # Three seeds of two sizes, with two settings of the grid.
    last = capsys.readouterr().out.splitlines()[-1]
    counts = re.escape("models: 1, datasets: 1, fits (sizes, settings, seeds): 12; about ")
    assert re.fullmatch(counts + r"\d+ s on one core of .* and \d+ MB", last)


def test_what_is_suspicious_is_a_warning(tmp_path, caplog):
    definition = write_arrays(tmp_path)
    trials = np.random.default_rng(3).random((3, 40, 4))
    trials[..., 1] = 0
    np.save(tmp_path / "responses.npy", trials)
    assert main([mine(tmp_path, definition)]) == 0
    assert "datasets.mine: 1 neurons never respond: [1]" in caplog.text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Other sizes are refused by the same function, see test_dataset.py.
        ({"n_neurons": [5]}, "experiments.0: mine: n_neurons 5 is more than the 4 there are"),
        ({"models": ["localized_one_kernel"]}, "models.localized_one_kernel.kernel: 17 px do not fit"),
        ({"models": ["wide"]}, "models.wide.cores.0.kernels: a kernel of 11 px does not fit"),
    ],
)
def test_what_the_recorded_images_and_neurons_do_not_allow_is_refused(tmp_path, capsys, changes, expected):
    wide = factorized()
    wide["cores"][0]["kernels"] = [11]
    changed = [experiment(datasets=["mine"], **changes)]
    models = {"factorized": factorized(), "wide": wide}
    assert main([mine(tmp_path, write_arrays(tmp_path), models=models, experiments=changed)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert expected in error
    assert error.count("\n") == 1


def test_models_that_cannot_predict_negative_responses_are_refused(tmp_path, capsys):
    definition = write_arrays(tmp_path)
    np.save(definition["responses"], -1 - np.load(definition["responses"]))
    assert main([mine(tmp_path, definition, models={"factorized": factorized()})]) == 1
    expected = "a poisson loss cannot fit negative responses, and 4 neurons have some"
    assert expected in capsys.readouterr().err
    linear = factorized(convention="signed_recording")
    assert main([mine(tmp_path, definition, models={"factorized": linear})]) == 0
