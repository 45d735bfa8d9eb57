"""Networks train on a GPU as on the CPU; skipped without a GPU."""

import copy
import math

import numpy as np
import pytest
import torch
from figure_run import MODELS
from test_stack import DEFINITIONS, data, start, training_config

from whatwhere.api import fit
from whatwhere.config.traits import traits_of
from whatwhere.files import read_tensors, write_tensors
from whatwhere.models.spec import ModelSpec, Schedule
from whatwhere.training import replay
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective

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
    """Learned layers beside the maps of a Gabor feature bank: their batch norm has only a shift."""
    definition = short("factorized_three_layers") | {
        "feature_bank": {"wavelengths": [4, 8], "orientations": 4, "average_pooling": 2}
    }
    definition["cores"][0] |= {"kernels": [3, 3, 3], "padding": ["same"] * 3, "side_by_side": True}
    on_cpu, on_gpu = (fit(*recording, model=definition, device=device) for device in ("cpu", "cuda"))
    expected = on_cpu.predict(recording[0])
    np.testing.assert_allclose(on_gpu.predict(recording[0]), expected, rtol=0.01, atol=0.01)


SCHEDULES = {
    "stages": {},
    "restored": {"restore": True},
    "one cycle": {"schedule": "one_cycle", "weight_decay": 0.01, "patience": math.inf, "n_stages": 1},
}


def new_training(name, schedule):
    """All settings of a model together, in batches of 25, 25 and 10 images."""
    definition = DEFINITIONS[name]
    tensors = data()
    on_gpu = Tensors(*(value.cuda() for value in vars(tensors).values()))
    spec = ModelSpec.of(definition)
    strengths = [{key: value for key, value in setting.items() if key != "core"} for setting in spec.settings]
    objectives = [Objective(spec.loss, spec.convention.reduction, one) for one in strengths]
    encoders = [start(definition, setting).cuda() for setting in spec.settings]
    order = torch.Generator().manual_seed(1)
    config = Schedule(**training_config(**SCHEDULES[schedule]))
    return Training(encoders, [Block(on_gpu)], objectives, config, [order])


def weights(training):
    return [value for run in training.runs for value in run.encoder.state_dict().values()]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_recorded_steps_are_the_steps_themselves(name, schedule, monkeypatch):
    recorded = new_training(name, schedule)
    fits = recorded.run(lambda _: None)
    monkeypatch.setattr(replay, "_WARM_UP", 10**6)
    started = new_training(name, schedule)
    for mine, theirs in zip(fits, started.run(lambda _: None), strict=True):
        assert (mine.best_step, mine.last_step) == (theirs.best_step, theirs.last_step)
        np.testing.assert_allclose(mine.history, theirs.history, rtol=1e-9)
    torch.testing.assert_close(weights(recorded), weights(started), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_interrupted_training_continues(schedule, tmp_path):
    class Stop(Exception):
        pass

    def stop(training):
        if training.step == 13:
            raise Stop

    whole = new_training("layers", schedule)
    whole.run(lambda _: None)
    first, second = new_training("layers", schedule), new_training("layers", schedule)
    with pytest.raises(Stop):
        first.run(stop)
    write_tensors(first.state_dict(), tmp_path / "checkpoint.pt")
    second.load_state_dict(read_tensors(tmp_path / "checkpoint.pt"))
    second.run(lambda _: None)
    torch.testing.assert_close(weights(second), weights(whole), rtol=1e-8, atol=1e-10)
