import numpy as np
import pytest
import torch
from simulated import simulated
from torch import nn

from whatwhere.dataset import check
from whatwhere.errors import UserError
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.feature_units import MARGIN, centers, unit_responses, window
from whatwhere.simulations.v1_bank import SQUARED_CV, V1Bank, spatial_filters
from whatwhere.simulations.vgg19 import LAYERS, RECEPTIVE_FIELDS, VGG19
from whatwhere.standardize import Standardizer

IDENTITY = Standardizer(np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32))


@pytest.fixture(scope="module")
def leaves():
    """Standardized images (image, channel, y, x)."""
    images = np.concatenate(list(dead_leaves(64, 3, (28, 28), np.random.SeedSequence(1))))
    return (images - images.mean()) / images.std()


@pytest.fixture(scope="module")
def bank(leaves):
    return V1Bank(5, leaves, np.random.SeedSequence(2))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Random weights under the names and shapes of torchvision's checkpoint."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
    for index, (out, into) in shapes.items():
        scale = (2 / (9 * into)) ** 0.5
        state[f"features.{index}.weight"] = torch.randn(out, into, 3, 3, generator=generator) * scale
        state[f"features.{index}.bias"] = torch.randn(out, generator=generator) * 0.1
    path = tmp_path_factory.mktemp("weights") / "vgg19.pth"
    torch.save(state | {"features.10.weight": torch.zeros(256, 128, 3, 3)}, path)
    return path


def plain_vgg(checkpoint, layer):
    """The original layers at their original strides, without padding."""
    modules = []
    state = torch.load(checkpoint, weights_only=True)
    for name, index in LAYERS.items():
        kernel = state[f"features.{index}.weight"]
        convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3)
        convolution.load_state_dict({"weight": kernel, "bias": state[f"features.{index}.bias"]})
        if name == "conv2_1":
            modules.append(nn.MaxPool2d(2, 2))
        modules += [convolution, nn.ReLU()]
        if name == layer:
            break
    return nn.Sequential(*modules)


@pytest.mark.parametrize("layer", LAYERS)
def test_vgg19_at_stride_one_is_the_original_on_shifted_crops(checkpoint, layer, leaves):
    space = VGG19(checkpoint, layer, 20, leaves[:8, :, :16, :16], np.random.SeedSequence(0))
    images = torch.from_numpy(leaves[:3, :, :19, :20])
    size = RECEPTIVE_FIELDS[layer]
    plain = plain_vgg(checkpoint, layer)
    with torch.no_grad():
        maps = space(images)
        assert maps.shape == (3, 20, 19 - size + 1, 20 - size + 1)
        for y, x in [(0, 0), (1, 0), (0, 1), (3, 5), (5, 6)]:
            unit = plain(images[:, :, y : y + size, x : x + size])
            assert unit.shape[2:] == (1, 1)
            torch.testing.assert_close(maps[:, :, y, x], unit[:, space._selected, 0, 0], atol=1e-5, rtol=1e-4)
    assert (maps > 0).any()


def test_types_of_vgg19_are_nested_and_respond(checkpoint, leaves):
    few, many = (VGG19(checkpoint, "conv1_2", n, leaves[:8], np.random.SeedSequence(4)) for n in (4, 16))
    np.testing.assert_array_equal(few._selected, many._selected[:4])
    with torch.no_grad():
        assert (many(torch.from_numpy(leaves[:8])).amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"features.0.weight": torch.zeros(64, 3, 3, 3)}, "'features.0.bias': use torchvision's"),
        ([torch.zeros(2)], "use torchvision's"),
        (None, "use torchvision's"),
    ],
)
def test_other_files_are_refused(content, expected, tmp_path, leaves):
    path = tmp_path / "other.pth"
    if content is None:
        path.write_bytes(b"no checkpoint")
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=expected):
        VGG19(path, "conv1_1", 1, leaves[:2], np.random.SeedSequence(0))


@pytest.mark.parametrize("receptive_field", [3, 5, 10, 13, 14])
def test_every_receptive_field_has_the_same_grid_and_center(receptive_field):
    images = torch.arange(44 * 44, dtype=torch.float32).reshape(1, 1, 44, 44)
    seen = window(images, receptive_field)
    assert seen.shape[-1] - receptive_field + 1 == 44 - 2 * MARGIN == 32
    middle = seen[0, 0, (receptive_field - 1) // 2, (receptive_field - 1) // 2]
    assert middle == images[0, 0, 6, 6]
    # Only an even receptive field of 14 px reaches beyond the image, by one pixel of zeros.
    assert (seen[0, 0, -1] == 0).all() == (receptive_field == 14)
    # The middle of an even receptive field lies between pixels.
    between = 0 if receptive_field % 2 else 0.5
    np.testing.assert_array_equal(centers(np.array([[0, 3]]), receptive_field), [[6 + between, 9 + between]])


@pytest.mark.slow
def test_a_unit_sees_its_receptive_field_and_nothing_else(bank, leaves):
    location = np.array([[2, 5], [15, 0]])
    cell_type = np.array([1, 4])
    before = unit_responses(bank, leaves, IDENTITY, cell_type, location)
    inside, outside = leaves.copy(), leaves.copy()
    rng = np.random.default_rng(0)
    outside[:, :, 15:, :] = rng.standard_normal(outside[:, :, 15:, :].shape)
    outside[:, :, :2, :] = 0
    outside[:, :, :, :5] = 0
    outside[:, :, :, 18:] = 0
    np.testing.assert_allclose(
        unit_responses(bank, outside, IDENTITY, cell_type, location)[:, 0], before[:, 0], atol=1e-5
    )
    inside[:, :, 2:15, 5:18] *= -1
    after = unit_responses(bank, inside, IDENTITY, cell_type, location)[:, 0]
    assert not np.allclose(after, before[:, 0], atol=0.1)


def test_v1_filters_are_normalized_and_all_but_the_blob_ignore_uniform_light():
    filters = spatial_filters()
    assert filters.shape == (9, 5, 5)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=(1, 2)), 1)
    np.testing.assert_allclose(filters[:8].sum((1, 2)), 0, atol=1e-12)
    assert filters[8].min() > 0


def test_v1_maps_are_sparse_as_the_units_of_the_paper_and_correlate_as_stated(bank, leaves):
    with torch.no_grad():
        maps = bank(torch.from_numpy(leaves))
    assert maps.shape == (64, 5, 16, 16)
    assert (maps >= 0).all()
    flat = maps.transpose(0, 1).flatten(1)
    ratio = flat.var(1) / flat.mean(1) ** 2
    torch.testing.assert_close(ratio, torch.full((5,), SQUARED_CV), rtol=1e-3, atol=0)
    torch.testing.assert_close(torch.corrcoef(flat), bank.correlations, atol=1e-3, rtol=0)


def test_v1_types_are_distinct_and_nested(bank, leaves):
    few = V1Bank(2, leaves, np.random.SeedSequence(2))
    torch.testing.assert_close(bank.correlations[:2, :2], few.correlations, atol=1e-4, rtol=0)
    assert (bank.correlations - torch.eye(5)).abs().max() < 0.3


@pytest.mark.slow
def test_v1_maps_are_not_linear_in_the_image(leaves):
    images = np.concatenate(list(dead_leaves(3200, 3, (13, 13), np.random.SeedSequence(7))))
    images = (images - images.mean()) / images.std()
    bank = V1Bank(6, leaves, np.random.SeedSequence(2))
    with torch.no_grad():
        maps = bank(torch.from_numpy(images)).flatten(1).numpy()
    pixels = np.concatenate([images.reshape(len(images), -1), np.ones((len(images), 1))], 1)
    train, test = slice(0, 2600), slice(2600, None)
    gram = pixels[train].T @ pixels[train] + 30 * np.eye(pixels.shape[1])
    predicted = pixels[test] @ np.linalg.solve(gram, pixels[train].T @ maps[train])
    feve = 1 - ((predicted - maps[test]) ** 2).mean(0) / maps[test].var(0)
    assert feve.max() < 0.45
    assert feve.mean() > 0.05


@pytest.mark.slow
def test_rates_have_mean_one_tenth_and_only_test_responses_carry_no_noise():
    data = simulated("features", n_images=800)
    rates, responses = data["rates"].values, data["responses"].values[0]
    np.testing.assert_allclose(rates[:800].mean(0), 0.1, rtol=1e-4)
    np.testing.assert_array_equal(responses[800:], rates[800:])
    noise = responses[:800] - rates[:800]
    silent = rates[:800] == 0
    assert (noise[silent] == 0).all()
    np.testing.assert_allclose((noise[~silent] ** 2 / rates[:800][~silent]).mean(), 1, rtol=0.1)


@pytest.mark.slow
def test_locations_of_a_type_differ_and_are_nested():
    data = simulated("features", n_neurons=2 * 64)
    location = data["location"].values
    assert location.min() == 6
    assert location.max() == 13
    assert len(np.unique(location[:64], axis=0)) == 64
    fewer = simulated("features")
    np.testing.assert_array_equal(fewer["location"][6:], location[64:70])


def test_the_feature_space_of_a_checkpoint_gives_the_neurons(checkpoint):
    definition = {"name": "vgg19", "layer": "conv2_2", "weights": str(checkpoint)}
    data = simulated("features", feature_space=definition, n_images=40)
    check(data, "features")
    assert (data["location"].values % 1 == 0.5).all()


def test_grey_images_have_a_feature_space_too():
    data = simulated("features", color="grey", n_images=40)
    assert data["images"].shape == (70, 1, 20, 20)
    check(data, "features")
