import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.signal import lfilter
from scipy.stats import norm
from simulated import simulated
from sklearn.metrics import adjusted_rand_score

from whatwhere.errors import UserError
from whatwhere.evaluation.parameters import described
from whatwhere.fit_data import load_fit_data, with_validation
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.localization.inference import Search, localize, probability_of_none
from whatwhere.localization.kernel_prior import KernelPosterior, KernelPrior, stimulus_covariance
from whatwhere.localization.localized import fit_localized, shrunken_means
from whatwhere.localization.mixture import Population, StaSpectra, _bound, update_neurons, update_population
from whatwhere.metrics import scores
from whatwhere.models.base import Model
from whatwhere.models.spec import ModelSpec
from whatwhere.simulations.difference_of_gaussians import add_noise, difference_of_gaussians
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors

pytestmark = pytest.mark.slow

SIZE, PATCH = 20, 9
SEARCH = Search(random_starts=2, max_iterations=200, tolerance=1e-3, seed=0)


def definition(**changes):
    return {
        "family": "localization",
        "kernel": PATCH,
        "smoothness": [0.7, 1.0, 2.0],
        "extent": [1.5, 3.0],
        "bias": False,
        "refit": True,
        "grid": [{"n_kernels": [1]}],
    } | changes


def population(n_images, n_neurons, seed=0, scales=(0.6,), **changes):
    arguments = {"n_images": n_images, "n_neurons": n_neurons, "seed": seed, "scales": list(scales)}
    return simulated("dog", **(arguments | {"n_test": 400} | changes))


def fit(dataset, **changes):
    return fit_localized(
        ModelSpec.of(definition(**changes)), with_validation(load_fit_data(dataset, None, None, 0))
    )


def fit_and_predict(dataset, **changes):
    """Parameters, and predictions and rates of the test images."""
    model = definition(**changes)
    candidates = fit_seed(ModelSpec.of(model), 0, load_fit_data(dataset, None, None, 0))
    test = dataset["split"].values[0] == 2
    predicted = SeedFit.of(to_tensors(model, [candidates]), 0, 0).predict(dataset["images"].values[test])
    return candidates.parameters[0], predicted, dataset["rates"].values[test]


def true_corner(dataset):
    return np.rint(dataset["location"].values - PATCH // 2).astype(int)


def flat_posterior(parameters):
    return parameters["readout.posterior"].sum(1).flatten(1).numpy()


def found_corner(parameters):
    n_locations = parameters["readout.posterior"].shape[-1]
    return np.stack(np.divmod(flat_posterior(parameters).argmax(1), n_locations), 1)


def one_location(weight):
    """Weights (y, x) that are zero at all locations but one."""
    weights = np.zeros((SIZE - PATCH + 1, SIZE - PATCH + 3))
    weights[2, 3] = weight
    return weights


def white_prior():
    return KernelPrior(PATCH, [1.0, 2.0], [1.5, 3.0], np.eye(PATCH**2))


def random_averages(rng, n_neurons=7, n_images=50):
    return StaSpectra.of(rng.normal(size=(n_neurons, SIZE, SIZE + 2)) / np.sqrt(n_images), n_images)


def random_population(rng, n_kernels=2):
    kernels = rng.normal(size=(n_kernels, PATCH**2))
    kernels /= np.linalg.norm(kernels, axis=1, keepdims=True)
    return Population(
        [KernelPosterior(kernel, 1.2, 0.5, 1.0, 1.0) for kernel in kernels],
        rng.uniform(0.1, 0.4, n_kernels),
        rng.uniform(0.01, 0.1, n_kernels),
        np.full(n_kernels, 1 / n_kernels),
        none=0.2,
    )


def test_prior_kernels_have_outputs_of_variance_one(rng):
    images = lfilter([1], [1, -0.7], rng.normal(size=(800, 30, 30)), axis=2)
    covariance = stimulus_covariance(images, PATCH)
    prior = KernelPrior(PATCH, [1.0], [2.0], covariance)
    kernels = np.stack([prior.draw(rng).ravel() for _ in range(4000)])
    assert np.isclose((kernels * (kernels @ covariance)).sum(1).mean(), 1, atol=0.05)


def test_stimulus_covariance_is_that_of_the_filter(rng):
    images = lfilter([1], [1, -0.7], rng.normal(size=(2000, 40, 40)), axis=2)[:, :, 12:]
    covariance = stimulus_covariance(images, 3).reshape(3, 3, 3, 3)
    expected = 0.7 ** np.abs(np.arange(3)[:, None] - np.arange(3)) / (1 - 0.49)
    np.testing.assert_allclose(covariance[1, :, 1, :], expected, rtol=0.02)
    np.testing.assert_allclose(covariance[0, :, 2, :], 0, atol=0.02)


def test_kernel_posterior_is_that_of_linear_regression(rng):
    prior = KernelPrior(PATCH, [1.5], [2.5], np.eye(PATCH**2))
    basis = prior.bases[0].basis
    target, precision = 30 * rng.normal(size=PATCH**2), 40.0
    inverse = np.linalg.inv(np.eye(basis.shape[1]) + precision * basis.T @ basis)
    posterior = prior.posterior(one_location(precision), target)
    mean = basis @ inverse @ basis.T @ target
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-9)
    assert np.isclose(posterior.energy, mean @ mean + np.trace(basis @ inverse @ basis.T))
    z = inverse @ basis.T @ target
    divergence = (z @ z + np.trace(inverse) - len(z) - np.linalg.slogdet(inverse)[1]) / 2
    assert np.isclose(posterior.divergence, divergence)


def test_evidence_chooses_the_smoothness_of_the_kernels_drawn(rng):
    lengths = [1.0, 2.5]
    for truth in lengths:
        source = KernelPrior(PATCH, [truth], [2.0], np.eye(PATCH**2))
        prior = KernelPrior(PATCH, lengths, [2.0], np.eye(PATCH**2))
        selected = []
        for _ in range(20):
            kernel = source.draw(rng).ravel()
            noisy = 2000 * kernel + np.sqrt(2000) * rng.normal(size=PATCH**2)
            selected.append(prior.posterior(one_location(2000.0), noisy).smoothness)
        assert np.mean(np.array(selected) == truth) >= 0.9


def test_posterior_over_locations_is_that_of_numerical_integration(rng):
    spectra, shared = random_averages(rng), random_population(rng)
    neurons = update_neurons(spectra, shared, 1.0)
    kernels = np.stack([k.mean for k in shared.kernels]).reshape(-1, PATCH, PATCH)
    correlation = spectra.correlate(kernels).astype(float)
    n_locations = np.prod(correlation.shape[2:])

    def joint(neuron, kernel, y, x):
        def density(a):
            c = correlation[neuron, kernel, y, x]
            likelihood = np.exp(50 * (a * c - a**2 * shared.kernels[kernel].energy / 2))
            sd = np.sqrt(shared.amplitude_variance[kernel])
            return likelihood * norm.pdf(a, shared.amplitude_mean[kernel], sd)

        return quad(density, -3, 3)[0] * shared.share[kernel] / n_locations

    first, second = joint(3, 0, 4, 5), joint(3, 1, 2, 8)
    odds = 4 * np.exp(neurons.evidence)
    np.testing.assert_allclose(neurons.posterior[3, 0, 4, 5], 4 * first / (1 + odds[3]), rtol=1e-4)
    np.testing.assert_allclose(neurons.posterior[3, 1, 2, 8], 4 * second / (1 + odds[3]), rtol=1e-4)
    np.testing.assert_allclose(neurons.posterior.sum((1, 2, 3)), odds / (1 + odds), rtol=1e-5)


def test_correlation_is_the_inner_product_at_every_valid_location(rng):
    average = rng.normal(size=(2, SIZE, SIZE + 2))
    kernels = rng.normal(size=(3, PATCH, PATCH))
    windows = np.lib.stride_tricks.sliding_window_view(average, (PATCH, PATCH), (1, 2))
    expected = np.einsum("nyxij,kij->nkyx", windows, kernels)
    spectra = StaSpectra.of(average, 1)
    np.testing.assert_allclose(spectra.correlate(kernels), expected, atol=1e-4)
    weights = rng.uniform(size=expected.shape)
    patches = np.einsum("nyxij,nkyx->kij", windows, weights)
    np.testing.assert_allclose(spectra.patches(weights, PATCH, False), patches, atol=1e-3)


def test_the_bound_never_falls(rng):
    dataset = population(150, 20)
    images = dataset["images"].values[:150, 0]
    responses = dataset["responses"].values[0, :150]
    sta = np.einsum("in,iyx->nyx", responses / responses.std(0), images) / 150
    spectra, prior = StaSpectra.of(sta, 150), white_prior()
    shared, bounds = random_population(rng), []
    for _ in range(30):
        shared = update_population(spectra, update_neurons(spectra, shared, 1.0), prior)
        bounds.append(_bound(update_neurons(spectra, shared, 1.0), shared))
    assert bounds[-1] > bounds[0] + 1
    assert np.diff(bounds).min() > -1e-3


def test_locations_and_kernel_are_recovered():
    dataset = population(1500, 40)
    (parameters,) = fit(dataset)
    assert (found_corner(parameters) == true_corner(dataset)).mean() >= 0.97
    true = dataset["receptive_field"].values[0].ravel()
    found = parameters["kernels"].numpy().ravel()
    assert found @ true / np.linalg.norm(true) > 0.98


def test_the_posterior_is_calibrated():
    covered, mass = [], []
    for seed in range(3):
        dataset = population(150, 400, seed=seed)
        (parameters,) = fit(dataset)
        flat = flat_posterior(parameters)
        # A neuron may have no receptive field at all: that is one more candidate.
        flat = np.append(flat, 1 - flat.sum(1, keepdims=True), axis=1)
        order = np.argsort(-flat, 1)
        total = np.take_along_axis(flat, order, 1).cumsum(1)
        last = (total < 0.9).sum(1)
        corner = true_corner(dataset)
        target = corner[:, 0] * (SIZE - PATCH + 1) + corner[:, 1]
        covered.append((order == target[:, None]).argmax(1) <= last)
        mass.append(total[np.arange(len(total)), last])
    assert abs(np.mean(covered) - np.mean(mass)) < 0.03
    # Otherwise nothing is tested: the sets must be larger than one location.
    assert 0.9 <= np.mean(mass) < 0.99


def test_hundred_neurons_need_a_quarter_of_the_images_of_gradient_descent():
    dataset = population(256, 100, 5, (1.0,), image_size=48, patch=17, n_test=1500)
    changes = {"kernel": 17, "smoothness": [1.0, 1.5, 2.0, 3.0], "extent": [1.5, 2.0, 3.0, 4.0, 6.0]}
    _, predicted, rates = fit_and_predict(dataset, **changes)
    # The paper reaches .40 with these images and .84 with four times as many.
    assert scores(predicted, rates[None], noise_free=True)["feve"].mean() > 0.84


@pytest.mark.parametrize("n_images", [20, 60])
def test_noise_alone_predicts_the_mean(n_images, caplog):
    dataset = population(n_images, 5)
    noise = np.random.default_rng(1).normal(size=dataset["responses"].shape).astype(np.float32)
    dataset["responses"].values[:] = noise
    (parameters,) = fit(dataset)
    assert not parameters["readout.amplitude"].any()
    assert "identifiable" in caplog.text
    np.testing.assert_allclose(flat_posterior(parameters).sum(1), 1, rtol=1e-5)


def test_scale_offset_sign_and_order_of_responses_do_not_change_the_locations():
    dataset = population(300, 30)
    (plain,) = fit(dataset, bias=True)
    changed = dataset.copy(deep=True)
    order = np.random.default_rng(0).permutation(30)
    changed["responses"].values[:] = 5 - 3 * dataset["responses"].values[:, :, order]
    changed["location"].values[:] = dataset["location"].values[order]
    (other,) = fit(changed, bias=True)
    for name, factor in (("readout.posterior", 1), ("readout.amplitude", -3)):
        # Amplitudes stay positive: the kernel takes the sign.
        expected = plain[name][order] * abs(factor)
        torch.testing.assert_close(other[name], expected, atol=2e-3, rtol=0.02)
    torch.testing.assert_close(other["kernels"], -plain["kernels"], atol=2e-3, rtol=0.02)


def test_a_neuron_without_receptive_field_keeps_a_flat_posterior_and_a_small_amplitude():
    dataset = population(600, 40)
    rng = np.random.default_rng(2)
    dataset["responses"].values[:, :, 7] = rng.normal(size=dataset["responses"].shape[1])
    (parameters,) = fit(dataset)
    amplitude = parameters["readout.amplitude"].sum((1, 2, 3)).abs()
    others = np.delete(amplitude.numpy(), 7)
    relative = amplitude[7] / dataset["responses"].values[0, :, 7].std()
    assert relative < 0.5 * np.median(others) / np.median(dataset["responses"].values[0].std(0))
    assert flat_posterior(parameters)[7].max() < 0.5


def test_two_types_are_told_apart():
    dataset = population(6000, 60, 1, (0.4, 1.0), variation=0.05)
    single, double = fit(dataset, grid=[{"n_kernels": [1, 2]}])
    types = dataset["cell_type"].values
    found = double["readout.posterior"].sum((2, 3)).argmax(1)
    assert single["kernels"].shape == (1, PATCH, PATCH)
    assert adjusted_rand_score(types, found) > 0.9


def test_correlations_of_the_stimulus_are_corrected_for():
    dataset = population(2000, 40)
    images = lfilter([1], [1, -0.6], lfilter([1], [1, -0.6], dataset["images"].values, axis=2), axis=3)
    images = (images / images.std()).astype(np.float32)
    dataset["images"] = dataset["images"].copy(data=images)
    fields = np.zeros((40, SIZE, SIZE))
    true = dataset["receptive_field"].values[0]
    for field, (y, x) in zip(fields, true_corner(dataset), strict=True):
        field[y : y + PATCH, x : x + PATCH] = true
    rates = np.einsum("iyx,nyx->in", images[:, 0], fields)
    rates *= 0.15 / rates.std()
    responses = add_noise(rates.astype(np.float32), np.random.default_rng(0))
    dataset["responses"] = dataset["responses"].copy(data=responses[None])
    (parameters,) = fit(dataset)
    kernel = parameters["kernels"][0].numpy().ravel()
    data = with_validation(load_fit_data(dataset, None, None, 0))
    sta = np.einsum("in,iyx->nyx", data.train_responses, data.train_images[:, 0])
    patches = [s[y : y + PATCH, x : x + PATCH] for s, (y, x) in zip(sta, true_corner(dataset), strict=True)]
    average = np.mean(patches, 0).ravel()
    cosines = [k @ true.ravel() / np.linalg.norm(k) / np.linalg.norm(true) for k in (kernel, average)]
    assert abs(cosines[0]) > 0.95 > abs(cosines[1]) + 0.03
    assert (found_corner(parameters) == true_corner(dataset)).mean() > 0.9


def test_a_second_run_is_identical():
    dataset = population(200, 20)
    first, second = (fit(dataset, grid=[{"n_kernels": [1, 2]}]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_more_kernels_than_neurons_are_refused():
    with pytest.raises(UserError, match="3 kernels for 2 neurons: take fewer kernels"):
        fit(population(30, 2), grid=[{"n_kernels": [1, 3]}])


def test_means_are_shrunk_as_far_as_they_are_noise(rng):
    same = rng.normal(2, 1, (50, 400))
    different = same + np.linspace(-20, 20, 400)
    assert shrunken_means(same).std() < 0.3 * same.mean(0).std()
    np.testing.assert_allclose(shrunken_means(different), different.mean(0), atol=0.02)


def test_validation_images_do_not_reach_the_validated_fit():
    dataset = population(200, 10)
    data = load_fit_data(dataset, None, None, 0)
    changed = dataclasses.replace(data, validation_responses=data.validation_responses * -2)
    first, second = (
        fit_seed(ModelSpec.of(definition()), 0, one).first_parameters[0] for one in (data, changed)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert len(with_validation(data).train_images) == 200


def test_the_readout_factorizes_what_is_one_kernel_at_one_location():
    dataset = population(600, 10)
    model = definition()
    candidates = fit_seed(ModelSpec.of(model), 0, load_fit_data(dataset, None, None, 0))
    encoder = SeedFit.of(to_tensors(model, [candidates]), 0, 0).model
    assert isinstance(encoder, Model)
    readout = encoder.readout
    product = readout.mask[:, None] * readout.feature_weights[:, :, None, None]
    torch.testing.assert_close(product, readout.amplitude.detach())


def test_difference_of_gaussians_is_what_the_prior_can_express():
    covariance = 2 * np.eye(2)[None]
    true = difference_of_gaussians(17, covariance, 4 * covariance, np.zeros((1, 2)))[0].ravel()
    prior = KernelPrior(17, [1.0, 2.0], [2.0, 4.0], np.eye(17**2))
    posterior = prior.posterior(np.full((1, 1), 1e9), 1e9 * true)
    np.testing.assert_allclose(posterior.mean, true, atol=0.01 * np.abs(true).max())


def test_localize_needs_no_particular_number_of_starts(rng):
    spectra, prior = random_averages(rng), white_prior()
    search = dataclasses.replace(SEARCH, random_starts=0)
    (result,) = localize(spectra, prior, [2], search)
    assert result.posterior.shape == (7, 2, SIZE - PATCH + 1, SIZE - PATCH + 3)


def test_kernels_on_color_images_are_described_with_their_share_of_every_channel():
    dataset = population(300, 5)
    colour = dataset.drop_vars("images").assign(
        images=(dataset["images"].dims, np.repeat(dataset["images"].values, 3, axis=1))
    )
    candidates = fit_seed(ModelSpec.of(definition()), 0, load_fit_data(colour, None, None, 0))
    fitted = SeedFit.of(to_tensors(definition(), [candidates]), 0, 0)
    kernels = described(fitted, colour)["kernels"].values
    assert kernels.shape == (1, 3, PATCH, PATCH)
    np.testing.assert_allclose(kernels.sum(1), fitted.model.kernels.detach().numpy(), rtol=1e-6)


def test_neurons_without_receptive_field_are_told_apart():
    """Without such a component they had locations of probability .49 and negative scores."""
    dataset = population(600, 44)
    silent = np.arange(0, 44, 11)
    rng = np.random.default_rng(3)
    sd = dataset["responses"].values.std()
    dataset["responses"].values[:, :, silent] = sd * rng.normal(size=dataset["responses"][:, :, silent].shape)
    parameters, predicted, _ = fit_and_predict(dataset)
    flat, evidence = flat_posterior(parameters), parameters["readout.evidence"].numpy()
    others = np.setdiff1d(np.arange(44), silent)
    # By chance one in some has evidence of a nat or two.
    assert flat[silent].sum(1).mean() < 0.25
    assert flat[silent].max() < 0.3
    assert np.median(flat[others].sum(1)) > 0.99
    assert evidence[silent].max() < 4 < np.median(evidence[others])
    assert predicted[:, silent].std(0).max() < 0.3 * predicted[:, others].std(0).mean()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_as_many_neurons_have_no_receptive_field_as_are_said_to_have_none(share):
    """The empty component after the fit of amplitudes said 0.3 where the share was 0.5."""
    dataset = population(256, 100, scales=(1.0,))
    rng, without = np.random.default_rng(4), round(share * 100)
    rates = dataset["rates"].values / dataset["rates"].values.std(0)
    rates[:, :without] = rng.normal(size=rates[:, :without].shape)
    dataset["responses"].values[0] = rates + rng.normal(size=rates.shape)
    (parameters,) = fit(dataset)
    none = 1 - flat_posterior(parameters).sum(1)
    assert none.mean() == pytest.approx(share, abs=0.05)
    assert none[without:].max() < 0.5 < none[:without].mean()


def test_the_share_of_neurons_without_receptive_field_is_estimated():
    """Evidence of both kinds with log-likelihood ratios of unit-variance normals 3 apart."""
    rng = np.random.default_rng(0)
    none = np.arange(2000) < 300
    evidence = 3 * (rng.normal(size=2000) + 3 * ~none) - 4.5
    found = probability_of_none(evidence)
    assert found.mean() == pytest.approx(0.15, abs=0.02)
    # Calibrated: of the neurons said to be of this kind with some probability, as many are.
    doubtful = (found > 0.2) & (found < 0.8)
    assert none[doubtful].mean() == pytest.approx(found[doubtful].mean(), abs=0.1)
    assert probability_of_none(np.full(5, -1000.0)).min() > 0.8
