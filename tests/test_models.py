from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import factorized, small_core
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import Start, inverse_softplus
from whatwhere.models.cores import (
    BatchNorm,
    ConvCore,
    ConvLayer,
    correlate_by_fft,
    correlate_in_blocks,
    filter_roughness,
    normal_,
)
from whatwhere.models.encoder import build_cnn
from whatwhere.models.readouts import FactorizedReadout, FixedMaskReadout, FullyConnectedReadout
from whatwhere.models.spec import ModelSpec
from whatwhere.training.losses import Objective, mean_loss

READOUT = factorized()["readout"]
FULL = {"weight_sd": 0.01, "dropout": 0.5}


def start(n_neurons, shape=(7, 9), seed=0):
    average = np.random.default_rng(5).normal(size=(n_neurons, *shape)).astype(np.float32)
    return Start(
        generator=torch.Generator().manual_seed(seed),
        response_sd=torch.linspace(0.5, 2, n_neurons),
        response_mean=torch.linspace(0.1, 3, n_neurons),
        start_maps={"sta": average, "smoothed_sta": average, "squared_sta": average},
    )


def random_readout(n_neurons=4, channels=3, **changes):
    readout = FactorizedReadout((channels, 7, 9), n_neurons, READOUT | changes)
    torch.manual_seed(1)
    for parameter in readout.parameters():
        parameter.data.normal_()
    return readout


@pytest.mark.parametrize("size", [(20, 25), (31, 23)], ids=["fast", "prime"])
def test_fourier_and_direct_correlation_agree(size):
    torch.manual_seed(0)
    images, kernels = torch.randn(3, 2, *size), torch.randn(4, 2, 9, 11)
    torch.testing.assert_close(
        correlate_by_fft(images, kernels), functional.conv2d(images, kernels), atol=1e-4, rtol=1e-5
    )


def test_fourier_and_direct_correlation_have_the_same_gradient():
    torch.manual_seed(0)
    images, kernels = torch.randn(2, 1, 20, 20), torch.randn(2, 1, 9, 9, requires_grad=True)
    gradients = [
        torch.autograd.grad(correlate(images, kernels).square().sum(), kernels)[0]
        for correlate in (correlate_by_fft, functional.conv2d)
    ]
    torch.testing.assert_close(*gradients, atol=1e-2, rtol=1e-4)


@pytest.mark.parametrize("size", [(12, 14), (13, 12), (11, 13), (5, 5)])
@pytest.mark.parametrize(("kernel", "padding"), [(5, (0, 0)), (5, (2, 2)), (4, (1, 2)), (3, (1, 1))])
def test_correlation_in_blocks_and_its_gradients_are_those_of_a_convolution(size, kernel, padding):
    generator = torch.Generator().manual_seed(0)
    images, kernels = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((3, 2, *size), (4, 2, kernel, kernel))
    )
    before, after = padding
    direct = functional.conv2d(functional.pad(images, (before, after, before, after)), kernels)
    blocks = correlate_in_blocks(images, kernels, before, after)
    torch.testing.assert_close(blocks, direct)
    weight = torch.randn(direct.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((maps * weight).sum(), (images, kernels)) for maps in (blocks, direct)]
    torch.testing.assert_close(*gradients)


def test_correlation_in_blocks_of_several_fits_at_once():
    images, kernels = torch.randn(3, 2, 8, 9), torch.randn(5, 4, 2, 5, 5)
    together = torch.vmap(lambda fit: correlate_in_blocks(images, fit, 2, 2))(kernels)
    alone = torch.stack([functional.conv2d(images, fit, padding=2) for fit in kernels])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("channels", "kernel", "expected"), [(4, 5, True), (5, 5, False), (4, 1, False)])
def test_layers_of_few_channels_correlate_in_blocks(channels, kernel, expected):
    assert ConvLayer((8, 9, 9), channels, kernel, True, False, None, "identity").in_blocks == expected


def test_batch_norm_follows_its_formula():
    features = 3 + 2 * torch.randn(6, 4, 5, 7)
    norm = BatchNorm(4, decay=0.9, shift=True)
    norm.shift.data.normal_()
    dims, shape = (0, 2, 3), (1, 4, 1, 1)
    mean, variance = features.mean(dims), features.var(dims, correction=0)
    expected = (features - mean.view(shape)) / (variance.view(shape) + 1e-3).sqrt() + norm.shift.view(shape)
    torch.testing.assert_close(norm(features), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.mean, 0.1 * mean)
    torch.testing.assert_close(norm.variance, 0.9 + 0.1 * features.var(dims))


def test_batch_norm_starts_as_identity_in_evaluation():
    features = torch.randn(2, 3, 4, 4)
    norm = BatchNorm(3, decay=0.998, shift=False).eval()
    torch.testing.assert_close(norm(features), features, atol=5e-3, rtol=1e-3)


def test_an_even_kernel_pads_one_pixel_more_below_and_right():
    layer = ConvLayer((1, 9, 9), 1, 8, True, False, None, "identity")
    layer.kernels.data.zero_()
    layer.kernels.data[0, 0, 0, 0] = 1
    image = torch.arange(81.0).view(1, 1, 9, 9)
    shifted = functional.pad(image, (3, 0, 3, 0))[..., :9, :9]
    torch.testing.assert_close(layer(image), shifted)


def test_unit_norm_kernels_have_norm_one_and_keep_their_direction():
    layer = ConvLayer((2, 9, 9), 3, 5, False, True, None, "identity")
    layer.kernels.data.normal_()
    applied = layer.constrained_kernels()
    torch.testing.assert_close(applied.norm(dim=(2, 3)), torch.ones(3, 2), atol=1e-4, rtol=0)
    cosine = functional.cosine_similarity(applied.flatten(1), layer.kernels.flatten(1))
    assert (cosine > 0.9).all()


def test_core_shapes_and_a_kernel_that_does_not_fit():
    layers = {"channels": [4, 5], "kernels": [5, 3], "padding": ["valid", "same"]}
    config = small_core(smooth_layers=[1, 0], sparse_layers=[0, 1], **layers)
    core = ConvCore((3, 12, 14), config)
    assert core.out_shape == (5, 8, 10)
    assert core(torch.zeros(2, 3, 12, 14)).shape == (2, 5, 8, 10)
    with pytest.raises(UserError, match="kernel of 5 px does not fit into 4 x 14"):
        ConvCore((3, 4, 14), config)


def test_initial_kernels_have_the_sd_of_the_config():
    config = small_core(channels=[200], kernels=[9], kernel_sd=0.01)
    core = ConvCore((1, 20, 20), config)
    core.initialize(torch.Generator().manual_seed(0))
    kernels = core.conv_layers()[0].kernels
    assert kernels.abs().max() <= 0.02
    # A normal truncated at two sd has 0.8796 of its sd.
    assert abs(kernels.std().item() - 0.008796) < 2e-4


def test_smoothness_is_scale_free_and_prefers_smooth_filters():
    rough = torch.randn(2, 3, 13, 13)
    smooth = torch.ones(2, 3, 13, 13)
    torch.testing.assert_close(filter_roughness(rough), filter_roughness(5 * rough))
    assert filter_roughness(smooth).sum() < filter_roughness(rough).sum() / 5


def test_group_sparsity_is_the_sum_of_filter_norms_with_finite_gradient_at_zero():
    core = ConvCore((1, 9, 9), small_core(channels=[3]))
    core.group_sparsity().backward()
    assert torch.isfinite(core.conv_layers()[0].kernels.grad).all()
    core.conv_layers()[0].kernels.data.fill_(2.0)
    torch.testing.assert_close(core.group_sparsity(), torch.tensor(3 * 6.0))


@pytest.mark.parametrize("positive", [False, True])
def test_factorized_readout_is_mask_times_feature_weights(positive):
    readout = random_readout(positive_mask=positive, positive_features=positive)
    mask, weights, features = readout.raw_mask, readout.raw_feature_weights, torch.randn(6, 3, 7, 9)
    if positive:
        mask, weights = mask.abs(), weights.abs()
    expected = torch.einsum("bcyx,nyx,nc->bn", features, mask, weights) + readout.bias
    torch.testing.assert_close(readout(features), expected, atol=1e-4, rtol=1e-4)


def test_a_single_channel_has_no_feature_weights_to_train():
    readout = FactorizedReadout((1, 7, 9), 4, READOUT)
    readout.initialize(start(4))
    assert not readout.raw_feature_weights.requires_grad
    assert (readout.feature_weights == 1).all()


def test_masks_start_at_the_peak_of_the_average_with_the_scale_of_the_responses():
    config = READOUT | {"mask_start": READOUT["mask_start"] | {"height": "response_sd"}}
    readout, begin = FactorizedReadout((3, 7, 9), 50, config), start(50)
    readout.initialize(begin)
    peak = np.abs(begin.start_maps["sta"]).reshape(50, -1).argmax(1)
    flat = readout.mask.detach().flatten(1)
    torch.testing.assert_close(flat[torch.arange(50), peak], begin.response_sd)
    rest = flat.clone()
    rest[torch.arange(50), peak] = 0
    assert rest.abs().max() < 0.006
    # Section C.4: |m| sums to 62 * 0.001 * sqrt(2 / pi) plus the peak.
    expected = 62 * 0.001 * np.sqrt(2 / np.pi) + begin.response_sd.numpy()
    np.testing.assert_allclose(readout.mask_l1().detach(), expected, atol=0.025)


@pytest.mark.parametrize("family", ["cnn_factorized", "cnn_fully_connected"])
@pytest.mark.parametrize("convention", ["paper_recording", "signed_recording"])
def test_biases_start_at_the_mean_response(family, convention):
    readout = FULL if family == "cnn_fully_connected" else READOUT
    definition = factorized(family=family, readout=readout, convention=convention)
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 7, 9), 8)
    begin = replace(start(8), response_mean=torch.logspace(-2, 3, 8))
    encoder.initialize(begin)
    torch.testing.assert_close(encoder.nonlinearity(encoder.readout.bias), begin.response_mean)


@pytest.mark.parametrize("response", [0.0, 1e-6, 0.3, 5.0, 88.0, 89.0, 1e6])
def test_the_inverse_softplus_holds_at_all_rates(response):
    drive = inverse_softplus(torch.tensor([response]))
    torch.testing.assert_close(functional.softplus(drive), torch.tensor([max(response, 1e-4)]))


def test_a_truncated_start_without_noise_is_zero():
    weights = torch.ones(3, 4)
    normal_(weights, 0, True, torch.Generator())
    assert not weights.any()


def test_a_known_kernel_of_another_size_is_refused():
    definition = factorized(family="cnn_known_kernel", cores=[small_core(channels=[1], kernels=[5])])
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 7, 9), 3)
    with pytest.raises(UserError, match="kernel of 5 px but the true receptive field has 3 px"):
        encoder.initialize(replace(start(3), known_kernel=torch.zeros(3, 3)))


def test_feature_weights_start_at_their_mean():
    readout = FactorizedReadout((5, 7, 9), 400, READOUT)
    readout.initialize(start(400))
    weights = readout.raw_feature_weights
    assert abs(weights.mean().item() - 1 / 5) < 0.001
    assert abs(weights.std().item() - 0.01) < 0.001


def test_a_fixed_mask_is_not_trained():
    readout = FixedMaskReadout((3, 7, 9), 4, READOUT)
    readout.initialize(start(4))
    readout(torch.randn(2, 3, 7, 9)).sum().backward()
    assert readout.raw_mask.grad is None
    assert readout.raw_feature_weights.grad is not None


def test_fully_connected_readout_is_a_dense_layer():
    readout = FullyConnectedReadout((3, 7, 9), 4, FULL).eval()
    readout.initialize(start(4))
    features = torch.randn(5, 3, 7, 9)
    expected = torch.einsum("bcyx,ncyx->bn", features, readout.weights) + readout.bias
    torch.testing.assert_close(readout(features), expected)
    torch.testing.assert_close(readout.readout_l2(), readout.weights.square().sum((1, 2, 3)))


@pytest.mark.parametrize("penalty", ["mask_l1", "feature_l1", "joint_l1"])
def test_penalties_do_not_depend_on_the_number_of_neurons(penalty):
    one, many = random_readout(1), random_readout(50)
    for name, parameter in many.named_parameters():
        parameter.data.copy_(getattr(one, name).data.expand_as(parameter))
    torch.testing.assert_close(
        getattr(many, penalty)().mean(), getattr(one, penalty)().mean(), atol=1e-4, rtol=1e-5
    )


def test_joint_penalty_pairs_every_mask_with_its_own_weights():
    readout = random_readout(7)
    expected = (
        torch.einsum("nyx,nc->nyxc", readout.raw_mask, readout.raw_feature_weights).abs().sum((1, 2, 3))
    )
    torch.testing.assert_close(readout.joint_l1(), expected, atol=1e-3, rtol=1e-5)


def test_losses_follow_their_formulas():
    predictions, responses = torch.rand(6, 3) + 0.1, torch.rand(6, 3)
    torch.testing.assert_close(
        mean_loss("mse", predictions, responses), ((predictions - responses) ** 2).mean(0)
    )
    expected = (predictions - responses * (predictions + 1e-5).log()).mean(0)
    torch.testing.assert_close(mean_loss("poisson", predictions, responses), expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_objective_reduces_loss_and_readout_penalties_alike(reduction):
    definition = factorized()
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 9, 11), 4)
    encoder.initialize(start(4, (9, 11)))
    images, responses = torch.randn(6, 1, 9, 11), torch.rand(6, 4)
    strengths = {"mask_l1": 0.3, "smoothness": 0.2, "activity_l1": 0.1, "feature_l1": 0.0}
    value = Objective("mse", reduction, strengths)(encoder, images, responses)
    predictions = encoder(images)
    per_neuron = mean_loss("mse", predictions, responses) + 0.3 * encoder.readout.mask_l1()
    per_neuron = per_neuron + 0.1 * predictions.abs().mean(0)
    expected = getattr(per_neuron, reduction)() + 0.2 * encoder.core.smoothness()
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("family", ["cnn_factorized", "cnn_fixed_mask", "cnn_fully_connected"])
def test_gradients_agree_with_finite_differences(family):
    readout = FULL | {"dropout": 0.0} if family == "cnn_fully_connected" else READOUT
    definition = factorized(family=family, readout=readout, cores=[small_core(activation="softplus")])
    encoder = build_cnn(ModelSpec.of(definition), 0, (1, 5, 6), 2)
    encoder.initialize(start(2, (5, 6)))
    encoder = encoder.double()
    images, responses = torch.randn(3, 1, 5, 6).double(), torch.rand(3, 2).double()
    objective = Objective("poisson", "sum", {"smoothness": 0.1, "group_sparsity": 0.1})
    trained = [p for p in encoder.parameters() if p.requires_grad]
    tolerances = {"atol": 1e-4, "rtol": 1e-3}
    assert torch.autograd.gradcheck(lambda *_: objective(encoder, images, responses), trained, **tolerances)


def test_maps_side_by_side_are_the_input_and_those_of_every_layer():
    layers = {"channels": [3, 4], "kernels": [3, 3], "padding": ["same"] * 2}
    weights = {"smooth_layers": [1, 1], "sparse_layers": [1, 1]}
    core = ConvCore((2, 7, 9), small_core(side_by_side=True, activation="elu", **layers, **weights))
    core.initialize(torch.Generator().manual_seed(0))
    images = torch.randn(5, 2, 7, 9)
    first, second = core.conv_layers()
    maps = core(images)
    assert maps.shape[1:] == core.out_shape == (2 + 3 + 4, 7, 9)
    torch.testing.assert_close(maps, torch.cat([images, first(images), second(first(images))], 1))


def test_a_uniform_mask_sums_to_its_height():
    uniform = {"position": "uniform", "height": 2, "noise_sd": 0, "truncated": False}
    readout = FactorizedReadout((3, 7, 9), 4, READOUT | {"mask_start": uniform})
    readout.initialize(start(4))
    torch.testing.assert_close(readout.mask.sum((1, 2)), torch.full((4,), 2.0))
    assert readout.mask.std() < 1e-6


def test_a_fully_connected_readout_without_bias_predicts_in_float32():
    readout = FullyConnectedReadout((2, 3, 4), 5, {"weight_sd": 0.1, "dropout": 0}, bias=False)
    with torch.autocast("cpu", torch.bfloat16):
        assert readout(torch.randn(6, 2, 3, 4)).dtype == torch.float32
