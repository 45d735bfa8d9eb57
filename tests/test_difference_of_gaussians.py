import numpy as np
import pytest
from simulated import simulated

from whatwhere.simulations.difference_of_gaussians import linear_rates, receptive_fields


def identical(scale):
    stream = np.random.SeedSequence(0)
    return receptive_fields([scale], 1, 0.0, True, 48, 17, stream)


@pytest.mark.parametrize(
    ("scale", "row", "total"),
    [
        (
            1.0,
            [0.03953, 0.024437, -0.001701, -0.014191, -0.013094, -0.008133, -0.004157, -0.001848, -0.000724],
            -0.98350,
        ),
        (
            0.6,
            [0.051029, 0.0213, -0.014364, -0.017583, -0.009508, -0.003771, -0.0012, -0.00031, -0.000065],
            -0.76922,
        ),
    ],
)
def test_kernels_have_the_derived_values(scale, row, total):
    kernel = identical(scale).kernels[0]
    np.testing.assert_allclose(kernel[8, 8:], row, atol=6e-7)
    np.testing.assert_allclose(kernel.sum(), total, atol=6e-6)
    np.testing.assert_allclose(np.linalg.norm(kernel), 0.1253314, atol=1e-7)


def test_the_two_types_have_the_derived_similarity():
    small, large = (identical(scale).kernels[0].ravel() for scale in (0.6, 1.0))
    similarity = small @ large / np.linalg.norm(small) / np.linalg.norm(large)
    np.testing.assert_allclose(similarity, 0.8791, atol=5e-5)


def test_types_share_positions_and_differ_in_shape():
    fields = receptive_fields([0.6, 1.0], 7, 0.05, False, 48, 17, np.random.SeedSequence(1))
    np.testing.assert_array_equal(fields.location[:7], fields.location[7:])
    assert not np.allclose(fields.kernels[:7], fields.kernels[7:])


def test_location_is_the_weighted_center_of_the_receptive_field():
    fields = receptive_fields([0.6], 5, 0.0, False, 48, 17, np.random.SeedSequence(1))
    axis = np.arange(17)
    centre = np.maximum(fields.kernels, 0)
    centre /= centre.sum((1, 2), keepdims=True)
    y = (centre.sum(2) * axis).sum(1) + fields.corner[:, 0]
    x = (centre.sum(1) * axis).sum(1) + fields.corner[:, 1]
    np.testing.assert_allclose(np.stack([y, x], 1), fields.location, atol=0.1)


def test_rates_are_inner_products_at_the_corner(rng):
    fields = receptive_fields([1.0], 3, 0.1, False, 48, 17, np.random.SeedSequence(2))
    images = rng.standard_normal((4, 1, 48, 48)).astype(np.float32)
    row, column = fields.corner[1]
    patch = images[:, 0, row : row + 17, column : column + 17]
    expected = (patch * fields.kernels[1]).sum((1, 2))
    np.testing.assert_allclose(linear_rates(fields, images)[:, 1], expected, atol=1e-5)


def test_moments_follow_from_the_normalization():
    data = simulated(
        "dog",
        scales=[0.6, 1.0],
        n_neurons=20,
        variation=0.05,
        centered=False,
        image_size=48,
        patch=17,
        n_images=4000,
    )
    rates, responses = data["rates"].values[:4000], data["responses"].values[0, :4000]
    np.testing.assert_allclose(np.abs(rates).mean(), 0.1, rtol=0.02)
    np.testing.assert_allclose(rates.var(0).mean(), 0.015708, rtol=0.02)
    np.testing.assert_allclose((responses - rates).var(0).mean(), 0.1, rtol=0.03)
    np.testing.assert_allclose(data["response_sd"].mean(), 0.138, rtol=0.05)
