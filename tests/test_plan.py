import copy

import pytest
import yaml
from conftest import CONFIGURATIONS, REPOSITORY, loaded, resolved

from whatwhere.config import plan
from whatwhere.config.kinds import KINDS
from whatwhere.config.load import load
from whatwhere.config.resolve import resolve
from whatwhere.config.traits import TRAITS, n_features, traits_of
from whatwhere.errors import UserError
from whatwhere.training.families import FAMILIES

QUICK = resolved()


def test_schema_traits_and_families_agree():
    schema = yaml.safe_load((REPOSITORY / "config" / "schemas" / "models.schema.yaml").read_text())
    assert set(TRAITS) == set(schema["properties"]["family"]["enum"]) == set(FAMILIES)
    trained = set()
    for branch in schema["allOf"]:
        if "training" in branch["then"].get("required", []):
            condition = branch["if"]["properties"]["family"]
            trained |= set(condition.get("enum", [condition.get("const")]))
    assert trained == {name for name, traits in TRAITS.items() if traits.rule == "train"}


def test_the_schema_and_the_table_name_the_same_kinds_of_datasets_and_every_kind_has_its_module():
    schema = yaml.safe_load((REPOSITORY / "config" / "schemas" / "datasets.schema.yaml").read_text())
    assert list(KINDS) == schema["properties"]["kind"]["enum"]
    for kind in KINDS.values():
        makes = "simulate" if kind.simulated else "pool" if kind.pooled else "load"
        assert callable(getattr(kind.load_module(), makes))


def test_families_are_fitted_as_their_traits_say():
    for family, traits in TRAITS.items():
        assert (FAMILIES[family].fit is None) == (traits.rule in ("train", "fit_ensemble"))


def test_a_single_feature_is_no_barcode():
    models = QUICK["models"]
    assert n_features(models["cnn_one_kernel"]) == 1
    assert n_features(models["factorized_two_kernels"]) == 2
    assert n_features(models["cnn_fully_connected"]) == 0
    assert n_features(models["localized_features"]) == 1
    assert traits_of(models["hsm"]).masks is False


def test_every_fit_and_condition_has_a_row():
    fits, conditions = plan.fits(QUICK), plan.conditions(QUICK)
    expected = [(e["name"], d, m) for e in QUICK["experiments"] for d in e["datasets"] for m in e["models"]]
    assert list(fits[["experiment", "dataset", "model"]].itertuples(index=False, name=None)) == expected
    sizes = {e["name"]: len(e["n_neurons"]) * len(e["n_images"]) for e in QUICK["experiments"]}
    assert len(conditions) == fits.experiment.map(sizes).sum()
    assert not conditions.condition_path.duplicated().any()
    assert conditions.groupby("path")["last"].sum().eq(1).all()
    assert conditions.groupby("path", sort=False)["last"].last().all()


def test_a_condition_knows_where_its_start_lies():
    config = copy.deepcopy(QUICK)
    changes = {"name": "fig4", "datasets": ["two_types"], "n_images": [512, "all"]}
    changes["models"] = ["factorized_two_localized", "ridge"]
    config["experiments"] = [QUICK["experiments"][0] | changes]
    conditions = plan.conditions(config)
    assert list(conditions.localizer) == [
        "fig4/two_types/localized_two_kernels/nall-d512",
        "fig4/two_types/localized_two_kernels/nall-dall",
        "",
        "",
    ]


def test_the_figure_of_a_recording_shows_the_paper_s_model_of_its_first_experiment():
    fits = plan.fits(resolved("v4.yaml"))
    assert list(fits[fits.drawn].dataset) == ["v4_201025", "v4_210325", "v4_201025_fine", "v4_210325_fine"]
    assert set(fits[fits.drawn].family) == {"cnn_factorized", "window_ridge"}
    models = {"a": {"family": "ridge"}, "b": {"family": "cnn_gaussian"}, "c": {"family": "lnp"}}
    assert plan.shown_model(["a", "b", "c"], models) == "b"
    assert plan.shown_model(["a", "c"], models) == "c"


def test_results_follow_from_the_fits():
    results = plan.results(plan.fits(QUICK))
    assert len(set(results)) == len(results)
    for name in ("tables/scores.csv", "tables/exchange_rates.csv", "figures/fig1.svg", "figures/fig5.svg"):
        assert name in results
    assert "tables/transfer.csv" not in results
    assert "figures/recording/v4_201025.svg" in plan.results(plan.fits(resolved("v4.yaml")))
    transfer = plan.results(plan.fits(resolved("transfer.yaml")))
    assert {"tables/transfer.csv", "figures/transfer.svg"} <= set(transfer)


@pytest.mark.parametrize("sizes", [[512, 128], ["all", 128], [128, "all", 512]])
def test_sizes_that_do_not_rise_are_refused(sizes, tmp_path):
    file = tmp_path / "mine.yaml"
    experiment = QUICK["experiments"][0] | {"n_images": sizes}
    file.write_text(yaml.safe_dump({"experiments": [experiment]}))
    with pytest.raises(UserError, match=r"mine.yaml: experiments.0.n_images: \[.*\] must rise"):
        load([file])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_config_of_the_project_is_valid_and_has_a_plan(name):
    config = loaded(name).config
    assert resolve(config, loaded(name).sources) == config
    results = plan.results(plan.fits(config))
    assert {"tables/scores.csv", "tables/summary.csv"} <= set(results)
    assert len(set(results)) == len(results)
    assert set(plan.conditions(config).experiment) == {
        experiment["name"] for experiment in config["experiments"]
    }
