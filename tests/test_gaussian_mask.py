"""Gaussian masks of the factorized readout: their shape, start, gradients and what they find."""

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training
from test_gaussian_readout import config, start

from whatwhere.config.load import check
from whatwhere.errors import UserError
from whatwhere.models.gaussian_readout import GaussianMaskReadout
from whatwhere.models.readouts import FactorizedReadout
from whatwhere.models.spec import ModelSpec
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.families import build
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective
from whatwhere.training.progress import Progress

SHAPE = (3, 6, 9)


def readout(n_neurons=4, shape=SHAPE, **changes):
    return GaussianMaskReadout(shape, n_neurons, config(position="center", sd=0.35) | changes)


def set_places(module, mean, sd):
    with torch.no_grad():
        module.mean.copy_(torch.tensor(mean))
        module.log_sd.copy_(torch.tensor(sd).log())


def test_the_mask_is_the_normal_density_on_the_pixels():
    module = readout(2)
    mean, sd = [[0.2, -0.5], [-1.3, 0.9]], [[0.3, 0.6], [0.9, 0.1]]
    set_places(module, mean, sd)
    y, x = np.linspace(-1, 1, 6)[:, None], np.linspace(-1, 1, 9)
    for one, (row, column), (tall, wide) in zip(module.mask.detach().numpy(), mean, sd, strict=True):
        density = np.exp(-((y - row) ** 2) / (2 * tall**2) - (x - column) ** 2 / (2 * wide**2))
        np.testing.assert_allclose(one, density / density.sum(), rtol=1e-4, atol=1e-7)


def test_the_drive_is_that_of_a_free_mask_with_these_values_and_of_two_profiles_in_turn():
    module = readout().double()
    module.initialize(start())
    set_places(module, np.random.default_rng(0).uniform(-1, 1, (4, 2)), np.full((4, 2), 0.4))
    features = torch.randn(5, *SHAPE, dtype=torch.float64)
    free = FactorizedReadout(SHAPE, 4, {"positive_mask": False, "positive_features": False}).double()
    with torch.no_grad():
        free.raw_mask.copy_(module.mask)
        free.raw_feature_weights.copy_(module.feature_weights)
    torch.testing.assert_close(module(features), free(features))
    rows, columns = module.mask.sum(2), module.mask.sum(1)
    drive = torch.einsum("bcyx,ny,nx,nc->bn", features, rows, columns, module.feature_weights)
    torch.testing.assert_close(module(features), drive)
    assert torch.equal(module.train()(features), module.eval()(features))


def test_it_is_the_mean_of_what_the_gaussian_readout_draws():
    # A plane has its value at the mean wherever the draws fall, if none falls outside of the image.
    module = readout(1, (1, 41, 41))
    set_places(module, [[0.1, -0.2]], [[0.15, 0.15]])
    plane = torch.linspace(-1, 1, 41)[:, None] + 2 * torch.linspace(-1, 1, 41)
    assert module(plane[None, None]).item() == pytest.approx(0.1 - 2 * 0.2, abs=1e-4)


def test_center_widths_and_weights_have_the_right_gradients():
    module = readout(2).double()
    module.initialize(start(2))
    features = torch.randn(3, *SHAPE, dtype=torch.float64)
    names = ("mean", "log_sd", "raw_feature_weights", "bias")

    def drive(*values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (features,))

    values = [module.get_parameter(name).detach().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(drive, values)


def test_masks_start_in_the_middle_with_the_stated_width():
    module = readout(1, (2, 31, 61), sd=0.2)
    module.initialize(start(1))
    mask = module.mask.detach()[0]
    for profile in (mask.sum(1), mask.sum(0)):
        axis = torch.linspace(-1, 1, len(profile))
        assert (profile * axis).sum() == pytest.approx(0, abs=1e-6)
        assert (profile * axis**2).sum().sqrt() == pytest.approx(0.2, abs=0.005)


@pytest.mark.slow
def test_planted_places_and_widths_are_found_with_a_known_core():
    """White noise through fixed filters; neurons average rectified features over planted Gaussians."""
    torch.manual_seed(0)
    definition = factorized(
        family="cnn_gaussian_mask",
        cores=[small_core(channels=[2], last_activation="relu")],
        readout=config(position="center", sd=0.35, feature_start={"mean": 0, "sd": 0.01, "truncated": False}),
        convention="signed_recording",
        grid=[{}],
        training=small_training(schedule="one_cycle", learning_rate=0.05, max_steps=300, batch_size=200),
    )
    images = torch.randn(1200, 1, 12, 15)
    spec = ModelSpec.of(definition)
    truth, model = (build(spec, spec.settings[0], (1, 12, 15), 3) for _ in range(2))
    model.initialize(start(3, (12, 15)))
    truth.load_state_dict(model.state_dict())
    mean, sd = [[-0.6, 0.5], [0.3, -0.7], [0.5, 0.2]], [[0.2, 0.4], [0.3, 0.2], [0.25, 0.25]]
    set_places(truth.readout, mean, sd)
    with torch.no_grad():
        # Filters of unit gain; a noise as large as the signal.
        truth.core.layers[0].kernels.mul_(100)
        model.core.layers[0].kernels.mul_(100).requires_grad_(False)
        truth.readout.raw_feature_weights.copy_(torch.tensor([[2.0, 1.0], [1.0, -2.0], [-1.0, 2.0]]))
        clean = truth(images)
        responses = clean + clean.std(0) * torch.randn_like(clean)
    data = Tensors(images[:1000], responses[:1000], images[1000:], responses[1000:])
    objective = Objective("mse", "mean", {})
    generator = torch.Generator().manual_seed(0)
    Training([model], [Block(data)], [objective], spec.schedule, [generator]).run(Progress(1))
    assert torch.allclose(model.readout.mean, torch.tensor(mean), atol=0.08)
    assert torch.allclose(model.readout.log_sd.exp(), torch.tensor(sd), atol=0.1)


def model_with(grid=None, **keys):
    return factorized(
        family="cnn_gaussian_mask",
        readout=config(position="center", sd=0.35) | keys,
        grid=[grid or {"feature_l1": [0.001]}],
    )


BANK = {"wavelengths": [4], "orientations": 2, "average_pooling": 2}


def validate(model):
    check({"model": model}, ["model"], [("mine.yaml", {"models": {"model": model}})])


def test_the_configuration_knows_gaussian_masks_also_on_a_bank():
    validate(model_with())
    validate(model_with() | {"feature_bank": BANK})


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (model_with({"mask_l1": [0.1]}), "unknown key 'mask_l1'; allowed are feature_l1,"),
        (model_with(positive_mask=True), "unknown key 'positive_mask'"),
        (model_with(position="middle"), "'middle' is not allowed; use one of sta,"),
        (model_with(sd=0), "models.model.readout.sd: 0 "),
        (model_with(position="sta") | {"feature_bank": BANK}, "'sta' is a place in the image"),
    ],
)
def test_what_gaussian_masks_do_not_have_is_refused(model, line):
    with pytest.raises(UserError) as error:
        validate(model)
    assert line in str(error.value)
