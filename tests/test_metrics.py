import doctest

import numpy as np
import pytest
from scipy.stats import pearsonr

from whatwhere import metrics, plotting, population


def feve(predictions, responses):
    return metrics.scores(predictions, responses, noise_free=False)["feve"]


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
    np.testing.assert_allclose(feve(half, responses), 1 - lost, atol=0.01)
    np.testing.assert_allclose(feve(np.zeros_like(signal), responses), 0, atol=0.01)


def test_missing_repeats_are_left_out(trials):
    signal, responses = trials
    responses = responses.copy()
    responses[5:, ::2] = np.nan
    np.testing.assert_allclose(feve(signal, responses), 1, atol=0.01)
    np.testing.assert_allclose(metrics.noise_variance(responses), 1, rtol=0.03)


@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_correlations_do_not_depend_on_units(trials, rng, unit):
    signal, responses = trials
    expected = metrics.scores(signal, responses, noise_free=False)
    found = metrics.scores(signal * unit, responses * unit, noise_free=False)
    for name in ("correlation", "feve", "cc_norm", "fev"):
        np.testing.assert_allclose(found[name], expected[name])


def mixed_repeats(seed, n_neurons=300):
    """Ten repeats of 40 images and one of 360, of neurons with a tenth of signal in their variance."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 1 / 3, (400, n_neurons))
    responses = signal + rng.normal(0, 1, (10, 400, n_neurons))
    responses[1:, 40:] = np.nan
    return signal, responses


def test_images_weigh_as_often_as_they_were_shown():
    """Weighed alike, noisy single presentations leave a perfect model a median FEVE of 0.6 to 0.8 here."""
    found = [metrics.scores(*mixed_repeats(seed), noise_free=False) for seed in range(5)]
    medians = [np.nanmedian(one["feve"]) for one in found]
    assert np.mean(medians) == pytest.approx(1, abs=0.05)
    assert np.mean([np.isnan(one["feve"]).mean() for one in found]) < 0.1
    # 400 images that weigh 1 or 10: of the variance of the weighted means 1 / (1 + 9 * 400 / 760) is signal.
    ceiling = 1 / np.sqrt(1 + 9 * 400 / 760)
    assert np.mean([one["cc_max"] for one in found]) == pytest.approx(ceiling, abs=0.03)
    assert np.mean([one["correlation"] for one in found]) == pytest.approx(ceiling, abs=0.03)


def test_equal_repeats_give_the_formulas_of_section_g4(trials):
    signal, responses = (values[..., :40, :] for values in trials)
    predictions = signal + 1
    mean, n = responses.mean(0), 40
    of_mean = responses.var(0, ddof=1).mean(0) / 8
    error = ((mean - predictions) ** 2).mean(0)
    expected = 1 - n / (n - 1) * (error - of_mean) / (mean.var(0, ddof=1) - of_mean)
    found = metrics.scores(predictions, responses, noise_free=False)
    np.testing.assert_allclose(found["feve"], expected)
    np.testing.assert_allclose(found["mse"], error)
    np.testing.assert_allclose(found["cc_max"] ** 2, 1 - of_mean / mean.var(0, ddof=1))
    expected = [pearsonr(a, b).statistic for a, b in zip(predictions.T, mean.T, strict=True)]
    np.testing.assert_allclose(found["correlation"], expected)
    trial = np.broadcast_to(predictions, responses.shape).reshape(-1, 3), responses.reshape(-1, 3)
    expected = [pearsonr(a, b).statistic for a, b in zip(*(values.T for values in trial), strict=True)]
    np.testing.assert_allclose(found["correlation_single_trial"], expected)


@pytest.mark.slow
def test_variances_do_not_depend_on_how_often_images_were_shown():
    """Unbiased, so that sums over neurons are right: also where most neurons have no signal."""
    found = [metrics.scores(*mixed_repeats(seed), noise_free=False) for seed in range(20)]
    assert np.mean([one["explainable_variance"] for one in found]) == pytest.approx(1 / 9, rel=0.05)
    assert np.mean([one["unexplained_variance"] for one in found]) == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_an_infinite_prediction_counts_as_none(trials, caplog, value):
    signal, responses = trials
    predictions = signal.copy()
    predictions[7, 1] = value
    found = metrics.scores(predictions, responses, noise_free=False)
    assert found["correlation"][1] == 0
    assert found["feve"][1] == pytest.approx(0, abs=1e-3)
    assert found["correlation"][0] > 0.9
    assert "1 neurons have predictions that are no finite numbers" in caplog.text


def test_shapes_that_do_not_fit_are_refused(trials):
    signal, responses = trials
    for predictions, measured in ((signal.T, responses), (signal, responses[0]), (signal[1:], responses)):
        with pytest.raises(ValueError, match="are no"):
            metrics.scores(predictions, measured, noise_free=False)


def test_no_variance_beyond_noise_means_a_ceiling_of_0(rng):
    responses = rng.normal(size=(2, 40, 1))
    responses[1] = 0.1 * responses[1] - responses[0]
    found = metrics.scores(rng.normal(size=(40, 1)), responses, noise_free=False)
    assert (found["cc_max"], found["fev"]) == (0, 0)
    assert np.isnan([found["feve"], found["cc_norm"]]).all()
    assert found["explainable_variance"] < 0


@pytest.mark.parametrize("value", [0.0, 1.1, 2e5])
def test_nothing_is_said_about_a_neuron_that_always_responds_alike(rng, value):
    responses = np.full((3, 50, 1), value, np.float32)
    responses[2, ::2] = np.nan
    found = metrics.scores(rng.normal(value, 1, (50, 1)).astype(np.float32), responses, noise_free=False)
    assert [name for name, score in found.items() if np.isfinite(score[0])] == ["mse"]
    assert np.isnan(metrics.scores(responses[0] + 1, responses[:1], noise_free=True)["feve"]).all()


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


@pytest.mark.parametrize("module", [metrics, plotting, population])
def test_the_examples_of_the_documentation_are_right(module):
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 1) == (0, True)
