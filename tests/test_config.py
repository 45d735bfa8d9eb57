import copy
import functools

import pytest
import yaml
from conftest import REPOSITORY

from whatwhere.config import merge, read, validate
from whatwhere.errors import UserError

CONFIGS = sorted((REPOSITORY / "config").glob("*.yaml"))
OVERLAYS = {"table1_full.yaml": ["table1.yaml"]}
"""Configs that only make sense on top of others."""
DEFAULT = read(REPOSITORY / "config" / "config.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_of_the_project_is_valid(path):
    names = ["config.yaml", *OVERLAYS.get(path.name, []), path.name]
    sources = [(name, read(REPOSITORY / "config" / name)) for name in names]
    validate(functools.reduce(merge, (content for _, content in sources)), sources)


def changed(path, value):
    config = copy.deepcopy(DEFAULT)
    place = config
    for key in path[:-1]:
        place = place[key]
    if value is KeyError:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return config


MODEL = ("models", "factorized_two_kernels")
CORE = (*MODEL, "cores", 0)
DATA = ("datasets", "two_types")
FIRST = ("experiments", 0)

MISTAKES = [
    (("rum",), "quick", "unknown key 'rum'"),
    (("run",), KeyError, "'run' is missing"),
    (("run",), "My run", "run: 'My run' may hold only"),
    (("run",), 3, "run: 3 has the wrong type; it must be string"),
    (("mirror",), 7, "mirror"),
    (("device",), "gpu", "device: 'gpu' is not allowed; use one of auto, cpu, cuda"),
    (("threads_per_fit",), 0, "threads_per_fit"),
    (("threads_per_fit",), "two", "must be integer"),
    (("checkpoint_seconds",), -1, "checkpoint_seconds"),
    (("datasets", "Bad name"), DEFAULT["datasets"]["two_types"], "'Bad name' may hold only"),
    ((*DATA, "kind"), "simulated", "datasets.two_types.kind: 'simulated' is not allowed; use one of"),
    ((*DATA, "seed"), 1.5, "datasets.two_types.seed: 1.5 has the wrong type; it must be integer"),
    ((*DATA, "seed"), -1, "datasets.two_types.seed"),
    ((*DATA, "n_image"), 10, "unknown key 'n_image'; allowed are kind, scales"),
    ((*DATA, "n_images"), KeyError, "key 'n_images' is missing"),
    ((*DATA, "scales"), [], "datasets.two_types.scales"),
    ((*DATA, "scales"), [0.6, -1], "datasets.two_types.scales.1"),
    ((*DATA, "n_neurons"), 201, "201 is no multiple of the 2 scales"),
    ((*DATA, "patch"), 49, "a receptive field of 49 px does not fit into 48 px"),
    ((*DATA, "patch"), 16, "must be odd"),
    ((*DATA, "validation_fraction"), 1.0, "datasets.two_types.validation_fraction"),
    ((*MODEL, "family"), "cnn", "models.factorized_two_kernels.family: 'cnn' is not allowed"),
    ((*MODEL, "grid"), [], "models.factorized_two_kernels.grid: [] needs at least 1"),
    ((*MODEL, "grid", 0, "mask_l1"), [-0.1], "grid.0.mask_l1.0"),
    ((*MODEL, "grid", 0, "mask_l1"), [], "grid.0.mask_l1: [] needs at least 1"),
    ((*MODEL, "grid", 0, "mask_l2"), [0.1], "unknown key 'mask_l2'"),
    ((*MODEL, "loss"), "mae", "loss: 'mae' is not allowed; use one of mse, poisson"),
    ((*MODEL, "training", "max_steps"), 0, "training.max_steps"),
    ((*MODEL, "training", "patience"), KeyError, "key 'patience' is missing"),
    ((*MODEL, "training", "learning_rate"), "fast", "must be number"),
    ((*MODEL, "readout", "bias"), "yes", "readout.bias"),
    ((*MODEL, "readout", "mask_start", "height"), "tall", "it must be response_sd or number"),
    ((*MODEL, "readout", "mask_start", "position"), "center", "use one of sta, smoothed_sta"),
    ((*CORE, "kernels"), [17, 3], "kernels: has 2 elements but 'channels' has 1"),
    ((*CORE, "kernels"), [49], "a kernel of 49 px"),
    ((*CORE, "padding"), ["full"], "padding.0: 'full' is not allowed"),
    ((*CORE, "batch_norm"), {"decay": 2, "shift": True}, "batch_norm"),
    ((*CORE, "activation"), "tanh", "activation: 'tanh' is not allowed"),
    (("experiments",), [], "experiments: [] needs at least 1"),
    ((*FIRST, "models"), ["resnet"], "'resnet' is not defined under 'models'; defined are"),
    ((*FIRST, "datasets"), ["retina"], "'retina' is not defined under 'datasets'"),
    ((*FIRST, "datasets"), [], "experiments.0.datasets"),
    ((*FIRST, "seeds"), ["a"], "experiments.0.seeds.0: 'a' has the wrong type"),
    ((*FIRST, "seeds"), [1, 1], "names something twice"),
    ((*FIRST, "n_neurons"), ["every"], "it must be all or integer"),
    ((*FIRST, "n_neurons"), [201], "201 is more than the 200 neurons"),
    ((*FIRST, "n_images"), [0], "experiments.0.n_images.0"),
    ((*FIRST, "n_images"), [9000], "9000 is more than the 8192 images"),
    ((*FIRST, "n_images"), [4], "leaves no image to validate on"),
    ((*FIRST, "selection"), ["best"], "use one of population, median, neuron"),
    ((*FIRST, "figure"), "fig99", "figure: 'fig99' is not allowed"),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_is_one_line_that_names_file_and_key(path, value, expected):
    config = changed(path, value)
    with pytest.raises(UserError) as error:
        validate(config, [("mine.yaml", config)])
    message = str(error.value)
    assert message.startswith("mine.yaml: ")
    assert expected in message
    assert "\n" not in message


def test_the_file_that_holds_the_mistake_is_named():
    mine = {"models": {"ridge": {"grid": [{"ridge_l2": [-1]}]}}}
    with pytest.raises(UserError, match=r"^mine.yaml: models.ridge.grid.0.ridge_l2.0"):
        validate(merge(DEFAULT, mine), [("config.yaml", DEFAULT), ("mine.yaml", mine)])
    broken = changed(("device",), "gpu")
    with pytest.raises(UserError, match=r"^config.yaml: device"):
        validate(broken, [("config.yaml", broken), ("mine.yaml", {})])


def test_names_of_experiments_are_unique_but_figures_may_be_shared():
    config = copy.deepcopy(DEFAULT)
    config["experiments"].append(copy.deepcopy(config["experiments"][0]))
    with pytest.raises(UserError, match="used by an earlier experiment"):
        validate(config, [("mine.yaml", config)])
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
