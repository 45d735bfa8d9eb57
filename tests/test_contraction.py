import pytest
import torch
from torch.nn import functional

from whatwhere.models.contraction import (
    at_once,
    channels_first,
    cheapest_order,
    factorized_drive,
    places_first,
)
from whatwhere.models.cores import ConvLayer

ORDERS = [places_first, channels_first, at_once]
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def plain(features, mask, weights):
    return torch.einsum("bcyx,nyx,nc->bn", features, mask, weights)


def operands(layout=torch.contiguous_format, fits=()):
    """Features, masks and weights in float64, with a leading axis of fits if there are several."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 3, 7, 9), (4, 7, 9), (4, 3)]
    features, mask, weights = (
        torch.randn(*fits, *shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    if not fits:
        features = features.contiguous(memory_format=layout)
    return [one.requires_grad_() for one in (features, mask, weights)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "order"),
    [((6, 3, 7, 9), places_first), ((6, 30, 2, 3), channels_first), ((90, 3, 7, 9), at_once)],
)
def test_gradients_of_features_are_laid_out_as_features(shape, order, layout):
    features = torch.randn(shape).contiguous(memory_format=layout).requires_grad_()
    batch, channels, y, x = shape
    assert cheapest_order(batch, channels, y * x, 4) is order
    drive = factorized_drive(features, torch.randn(4, y, x), torch.randn(4, channels), None)
    (gradient,) = torch.autograd.grad(drive.sum(), features)
    assert gradient.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_the_plain_sum_and_its_gradients(order, layout):
    given = operands(layout)
    drive, expected = order(*given), plain(*given)
    torch.testing.assert_close(drive, expected)
    weight = torch.linspace(-1, 1, drive.numel(), dtype=torch.float64).view(drive.shape)
    gradients, others = (torch.autograd.grad((one * weight).sum(), given) for one in (drive, expected))
    torch.testing.assert_close(gradients, others)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_serves_several_fits_at_once(order):
    given = operands(fits=(2,))
    each = torch.stack([plain(*one) for one in zip(*given, strict=True)])
    torch.testing.assert_close(torch.vmap(order)(*given), each)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_keeps_drives_in_float32_under_autocast(order):
    given = [one.detach().float() for one in operands()]
    with torch.autocast("cpu", torch.bfloat16):
        drive = order(*given)
    assert drive.dtype == torch.float32
    torch.testing.assert_close(drive, plain(*given), atol=0.3, rtol=0.03)


@pytest.mark.parametrize(
    ("what", "shape", "order"),
    [
        ("network on the feature bank, a recording of macaque V4", (64, 147, 11 * 11, 89), channels_first),
        ("section G.2", (256, 48, 19 * 19, 103), at_once),
        ("Figure 5", (64, 4, 32 * 32, 100), places_first),
        ("Figure 4", (256, 2, 32 * 32, 1000), places_first),
        ("Figure 3", (256, 1, 32 * 32, 1000), places_first),
        ("8000 neurons on maps of 36 x 64", (256, 32, 36 * 64, 8000), places_first),
    ],
)
def test_the_order_is_the_one_that_was_fastest(what, shape, order):
    assert cheapest_order(*shape) is order, what


def test_the_drive_does_not_depend_on_which_order_its_sizes_ask_for():
    features, mask, weights = operands()
    bias = torch.randn(4, dtype=torch.float64)
    # One image and all of them are summed in different orders.
    assert cheapest_order(1, 3, 63, 4) is not cheapest_order(600, 3, 63, 4)
    many = features.repeat(100, 1, 1, 1)
    together = factorized_drive(many, mask, weights, bias)
    alone = torch.cat([factorized_drive(one, mask, weights, bias) for one in many[:6].split(1)])
    torch.testing.assert_close(together[:6], alone)


@pytest.mark.parametrize("kernel", [3, 8])
def test_a_convolution_that_pads_is_one_of_padded_maps(kernel):
    layer = ConvLayer((2, 9, 11), 3, kernel, True, False, None, "identity").double()
    layer.kernels.data.normal_()
    features = torch.randn(4, 2, 9, 11, dtype=torch.float64, requires_grad=True)
    before, after = (kernel - 1) // 2, kernel // 2
    expected = functional.conv2d(functional.pad(features, (before, after, before, after)), layer.kernels)
    torch.testing.assert_close(layer(features), expected)
    inputs = (features, layer.kernels)
    gradients, others = (
        torch.autograd.grad(one.square().sum(), inputs) for one in (layer(features), expected)
    )
    torch.testing.assert_close(gradients, others)
