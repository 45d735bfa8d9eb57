"""Configurations that init writes: they load the planted pairs as they are, or ask for a key."""

import h5py
import numpy as np
import pytest
from planted import answers, folder_of_pictures, pictures, survives, table
from scipy.io import savemat

from whatwhere.__main__ import main
from whatwhere.config.load import load as load_config
from whatwhere.errors import UserError
from whatwhere.init import describe, init

ORDER = np.random.default_rng(8).permutation(40)
SHOWN = np.random.default_rng(2).permutation(np.repeat(np.arange(40), 2))
IMAGES, VALUES = pictures(), answers(pictures())


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Lets the check of what is written write below a temporary folder."""
    monkeypatch.chdir(tmp_path)


def written(folder, *files):
    """Definition that init writes for files, after a check that its pairs are the planted ones."""
    output = folder / "mine.yaml"
    output.unlink(missing_ok=True)
    lines = init([str(folder / file) for file in files], output)
    assert any(line.strip().startswith("Pairs: ") for line in lines), lines
    definition = load_config([output]).config["datasets"]["mine"]
    survives(definition, folder)
    return definition


def asked(folder, *files):
    """Keys that init leaves to choose; the check refuses what it writes for them."""
    output = folder / "mine.yaml"
    lines = init([str(folder / file) for file in files], output)
    assert "left to choose" in lines[0]
    with pytest.raises(UserError, match="write one of"):
        load_config([output])
    return dict(line.strip().split(": ", 1) for line in lines[1:])


def edited(folder, old, new):
    """Checks the planted pairs of what init wrote, after an edit."""
    path = folder / "mine.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    survives(load_config([path]).config["datasets"]["mine"], folder)


@pytest.mark.parametrize(
    ("images", "responses", "layout", "responses_layout"),
    [
        (IMAGES, VALUES, ["image", "y", "x"], ["image", "neuron"]),
        (IMAGES.transpose(1, 2, 0), VALUES.T, ["y", "x", "image"], ["neuron", "image"]),
    ],
)
def test_arrays_with_one_reading_are_read_as_written(tmp_path, images, responses, layout, responses_layout):
    np.savez(tmp_path / "a.npz", stimuli=images, resp=responses)
    definition = written(tmp_path, "a.npz")
    assert (definition["layout"], definition["responses_layout"]) == (layout, responses_layout)


@pytest.mark.parametrize(("kind", "base"), [("npy", 0), ("npy", 1), ("mat", 1), ("h5", 0)])
def test_the_base_of_an_index_is_asked_for(tmp_path, base, kind):
    content = {"images": IMAGES, "resp": VALUES[SHOWN], "istim": SHOWN + base}
    if kind == "mat":
        savemat(tmp_path / "a.mat", content)
    elif kind == "h5":
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for name, values in content.items():
                file[f"session/{name}"] = values
    else:
        for name, values in content.items():
            np.save(tmp_path / f"{name}.npy", values)
    files = [f"{name}.npy" for name in content] if kind == "npy" else [f"a.{kind}"]
    assert asked(tmp_path, *files) == {"index_base": "write one of 0 or 1"}
    edited(tmp_path, "write one of 0 or 1", str(base))


def test_shapes_with_several_readings_are_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, responses=answers(pictures(), repeats=3))
    keys = asked(tmp_path, "a.npz")
    expected = "write one of [repeat, image, neuron] or [neuron, image, repeat]"
    assert keys == {"responses_layout": expected}
    with pytest.raises(UserError, match=r"mine.yaml: exists"):
        init([str(tmp_path / "a.npz")], tmp_path / "mine.yaml")


def test_a_table_and_a_folder_of_pictures_are_read_as_written(tmp_path):
    names = [f"img_{number:02d}.png" for number in range(40)]
    folder_of_pictures(tmp_path, names)
    rows = [[names[i], place % 2, "ok", "grey", *VALUES[i]] for place, i in enumerate(ORDER)]
    header = ["stimulus", "aborted", "comment", "group", *(f"unit_{n}" for n in range(5))]
    table(tmp_path, header, rows)
    definition = written(tmp_path, "pictures", "responses.csv")
    assert definition["neurons"] == ["unit_*"]
    assert definition["image_of_presentation"] == "stimulus"
    assert "# ignored: [aborted, comment, group]" in (tmp_path / "mine.yaml").read_text()


def test_a_list_of_responses_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, responses=VALUES[:, 0])
    with pytest.raises(UserError, match=r"has shape \(40,\), expected"):
        init([str(tmp_path / "a.npz")], tmp_path / "mine.yaml")


def test_columns_whose_names_do_not_tell_are_asked_for(tmp_path):
    folder_of_pictures(tmp_path, [f"{number}.png" for number in range(40)])
    table(tmp_path, list("abcde"), VALUES.tolist())
    columns = "write one of a or b or c or d or e"
    expected = {"image_of_presentation": columns, "neurons": "write one of [a, b, c, d, e]"}
    assert asked(tmp_path, "pictures", "responses.csv") == expected


def test_a_table_of_one_row_per_neuron_is_refused(tmp_path):
    folder_of_pictures(tmp_path, [f"{number}.png" for number in range(40)])
    rows = [[f"{i}.png", n, float(VALUES[i, n])] for i in range(40) for n in range(5)]
    table(tmp_path, ["image", "unit_id", "response"], rows)
    with pytest.raises(UserError, match="names the neuron of every row"):
        init([str(tmp_path / "pictures"), str(tmp_path / "responses.csv")], tmp_path / "mine.yaml")


def test_a_session_in_nwb_asks_for_the_window(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w"):
        pass
    assert asked(tmp_path, "a.nwb") == {"window": "write one of [0, 300] or [50, 250]"}


def test_a_window_that_is_given_is_written(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w"):
        pass
    lines = describe([str(tmp_path / "a.nwb")], [50, 250])
    assert ("window", [50, 250]) in [line[:2] for line in lines]
    np.savez(tmp_path / "b.npz", images=IMAGES, responses=VALUES)
    with pytest.raises(UserError, match="--window: is for a single NWB file"):
        describe([str(tmp_path / "b.npz")], [50, 250])


def test_the_command_line_says_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch):
    assert main(["init", str(tmp_path / "none.npy")]) == 1
    assert "none.npy: no such file or folder" in capsys.readouterr().err
    np.savez(tmp_path / "a.npz", images=IMAGES, responses=VALUES)
    files = [str(tmp_path / "a.npz"), "--output", str(tmp_path / "mine.yaml")]
    assert main(["init", *files]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path}/mine.yaml is written")


def test_splits_that_leave_out_the_validation_images_are_completed_by_a_key(tmp_path):
    np.savez(tmp_path / "a.npz", stimuli=IMAGES, resp=VALUES, split=np.repeat([2, 0], [10, 30]))
    assert written(tmp_path, "a.npz")["tiers"] == {"assign": ["train"]}
