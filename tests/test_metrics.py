import numpy as np
import pytest
from scipy.stats import pearsonr

from whatwhere import metrics


@pytest.fixture
def trials(rng):
    """Known signal and noise: variance 4 over images, 1 over repeats."""
    signal = 2 * rng.standard_normal((20_000, 3))
    return signal, signal + rng.standard_normal((8, 20_000, 3))


def test_pearson_agrees_with_scipy(rng):
    first, second = rng.normal(size=(50, 4)), rng.normal(size=(50, 4))
    expected = [pearsonr(a, b).statistic for a, b in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(metrics.pearson(first, second), expected)


def test_a_constant_prediction_scores_zero_and_a_silent_neuron_nothing(rng):
    noise = rng.normal(size=(50, 1))
    assert metrics.pearson(np.full((50, 1), 2.0), noise) == 0
    assert np.isnan(metrics.pearson(noise, np.zeros((50, 1)))).all()


def test_perfect_predictions_reach_the_ceiling(trials):
    signal, responses = trials
    scores = metrics.scores(signal, responses, noise_free=False)
    np.testing.assert_allclose(scores["feve"], 1, atol=0.01)
    np.testing.assert_allclose(scores["cc_max"], np.sqrt(4 / (4 + 1 / 8)), atol=0.005)
    np.testing.assert_allclose(scores["cc_norm"], 1, atol=0.005)
    np.testing.assert_allclose(scores["correlation_single_trial"], np.sqrt(4 / 5), atol=0.01)


def test_explained_share_is_what_was_built_in(trials):
    signal, responses = trials
    half = signal / np.sqrt(2)
    lost = ((signal - half) ** 2).mean(0) / 4
    np.testing.assert_allclose(metrics.feve(half, responses), 1 - lost, atol=0.01)
    np.testing.assert_allclose(metrics.feve(np.zeros_like(signal), responses), 0, atol=0.01)


def test_missing_repeats_are_left_out(trials):
    signal, responses = trials
    responses = responses.copy()
    responses[5:, ::2] = np.nan
    np.testing.assert_allclose(metrics.feve(signal, responses), 1, atol=0.01)
    counts = np.full(20_000, 8.0)
    counts[::2] = 5
    np.testing.assert_allclose(metrics.mean_noise_variance(responses), (1 / counts).mean(), rtol=0.03)


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_correlations_do_not_depend_on_units(trials, rng, unit):
    signal, responses = trials
    expected = metrics.correlation(signal, responses)
    np.testing.assert_allclose(metrics.correlation(signal * unit, responses * unit), expected)


def test_images_shown_once_do_not_bias_the_explainable_share(rng):
    signal = rng.normal(0, 1, (3000, 2))
    responses = signal + rng.normal(0, 1, (10, 3000, 2))
    responses[1:, 300:] = np.nan
    assert metrics.feve(signal, responses) == pytest.approx(1, abs=0.1)
    # Nine in ten means have the noise of one trial, one in ten a tenth of it.
    assert metrics.cc_max(responses) == pytest.approx(np.sqrt(1 / (1 + 0.91)), abs=0.03)


@pytest.mark.parametrize("value", [0.0, 1.1, 2e5])
def test_nothing_is_said_about_a_neuron_that_always_responds_alike(rng, value):
    responses = np.full((3, 50, 1), value, np.float32)
    responses[2, ::2] = np.nan
    found = metrics.scores(rng.normal(value, 1, (50, 1)).astype(np.float32), responses, noise_free=False)
    assert [name for name, score in found.items() if np.isfinite(score[0])] == ["mse"]
    assert np.isnan(metrics.feve_noise_free(responses[0] + 1, responses[0])).all()


def test_without_repeats_the_noise_is_unknown(rng):
    scores = metrics.scores(rng.normal(size=(30, 2)), rng.normal(size=(1, 30, 2)), noise_free=False)
    for name in ("feve", "cc_max", "cc_norm", "correlation_single_trial"):
        assert np.isnan(scores[name]).all()
    assert np.isfinite(scores["correlation"]).all()


def test_noise_free_feve_is_the_formula_of_section_a3(rng):
    rates, predictions = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    scores = metrics.scores(predictions, rates[None], noise_free=True)
    np.testing.assert_allclose(scores["feve"], 1 - ((predictions - rates) ** 2).mean(0) / rates.var(0))
    assert (scores["feve"] < 0).all()


def test_scores_are_the_columns_of_the_tables(rng):
    scores = metrics.scores(rng.normal(size=(9, 2)), rng.normal(size=(3, 9, 2)), noise_free=False)
    assert list(scores) == metrics.SCORES
