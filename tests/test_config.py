import copy

import pytest
import yaml
from conftest import REPOSITORY, resolved
from recording_files import write_arrays, write_images

from whatwhere.config.files import merge, read
from whatwhere.config.validation import validate
from whatwhere.errors import UserError


def reduced(config):
    """A configuration with the models, datasets and the experiment that the tests of this module change."""
    models = ["mean", "ridge", "ridge_shared_patch", "cnn_one_kernel", "factorized_two_kernels"]
    return config | {
        "models": {name: config["models"][name] for name in (*models, "factorized_bank")},
        "datasets": {name: config["datasets"][name] for name in ("two_types", "v1_like", "four_features")},
        "experiments": [
            one | {"datasets": ["two_types"], "models": ["mean", "ridge", "factorized_two_kernels"]}
            for one in config["experiments"]
            if one["name"] == "fig4"
        ],
    }


DEFAULT = reduced(resolved())


def within(definition, path, value):
    """A copy of a definition with another value at a path, or with nothing there for KeyError."""
    place = definition = copy.deepcopy(definition)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    if value is KeyError:
        del place[path[-1]]
    return definition


MODEL = ("models", "factorized_two_kernels")
RIDGE = ("models", "ridge")
CORE = (*MODEL, "cores", 0)
DATA = ("datasets", "two_types")
V1 = ("datasets", "v1_like")
UNITS = ("datasets", "four_features")
FIRST = ("experiments", 0)

MISTAKES = [
    (("rum",), "quick", "unknown key 'rum'"),
    (("run",), "My run", "run: 'My run' may hold only"),
    (("run",), 3, "run: 3 has the wrong type; it must be string"),
    (("device",), "gpu", "device: 'gpu' is not allowed; use one of auto, cpu, cuda"),
    (("datasets", "Bad name"), DEFAULT["datasets"]["two_types"], "'Bad name' may hold only"),
    ((*DATA, "n_image"), 10, "unknown key 'n_image'; allowed are kind, label, scales"),
    ((*DATA, "seed"), 10**30, "datasets.two_types.seed: 1000000000000000000000000000000 is greater"),
    ((*DATA, "n_images"), KeyError, "key 'n_images' is missing"),
    ((*DATA, "n_neurons"), 201, "201 is no multiple of the 2 types or scales"),
    ((*DATA, "patch"), 49, "a receptive field of 49 px does not fit into 48 px"),
    ((*DATA, "patch"), 16, "must be odd"),
    ((*RIDGE, "input"), "patch", "models.ridge.input: 'patch' is not allowed; use one of image, features"),
    ((*RIDGE, "grid"), [{"lasso_l1": [1]}], "unknown key 'lasso_l1'; allowed are ridge_l2"),
    (("models", "mean", "grid"), [{"ridge_l2": [1]}], "models.mean.grid"),
    ((*V1, "stimuli"), {"source": "generated"}, "simulations show generated images: leave it out"),
    ((*UNITS, "n_neurons"), 102, "102 is no multiple of the 4 types"),
    ((*UNITS, "n_neurons"), 1028, "257 units per type are more than the 256 locations in 28 px"),
    ((*MODEL, "grid"), [], "models.factorized_two_kernels.grid: [] needs at least 1"),
    ((*MODEL, "grid", 0, "mask_l1"), [-0.1], "grid.0.mask_l1.0"),
    (("threads_per_fit",), 2, "every fit has one thread, because other numbers"),
    ((*MODEL, "loss"), "mse", "'loss' is a key of an earlier version: in a network write 'convention: "),
    ((*MODEL, "relocation"), {}, "'relocation' is a key of an earlier version: neurons are no longer moved"),
    ((*MODEL, "bank"), {}, "'bank' is a key of an earlier version: write 'feature_bank'"),
    ((*MODEL, "family"), "combined", "'combined' is a value of an earlier version: write 'ensemble'"),
    ((*FIRST, "figure"), "identity", "'identity' is a value of an earlier version: the figure is no longer"),
    ((*MODEL, "training", "max_epochs"), 9, "training: needs either 'max_steps' or 'max_epochs'"),
    ((*MODEL, "training", "patience"), KeyError, "key 'patience' is missing"),
    ((*MODEL, "readout", "mask_start", "height"), "tall", "it must be response_sd or amplitude or number"),
    ((*CORE, "kernels"), [17, 3], "kernels: has 2 elements but 'channels' has 1"),
    ((*CORE, "kernels"), [49], "a kernel of 49 px"),
    ((*CORE, "batch_norm"), {"decay": 2, "shift": True}, "batch_norm"),
    ((*FIRST, "models"), ["resnet"], "'resnet' is not defined under 'models'; defined are"),
    ((*FIRST, "seeds"), [1, 1], "names something twice"),
    ((*FIRST, "n_neurons"), ["every"], "it must be all or integer"),
    ((*FIRST, "n_neurons"), [201], "201 is more than the 200 neurons"),
    ((*FIRST, "n_images"), [9000], "9000 is more than the 8192 images"),
    ((*FIRST, "n_images"), [4], "leaves no image to validate on"),
]


def refuse(config, expected):
    """Checks that a config is refused with one line that names file and key."""
    with pytest.raises(UserError) as error:
        validate(config, [("mine.yaml", config)])
    message = str(error.value)
    assert message.startswith("mine.yaml: ")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_is_one_line_that_names_file_and_key(path, value, expected):
    refuse(within(DEFAULT, path, value), expected)


def test_the_file_that_holds_the_mistake_is_named():
    mine = {"models": {"ridge": {"grid": [{"ridge_l2": [-1]}]}}}
    with pytest.raises(UserError, match=r"^mine.yaml: models.ridge.grid.0.ridge_l2.0"):
        validate(merge(DEFAULT, mine), [("config.yaml", DEFAULT), ("mine.yaml", mine)])
    broken = within(DEFAULT, ("device",), "gpu")
    with pytest.raises(UserError, match=r"^config.yaml: device"):
        validate(broken, [("config.yaml", broken), ("mine.yaml", {})])


LASSO = {"family": "lasso", "input": "known_patch", "loss": "mse", "grid": [{"lasso_l1": [0.1]}]}
TABLE1 = resolved("table1.yaml")["models"]

MODELS = resolved()["models"]
BANK = MODELS["factorized_bank"]
TRANSFERRED = {"model": "factorized_bank", "mode": "frozen"}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (within(BANK, ["feature_bank", "average_pooling"], 0), "models.new.feature_bank.average_pooling"),
        (
            within(BANK, ["feature_bank", "pool"], 2),
            "'pool' is a key of an earlier version: write 'average_pool",
        ),
        (within(BANK, ["feature_bank", "scales"], [4]), "unknown key 'scales'; allowed are wavelengths"),
        (MODELS["ridge_bank"] | {"input": "image"}, "set input to features"),
        (
            within(MODELS["ridge_bank"], ["feature_bank"], KeyError),
            "input: features needs the key 'feature_bank'",
        ),
        (
            within(MODELS["factorized_ridge"], ["feature_bank"], KeyError),
            "key 'feature_bank' is missing",
        ),
        (within(BANK, ["readout", "mask_start", "position"], "sta"), "'sta' is a place in the image"),
        (within(BANK, ["cores", 0, "padding"], ["same", "valid"]), "maps side by side must have one size"),
        (within(BANK, ["training", "schedule"], "stages"), "models.new.training: key 'patience' is missing"),
        (MODELS["factorized_three_layers"] | {"refit": True}, "models.new.refit: stages end by validation"),
        (BANK | {"core_from": TRANSFERRED}, "'factorized_bank' is fitted again with the validation images"),
        (within(TABLE1["lnp"], ["training", "weight_decay"], 1), "lnp has no readout whose weights"),
        (LASSO | {"family": "ols"}, "models.new.grid"),
        (TABLE1["lnp"] | {"grid": [{"mask_l1": [1]}]}, "allowed are filter_l1, smoothness"),
        (TABLE1["hsm"] | {"n_filters": 9}, "it had one value, which is now fixed: leave it out"),
    ],
)
def test_a_mistake_in_a_model_is_found(definition, expected):
    refuse(within(DEFAULT, ("models", "new"), definition), expected)


def recording():
    return resolved("v4.yaml")["datasets"]["v4_201025"]


FEATURES = {"datasets": ["four_features"]}


@pytest.mark.parametrize(
    ("changes", "experiment", "expected"),
    [
        (
            {"models": {"new": LASSO}, "datasets": {"v4": recording()}},
            {"datasets": ["v4"], "models": ["new"]},
            "models.new.input: a known patch needs a dataset of kind simulated_dog, which 'v4' is not",
        ),
        (
            {},
            FEATURES | {"models": ["mean", "ridge_shared_patch"]},
            "models.1: 'ridge_shared_patch' needs to know receptive fields",
        ),
        (
            {"models": {MODEL[1]: {"training": {"max_steps": 3}}}},
            {},
            "training.max_steps: 3 steps end before the first evaluation",
        ),
        (
            {"datasets": {"four_features": {"feature_space": {"name": "v1"}}}},
            {},
            "'feature_space' is a key of an earlier version: simulated neurons are units of fixed filters",
        ),
        (
            {"datasets": {"v1_like": {"n_simple_types": 0, "n_complex_types": 0}}},
            {},
            "n_complex_types: 0 while n_simple_types is 0",
        ),
        ({}, {"figure": "fig3"} | FEATURES, "fig3 needs datasets of kind simulated_dog, which"),
        ({}, {"models": ["cnn_one_kernel"]}, "fig4 needs a model of family cnn_factorized with 2"),
    ],
)
def test_a_contradiction_between_parts_is_found(changes, experiment, expected):
    config = merge(DEFAULT, copy.deepcopy(changes))
    config["experiments"] = [DEFAULT["experiments"][0] | experiment]
    refuse(config, expected)


def test_names_of_experiments_are_unique_but_figures_may_be_shared():
    config = copy.deepcopy(DEFAULT)
    config["experiments"].append(copy.deepcopy(config["experiments"][0]))
    refuse(config, "used by an earlier experiment")
    config["experiments"][-1]["name"] = "another"
    validate(config, [("mine.yaml", config)])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("run: [", "not valid YAML"),
        ("run: a\nrun: b", "key 'run' is given twice"),
        ("- a", "must be a mapping"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "must be a mapping"),
    ],
)
def test_files_that_are_no_config_are_refused(tmp_path, content, expected):
    (tmp_path / "bad.yaml").write_text(content)
    with pytest.raises(UserError, match=expected) as error:
        read(tmp_path / "bad.yaml")
    assert "\n" not in str(error.value)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none.yaml: cannot be read"):
        read(tmp_path / "none.yaml")


def test_every_key_of_the_schemas_has_a_description():
    def walk(schema, path):
        for name, part in schema.get("properties", {}).items():
            if part:
                assert "description" in part or "$ref" in part, f"{path}.{name}"
                walk(part, f"{path}.{name}")

    for path in (REPOSITORY / "config" / "schemas").glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        walk(content, path.stem)
        for name, part in content.get("$defs", {}).items():
            walk(part, f"{path.stem}.{name}")


@pytest.mark.parametrize(
    ("write", "changes", "expected"),
    [
        (write_arrays, {"index_base": 1}, "'index_base' says nothing without 'image_of_presentation'"),
        (write_images, {"tiers": {"test": ["a"]}}, "'tiers' says nothing without 'splits_from'"),
        (write_arrays, {"test_set": {"responses": "t.npy"}, "splits_from": "s.npy"}, "beside test_set"),
        (write_arrays, {"test_set": {"responses": "t.npy"}, "covariates": {"v": "v.npy"}}, "beside test_set"),
        (write_images, {"responses_layout": ["image", "neuron"]}, "is for responses in an array"),
        (write_images, {"responses": "r.npy"}, "is for responses in a table"),
    ],
)
def test_keys_of_a_recording_that_nothing_would_read_are_refused(tmp_path, write, changes, expected):
    refuse(within(DEFAULT, ("datasets", "mine"), write(tmp_path) | changes), expected)
