import dataclasses

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training

from whatwhere.errors import UserError
from whatwhere.evaluation.parameters import described
from whatwhere.fit_data import evenly_scaled, load_fit_data, scale_responses
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.locations import peaks
from whatwhere.models.feature_bank import GaborFeatureBank, gabor_energy, gabor_outputs
from whatwhere.models.spec import ModelSpec
from whatwhere.standardize import Standardizer
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed

BANK = {"wavelengths": [3, 6], "orientations": 3, "average_pooling": 2}
RIDGE = {
    "family": "ridge",
    "input": "features",
    "feature_bank": BANK,
    "loss": "mse",
    "grid": [{"ridge_l2": [10, 100]}],
}
SUM = {
    "family": "factorized_ridge",
    "feature_bank": BANK,
    "loss": "mse",
    "grid": [{"rank": [2], "mask_l2": [1], "feature_l2": [1]}],
}
PLAIN_RIDGE = {key: value for key, value in RIDGE.items() if key != "feature_bank"} | {"input": "image"}
NETWORK = factorized(
    feature_bank=BANK,
    cores=[small_core(padding=["same"], activation="elu", last_activation="elu", side_by_side=True)],
    readout=factorized()["readout"]
    | {"mask_start": {"position": "uniform", "height": 1, "noise_sd": 0.01, "truncated": False}},
    convention="signed_recording",
    grid=[{}],
)


def grating(wavelength, angle, phase, size=48):
    y, x = np.mgrid[:size, :size]
    wave = 2 * np.pi / wavelength * (y * np.sin(angle) + x * np.cos(angle))
    return torch.from_numpy(np.cos(wave + phase))[None]


def trained(definition, data, seed=0):
    return train_seed(ModelSpec.of(definition), seed, data, {}, None, None, torch.device("cpu"), Progress(1))


def closed(definition, data):
    return fit_seed(ModelSpec.of(definition), 0, data)


def fitted(definition, candidates):
    return SeedFit.of(to_tensors(definition, [candidates]), candidates.seed, 0)


@pytest.mark.parametrize("angle", [0, np.pi / 6, np.pi / 2])
@pytest.mark.parametrize("wavelength", [4, 8])
def test_energy_of_a_grating_does_not_depend_on_its_phase(wavelength, angle):
    energies = [
        gabor_energy(grating(wavelength, angle, phase), wavelength, angle)[0, 24, 24]
        for phase in np.linspace(0, 2 * np.pi, 7)
    ]
    # Both filters have norm 1, but not quite the same amplitude, because only the even one loses its mean.
    np.testing.assert_allclose(energies, np.mean(energies), rtol=0.01)


def test_energy_is_largest_for_the_filters_own_wavelength_and_orientation():
    best = gabor_energy(grating(8, 0, 0), 8, 0)[0, 24, 24]
    assert best > 3 * gabor_energy(grating(8, 0, 0), 8, np.pi / 2)[0, 24, 24]
    assert best > 3 * gabor_energy(grating(8, 0, 0), 4, 0)[0, 24, 24]


def test_energy_agrees_with_a_convolution_by_both_filters():
    torch.manual_seed(0)
    image, wavelength, angle = torch.randn(1, 1, 41, 41, dtype=torch.float64), 4.0, 0.7
    axis = torch.arange(-20, 21, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    window = torch.exp(-(y**2 + x**2) / (2 * (wavelength / 2) ** 2))
    phase = 2 * np.pi / wavelength * (y * np.sin(angle) + x * np.cos(angle))
    even, odd = window * phase.cos(), window * phase.sin()
    even = even - window * even.sum() / window.sum()
    outputs = [(image[0, 0] * one / one.norm()).sum() for one in (even, odd)]
    energy = gabor_energy(image[0], wavelength, angle)[0, 20, 20]
    torch.testing.assert_close(energy, torch.stack(outputs).norm(), rtol=1e-6, atol=1e-9)


def test_a_constant_image_has_no_energy_far_from_its_border():
    assert gabor_energy(torch.ones(1, 64, 64, dtype=torch.float64), 4, 0.3)[0, 32, 32] < 1e-6


def test_maps_are_standardized_on_the_images_they_are_told(rng):
    images = torch.from_numpy(rng.normal(2, 3, (40, 3, 9, 11)).astype(np.float32))
    feature_bank = GaborFeatureBank((3, 9, 11), BANK)
    maps = feature_bank.standardize_on(images)
    assert maps.shape == (40, *feature_bank.out_shape) == (40, 2 * 3 + 3, 5, 6)
    torch.testing.assert_close(maps.mean(0), torch.zeros(feature_bank.out_shape), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        maps.std(0, correction=0), torch.ones(feature_bank.out_shape), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(feature_bank(images), maps)


def test_squares_at_the_border_average_what_there_is():
    image = torch.arange(15.0).view(1, 1, 3, 5)
    feature_bank = GaborFeatureBank((1, 3, 5), {"wavelengths": [], "orientations": 1, "average_pooling": 2})
    assert feature_bank.raw_maps(image)[0, 0].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]


def test_squares_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="squares of 12 px do not fit"):
        GaborFeatureBank((1, 9, 11), BANK | {"average_pooling": 12})


def maps_as_images(data):
    """The same data with the maps of the feature bank in place of images, not standardized again."""
    even = evenly_scaled(data)
    feature_bank = GaborFeatureBank(even.train_images.shape[1:], BANK)
    train = feature_bank.standardize_on(torch.from_numpy(even.train_images)).numpy()
    validation = feature_bank(torch.from_numpy(even.validation_images)).numpy()
    as_they_are = Standardizer(np.zeros(feature_bank.out_shape), np.ones(feature_bank.out_shape))
    return dataclasses.replace(
        even, train_images=train, validation_images=validation, standardize=as_they_are
    )


def test_a_ridge_on_a_bank_is_a_ridge_on_its_maps(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    on_bank, on_maps = closed(RIDGE, data), closed(PLAIN_RIDGE, maps_as_images(data))
    assert to_validation(RIDGE, [on_bank])["ridge_l2"].values.tolist() == [10, 100]
    for first, second in zip(on_bank.fits, on_maps.fits, strict=True):
        np.testing.assert_array_equal(first.validation_loss, second.validation_loss)


def test_training_with_a_bank_is_training_on_its_maps(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    plain = {key: value for key, value in NETWORK.items() if key != "feature_bank"}
    on_bank, on_maps = trained(NETWORK, data), trained(plain, maps_as_images(data))
    np.testing.assert_array_equal(on_bank.fits[0].history, on_maps.fits[0].history)
    for name, value in on_maps.parameters[0].items():
        assert torch.equal(on_bank.parameters[0][name], value), name


@pytest.mark.parametrize("definition", [RIDGE, NETWORK], ids=["ridge", "network"])
def test_a_stored_fit_on_a_bank_predicts_from_images_as_they_are_stored(tiny_dataset, definition):
    data = load_fit_data(tiny_dataset, None, None, 0)
    candidates = closed(definition, data) if definition is RIDGE else trained(definition, data)
    predictions = fitted(definition, candidates).predict(data.standardize.undo(data.validation_images))
    loss = ((predictions - data.validation_responses) ** 2).mean(0)
    np.testing.assert_allclose(loss, candidates.fits[0].validation_loss, rtol=1e-4)


@pytest.mark.parametrize("definition", [RIDGE, NETWORK], ids=["ridge", "network"])
def test_the_bank_is_computed_once_for_all_settings_and_steps(tiny_dataset, definition, monkeypatch):
    seen = []
    raw_maps = GaborFeatureBank.raw_maps

    def counted(self, images):
        seen.append(len(images))
        return raw_maps(self, images)

    monkeypatch.setattr(GaborFeatureBank, "raw_maps", counted)
    data = load_fit_data(tiny_dataset, None, None, 0)
    closed(definition, data) if definition is RIDGE else trained(definition, data)
    assert seen == [len(data.train_images), len(data.validation_images)]


def test_scaled_responses_change_the_units_of_the_loss_and_not_those_of_predictions(tiny_dataset):
    tiny_dataset["responses"] = tiny_dataset["responses"] * np.float32([1, 10, 100, 1e-3, 5])
    data = load_fit_data(tiny_dataset, None, None, 0)
    plain = closed(RIDGE, data)
    definition = RIDGE | {"responses": {"scale": "sd"}}
    scaled = closed(definition, data)
    images = data.standardize.undo(data.validation_images)
    np.testing.assert_allclose(
        fitted(definition, scaled).predict(images), fitted(RIDGE, plain).predict(images), rtol=1e-4
    )
    sd = data.train_responses.std(0)
    np.testing.assert_allclose(
        scaled.fits[0].validation_loss * sd**2, plain.fits[0].validation_loss, rtol=1e-4
    )
    np.testing.assert_allclose(scaled.response_mean, plain.response_mean, rtol=1e-5)


def test_a_neuron_that_never_varies_keeps_its_scale(tiny_dataset):
    tiny_dataset["responses"][:, :, 2] = 3.0
    data = scale_responses(load_fit_data(tiny_dataset, None, None, 0))
    assert data.response_scale[2] == 1
    assert (data.train_responses[:, 2] == 3).all()


def test_several_fits_at_once_on_a_bank_train_as_alone(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    alone = NETWORK | {"grid": [{"mask_l1": [0.001, 0.01]}]}
    together = alone | {"training": small_training(fits_at_once=2)}
    for first, second in zip(trained(alone, data).fits, trained(together, data).fits, strict=True):
        np.testing.assert_allclose(first.validation_loss, second.validation_loss, rtol=1e-3)


def test_masks_of_a_bank_are_placed_on_the_pixels_they_stand_for(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    fit = fitted(NETWORK, trained(NETWORK, data))
    with torch.no_grad():
        fit.model.readout.raw_mask.zero_()
        fit.model.readout.raw_mask[:, 2, 3] = 1
    masks = fit.masks
    # Places 2 and 3 of squares of 2 px: pixels 4 and 5, 6 and 7.
    top, left = peaks(masks, (9, 11), fit.model.stride)[0]
    assert (top, left) == (4, 6)


def test_the_filters_of_a_bank_are_even_waves_and_squares():
    filters = GaborFeatureBank((3, 9, 11), BANK).filters()
    assert filters.shape[:2] == (9, 3)
    torch.testing.assert_close(filters[:6], filters[:6].flip(2, 3))
    assert filters[6:].sum((2, 3)).tolist() == (4 * torch.eye(3)).tolist()


@pytest.mark.parametrize("definition", [RIDGE, NETWORK, SUM], ids=["ridge", "network", "factorized_ridge"])
def test_fits_on_a_bank_are_described_with_masks_and_features_of_one_size(tiny_dataset, definition):
    data = load_fit_data(tiny_dataset, None, None, 0)
    candidates = trained(definition, data) if definition is NETWORK else closed(definition, data)
    description = described(fitted(definition, candidates), tiny_dataset)
    if definition is RIDGE:
        assert "filters" not in description
        return
    assert description["features"].shape == (9 + 4 * (definition is NETWORK), 5, 6)
    assert description["masks"].shape == (5, 5, 6)
    assert description["kernels"].shape[:2] == (9, 3)
    assert description["n_layers"] == 1 + (definition is NETWORK)


RICH = {
    "unit": "width",
    "wavelengths": [1 / 12, 1 / 6],
    "orientations": 4,
    "average_pooling": 1 / 12,
    "phases": [1 / 6],
    "second_order": {"wavelengths": [1 / 3], "orientations": 4},
    "color": [1 / 6],
}


def raw(images, **changes):
    """Maps of images (image, y, x) or (image, channel, y, x) before they are standardized, by group."""
    images = images if images.ndim == 4 else images[:, None]
    bank = GaborFeatureBank(tuple(images.shape[1:]), RICH | changes)
    maps = bank.raw_maps(images.float())
    assert maps.shape[1:] == bank.out_shape
    assert len(bank.filters()) == bank.out_shape[0]
    sizes = bank.layout.groups
    return dict(zip(sizes, maps.split(list(sizes.values()), 1), strict=True))


def test_energies_on_samples_do_not_depend_on_the_phase():
    images = torch.cat([grating(16, 0, phase, 96) for phase in np.linspace(0, 2 * np.pi, 7)])
    energies = raw(images)["energies"][:, 4, 5:7, 5:7]
    np.testing.assert_allclose(energies, energies.mean().expand_as(energies), rtol=0.02)


def test_samples_of_outputs_are_means_of_squares():
    torch.manual_seed(0)
    image = torch.randn(1, 48, 48, dtype=torch.float64)
    every = torch.nn.functional.avg_pool2d(gabor_energy(image, 16, 0.7)[None], 4)
    sampled = torch.hypot(*gabor_outputs(image, 16, 0.7, 2))[None]
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(sampled, 2), every, rtol=0.02, atol=0.05)


def test_half_waves_keep_the_sign_of_an_edge():
    edge = (torch.arange(96) >= 48).double().expand(96, 96) - 0.5
    phases = raw(torch.stack([edge, -edge]))["phases"].unflatten(1, (4, 4))[:, 0, :, 4:8, 5:7].mean((2, 3))
    # The odd filter has one sign for an edge and the other for its negative.
    assert phases[0, 2] > 1.5 * phases[0, 3]
    torch.testing.assert_close(phases[0, [2, 3]], phases[1, [3, 2]])


def test_second_order_maps_see_a_boundary_of_textures_that_energies_average():
    left = (torch.arange(96) < 48).double().expand(96, 96)
    fine, same = grating(8, 0, 0, 96)[0], grating(8, np.pi / 2, 0, 96)[0]
    boundary, texture = left * fine + (1 - left) * same, fine
    # Energies of vertical gratings change along x at the boundary; second waves along x see that.
    (found, none) = raw(torch.stack([boundary, texture]))["second_order"].unflatten(1, (4, -1))[:, :, 0]
    assert found[0, 3:9, 5:7].mean() > 3 * none[0, 3:9, 5:7].mean()
    assert found[0, 3:9, 5:7].mean() > 2 * found[2, 3:9, 5:7].mean()


def test_opponent_colors_are_maps_of_their_own():
    wave = grating(16, 0, 0, 96)[0]
    isoluminant = torch.stack([wave, -wave, 0 * wave])[None]
    maps = raw(isoluminant)
    assert maps["color"][0, 0, 4:8, 4:8].min() > 10 * maps["energies"][0, :, 4:8, 4:8].max()
    assert {name: one.shape[1] for name, one in maps.items()} == {
        "energies": 8,
        "means": 1,
        "phases": 16,
        "second_order": 32,
        "color": 8,
        "color_means": 2,
    }


def test_waves_that_small_images_do_not_show_are_left_out():
    grey = torch.zeros(1, 18, 32, dtype=torch.float64)
    maps = raw(grey)
    assert maps["energies"].shape == (1, 4, 6, 11)
    assert "color" not in maps


def test_logarithm_and_weights_are_those_of_groups(rng):
    images = torch.from_numpy(rng.normal(size=(30, 3, 24, 24)).astype(np.float32))
    changed = RICH | {"logarithm": True, "weights": {"energies": 8}}
    bank, plain = GaborFeatureBank((3, 24, 24), changed), GaborFeatureBank((3, 24, 24), RICH)
    maps, raw_maps = bank.standardize_on(images), plain.raw_maps(images)
    n_energies = bank.layout.groups["energies"]
    logs = (raw_maps + 0.1 * raw_maps.mean((0, 2, 3), keepdim=True)).log()
    expected = (logs - logs.mean(0)) / logs.std(0, correction=0)
    factor = maps[:, 0].std()
    torch.testing.assert_close(maps[:, 0], expected[:, 0] * bank.gains[0], rtol=1e-3, atol=1e-3)
    inner = maps.square().mean((0, 2, 3))
    assert inner[:n_energies].sum() / inner[n_energies] == pytest.approx(8, rel=0.01)
    assert inner.mean() == pytest.approx(1, rel=0.01)
    assert factor > 1
    torch.testing.assert_close(bank(images), maps)
