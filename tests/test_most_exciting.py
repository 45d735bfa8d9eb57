import numpy as np
import pytest
import torch
from conftest import content_of, factorized, small_core
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from whatwhere.api import definition
from whatwhere.errors import UserError
from whatwhere.experiments import most_exciting
from whatwhere.experiments.most_exciting import ascend, most_exciting_images, project, write_pngs
from whatwhere.experiments.selected import interval_of_selected
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import FittedModel
from whatwhere.fitted.seed_fit import MeanFit, SeedFit
from whatwhere.fitted.selection import MEAN_RESPONSE
from whatwhere.models.calibrated import CalibratedModel
from whatwhere.models.factorized_ridge import FactorizedRidge
from whatwhere.models.output_curve import OutputCurve
from whatwhere.models.spec import ModelSpec
from whatwhere.simulations.v1_cells import gabor
from whatwhere.training.families import build

SHAPE = (1, 12, 15)


def fitted_model(model, n_neurons=5, shape=SHAPE, choice=0, mean=0.0, sd=1.0, limit=4.0, change=None):
    """An unfitted model of random parameters as if it had been fitted to images of this mean and sd."""
    torch.manual_seed(0)
    encoder = build(ModelSpec.of(model), ModelSpec.of(model).settings[0], shape, n_neurons)
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.3)
    if change is not None:
        change(encoder)
    neurons = torch.arange(10, 10 + n_neurons)
    statistics = torch.full(shape, mean), torch.full(shape, sd)
    content = content_of(model, encoder, len(ModelSpec.of(model).settings), neurons, *statistics)
    low, high = (np.full(shape, mean + sign * limit * sd, np.float32) for sign in (-1, 1))
    return FittedModel(
        dataset="made",
        neurons=neurons.numpy(),
        neuron_ids=neurons.tolist(),
        scores=None,
        split=np.zeros(0),
        image_space=ImageSpace(shape, None, low, high, mean, float(np.sqrt(np.prod(shape)))),
        seed_fits=(SeedFit.of(content, 0, choice),),
    )


def network(**changes):
    return factorized(grid=[{"mask_l1": [0.01], "feature_l1": [0.01]}], **changes)


def found_by(fitted, n_starts=1, **changes):
    return most_exciting_images(fitted, n_starts=n_starts, **changes)


def cosine(first, second):
    first, second = (one.reshape(len(one), -1) for one in (first, second))
    return (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


MODELS = {
    "factorized": network(),
    "padded": network(cores=[small_core(channels=[5], padding=["same"])]),
    "fully_connected": network(
        family="cnn_fully_connected", readout={"weight_sd": 0.1, "dropout": 0.5, "bias": True}
    ),
    "gaussian": network(
        family="cnn_gaussian",
        readout={"position": "random", "sd": 0.3, "positive_features": False, "bias": True},
    ),
    "lnp": definition("lnp"),
    "hsm": definition("hsm"),
    "ridge": definition("ridge"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_neuron_alone_answers_as_it_does_among_all(name, rng):
    fit = fitted_model(MODELS[name], mean=3.0, sd=2.0).seed_fits[0]
    images = torch.from_numpy(rng.normal(3, 2, size=(7, *SHAPE)).astype(np.float32)).requires_grad_(True)
    neurons = torch.tensor([0, 4, 2, 2, 1, 3, 0])
    alone = fit.own_responses(images, neurons)
    among = fit.calibrated[0](images)[torch.arange(7), neurons]
    predicted = fit.predict(images.detach().numpy())[np.arange(7), neurons]
    np.testing.assert_array_equal(predicted, among.detach())
    torch.testing.assert_close(alone, among, rtol=1e-4, atol=1e-5)
    first, second = (torch.autograd.grad(one.sum(), images)[0] for one in (alone, among))
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-5)


def test_a_neuron_alone_has_its_own_output_curve():
    model = FactorizedRidge((4, 5, 6), 3, 2)
    generator = torch.Generator().manual_seed(0)
    for value in [*model.parameters(), *model.buffers()]:
        value.data.normal_(generator=generator)
    model.curve = OutputCurve(3)
    model.curve.drive.copy_(torch.linspace(-50, 50, 256).repeat(3, 1))
    model.curve.response.copy_(torch.randn(3, 256, generator=generator).cumsum(1))
    fit = CalibratedModel(model, torch.zeros(4, 5, 6), torch.ones(4, 5, 6), torch.tensor([1.0, 2.0, 3.0]))
    images, neurons = torch.randn(5, 4, 5, 6, generator=generator), torch.tensor([0, 2, 1, 2, 0])
    alone, among = fit.own_responses(images, neurons), fit(images)[torch.arange(5), neurons]
    torch.testing.assert_close(alone, among, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0.01, 30))
def test_projected_images_keep_to_norm_and_limits(seed, norm):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(3, 2, 4, 5, generator=generator)
    low, high = -torch.rand(2, 4, 5, generator=generator), torch.rand(2, 4, 5, generator=generator)
    projected = project(images, norm, low, high)
    assert ((projected >= low) & (projected <= high)).all()
    length = projected.flatten(1).norm(dim=1)
    assert (length <= norm * 1.0001).all()
    if norm < 0.3 * high.norm():
        free = ((projected > low) & (projected < high)).flatten(1).any(1)
        assert (length[free] > 0.5 * norm).all()


def test_the_image_of_a_linear_neuron_is_its_receptive_field():
    y, x = np.mgrid[:12, :15]
    field = [
        np.exp(-((y - row) ** 2 + (x - column) ** 2) / 6) - 0.1 * (abs(y - row) + abs(x - column) < 6)
        for row, column in [(4, 5), (6, 9), (7, 4), (3, 10), (8, 8)]
    ]
    fields = np.array(field, np.float32)[:, None]

    def take_fields(encoder):
        encoder.filters.data.copy_(torch.from_numpy(fields))

    fitted = fitted_model(definition("ridge"), mean=100.0, sd=20.0, change=take_fields)
    image = found_by(fitted)["image"].values
    assert cosine(image - 100, fields).min() > 0.98
    least = found_by(fitted, least=True)["image"].values
    assert cosine(least - 100, fields).max() < -0.98


def true_cells():
    """Two phases of one orientation: a simple and a complex cell of 12 x 15 px."""
    pair = [np.pad(gabor(11, 0.6, 5.0, phase, 1.3), ((0, 1), (2, 2))) for phase in (0.4, 0.4 + np.pi / 2)]
    return torch.from_numpy(np.array(pair, np.float32))


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_simple_and_a_complex_cell_are_given_their_best_stimulus(is_complex):
    filters, limit = true_cells(), torch.full(SHAPE, 4.0)

    def respond(images):
        outputs = images.flatten(1) @ filters.flatten(1).T
        return outputs.norm(dim=1) if is_complex else outputs[:, 0].relu()

    noise = project(torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(1)), 5.0, -limit, limit)
    _, reached = ascend(respond, noise, 5.0, -limit, limit, 20)
    # Their filters have norm 1; half of the simple cells see no gradient in their noise.
    assert (reached > 0.98 * 5).sum() >= (6 if is_complex else 2)


def cell_of(respond, monkeypatch):
    """A model of one neuron that responds (image,) to images (image, channel, y, x)."""
    monkeypatch.setattr(most_exciting, "own_responses", lambda fitted, shown, neurons: respond(shown))
    monkeypatch.setattr(MeanFit, "predict", lambda fit, shown: respond(torch.tensor(shown))[:, None].numpy())
    return fitted_model(network(), n_neurons=1)


def test_an_ascent_starts_at_the_image_with_the_largest_response(monkeypatch):
    """From faint noise it takes the direction that wins at low contrast."""
    generator = torch.Generator().manual_seed(0)
    filters = torch.linalg.qr(torch.randn(180, 2, generator=generator))[0].T
    images = torch.randn(300, 182, generator=generator)
    images = (images[:, :180] + 8 * images[:, 180:] @ filters).view(300, *SHAPE).numpy()

    def respond(shown):
        first, second = (shown.flatten(1) @ filters.T).relu().T
        return first + 0.37 * second**2

    fitted = cell_of(respond, monkeypatch)
    # With outputs a and b of a^2 + b^2 = 16, the maximum is at a = 1 / (2 * 0.37).
    best = 0.37 * 16 + 1 / (4 * 0.37)
    assert found_by(fitted, norm=4.0)["response"] < 0.9 * best
    assert found_by(fitted, norm=4.0, images=images)["response"].item() == pytest.approx(best, rel=0.01)


def test_a_neuron_that_is_silent_for_noise_gets_an_image_all_the_same(monkeypatch):
    """Its ascent from noise has no gradient, and the image was blank."""
    field = torch.zeros(SHAPE)
    field[0, 4:8, 4:8] = 1

    def respond(shown):
        return ((shown * field).flatten(1).sum(1) - 6).relu()

    fitted, images = cell_of(respond, monkeypatch), np.random.default_rng(0).normal(size=(50, *SHAPE))
    assert found_by(fitted, norm=4.0)["response"] == 0
    images[7] += 3 * field.numpy()
    assert found_by(fitted, norm=4.0, images=images)["response"].item() == pytest.approx(16 - 6, rel=0.01)


@pytest.mark.parametrize("least", [False, True])
def test_the_interval_of_a_selected_image_holds_nine_of_ten_responses(rng, least):
    """Predictions are off by as much as they vary: the selected ones are too large on average."""
    held, plain, sign = [], [], -1 if least else 1
    for _ in range(200):
        truth = rng.normal(size=(2, 100, 30))
        predicted = truth + rng.normal(size=truth.shape)
        measured = truth + rng.normal(size=truth.shape)
        new = (sign * predicted[1]).argmax(0), np.arange(30)
        low, high = interval_of_selected(sign * predicted[0], sign * measured[0], sign * predicted[1][new])
        held.append((sign * measured[1][new] >= low) & (sign * measured[1][new] <= high))
        plain.append(np.abs(measured[1][new] - predicted[1][new]) < 1.645 * np.sqrt(2))
    assert 0.88 < np.mean(held) < 0.92
    assert np.mean(plain) < 0.75


def test_images_do_not_depend_on_the_number_of_neurons_at_once(rng, monkeypatch):
    fitted, images = fitted_model(network()), rng.normal(size=(40, *SHAPE)).astype(np.float32)
    together = found_by(fitted, images=images)
    monkeypatch.setattr(most_exciting, "_CHUNK", 2)
    np.testing.assert_allclose(found_by(fitted, images=images)["image"], together["image"], atol=1e-4)


def test_the_interval_is_returned_with_the_image(rng):
    fitted = fitted_model(network())
    images = rng.normal(size=(40, *SHAPE)).astype(np.float32)
    predicted = fitted.arrays.predict(images)
    measured = predicted + rng.normal(size=predicted.shape)
    for least in (False, True):
        found = found_by(fitted, held_out=(predicted, measured), least=least)
        assert (found["response_low"] < found["response"]).all()
        assert (found["response"] < found["response_high"]).all()
    np.testing.assert_array_equal(found["image"], found_by(fitted, least=True)["image"])


def test_images_keep_to_the_norm_and_to_the_range_of_the_training_images():
    fitted = fitted_model(network(), mean=100.0, sd=20.0, limit=1.0)
    found = found_by(fitted, norm=5.0)
    image = found["image"].values
    assert np.abs(image - 100).max() <= 20 * 1.0001
    np.testing.assert_allclose(np.linalg.norm((image - 100).reshape(5, -1) / 20, axis=1), 5, rtol=0.02)
    np.testing.assert_allclose(found["response"], np.diag(fitted.predict(image)), rtol=1e-4)
    assert (found["response"].values > np.diag(fitted.predict(np.full_like(image, 100.0)))).all()


def test_a_neuron_gets_the_same_image_whoever_else_is_asked_for():
    fitted = fitted_model(network())
    every, two = found_by(fitted, seed=3), found_by(fitted, seed=3, neurons=[13, 10])
    np.testing.assert_allclose(two["image"], every["image"].sel(neuron=[13, 10]), atol=1e-4)
    other = found_by(fitted, seed=4, neurons=[13, 10], steps=1)
    assert not np.allclose(other["image"], found_by(fitted, seed=3, neurons=[13, 10], steps=1)["image"])


def test_more_starts_are_never_worse():
    fitted = fitted_model(network())
    one, three = (found_by(fitted, n_starts=n, steps=3) for n in (1, 3))
    np.testing.assert_allclose(three["response_of_start"][:, 0], one["response"], rtol=1e-5)
    np.testing.assert_allclose(three["response"], three["response_of_start"].max("start"))


def test_a_second_fit_confirms_its_share_of_the_response():
    def halve(encoder):
        encoder.filters.data /= 2
        encoder.bias.data /= 2

    first, second = (fitted_model(definition("ridge"), change=change) for change in (None, halve))
    np.testing.assert_allclose(found_by(first, confirm=second)["confirmed"], 0.5, rtol=1e-4)


def test_a_neuron_that_was_given_its_mean_response_keeps_the_mean_image():
    fitted = fitted_model(network(), choice=[0, 0, MEAN_RESPONSE, 0, 0], mean=100.0, sd=20.0)
    found = found_by(fitted)
    assert (found["image"][2] == 100).all()
    assert found["response"][2] == 2
    assert (found["image"][1] != 100).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": [3]}, r"neurons: \[3\] are not among the 5"),
        ({"neurons": [True, False, True, False, True]}, "are truth values, which are no names"),
        ({"norm": 0.0}, "norm must be positive"),
        ({"steps": 0}, "steps and n_starts at least 1"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        found_by(fitted_model(network()), **changes)


def test_pictures_keep_the_meaning_of_pixels_of_eight_bits(tmp_path):
    found = found_by(fitted_model(network(), mean=100.0, sd=20.0), neurons=[12])
    (path,) = write_pngs(found, tmp_path)
    assert path.name == "neuron_12.png"
    np.testing.assert_array_equal(np.asarray(Image.open(path)), found["image"][0, 0].round())
    stretched = found_by(fitted_model(network()), neurons=[12])
    (path,) = write_pngs(stretched, tmp_path)
    expected = (stretched["image"][0, 0] + 4) / 8 * 255
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected.round())
