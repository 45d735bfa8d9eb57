import numpy as np
import pytest
import torch
import xarray as xr
from conftest import content_of, factorized, small_core

from whatwhere.barcodes import LEAST_VARIANCE, has_weights
from whatwhere.evaluation.clusters import cluster_fit
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.encoder import build_cnn
from whatwhere.models.spec import ModelSpec

N_TYPES, EACH, N_UNFITTED, N_IMAGES = 4, 10, 10, 400


def test_predictions_that_hardly_vary_beside_the_responses_say_nothing():
    responses = np.array([[-1.0, -1.0, -1.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
    size = np.sqrt(LEAST_VARIANCE) * np.array([1.1, 0.9, 0.0, 0.0])
    assert has_weights(size * responses, responses).tolist() == [True, False, False, False]


@pytest.fixture(scope="module")
def four_types():
    """A network whose neurons are of four types, a fifth with weights that penalties left over; its data."""
    model = factorized(cores=[small_core(channels=[N_TYPES])], convention="signed_recording")
    n_neurons = N_TYPES * EACH + N_UNFITTED
    types = np.r_[np.repeat(np.arange(N_TYPES), EACH), np.zeros(N_UNFITTED, int)]
    rng = np.random.default_rng(1)
    encoder = build_cnn(ModelSpec.of(model), 0, (1, 12, 13), n_neurons)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    weights = np.eye(N_TYPES)[types] + 0.02 * rng.normal(size=(n_neurons, N_TYPES))
    weights[-N_UNFITTED:] = 2e-4 * rng.normal(size=(N_UNFITTED, N_TYPES))
    with torch.no_grad():
        encoder.readout.raw_feature_weights.copy_(torch.from_numpy(weights))
        encoder.readout.raw_mask.abs_()[-N_UNFITTED:] *= 0.01
        images = torch.from_numpy(rng.normal(size=(N_IMAGES, 1, 12, 13)).astype(np.float32))
        drive = encoder.eval()(images).numpy()
    sd = np.r_[drive.std(0)[:-N_UNFITTED], np.ones(N_UNFITTED)]
    responses = drive + sd * rng.normal(size=drive.shape)
    data = xr.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images.numpy()),
            "responses": (("repeat", "image", "neuron"), responses[None].astype(np.float32)),
            "split": (("fold", "image"), np.repeat([0, 1, 2], [N_IMAGES - 120, 100, 20])[None]),
        },
        attrs={"name": "four_types", "normalize": "none"},
    )
    seen = load_fit_data(data, None, None, 0)
    statistics = (torch.from_numpy(one) for one in (seen.standardize.mean, seen.standardize.sd))
    content = content_of(model, encoder, 1, torch.arange(n_neurons), *statistics)
    return SeedFit.of(content, 0, 0), seen, types


def test_a_fifth_of_unfitted_neurons_changes_nothing(four_types):
    """Scaled to unit length their weights gave 19 clusters."""
    table, score = cluster_fit(*four_types)
    assert (table.cluster[-N_UNFITTED:] == -1).all()
    assert score["n_unfitted"] == N_UNFITTED
    assert score["n_clusters"] == N_TYPES
    assert score["ari"] == 1
    assert score["stability_halves"] == pytest.approx(1)
    assert score["p_value"] < 0.001
