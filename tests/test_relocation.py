import numpy as np
import pytest
import torch
from conftest import factorized, small_core
from sklearn.linear_model import Ridge

from whatwhere.config.model_checks import _check_localizer
from whatwhere.errors import UserError
from whatwhere.localization import relocation
from whatwhere.localization.relocation import _RIDGE, explained_everywhere, least_gain, relocate
from whatwhere.models.base import Start
from whatwhere.training.families import build, settings

GAUSSIAN = {
    "positive_features": False,
    "bias": True,
    "position": "sta",
    "sd": 0.1,
    "feature_start": {"mean": 1, "sd": 0.1, "truncated": False},
}


def network(family="cnn_factorized", n_neurons=6, **changes):
    model = factorized(family=family, cores=[small_core(channels=[3])], nonlinearity="identity", loss="mse")
    if family != "cnn_factorized":
        model |= {"readout": GAUSSIAN, "grid": [{"feature_l1": [0.01]}]}
    encoder = build(model | changes, settings(model)[0], (1, 12, 15), n_neurons)
    average = np.zeros((n_neurons, 12, 15), np.float32)
    average[:, 3, 4] = 1
    encoder.initialize(
        Start(
            torch.Generator().manual_seed(0), torch.ones(n_neurons), torch.ones(n_neurons), {"sta": average}
        )
    )
    return encoder


def recorded(encoder, places, noise, n_images=600):
    """Responses of neurons that read the encoder's features at known places, with random weights."""
    torch.manual_seed(1)
    images = torch.randn(n_images, 1, 12, 15)
    weights = torch.randn(len(places), 3)
    with torch.no_grad():
        features = encoder.core(images) / encoder.core(images).std()
    drive = torch.stack([features[:, :, y, x] @ w for (y, x), w in zip(places, weights, strict=True)], 1)
    return images, 2 + drive / drive.std(0) + noise * torch.randn(n_images, len(places))


def places_of(encoder):
    flat = encoder.readout.mask.detach().abs().flatten(1).argmax(1)
    return [divmod(int(one), 13) for one in flat]


PLACES = [(2, 3), (9, 12), (0, 0), (7, 5), (3, 4), (9, 0)]


@pytest.mark.parametrize("family", ["cnn_factorized", "cnn_gaussian", "cnn_gaussian_mask"])
def test_neurons_at_wrong_places_are_found_again(family):
    encoder = network(family)
    images, responses = recorded(encoder, PLACES, 1.0)
    assert places_of(encoder) == [(2, 3)] * 6
    moved = relocate(encoder, images, responses)
    # The first and the fifth are where they belong, or so near that training finds the way.
    assert moved.tolist() == [1, 2, 3, 5]
    assert [places_of(encoder)[n] for n in moved] == [PLACES[n] for n in moved]


@pytest.mark.parametrize("family", ["cnn_factorized", "cnn_gaussian"])
def test_moved_neurons_predict_at_once_and_keep_their_mean(family):
    encoder = network(family)
    images, responses = recorded(encoder, PLACES, 0.2)
    with torch.no_grad():
        before = encoder.eval()(images)
        moved = relocate(encoder, images, responses)
        after = encoder.eval()(images)
    torch.testing.assert_close(after.mean(0), before.mean(0), atol=1e-4, rtol=1e-4)
    for neuron in moved.tolist():
        assert np.corrcoef(after[:, neuron], responses[:, neuron])[0, 1] > 0.95


@pytest.mark.parametrize("n_features", [3, 48])
def test_noise_moves_nobody_however_many_features_there_are(n_features):
    """A threshold that only counts locations lets 45 of 200 neurons move with 48 features."""
    encoder = network(n_neurons=200, cores=[small_core(channels=[n_features])])
    torch.manual_seed(1)
    images = torch.randn(1000, 1, 12, 15)
    assert len(relocate(encoder, images, torch.randn(1000, 200))) <= 1


@pytest.mark.parametrize("n_features", [1, 8, 48])
def test_the_threshold_is_exceeded_as_often_as_it_says(n_features):
    rng = np.random.default_rng(0)
    explained = rng.beta(n_features / 2, (300 - 1 - n_features) / 2, (2000, 100)).max(1)
    gained = -150 * np.log1p(-explained)
    # One neuron in a thousand; the largest of 2,000 is near.
    assert np.quantile(gained, 0.99) < least_gain(300, n_features, 100) < gained.max() + 5


def test_fewer_images_than_features_move_nobody():
    assert least_gain(40, 48, 100) == np.inf


def test_a_second_relocation_moves_nobody():
    encoder = network()
    images, responses = recorded(encoder, PLACES, 1.0)
    relocate(encoder, images, responses)
    assert not len(relocate(encoder, images, responses))


def test_looking_at_neurons_in_parts_moves_the_same_ones(monkeypatch):
    whole, parts = network(), network()
    images, responses = recorded(whole, PLACES, 1.0)
    moved = relocate(whole, images, responses)
    monkeypatch.setattr(relocation, "_ROOM", 8 * 3 * 10 * 13 * 4)  # four neurons, then two
    assert relocate(parts, images, responses).tolist() == moved.tolist()
    torch.testing.assert_close(parts.state_dict(), whole.state_dict())


def test_every_location_is_a_ridge_regression():
    encoder = network()
    images, responses = recorded(encoder, PLACES, 1.0)
    found = explained_everywhere(encoder, images, responses, positive=False)
    with torch.no_grad():
        features = encoder.core(images).double().numpy()
    variance = features.var(0).mean()
    here = features[:, :, 9, 12]
    reference = Ridge(alpha=_RIDGE * variance * len(images)).fit(here, responses.double().numpy())
    location = 9 * 13 + 12
    np.testing.assert_allclose(found.weights[location].T, reference.coef_, rtol=1e-6)
    r = np.corrcoef(reference.predict(here)[:, 1], responses[:, 1])[0, 1]
    assert found.explained[location, 1].item() == pytest.approx(r**2, rel=1e-5)
    np.testing.assert_allclose(found.mean[location], here.mean(0), rtol=1e-6)


def test_positive_weights_stay_positive():
    encoder = network()
    images, responses = recorded(encoder, PLACES, 1.0)
    found = explained_everywhere(encoder, images, responses, positive=True)
    assert found.weights.min() == 0
    assert found.explained.max() <= 1


def test_a_fully_connected_network_cannot_relocate():
    model = {"family": "cnn_fully_connected", "relocation": {"every": 10, "last": 100}}
    config = {"models": {"one": model}}
    with pytest.raises(UserError, match=r"models.one.relocation: .*cnn_fully_connected cannot move"):
        _check_localizer(config, "one", [("config.yaml", config)])
