import os

import pytest

from whatwhere.config.files import from_command_line, merge, read
from whatwhere.config.load import DEFAULTS, load
from whatwhere.config.resolve import EXPERIMENT, resolve
from whatwhere.errors import UserError

BASE = {"family": "a", "training": {"rate": 1, "steps": 2}, "grid": [1, 2]}


def variants(models, **more):
    config = {"models": models, **more}
    return resolve(config, [("mine.yaml", config)])["models"]


def test_a_variant_is_its_base_with_its_own_keys_laid_over_deeply():
    models = variants({"base": BASE, "mine": {"like": "base", "training": {"steps": 9}, "grid": [3]}})
    assert models["mine"] == {"family": "a", "training": {"rate": 1, "steps": 9}, "grid": [3]}
    assert models["base"] == BASE


def test_variants_of_variants_may_stand_in_any_order():
    second = {"like": "first", "family": "b"}
    models = variants({"third": {"like": "second"}, "second": second, "first": BASE})
    assert models["third"] == BASE | {"family": "b"}


def test_a_variant_shares_nothing_with_its_base():
    models = variants({"base": BASE, "mine": {"like": "base"}})
    models["mine"]["training"]["steps"] = 0
    assert models["base"]["training"]["steps"] == 2


def test_a_variant_goes_by_its_own_label_and_not_beside_the_papers_values_of_its_base():
    base = BASE | {"label": "ours", "paper": "cnn_one_kernel"}
    models = variants({"base": base, "mine": {"like": "base"}, "named": {"like": "base", "label": "mine"}})
    assert models["mine"] == BASE
    assert models["named"] == BASE | {"label": "mine"}


def test_two_models_of_a_dataset_with_one_label_are_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("models: {ridge: {label: mean}}")
    with pytest.raises(
        UserError, match=r"mine.yaml: models.ridge.label: 'mean' is the label of 'mean' on dataset"
    ):
        load([file])


def test_two_datasets_of_a_run_with_one_label_are_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("datasets: {homogeneous_quick: {label: two simulated cell types}}")
    with pytest.raises(UserError, match=r"label: .* is the label of 'homogeneous_quick' in"):
        load([file])


def test_cores_are_named_or_varied():
    cores = {"small": {"channels": [2], "kernels": [3]}, "large": {"like": "small", "channels": [8]}}
    models = variants({"m": {"cores": ["large", {"like": "small", "kernels": [5]}]}}, cores=cores)
    assert models["m"]["cores"] == [
        {"channels": [8], "kernels": [3]},
        {"channels": [2], "kernels": [5]},
    ]


@pytest.mark.parametrize(
    ("models", "line"),
    [
        ({"m": {"like": "n"}}, "models.m.like: 'n' is not defined under 'models'; defined are m"),
        ({"m": {"like": 3}}, "models.m.like: '3' is not defined"),
        ({"m": {"like": "m"}}, "models.m.like: leads back to itself: m -> m"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "models.b.like: leads back to itself: a -> b -> a"),
        (
            {"m": {"cores": ["none"]}},
            "models.m.cores.0: 'none' is not defined under 'cores'; defined are none",
        ),
    ],
)
def test_a_name_that_leads_nowhere_or_in_a_circle_is_one_line(models, line):
    with pytest.raises(UserError) as error:
        variants(models)
    assert str(error.value).startswith(f"mine.yaml: {line}")
    assert "\n" not in str(error.value)


def test_experiments_have_defaults():
    config = {"experiments": [{"name": "e", "datasets": ["d"], "models": ["m"], "seeds": [1, 2]}]}
    (experiment,) = resolve(config, [])["experiments"]
    assert experiment == EXPERIMENT | config["experiments"][0]


def test_home_and_variables_in_paths_expand(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data")
    config = {
        "mirror": "~/mirror",
        "datasets": {"d": {"images": "$HOME/i.npy", "name": "~", "test_set": {"images": "${DATA}/s"}}},
    }
    resolved = resolve(config, [])
    assert resolved["mirror"] == "/home/me/mirror"
    assert resolved["datasets"]["d"] == {
        "images": "/home/me/i.npy",
        "name": "~",
        "test_set": {"images": "/data/s"},
    }
    assert os.environ["HOME"] == "/home/me"


def test_a_mistake_is_found_in_the_base_where_it_was_made(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("models:\n  variant: {like: broken}\n  broken: {like: ridge, input: nonsense}\n")
    with pytest.raises(UserError, match=r"mine.yaml: models.broken.input: 'nonsense' is not allowed"):
        load([file])


def test_a_variant_of_a_variant_of_another_file_runs(tmp_path):
    (tmp_path / "one.yaml").write_text("models: {mine: {like: ridge, grid: [{ridge_l2: [7]}]}}")
    (tmp_path / "two.yaml").write_text("models: {more: {like: mine, input: known_patch}}")
    models = load([tmp_path / "one.yaml", tmp_path / "two.yaml"]).config["models"]
    assert models["more"] == {
        "family": "ridge",
        "input": "known_patch",
        "loss": "mse",
        "grid": [{"ridge_l2": [7]}],
    }


def test_the_command_line_brings_numbers_at_any_depth():
    given = {"a": "7", "b": ["1e-3", "x"], "c": {"d": "null", "e": "true", "f": "nan", "g": ""}}
    assert from_command_line(given) == {
        "a": 7,
        "b": [1e-3, "x"],
        "c": {"d": None, "e": True, "f": "nan", "g": ""},
    }


def test_a_session_given_as_a_number_is_taken_as_its_name():
    assert resolve({"datasets": {"d": {"session": 201025}}}, [])["datasets"]["d"] == {"session": "201025"}


def test_one_cycle_keeps_nothing_of_the_stages_it_is_like_and_epochs_replace_steps():
    stages = {"max_steps": 9, "patience": 1, "burn_in": 0, "n_stages": 2, "factor": 0.1}
    base = {"training": {"batch_size": 8, **stages}}
    models = variants(
        {"base": base, "mine": {"like": "base", "training": {"schedule": "one_cycle", "max_epochs": 3}}}
    )
    assert models["mine"]["training"] == {"batch_size": 8, "schedule": "one_cycle", "max_epochs": 3}
    assert models["base"] == base


@pytest.mark.parametrize(("first", "second"), [("max_steps", "max_epochs"), ("max_epochs", "max_steps")])
def test_of_steps_and_epochs_the_one_that_is_laid_over_the_other_holds(first, second):
    models = variants(
        {
            "base": {"training": {first: 9}},
            "mine": {"like": "base", "training": {second: 3}},
            "same": {"like": "base"},
        }
    )
    assert [models[name]["training"] for name in ("mine", "same")] == [{second: 3}, {first: 9}]


def test_what_a_module_is_given_extends_the_files_but_a_merge_of_them_does_not(tmp_path):
    """Snakemake merges key by key: steps of one file beside epochs of the other."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("run: mine\nmodels: {cnn_gaussian: {training: {max_epochs: 3}}}\n")
    alone = load([mine])
    training = alone.config["models"]["cnn_gaussian"]["training"]
    assert (training["max_epochs"], "max_steps" in training) == (3, False)

    merged = merge(*map(read, DEFAULTS))
    merged["run"] = "mine"
    merged["models"]["cnn_gaussian"]["training"]["max_epochs"] = 3
    assert "max_steps" in merged["models"]["cnn_gaussian"]["training"]
    assert load([mine], merged).config == alone.config
    assert load([], {"run": "other"}).config["run"] == "other"
