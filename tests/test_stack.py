"""Fast paths give the results of the plain ones."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training
from eager import EagerNetwork, fit

from whatwhere.models.base import predict_prepared
from whatwhere.models.spec import ModelSpec, Schedule
from whatwhere.training.blocks import Block, Tensors, Terms
from whatwhere.training.families import build
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective
from whatwhere.training.stack import Stack

SHAPE, NEURONS = (1, 14, 13), 6

# Section D: one large kernel, through the Fourier domain; and section G.2: several small ones.
LINEAR = factorized(
    cores=[small_core(kernels=[9], channels=[1], batch_norm={"decay": 0.998, "shift": False})],
    convention="paper_simulation",
    grid=[{"mask_l1": [0.0, 0.001, 0.01, 0.1]}],
)
TWO_KERNELS = factorized(
    cores=[small_core(kernels=[9], channels=[2], unit_norm=True)],
    convention="signed_recording",
    grid=[{"mask_l1": [0.001, 0.1], "feature_l1": [0.0, 0.1]}],
)
LAYERS = factorized(
    cores=[
        small_core(
            channels=[5, 4],
            kernels=[5, 3],
            padding=["valid", "same"],
            activation="softplus",
            batch_norm={"decay": 0.9, "shift": True},
            smooth_layers=[1, 0],
            sparse_layers=[0, 1],
        )
    ],
    grid=[{"smoothness": [0.01], "group_sparsity": [0.05, 0.0], "joint_l1": [0.01, 0.3]}],
)
FIRST = ModelSpec.of(LAYERS).settings[0]
LAYERS["readout"].update(positive_mask=True, positive_features=True)
DEFINITIONS = {"linear": LINEAR, "two kernels": TWO_KERNELS, "layers": LAYERS}


def data(dtype=torch.float64):
    """Responses of a linear population, so that there is something to learn."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(90, *SHAPE, generator=generator, dtype=torch.float64)
    fields = torch.randn(NEURONS, images[0].numel(), generator=generator, dtype=torch.float64) / 5
    rates = images.flatten(1) @ fields.T
    responses = (rates + 0.5 * torch.randn(rates.shape, generator=generator, dtype=torch.float64)).exp()
    responses = responses / responses.mean(0)
    tensors = (images[:60], responses[:60], images[60:], responses[60:])
    return Tensors(*(tensor.to(dtype) for tensor in tensors))


def start(definition, setting, dtype=torch.float64):
    encoder = build(ModelSpec.of(definition), setting, SHAPE, NEURONS).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.copy_(0.1 * noise)
    return encoder


def training_config(**changes):
    longer = {"max_steps": 120, "patience": 2, "n_stages": 2, "learning_rate": 0.02}
    return small_training(batch_size=25, evaluate_every=4, **longer) | changes


def train(definition, together, dtype=torch.float64, **changes):
    spec = ModelSpec.of(definition)
    encoders = [start(definition, setting, dtype) for setting in spec.settings]
    objectives = [
        Objective(spec.loss, spec.convention.reduction, {k: v for k, v in setting.items() if k != "core"})
        for setting in spec.settings
    ]
    config = Schedule(**training_config(**changes))
    fits = []
    size = len(encoders) if together else 1
    for first in range(0, len(encoders), size):
        group = slice(first, first + size)
        order = torch.Generator().manual_seed(2)
        training = Training(encoders[group], [Block(data(dtype))], objectives[group], config, [order])
        fits += training.run(lambda _: None)
    return encoders, fits


@pytest.mark.slow
@pytest.mark.parametrize("restore", [False, True])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_fits_trained_together_take_the_path_of_fits_trained_alone(name, restore):
    definition = DEFINITIONS[name]
    alone, expected = train(definition, together=False, restore=restore)
    stacked, fits = train(definition, together=True, restore=restore)
    for fit_alone, one in zip(expected, fits, strict=True):
        np.testing.assert_allclose(one.history, fit_alone.history, rtol=1e-9)
        assert (one.best_step, one.last_step) == (fit_alone.best_step, fit_alone.last_step)
        np.testing.assert_allclose(one.validation_loss, fit_alone.validation_loss, rtol=1e-9)
    for encoder, other in zip(alone, stacked, strict=True):
        for key, value in encoder.state_dict().items():
            torch.testing.assert_close(other.state_dict()[key], value, rtol=1e-7, atol=1e-9)


def test_fits_leave_the_program_at_different_steps():
    _, fits = train(LINEAR, together=True)
    assert len({fit.last_step for fit in fits}) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFINITIONS)
def test_training_takes_the_path_of_the_plain_loop_and_selects_the_same_model(name):
    definition = copy.deepcopy(DEFINITIONS[name])
    definition["training"] = training_config()
    _, fits = train(definition, together=True)
    everything, plain_losses = data(), []
    for setting, fast in zip(ModelSpec.of(definition).settings, fits, strict=True):
        network = EagerNetwork(definition, start(definition, setting))
        strengths = {key: value for key, value in setting.items() if key != "core" and value}
        history = fit(
            network,
            (everything.train_images, everything.train_responses),
            (everything.validation_images, everything.validation_responses),
            strengths,
            torch.Generator().manual_seed(2),
        )
        np.testing.assert_allclose(fast.history, history, rtol=1e-8)
        assert fast.last_step == history[-1][0]
        plain_losses.append(min(loss for _, _, loss in history))
        np.testing.assert_allclose(fast.validation_loss.mean(), plain_losses[-1], rtol=1e-8)
    assert np.argmin(plain_losses) == np.argmin([fast.validation_loss.mean() for fast in fits])


def test_models_in_a_stack_keep_their_own_predictions_and_share_its_memory():
    encoders = [start(LAYERS, FIRST) for _ in range(3)]
    for scale, encoder in enumerate(encoders, 1):
        encoder.readout.raw_mask.data *= scale
    images = data().validation_images
    expected = [predict_prepared(encoder, images) for encoder in encoders]
    stack = Stack(encoders, [Objective("mse", "mean", {})] * 3)
    torch.testing.assert_close(stack.predict(images), torch.stack(expected))
    encoders[1].load_state_dict(encoders[0].state_dict())
    torch.testing.assert_close(stack.predict(images)[1], expected[0])
    addresses = [encoder.readout.raw_mask.data_ptr() for encoder in encoders]
    size = encoders[0].readout.raw_mask.numel() * 8
    assert [second - first for first, second in pairwise(addresses)] == [size, size]


def test_moving_averages_of_a_stack_are_those_of_its_models():
    encoders = [start(LAYERS, FIRST, torch.float32) for _ in range(2)]
    alone = copy.deepcopy(encoders[0])
    tensors = data(torch.float32)
    stack = Stack(encoders, [Objective("mse", "mean", {"joint_l1": 0.1})] * 2)
    stack.differentiate([(tensors.train_images, tensors.train_responses, Terms())], torch.float32)
    alone.train()
    alone(tensors.train_images)
    torch.testing.assert_close(encoders[1].core.layers[0].norm.mean, alone.core.layers[0].norm.mean)
    torch.testing.assert_close(encoders[1].core.layers[1].norm.variance, alone.core.layers[1].norm.variance)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_bfloat16_products_give_nearly_the_same_gradients(name, together):
    definition = DEFINITIONS[name]
    tensors = data(torch.float32)
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        spec = ModelSpec.of(definition)
        encoders = [start(definition, spec.settings[0], torch.float32) for _ in range(1 + together)]
        objective = Objective(spec.loss, spec.convention.reduction, {})
        Stack(encoders, [objective] * len(encoders)).differentiate(
            [(tensors.train_images, tensors.train_responses, Terms())], precision
        )
        gradients.append(encoders[-1].readout.raw_mask.grad)
    assert gradients[1].dtype == torch.float32
    assert not torch.equal(*gradients)
    cosine = torch.nn.functional.cosine_similarity(*(gradient.flatten() for gradient in gradients), dim=0)
    assert cosine > 0.999
