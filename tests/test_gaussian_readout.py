import numpy as np
import pytest
import torch
from conftest import factorized

from whatwhere.models.base import Start
from whatwhere.models.gaussian_readout import GaussianMaskReadout, GaussianReadout
from whatwhere.models.spec import ModelSpec
from whatwhere.training.families import build


def config(**changes):
    return {
        "positive_features": False,
        "position": "sta",
        "sd": 0.1,
        "feature_start": {"mean": 1, "sd": 0.1, "truncated": False},
    } | changes


def readout(shape=(3, 6, 9), n_neurons=4, **changes):
    return GaussianReadout(shape, n_neurons, config(**changes))


def start(n_neurons=4, image=(8, 11), **changes):
    average = np.random.default_rng(0).normal(size=(n_neurons, *image)).astype(np.float32)
    maps, ones = {"sta": average, "squared_sta": average} | changes, torch.ones(n_neurons)
    return Start(torch.Generator().manual_seed(0), ones, ones, maps)


def test_on_a_pixel_the_readout_takes_its_features(rng):
    module = readout().eval()
    module.initialize(start())
    pixels = torch.tensor([[0, 0], [5, 8], [2, 7], [4, 1]])
    module.mean.data = pixels / torch.tensor([5, 8]) * 2 - 1
    features = torch.randn(5, 3, 6, 9)
    weights = module.feature_weights
    expected = [features[:, :, y, x] @ weights[n] for n, (y, x) in enumerate(pixels.tolist())]
    torch.testing.assert_close(module(features) - module.bias, torch.stack(expected, 1))


def test_between_pixels_features_are_interpolated():
    module = readout(n_neurons=1).eval()
    features = torch.randn(2, 3, 6, 9)
    with torch.no_grad():
        module.mean.copy_(torch.tensor([[2.25, 6.5]]) / torch.tensor([5.0, 8.0]) * 2 - 1)
    rows = 0.75 * features[:, :, 2] + 0.25 * features[:, :, 3]
    expected = (rows[:, :, 6] + rows[:, :, 7]).sum(1) / 2
    torch.testing.assert_close(module(features)[:, 0], expected)


def test_training_draws_locations_with_the_learned_mean_and_width():
    module = readout((1, 41, 41), 1).train()
    with torch.no_grad():
        module.mean.copy_(torch.tensor([[0.1, -0.2]]))
        module.log_sd.fill_(np.log(0.15))
    ramp = torch.linspace(-1, 1, 41)
    torch.manual_seed(0)
    for axis, mean in ((0, 0.1), (1, -0.2)):
        plane = ramp[:, None].expand(41, 41) if axis == 0 else ramp.expand(41, 41)
        drawn = module(plane.expand(20000, 1, 41, 41))[:, 0].detach()
        assert abs(drawn.mean() - mean) < 0.005
        assert abs(drawn.std() - 0.15) < 0.005


def test_mean_and_width_have_gradients_in_training_and_the_test_is_deterministic():
    module = readout()
    features = torch.randn(5, 3, 6, 9)
    module.train()(features).square().sum().backward()
    assert module.mean.grad.abs().min() > 0
    assert module.log_sd.grad.abs().min() > 0
    module.eval()
    assert torch.equal(module(features), module(features))


@pytest.mark.parametrize("position", ["sta", "squared_sta"])
@pytest.mark.parametrize("kind", [GaussianReadout, GaussianMaskReadout])
def test_locations_start_at_the_peak_of_the_average(kind, position):
    average = np.zeros((2, 8, 11), np.float32)
    average[0, 3, 4] = average[1, 6, 9] = -2
    module = kind((3, 6, 9), 2, config(position=position))
    module.initialize(start(2, **{position: average}))
    peaks = module.mask.detach().flatten(1).argmax(1)
    assert [divmod(int(peak), 9) for peak in peaks] == [(2, 3), (5, 8)]


def test_the_mask_is_a_density_around_the_mean():
    module = readout((2, 31, 31), 1, sd=0.2)
    module.initialize(start(1, position=None))
    module.mean.data.zero_()
    mask = module.mask.detach()[0]
    assert mask.sum() == pytest.approx(1)
    axis = torch.linspace(-1, 1, 31)
    assert (mask.sum(1) * axis**2).sum().sqrt() == pytest.approx(0.2, abs=0.005)


def test_random_starts_lie_in_the_middle_and_depend_on_the_seed_alone():
    modules = [readout(n_neurons=4, position="random") for _ in range(2)]
    for module in modules:
        module.initialize(start())
    assert torch.equal(modules[0].mean, modules[1].mean)
    assert modules[0].mean.abs().max() <= 0.5
    assert len(modules[0].mean.unique()) == 8


def test_the_center_is_a_start():
    module = readout((2, 5, 7), 1, position="center")
    module.initialize(start(1))
    assert divmod(int(module.mask.detach().argmax()), 7) == (2, 3)


def test_a_network_with_this_readout_has_its_penalties():
    model = factorized(family="cnn_gaussian", readout=config(), grid=[{"feature_l1": [0.01]}])
    encoder = build(ModelSpec.of(model), ModelSpec.of(model).settings[0], (1, 8, 11), 4)
    encoder.initialize(start())
    assert encoder(torch.randn(2, 1, 8, 11)).shape == (2, 4)
    assert encoder.penalties()["feature_l1"]().shape == (4,)


def test_positive_weights_are_applied_as_absolute_values():
    module = readout(positive_features=True, feature_start={"mean": -1, "sd": 0.1, "truncated": False})
    module.initialize(start())
    assert (module.raw_feature_weights < 0).all()
    assert (module.feature_weights > 0).all()


def test_a_location_is_as_uncertain_along_both_axes_in_pixels():
    module = readout((1, 9, 33), 1)
    with torch.no_grad():
        module.mean.zero_()
        module.log_sd.fill_(float(np.log(0.1)))
    mask = module.mask[0].detach().numpy()
    y, x = np.indices(mask.shape) - np.array([4, 16])[:, None, None]
    assert np.sqrt((mask * x**2).sum()) == pytest.approx(1.6, rel=0.02)
    assert np.sqrt((mask * y**2).sum()) == pytest.approx(1.6, rel=0.1)
