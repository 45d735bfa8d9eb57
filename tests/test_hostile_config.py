"""Every key of every kind of config, given everything it must not hold; some through the real command."""

import copy
import functools
import itertools
import json
import math

import pytest
from conftest import CONFIGURATIONS, factorized, resolved
from recording_files import IMAGE, SPLIT
from tiny_run import configuration, experiment, finished_files, snakemake, write_config

from whatwhere.config.files import read
from whatwhere.config.resolve import EXPERIMENT
from whatwhere.config.validation import validate
from whatwhere.errors import UserError

pytestmark = pytest.mark.slow

FULLY_CONNECTED = factorized(
    family="cnn_fully_connected",
    readout={"weight_sd": 0.01, "dropout": 0.5},
    grid=[{"readout_l2": [0.1], "activity_l1": [0.1], "smoothness": [0.1], "group_sparsity": [0.1]}],
)


@functools.cache
def valid():
    """A configuration with every kind of dataset and every family of models."""
    configs = [resolved(name) for name in CONFIGURATIONS]
    families = {
        model["family"]: model
        for config in configs
        for model in config["models"].values()
        if "family" in model
    }
    kinds = {one["kind"]: one for config in configs for one in config["datasets"].values() if "kind" in one}
    config = {
        "run": "mine",
        "mirror": None,
        "device": "auto",
        "checkpoint_seconds": 60,
        "sta_smoothing": 17,
        "datasets": kinds
        | {
            "pooled": kinds["pooled"] | {"recordings": ["arrays", "images"]},
            "antolik2016": kinds["antolik2016"] | {"checksums": True},
            "arrays": {
                "kind": "arrays",
                "images": "a.npy",
                "responses": "b.npy",
                "layout": ["image", "channel", "y", "x"],
                "responses_layout": ["repeat", "image", "neuron"],
                "splits_from": "c.npy",
                "image": IMAGE | {"crop": [0, 0, 10, 10], "size": [5, 5]},
                "split": SPLIT,
            },
            "images": {"kind": "images", "images": "a", "responses": "b.csv", "image": IMAGE, "split": SPLIT},
            "sensorium": {"kind": "sensorium", "path": "a", "image": IMAGE},
        },
        "models": families
        | {
            "factorized": resolved()["models"]["factorized_three_layers"],
            "fixed": factorized(family="cnn_fixed_mask", grid=[{"feature_l1": [0.1]}]),
            "full": FULLY_CONNECTED,
            "ensemble": {"family": "ensemble", "members": ["ridge"], "grid": [{}]},
        },
        "experiments": [
            experiment(datasets=["simulated_dog"], models=["mean"], n_neurons=[10, "all"], n_images=[500])
        ],
    }
    # Without shared parts, so that every place can be changed alone.
    return json.loads(json.dumps(config))


REQUIRED_OF_BANKS = ("wavelengths", "orientations", "average_pooling")
OPTIONAL = {
    "layout",
    "responses_layout",
    "splits_from",
    "checksums",
    "label",
    "localizer",
    "kernel_start",
    "paper",
    "repetitions",
    "feature_bank",
    "temporal_basis",
    "responses",
    "side_by_side",
    "schedule",
    "weight_decay",
    "max_steps",
    "max_epochs",
    *EXPERIMENT,
}


def places(value, path=()):
    """Path of every key below a value; elements of lists are left to those who check lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def at(config, path):
    for key in path:
        config = config[key]
    return config


def own_copy(path):
    """The config to change at a path, without the datasets and models that have no part in it."""
    few = {"datasets": {"simulated_dog"}, "models": {"mean"}}
    config = {
        key: {name: value[name] for name in value if name in few[key] | {*path}} if key in few else value
        for key, value in valid().items()
    }
    return copy.deepcopy(config)


def changed(path, value):
    config = own_copy(path)
    at(config, path[:-1])[path[-1]] = value
    return config


def refusal(config):
    """The one line that a config is refused with."""
    sources = [("mine.yaml", config)]
    with pytest.raises(UserError) as error:
        validate(config, sources)
    message = str(error.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    return message


def key_of(path):
    return ".".join(map(str, path))


@functools.cache
def keys():
    return list(places(valid()))


@functools.cache
def numbers():
    return [path for path in keys() if type(at(valid(), path)) in (int, float)]


def is_free(path):
    """Whether a key may be missing. Names are the user's choice, and so is every penalty of a grid."""
    return (
        path[:-1] in (("datasets",), ("models",))
        or "grid" in path[:-1]
        or path[-1] in OPTIONAL
        or (path[-1] == "sta_smoothing" and len(path) > 1)
        # Files may name their axes, and no clip needs to test.
        or ("clips" in path and path[-1] in ("frames_axes", "responses_axes", "test"))
        or path[-1] == "output_curve"
        or ("feature_bank" in path[:-1] and path[-1] not in REQUIRED_OF_BANKS)
        # An inference of locations says whether it is fitted again.
        or (path[-1] == "refit" and at(valid(), path[:-1])["family"] != "localization")
    )


def test_the_config_that_is_broken_below_is_valid():
    validate(valid(), [("mine.yaml", valid())])
    assert len(keys()) > 150


def test_every_key_refuses_a_mapping_with_unknown_keys():
    for path in keys():
        message = refusal(changed(path, {"surprise": 1}))
        named = key_of(path[: next((i for i, key in enumerate(path) if isinstance(key, int)), len(path))])
        assert named.rpartition(".")[0] in message
        assert "surprise" in message or named in message


def test_every_required_key_is_missed_by_name():
    for path in itertools.filterfalse(is_free, keys()):
        config = own_copy(path)
        del at(config, path[:-1])[path[-1]]
        message = refusal(config)
        assert f"key '{path[-1]}' is missing" in message
        assert (key_of(path[:-1]) or "top level") in message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "7", True], ids=str)
def test_every_number_refuses_what_is_no_finite_number(value):
    for path in numbers():
        assert key_of(path) in refusal(changed(path, value))


def is_whole(path):
    return (
        path[-1] in ("sta_smoothing", "region", "folds", "seed", "patch", "image_size")
        or path[-1] in ("n_neurons", "n_images", "n_test", "validation_max")
        or (path[-2:-1] == ("training",) and path[-1] not in ("learning_rate", "factor", "weight_decay"))
    )


@pytest.mark.parametrize("value", [8.0, 1.5, -1])
def test_every_count_is_a_whole_number(value):
    for path in filter(is_whole, numbers()):
        assert key_of(path) in refusal(changed(path, value))


ELEMENTS = {
    ("datasets", "simulated_dog", "scales", 0): [0, -1, "wide", None],
    ("datasets", "arrays", "image", "crop", 2): [0, -1, 1.5, None],
    ("datasets", "arrays", "image", "size", 0): [0, 5000, 1.5, None],
    ("models", "ridge", "grid", 0, "ridge_l2", 0): [-1, math.nan, "strong", None],
    ("models", "factorized", "grid", 0, "joint_l1", 0): [-0.1, math.inf, None],
    ("models", "factorized", "cores", 0, "channels", 0): [0, -3, 2.5, None],
    ("models", "factorized", "cores", 0, "kernels", 0): [0, -3, 2.5, None],
    ("models", "factorized", "cores", 0, "padding", 0): ["full", 0, None],
    ("models", "factorized", "cores", 0, "smooth_layers", 0): [-1, math.nan, None],
    ("experiments", 0, "datasets", 0): ["none", 1, None],
    ("experiments", 0, "models", 0): ["none", 1, None],
    ("experiments", 0, "seeds", 0): ["a", None],
    ("experiments", 0, "n_neurons", 0): ["some", 0, None],
    ("experiments", 0, "n_images", 0): ["some", 0, 10**9, None],
    ("experiments", 0, "selection", 0): ["best", None],
}


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in ELEMENTS.items() for value in values], ids=str
)
def test_every_list_refuses_wrong_elements(path, value):
    assert key_of(path[:2]) in refusal(changed(path, value))


NAMES = ["", "A", "a b", "a/b", "../a", "é", "a\n", "a" * 101, "a.b", "{a}", "$HOME"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["run", "dataset", "model", "experiment"])
def test_names_that_make_bad_paths_are_refused(place, name):
    config = copy.deepcopy(valid())
    if place == "run":
        config["run"] = name
    elif place == "experiment":
        config["experiments"][0]["name"] = name
    else:
        config[f"{place}s"][name] = next(iter(config[f"{place}s"].values()))
    assert repr(name)[1:-1][:50] in refusal(config)


@pytest.mark.parametrize("key", [1, None, True, 1.5], ids=str)
@pytest.mark.parametrize("section", ["datasets", "models"])
def test_names_that_are_no_text_are_refused(section, key):
    config = copy.deepcopy(valid())
    config[section][key] = next(iter(config[section].values()))
    assert section in refusal(config)


YAML = {
    "deep": "[" * 3000,
    "recursive": "a: &a [*a]\n? *a\n: 1",
    "binary": "a: \x00",
    "a list for a key": "? [a]\n: 1",
    "code": "a: !!python/name:os.system",
}


@pytest.mark.parametrize("content", YAML.values(), ids=YAML)
def test_hostile_yaml_is_one_line(tmp_path, content):
    (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(UserError) as error:
        read(tmp_path / "bad.yaml")
    assert str(error.value).startswith(f"{tmp_path}/bad.yaml: ")
    assert "\n" not in str(error.value)


def test_the_command_ends_with_the_line_and_without_results(tmp_path):
    write_config(tmp_path, configuration(devise="cpu"))
    done = snakemake(tmp_path)
    assert done.returncode != 0
    assert f"Error: {tmp_path}/mine.yaml: top level: unknown key 'devise'" in done.stdout
    assert "Traceback" not in done.stdout
    assert finished_files(tmp_path) == {}
