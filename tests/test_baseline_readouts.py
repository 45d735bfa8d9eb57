"""The fixed-mask and the fully-connected network of sections F.5 and G.3."""

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import factorized, small_core

import compute_sta
from whatwhere.files import read_netcdf, write_netcdf
from whatwhere.models.base import Start, predict_prepared
from whatwhere.models.encoder import build_cnn
from whatwhere.models.readouts import FixedMaskReadout, FullyConnectedReadout
from whatwhere.models.spec import ModelSpec, Schedule
from whatwhere.sta import mask_peak, smooth_square, spike_triggered_average
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective

MASK = {"position": "squared_sta", "height": 1, "noise_sd": 0, "truncated": False}
FIXED = {
    "positive_mask": True,
    "positive_features": True,
    "mask_start": MASK,
    "feature_start": {"mean": 0, "sd": 0.01, "truncated": True},
}
DENSE = {"weight_sd": "xavier", "dropout": 0.5}


def start(averages, n_neurons=3):
    generator, ones = torch.Generator().manual_seed(0), torch.ones(n_neurons)
    return Start(generator, ones, ones, averages)


def average(*peaks, shape=(31, 31)):
    """One average per (row, column), with a negative peak there."""
    maps = np.zeros((len(peaks), *shape), np.float32)
    for one, (row, column) in zip(maps, peaks, strict=True):
        one[row, column] = -1
    return maps


def test_a_peak_loses_the_margin_of_the_mask_and_moves_to_its_nearest_pixel():
    peaks = average((6, 24), (15, 9), (0, 0), (30, 12), (2, 30))
    expected = [[0, 18], [9, 3], [0, 0], [18, 6], [0, 18]]
    np.testing.assert_array_equal(mask_peak(peaks, (19, 19), False), expected)
    # The peak of a raw average is sought only inside the mask.
    peaks[2, 10, 20] = 0.5
    np.testing.assert_array_equal(mask_peak(peaks[2:3], (19, 19), True), [[4, 14]])


def test_the_fixed_mask_is_one_pixel_where_the_squared_average_peaks():
    readout = FixedMaskReadout((4, 19, 19), 3, FIXED)
    raw = average((1, 1), (1, 1), (1, 1))
    peaks = {"sta": raw, "smoothed_sta": raw, "squared_sta": average((6, 24), (15, 9), (0, 30))}
    readout.initialize(start(peaks))
    expected = torch.zeros(3, 19, 19)
    expected[[0, 1, 2], [0, 9, 0], [18, 3, 18]] = 1
    torch.testing.assert_close(readout.mask, expected)
    features = torch.randn(5, 4, 19, 19)
    at_pixel = features[:, :, [0, 9, 0], [18, 3, 18]]
    drive = torch.einsum("bcn,nc->bn", at_pixel, readout.raw_feature_weights.abs()) + readout.bias
    torch.testing.assert_close(readout(features), drive)


@pytest.mark.parametrize("noise_sd", [0, 0.001])
def test_the_variant_of_figure_5_takes_the_raw_average_with_or_without_noise(noise_sd):
    mask = MASK | {"position": "sta", "noise_sd": noise_sd}
    readout = FixedMaskReadout((4, 19, 19), 3, FIXED | {"positive_mask": False, "mask_start": mask})
    readout.initialize(start({"sta": average((6, 24), (15, 9), (8, 8))}))
    peak = readout.mask[[0, 1, 2], [0, 9, 2], [18, 3, 2]]
    assert (peak == 1).all()
    rest = readout.mask[readout.mask != 1]
    assert rest.std().item() == pytest.approx(noise_sd, rel=0.1)


def test_the_joint_penalty_of_a_one_pixel_mask_is_that_of_the_feature_weights():
    readout = FixedMaskReadout((4, 19, 19), 3, FIXED)
    readout.initialize(start({"squared_sta": average((6, 24), (15, 9), (8, 8))}))
    torch.testing.assert_close(readout.joint_l1(), readout.raw_feature_weights.abs().sum(1))


@pytest.mark.parametrize("normalize", ["none", "global", "per_pixel"])
def test_squared_averages_are_those_of_globally_standardized_images(tmp_path, rng, normalize):
    """The sd of the pixels rises from left to right, which standardization by pixel would undo."""
    n_images, shape = 400, (27, 29)
    sd = np.linspace(0.2, 3, shape[1])
    images = (100 + sd * rng.standard_normal((n_images, 1, *shape))).astype(np.float32)
    responses = (images[:, 0, [5, 20], [6, 22]] - 95).astype(np.float32)
    split = np.repeat(np.array([0, 1, 2], np.int8), [360, 20, 20])
    attrs = {"name": "a", "normalize": normalize, "validation_fraction": 0.1, "validation_max": 0}
    variables = {
        "images": (("image", "channel", "y", "x"), images),
        "responses": (("repeat", "image", "neuron"), responses[None]),
        "split": (("fold", "image"), split[None]),
    }
    write_netcdf(xr.Dataset(variables, attrs=attrs), tmp_path / "data.nc")
    compute_sta.main(tmp_path / "data.nc", "all", "all", [0], 5, tmp_path / "sta.nc")
    with read_netcdf(tmp_path / "sta.nc") as stored:
        squared = stored["squared_sta"].values[0]
    train = images[:360]
    z_scored = (train - train.mean()) / train.std()
    expected = smooth_square(spike_triggered_average(z_scored, responses[:360]))
    # Up to a factor, which does not move the peak.
    squared, expected = squared / squared.max(), expected / expected.max()
    np.testing.assert_allclose(squared, expected, atol=1e-3)


def test_dense_weights_start_uniform_within_the_limit_of_glorot_and_bengio():
    readout = FullyConnectedReadout((4, 19, 19), 100, DENSE)
    readout.initialize(start({}, 100))
    limit = np.sqrt(6 / (4 * 19 * 19 + 100))
    assert readout.weights.abs().max() <= limit
    assert readout.weights.std().item() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    plain = FullyConnectedReadout((4, 19, 19), 100, DENSE | {"weight_sd": 0.01})
    plain.initialize(start({}, 100))
    assert plain.weights.std().item() == pytest.approx(0.01, rel=0.01)


def test_dropout_acts_on_features_in_training_only():
    readout = FullyConnectedReadout((1, 50, 50), 1, DENSE, bias=False)
    readout.weights.data.fill_(1)
    features = torch.ones(1, 1, 50, 50)
    assert readout.eval()(features).item() == 2500
    torch.manual_seed(0)
    dropped = readout.train()(features).item()
    # Half of the features, doubled: mean 2500, sd 50.
    assert dropped != 2500
    assert abs(dropped - 2500) < 200


@pytest.mark.parametrize("penalty", ["readout_l2", "activity_l1"])
def test_penalties_of_dense_networks_do_not_depend_on_the_number_of_neurons(penalty):
    definition = factorized(family="cnn_fully_connected", readout=DENSE | {"dropout": 0.0})
    images = torch.randn(5, 1, 9, 11)
    values = []
    for n_neurons in (1, 40):
        encoder = build_cnn(ModelSpec.of(definition), 0, (1, 9, 11), n_neurons)
        encoder.core.initialize(torch.Generator().manual_seed(0))
        torch.manual_seed(2)
        shape = encoder.readout.weights[:1].shape
        encoder.readout.weights.data.copy_(torch.randn(shape).expand_as(encoder.readout.weights))
        objective = Objective("mse", "mean", {penalty: 0.3})
        values.append(objective(encoder, images, torch.ones(5, n_neurons)))
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("convention", ["paper_recording", "signed_recording"])
def test_the_activity_penalty_is_that_of_either_section(convention):
    """G.3 sums predictions, which a softplus keeps positive; F.5 sums their absolute values."""
    definition = factorized(
        family="cnn_fully_connected", readout=DENSE | {"dropout": 0.0}, convention=convention
    )
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 9, 11), 6)
    encoder.initialize(start({}, 6))
    encoder.readout.bias.data.copy_(torch.linspace(-2, 2, 6))
    images, responses = torch.randn(5, 1, 9, 11), torch.rand(5, 6)
    plain, penalized = (
        Objective("mse", "sum", {"activity_l1": strength})(encoder, images, responses)
        for strength in (0.0, 0.3)
    )
    predictions = encoder(images)
    summed = predictions.sum() if convention == "paper_recording" else predictions.abs().sum()
    torch.testing.assert_close(penalized - plain, 0.3 * summed / 5, rtol=1e-4, atol=1e-5)


TRAINING = Schedule(256, 0.01, 20, max_steps=400, patience=8, n_stages=2, factor=0.1, restore=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "readout", "penalty"),
    [
        ("cnn_fixed_mask", FIXED, {"feature_l1": 1e-3}),
        ("cnn_fully_connected", DENSE | {"dropout": 0.1}, {"readout_l2": 1e-3}),
    ],
)
def test_neurons_that_share_two_features_are_recovered(family, readout, penalty):
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(3000, 1, 12, 13, generator=rng)
    y, x = torch.meshgrid(torch.arange(5.0) - 2, torch.arange(5.0) - 2, indexing="ij")
    blob = torch.exp(-(y**2 + x**2) / 2)
    kernels = torch.stack([blob, blob * (1 + y) * 0.7])[:, None]
    features = torch.relu(torch.nn.functional.conv2d(images, kernels))
    places = [(1, 2), (4, 6), (6, 3), (2, 7)]
    rates = torch.stack([features[:, n % 2, row, column] for n, (row, column) in enumerate(places)], 1)
    responses = torch.poisson(rates, generator=rng)
    core = small_core(channels=[2], kernels=[5], last_activation="relu", kernel_sd=0.1)
    definition = factorized(family=family, readout=readout, cores=[core])
    raw = spike_triggered_average(images.numpy(), responses.numpy())
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 12, 13), len(places))
    begin = start({"squared_sta": smooth_square(raw)}, len(places))
    encoder.initialize(begin)
    if family == "cnn_fixed_mask":
        # The window of 25 px is wider than these images: the places are taken as found.
        rows, columns = torch.tensor(places).T
        encoder.readout.raw_mask.zero_()
        encoder.readout.raw_mask[torch.arange(len(places)), rows, columns] = 1
    data = Tensors(images[:2000], responses[:2000], images[2000:2400], responses[2000:2400])
    torch.manual_seed(0)
    training = Training([encoder], [Block(data)], [Objective("poisson", "mean", penalty)], TRAINING, [rng])
    training.run(lambda _: None)
    predicted, true = predict_prepared(encoder, images[2400:]), rates[2400:]
    explained = 1 - (predicted - true).square().mean(0) / true.var(0)
    assert (explained > 0.7).all()
