import math

import numpy as np
import pytest
import torch
from conftest import small_training
from scipy.ndimage import gaussian_filter

from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.base import Start, predict_prepared
from whatwhere.models.hsm import HSM, LARGEST_RATIO, SMALLEST
from whatwhere.models.spec import ModelSpec, Schedule
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.checkpoint import Checkpoint
from whatwhere.training.fits import to_tensors
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective
from whatwhere.training.sweep import train_seed

DEFINITION = {"family": "hsm", "grid": [{"start": [0, 1, 2]}], "training": small_training()}


def start(mean, seed=0):
    return Start(torch.Generator().manual_seed(seed), torch.ones_like(mean), mean, {})


def initialized(n_neurons=10, shape=(1, 15, 19), n_filters=9, seed=0):
    model = HSM(shape, n_neurons, n_filters)
    model.initialize(start(torch.linspace(0.1, 3, n_neurons), seed))
    return model


def test_layers_have_the_sizes_of_the_definition():
    model = HSM((1, 31, 31), 103)
    assert model.hidden_weights.shape == (21, 9)
    assert model.output_weights.shape == (103, 21)
    assert HSM((1, 31, 31), 1).hidden_weights.shape == (1, 9)


def test_filters_are_differences_of_gaussians():
    model = initialized()
    y, x = torch.meshgrid(torch.arange(15.0), torch.arange(19.0), indexing="ij")
    for index, kernel in enumerate(model.filters()):
        expected = torch.zeros(15, 19)
        for sign, sd, weight in zip((1, -1), model.sds[index], model.weights[index], strict=True):
            squared = (y - model.center[index, 0]) ** 2 + (x - model.center[index, 1]) ** 2
            expected += sign * weight * torch.exp(-squared / (2 * sd**2)) / (2 * math.pi * sd**2)
        torch.testing.assert_close(kernel, expected, atol=1e-6, rtol=1e-5)


def test_a_filter_inside_the_image_has_the_volume_of_its_weights():
    model = HSM((1, 61, 61), 5, 1)
    model.initialize(start(torch.ones(5)))
    with torch.no_grad():
        model.raw_center.zero_()
        model.raw_sd.fill_(-1.0)
        model.raw_ratio.zero_()
    center, surround = model.weights[0]
    assert model.filters().sum().item() == pytest.approx((center - surround).item(), abs=1e-3)


def test_prediction_is_two_softplus_layers_with_thresholds_on_a_linear_one():
    model, images = initialized(), torch.randn(4, 3, 15, 19)
    torch.manual_seed(0)
    model.hidden_threshold.data.normal_()
    drive = torch.einsum("byx,fyx->bf", images.mean(1), model.filters())
    hidden = torch.log1p(torch.exp(drive @ model.hidden_weights.T - model.hidden_threshold))
    expected = torch.log1p(torch.exp(hidden @ model.output_weights.T - model.output_threshold))
    torch.testing.assert_close(model(images), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("extreme", [-50.0, 50.0])
def test_places_and_sizes_stay_inside_their_bounds(extreme):
    model = initialized()
    for raw in (model.raw_center, model.raw_sd, model.raw_ratio):
        raw.data.fill_(extreme)
    assert (model.center >= 0).all()
    assert (model.center <= torch.tensor([14.0, 18.0])).all()
    center, surround = model.sds.T
    assert (center >= SMALLEST * 0.999).all()
    assert (center <= 15 / 4 * 1.001).all()
    assert (surround >= center * 0.999).all()
    assert (surround <= LARGEST_RATIO * center * 1.001).all()
    assert torch.isfinite(model.filters()).all()


def test_the_population_starts_near_its_mean_response():
    mean = torch.linspace(0.1, 3, 50)
    model = HSM((1, 15, 19), 50)
    model.initialize(start(mean))
    torch.testing.assert_close(model(torch.zeros(1, 1, 15, 19))[0], mean, atol=1e-4, rtol=1e-4)


def test_initial_filters_are_spread_over_the_image():
    model = initialized(n_filters=400, shape=(1, 15, 19))
    relative = model.center.detach() / torch.tensor([14.0, 18.0])
    assert relative.min() >= 0.1
    assert relative.max() <= 0.9
    torch.testing.assert_close(relative.mean(0), torch.full((2,), 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(model.weights, torch.ones(400, 2))


def test_gradients_agree_with_finite_differences():
    model = initialized(4, (1, 5, 6), 3).double()
    images, responses = torch.randn(6, 1, 5, 6).double(), torch.rand(6, 4).double()
    objective = Objective("poisson", "sum", {})
    parameters = list(model.parameters())
    assert torch.autograd.gradcheck(lambda *_: objective(model, images, responses), parameters)


def train(definition, dataset, folder):
    data = load_fit_data(dataset, None, None, 0)
    checkpoint = Checkpoint(folder / "checkpoint.pt", "same", 1e9, 3)
    return train_seed(ModelSpec.of(definition), 0, data, {}, None, None, torch.device("cpu"), checkpoint)


def test_starts_differ_only_in_initial_values_and_the_first_is_the_plain_fit(tiny_dataset, tmp_path):
    starts = train(DEFINITION, tiny_dataset, tmp_path)
    plain = train(DEFINITION | {"grid": [{}]}, tiny_dataset, tmp_path)
    alone = train(DEFINITION | {"grid": [{"start": [2]}]}, tiny_dataset, tmp_path)
    losses = [fit.validation_loss for fit in starts.fits]
    np.testing.assert_allclose(losses[0], plain.fits[0].validation_loss, rtol=1e-4)
    np.testing.assert_allclose(losses[2], alone.fits[0].validation_loss, rtol=1e-4)
    assert not np.allclose(losses[0], losses[1], rtol=1e-3)
    assert not np.allclose(losses[1], losses[2], rtol=1e-3)


def test_a_stored_fit_predicts_as_it_did(tiny_dataset, tmp_path):
    candidates = train(DEFINITION, tiny_dataset, tmp_path)
    fitted = SeedFit.of(to_tensors(DEFINITION, [candidates]), 0, 1)
    data = load_fit_data(tiny_dataset, None, None, 0)
    predictions = fitted.predict(tiny_dataset["images"].values[data.subset.validation])
    loss = (predictions - data.validation_responses * np.log(predictions + 1e-5)).mean(0)
    np.testing.assert_allclose(loss, candidates.fits[1].validation_loss, rtol=1e-4)


@pytest.mark.slow
def test_an_hsm_population_is_recovered_by_the_start_that_validates_best():
    rng = np.random.default_rng(4)
    images = gaussian_filter(rng.standard_normal((2500, 1, 15, 15)), (0, 0, 1.5, 1.5)).astype(np.float32)
    images = torch.from_numpy(images / images.std())
    true = HSM((1, 15, 15), 20, 3)
    true.initialize(start(torch.ones(20), seed=11))
    with torch.no_grad():
        true.hidden_weights.mul_(8)
        true.output_weights.mul_(2)
        rates = true(images)
    counts = torch.poisson(rates, generator=torch.Generator().manual_seed(5))
    data = Tensors(images[:1600], counts[:1600], images[1600:2000], counts[1600:2000])
    longer = small_training(batch_size=400, learning_rate=0.03, max_steps=500, evaluate_every=20, patience=8)
    config = Schedule(**longer)
    models = [HSM((1, 15, 15), 20, 3) for _ in range(3)]
    for seed, model in enumerate(models):
        model.initialize(start(counts[:1600].mean(0), seed))
    objectives = [Objective("poisson", "sum", {})] * 3
    fits = Training(models, [Block(data)], objectives, config, [torch.Generator()]).run(lambda _: None)
    best = int(np.argmin([fit.validation_loss.sum() for fit in fits]))
    predicted = predict_prepared(models[best], images[2000:])
    explained = 1 - (predicted - rates[2000:]).square().mean(0) / rates[2000:].var(0)
    assert explained.median() > 0.9
