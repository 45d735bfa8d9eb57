"""On a GPU every network trains to what it reaches on the CPU; skipped where there is none."""

import copy

import numpy as np
import pytest
import torch
from figure_run import MODELS

from whatwhere.api import fit
from whatwhere.config.traits import traits_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

TRAINED = [
    name
    for name, definition in MODELS.items()
    if traits_of(definition).rule == "train"
    and "localizer" not in definition
    and definition["family"] != "cnn_known_kernel"
]


def short(name):
    """A model of the default configuration that stops after 20 steps."""
    definition = copy.deepcopy(MODELS[name])
    definition["training"] |= {"max_steps": 20, "evaluate_every": 10, "batch_size": 32}
    return definition


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(5)
    images = rng.standard_normal((200, 1, 31, 31)).astype(np.float32)
    filters = rng.standard_normal((6, 31 * 31)) / 31
    return images, rng.poisson(np.exp(0.5 * images.reshape(200, -1) @ filters.T)).astype(np.float32)


@pytest.mark.parametrize("name", TRAINED)
def test_a_network_trains_as_on_the_cpu(name, recording):
    on_cpu, on_gpu = (fit(*recording, model=short(name), device=device) for device in ("cpu", "cuda"))
    expected = on_cpu.predict(recording[0])
    np.testing.assert_allclose(on_gpu.predict(recording[0]), expected, rtol=0.01, atol=0.01)


def test_a_bank_trains_as_on_the_cpu(recording):
    """Learned layers beside the maps of a bank: their batch norm has a shift alone."""
    definition = short("factorized_three_layers") | {
        "bank": {"wavelengths": [4, 8], "orientations": 4, "pool": 2, "means": True}
    }
    definition["cores"][0] |= {"kernels": [3, 3, 3], "padding": ["same"] * 3, "side_by_side": True}
    on_cpu, on_gpu = (fit(*recording, model=definition, device=device) for device in ("cpu", "cuda"))
    expected = on_cpu.predict(recording[0])
    np.testing.assert_allclose(on_gpu.predict(recording[0]), expected, rtol=0.01, atol=0.01)
