import re

import numpy as np
import pytest

from whatwhere.api import DEFAULT_MODELS, compare, definition, fit
from whatwhere.config.load import library
from whatwhere.config.traits import traits_of
from whatwhere.definitions import FeatureBank, Ridge
from whatwhere.errors import UserError

FEW = ["ridge_pixels", "mean"]


@pytest.fixture(scope="module")
def recording():
    """Neurons that are linear in pixels, so that ridge regression predicts them and the mean does not."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(150, 8, 8))
    drive = images.reshape(150, 64)[:, :30:10]
    return (
        images,
        np.stack([drive + 0.3 * rng.normal(size=drive.shape) for _ in range(2)]),
        ("repeat", "image", "neuron"),
    )


@pytest.fixture(scope="module")
def compared(recording):
    images, responses, layout = recording
    models = {
        "constant": "mean",
        "pixels": Ridge(feature_bank=FeatureBank((), 1, 1)),
        "rates": "mean_rate",
    }
    return compare(images, responses, responses_layout=layout, models=models, verbose=False)


def test_candidates_are_ranked_by_validation_and_joined(compared):
    assert compared.table.index.tolist() == ["pixels", "constant", "ensemble"]
    assert compared.best is compared.models["pixels"]
    assert (
        compared.table.loc["pixels", "validation_fve"]
        > 0.5
        > compared.table.loc["constant", "validation_fve"]
    )
    assert np.isnan(compared.table.loc["ensemble", "validation_fve"])
    assert compared.table.loc["pixels", "weight"] > 0.9


def test_the_table_holds_the_test_scores_of_the_models(compared):
    for name, model in [*compared.models.items(), ("ensemble", compared.ensemble)]:
        mean = model.scores["correlation"].mean()
        np.testing.assert_allclose(compared.table.loc[name, "correlation"], mean)
    assert compared.table.loc["pixels", "feve_pooled"] > 0.6


def test_models_are_compared_with_the_best_by_paired_errors(compared):
    table = compared.table
    assert table.loc["pixels", ["difference", "difference_se"]].tolist() == [0, 0]
    expected = table.loc["constant", "correlation"] - table.loc["pixels", "correlation"]
    assert table.loc["constant", "difference"] == pytest.approx(expected)
    # A constant has no error: the paired error is that of the other model, without what counts thrice.
    assert 0 < table.loc["constant", "difference_se"] <= table.loc["pixels", "correlation_se"]
    # The ensemble is nearly the best candidate, on the same images and neurons.
    assert table.loc["ensemble", "difference_se"] < table.loc["ensemble", "correlation_se"] / 3
    assert "difference_se" in str(compared)


def test_what_cannot_be_fitted_is_left_out_and_named(compared, recording):
    assert list(compared.left_out) == ["rates"]
    assert "poisson loss cannot fit negative responses" in str(compared)
    images, responses, layout = recording
    with pytest.raises(UserError, match="no candidate can be fitted: a poisson loss"):
        compare(images, responses, responses_layout=layout, models=["mean_rate", "ridge_rate"], verbose=False)


def test_test_responses_change_neither_rank_nor_models(recording):
    images, responses, layout = recording
    split = np.repeat(["train", "validation", "test"], 50)
    other = responses.copy()
    other[:, 100:] = other[:, 100:][:, ::-1]
    first, second = (
        compare(images, r, responses_layout=layout, split=split, models=FEW, verbose=False)
        for r in (responses, other)
    )
    columns = ["validation_fve", "weight"]
    assert first.table[columns].equals(second.table[columns])
    assert first.table["correlation"].iloc[0] > second.table["correlation"].iloc[0]


def test_a_candidate_is_the_fit_of_its_model(compared, recording):
    images, responses, layout = recording
    alone = fit(images, responses, responses_layout=layout, model=Ridge(feature_bank=FeatureBank((), 1, 1)))
    np.testing.assert_array_equal(alone.predict(images[:4]), compared.best.predict(images[:4]))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("ridge", "models: ['ridge'] cannot be compared: name two or more"),
        (["ridge"], "models: ['ridge'] cannot be compared: name two or more"),
        (["ridge", "ensemble"], "models: 'ensemble' is what the candidates are joined to"),
        (["ridge", "factorized_bank_averaged"], "'factorized_bank_averaged' is an ensemble"),
        (["ridge", "rigde"], "model: 'rigde' is not defined"),
        ({"ridge": Ridge(), "mean": "mean"}, "models: 'ridge' is the name of another model"),
    ],
)
def test_a_bad_list_of_candidates_is_refused(recording, models, message):
    with pytest.raises(UserError, match=re.escape(message)):
        compare(*recording[:2], models=models)


def test_without_a_model_validation_selects_one_of_the_defaults(recording, monkeypatch, capsys):
    images, responses, layout = recording
    monkeypatch.setattr("whatwhere.api.DEFAULT_MODELS", ("mean", "ridge"))
    fitted = fit(images, responses, responses_layout=layout)
    alone = fit(images, responses, responses_layout=layout, model="ridge", verbose=False)
    np.testing.assert_array_equal(fitted.predict(images[:4]), alone.predict(images[:4]))
    ranked, result = capsys.readouterr().err.splitlines()[-2:]
    assert re.fullmatch(
        r"mean correlation with validation responses: ridge 0\.\d+, mean (0\.\d+|nan)", ranked
    )
    assert result.startswith("fitted ridge: ")


def test_a_default_that_takes_longer_than_all_others_together_is_left_out(recording, monkeypatch, capsys):
    images, responses, layout = recording
    monkeypatch.setattr("whatwhere.api.DEFAULT_MODELS", ("mean", "ridge", "lasso_patch"))
    seconds = {"mean": 1.0, "ridge": 100.0, "lasso_patch": 600.0}
    names = {definition(name)["family"]: name for name in seconds}
    monkeypatch.setattr(
        "whatwhere.named_fits.seconds_of_fits", lambda model, *_: seconds[names[model["family"]]]
    )
    fit(images, responses, responses_layout=layout)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("lasso_patch is left out, because it takes about 10 min, the others 2 min")
    assert second.endswith("mean (1 of 2)")


def test_the_defaults_have_masks_and_feature_weights():
    models = library()
    assert all(
        traits_of(models[name]).masks and traits_of(models[name]).feature_weights for name in DEFAULT_MODELS
    )
