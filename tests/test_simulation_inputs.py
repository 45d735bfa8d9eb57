import numpy as np
import pytest
from PIL import Image

from simulate import main
from whatwhere.dataset import open_dataset
from whatwhere.recordings import input_files

CONDITIONS = {
    "kind": "simulated_v1",
    "n_simple_types": 1,
    "n_complex_types": 1,
    "n_neurons": 4,
    "patch": 7,
    "mean_count": 1.0,
    "n_repeats": 2,
    "stimuli": {"source": "recording", "dataset": "tiny"},
    "image_size": 8,
    "normalize": "global",
    "n_images": 60,
    "n_test": 10,
    "validation_fraction": 0.2,
    "validation_max": 0,
    "seed": 0,
}


def test_nothing_but_the_config_makes_generated_stimuli():
    assert input_files(CONDITIONS | {"stimuli": {"source": "generated"}}) == []


def test_files_and_recordings_are_inputs_and_addresses_are_not(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no image")
    space = {"name": "vgg19", "layer": "conv1_1", "weights": "vgg19.pth", "sha256": "0" * 64}
    images = {"source": "images", "path": str(tmp_path)}
    units = {"kind": "simulated_features", "stimuli": images, "feature_space": space}
    assert input_files(units) == [str(tmp_path / "a.png"), "vgg19.pth"]
    assert input_files(CONDITIONS | {"stimuli": images | {"path": "pictures.zip"}}) == ["pictures.zip"]
    assert input_files(CONDITIONS) == []
    remote = space | {"weights": "https://example.org/a.pth"}
    assert input_files({"kind": "simulated_features", "feature_space": remote}) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["simulated_v1", "simulated_features"])
def test_the_script_shows_the_images_of_a_recording(kind, tiny_dataset, tmp_path, rng):
    larger = tiny_dataset.drop_vars("images")
    larger["images"] = (
        ("image", "channel", "y", "x"),
        rng.standard_normal((60, 3, 30, 30)).astype(np.float32),
    )
    larger.to_netcdf(tmp_path / "tiny.nc")
    definition = CONDITIONS
    if kind == "simulated_features":
        shared = {
            key: CONDITIONS[key]
            for key in CONDITIONS
            if key in ("stimuli", "normalize", "n_images", "n_test")
        }
        definition = shared | {
            "kind": kind,
            "feature_space": {"name": "v1"},
            "n_types": 2,
            "n_neurons": 4,
            "color": "rgb",
            "image_size": 16,
            "validation_fraction": 0.125,
            "validation_max": 1024,
            "seed": 0,
        }
    main("shown", definition, [tmp_path / "tiny.nc"], tmp_path, tmp_path / "shown.nc")
    with open_dataset(tmp_path / "shown.nc") as data:
        assert data.sizes["image"] == 70
        if kind == "simulated_features":
            shown, stored = (set(d["images"].values.ravel().tolist()) for d in (data, larger))
            assert shown <= stored
        assert "images of tiny" in data.attrs["source"]
