import numpy as np
import pytest
import torch

from whatwhere.models.base import Start, predict_prepared
from whatwhere.models.cores import filter_roughness
from whatwhere.models.lnp import LNP
from whatwhere.models.spec import Schedule
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective

TRAINING = Schedule(
    256, 0.01, 20, max_steps=600, patience=5, factor=0.1, drop_incomplete_batch=True, restore=True
)


def start(n_neurons):
    ones = torch.ones(n_neurons)
    return Start(torch.Generator().manual_seed(0), ones, ones, {})


def random_lnp(n_neurons=3, shape=(2, 7, 9)):
    model = LNP(shape, n_neurons)
    model.initialize(start(n_neurons))
    torch.manual_seed(1)
    model.filters.data.normal_(0, 0.2)
    return model


def test_prediction_is_the_exponential_of_a_filter_and_a_bias():
    model, images = random_lnp(), torch.randn(5, 2, 7, 9)
    expected = torch.exp(torch.einsum("bcyx,ncyx->bn", images, model.filters) - 1)
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)


def test_filters_start_small_and_biases_at_minus_one():
    model = LNP((1, 31, 31), 103)
    model.initialize(start(103))
    assert model.filters.abs().max() <= 0.02
    # A normal truncated at two sd has 0.8796 of its sd.
    assert model.filters.std().item() == pytest.approx(0.008796, rel=0.02)
    assert (model.bias == -1).all()


def test_penalties_are_those_of_the_paper():
    model = random_lnp()
    torch.testing.assert_close(model.smoothness().sum(), filter_roughness(model.filters).sum())
    torch.testing.assert_close(model.filter_l1(), model.filters.abs().flatten(1).sum(1))
    assert model.smoothness().shape == (3,)


@pytest.mark.parametrize("penalty", ["smoothness", "filter_l1"])
def test_mean_penalties_do_not_depend_on_the_number_of_neurons(penalty):
    one, many = random_lnp(1), random_lnp(50)
    many.filters.data.copy_(one.filters.data.expand_as(many.filters))
    images = torch.randn(4, 2, 7, 9)
    values = [
        Objective("mse", "mean", {penalty: 0.7})(model, images, torch.ones(4, n))
        for model, n in ((one, 1), (many, 50))
    ]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_agree_with_finite_differences(reduction):
    model = random_lnp(2, (1, 4, 5)).double()
    images, responses = torch.randn(3, 1, 4, 5).double(), torch.rand(3, 2).double()
    objective = Objective("poisson", reduction, {"smoothness": 0.1, "filter_l1": 0.1})
    parameters = list(model.parameters())
    assert torch.autograd.gradcheck(lambda *_: objective(model, images, responses), parameters)


@pytest.mark.slow
def test_an_lnp_population_is_recovered():
    rng = torch.Generator().manual_seed(3)
    images = torch.randn(3000, 1, 9, 11, generator=rng)
    y, x = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(11.0) - 5, indexing="ij")
    places = ((-1, 2), (1, -2), (0, 0))
    fields = [torch.exp(-((y - a) ** 2 + (x - b) ** 2) / 4) * torch.cos(y * a + x) for a, b in places]
    true = torch.stack(fields)
    true = true / true.flatten(1).norm(dim=1)[:, None, None]
    rates = torch.exp(0.8 * images.flatten(1) @ true.flatten(1).T - 0.5)
    counts = torch.poisson(rates, generator=rng)
    model = LNP((1, 9, 11), 3)
    model.initialize(start(3))
    data = Tensors(images[:2400], counts[:2400], images[2400:], counts[2400:])
    objective = Objective("poisson", "sum", {"smoothness": 0.01, "filter_l1": 0.01})
    training = Training([model], [Block(data)], [objective], TRAINING, [torch.Generator().manual_seed(0)])
    training.run(lambda _: None)
    for learned, field in zip(model.filters.detach()[:, 0], true, strict=True):
        assert np.corrcoef(learned.flatten(), field.flatten())[0, 1] > 0.95
    predicted = predict_prepared(model, images[2400:])
    assert torch.corrcoef(torch.stack([predicted[:, 0], rates[2400:, 0]]))[0, 1] > 0.95
