import copy
import itertools
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training

from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data, with_validation
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.logs import clock
from whatwhere.models.base import Model
from whatwhere.models.spec import ModelSpec, Schedule
from whatwhere.sta import AVERAGES, spike_triggered_average
from whatwhere.training.blocks import Block, Tensors, blocks_of
from whatwhere.training.checkpoint import Checkpoint, fingerprint
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.families import build
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.loop import Training
from whatwhere.training.losses import Objective
from whatwhere.training.optimizer import Adam, Group, new_optimizer
from whatwhere.training.prepare import prepared
from whatwhere.training.schedule import Batches, EarlyStopping, OneCycle
from whatwhere.training.sweep import _groups, _seeds, _start, train_seed

CPU = torch.device("cpu")


def stops_at(config, losses):
    """Evaluations at which stages end, the last one being the stop."""
    stopping, ends = EarlyStopping(Schedule(**config)), []
    for evaluation, loss in enumerate(losses, 1):
        stopping.update(loss)
        if stopping.stage_ends():
            ends.append(evaluation)
        if stopping.finished:
            return ends
    return ends


@pytest.mark.parametrize(
    ("patience", "n_stages", "burn_in", "best", "expected"),
    [
        (5, 3, 0, 7, [12, 17, 22]),
        (5, 2, 10, 20, [25, 30]),
        (5, 3, 0, 1, [6, 11, 16]),
        (5, 3, 10, 1, [15, 20, 25]),
    ],
)
def test_schedule_stops_where_the_published_logs_do(patience, n_stages, burn_in, best, expected):
    config = small_training(patience=patience, n_stages=n_stages, burn_in=burn_in)
    losses = [abs(evaluation - best) + 1.0 for evaluation in range(1, 100)]
    assert stops_at(config, losses) == expected


def test_a_tie_is_no_improvement():
    assert stops_at(small_training(patience=3, n_stages=1), [1.0] * 10) == [4]


def test_first_epoch_is_in_stored_order_and_every_epoch_is_complete():
    batches = iter(Batches(10, 4, False, torch.Generator().manual_seed(0), CPU))
    epochs = [torch.cat([next(batches) for _ in range(3)]) for _ in range(3)]
    assert epochs[0].tolist() == list(range(10))
    assert epochs[1].tolist() != epochs[2].tolist()
    assert all(sorted(epoch.tolist()) == list(range(10)) for epoch in epochs)


def test_incomplete_batches_can_be_dropped_but_never_the_only_one():
    batches = iter(Batches(10, 4, True, torch.Generator(), CPU))
    assert [len(next(batches)) for _ in range(4)] == [4, 4, 4, 4]
    assert len(next(iter(Batches(3, 4, True, torch.Generator(), CPU)))) == 3


class Line(Model):
    """A single weight, whose path can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images, session=None):
        return images.flatten(1) * self.weight


def line_training(**changes):
    ones = torch.ones(4, 1, 1, 1)
    data = Tensors(ones, 2 * torch.ones(4, 1), ones, torch.ones(4, 1))
    fast = {"batch_size": 4, "learning_rate": 0.1, "max_steps": 200, "evaluate_every": 1}
    config = Schedule(**small_training(**(fast | changes)))
    return Training([Line()], [Block(data)], [Objective("mse", "mean", {})], config, [torch.Generator()])


def position(training):
    (run,) = training.runs
    return run.stopping.stage, run.encoder.weight.item()


def test_a_stage_that_starts_from_the_best_weights_takes_their_moments():
    training = line_training(patience=3, n_stages=2, restore=True)
    (run,) = training.runs
    moments = {}

    def note(training):
        (state,) = run.optimizer.moments.values()
        moments[training.step] = (run.stopping.stage, {name: float(value) for name, value in state.items()})

    training.run(note)
    first = next(step for step, (stage, _) in moments.items() if stage == 1)
    best = first - 3
    assert moments[first][1] == moments[best][1] != moments[first - 1][1]


@pytest.mark.parametrize("restore", [False, True])
def test_the_best_validation_weights_are_restored(restore):
    # Training pulls the weight to 2, validation is best at 1 on the way.
    training = line_training(patience=3, n_stages=2, restore=restore)
    (fit,) = training.run(lambda _: None)
    assert abs(training.runs[0].encoder.weight.item() - 1) < 0.06
    assert fit.validation_loss[0] == min(row[2] for row in fit.history)


def test_weights_roll_back_between_stages_only_if_asked_to():
    weights = {}
    for restore in (False, True):
        training = line_training(patience=3, n_stages=2, restore=restore)
        trace = []
        training.run(lambda t, trace=trace: trace.append(position(t)))
        weights[restore] = next(weight for stage, weight in trace if stage == 1)
    assert weights[False] > 1.2
    assert abs(weights[True] - 1) < 0.06


def test_learning_rate_falls_by_the_factor():
    training = line_training(patience=3, n_stages=3)
    rates = []
    training.run(lambda t: rates.append(t.runs[0].optimizer.groups[0].rate))
    assert sorted(set(np.round(rates, 6)), reverse=True) == [0.1, 0.01, 0.001]


@pytest.mark.parametrize(("max_steps", "converged"), [(10, False), (1000, True)])
def test_a_fit_that_max_steps_ends_is_marked_and_the_log_says_what_to_do(max_steps, converged, caplog):
    (fit,) = line_training(patience=3, n_stages=2, max_steps=max_steps).run(lambda _: None)
    assert fit.converged == converged
    assert (fit.last_step == max_steps) != converged
    warned = [record.message for record in caplog.records if "raise max_steps" in record.message]
    assert len(warned) == (not converged)


def test_subnormal_numbers_are_zero_while_a_model_trains():
    tiny = torch.tensor([2e-38])
    halves = []
    line_training(max_steps=2).run(lambda _: halves.append(float(tiny / 2)))
    assert set(halves) == {0.0}
    assert tiny / 2 > 0


def test_one_cycle_rises_to_its_peak_and_falls_to_zero():
    cycle = OneCycle(Schedule(1, 0.2, 1, max_steps=100))
    rates = [cycle.rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.2 / 25)
    assert int(np.argmax(rates)) == 30
    assert rates[30] == pytest.approx(0.2)
    assert rates[100] == pytest.approx(0)
    assert (np.diff(rates[:31]) > 0).all()
    assert (np.diff(rates[30:]) < 0).all()


def test_a_fit_of_one_cycle_takes_all_its_steps_and_keeps_the_best_weights(tiny_dataset, tmp_path):
    definition = DROPOUT | {"training": CYCLE | {"learning_rate": 0.1}}
    for fit in sweep(definition, tiny_dataset, new_checkpoint(tmp_path)).fits:
        assert fit.last_step == CYCLE["max_steps"]
        assert fit.validation_loss.mean() == pytest.approx(fit.history[:, 2].min(), rel=1e-5)


def test_weight_decay_shrinks_masks_and_weights_by_rate_times_decay_and_nothing_else(tiny_dataset):
    spec = ModelSpec.of(factorized(training=CYCLE))
    data, averages = fit_data(tiny_dataset)
    encoder = build(spec, spec.settings[0], data.train_images.shape[1:], 5)
    encoder.initialize(_start(data, averages, None, None, 0))
    before = {name: value.detach().clone() for name, value in encoder.named_parameters()}
    optimizer = new_optimizer(encoder, spec.schedule)
    for parameter in encoder.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, value in encoder.named_parameters():
        shrunk = name in ("readout.raw_mask", "readout.raw_feature_weights")
        factor = 1 - CYCLE["learning_rate"] * CYCLE["weight_decay"] if shrunk else 1
        torch.testing.assert_close(value.detach(), before[name] * factor)


@pytest.mark.slow
@pytest.mark.parametrize("decoupled", [False, True])
def test_optimization_gives_the_bytes_of_torch_s_optimizer(decoupled):
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(size, generator=generator) for size in ((3, 4), (5,), (2,))]
    mine, theirs = ([torch.nn.Parameter(value.clone()) for value in start] for _ in range(2))
    decay = 0.5 if decoupled else 0.0
    optimizer = Adam([Group(mine[:2], 0.1, decay=decay), Group(mine[2:], 0.01)])
    groups = [{"params": theirs[:2], "weight_decay": decay}, {"params": theirs[2:], "lr": 0.01}]
    theirs_of = torch.optim.AdamW if decoupled else torch.optim.Adam
    expected = theirs_of(groups, lr=0.1, weight_decay=0.0, fused=True)
    for step in range(5):
        for one, other in zip(mine, theirs, strict=True):
            if step or one.ndim == 1:
                one.grad = torch.randn(one.shape, generator=generator)
                other.grad = one.grad.clone()
        optimizer.step()
        expected.step()
        assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def test_a_fit_that_diverges_ends_alone_and_never_wins(tiny_dataset, tmp_path, caplog):
    definition = factorized(training=small_training(max_steps=20, evaluate_every=5, fits_at_once=2))
    strengths = [0.01, 1e39]
    both, one = (definition | {"grid": [{"mask_l1": some}]} for some in (strengths, strengths[:1]))
    good, diverged = sweep(both, tiny_dataset, new_checkpoint(tmp_path)).fits
    (alone,) = sweep(one, tiny_dataset, new_checkpoint(tmp_path / "alone")).fits
    np.testing.assert_allclose(good.validation_loss, alone.validation_loss, rtol=1e-4)
    assert np.isinf(diverged.validation_loss).all()
    assert (good.last_step, diverged.last_step) == (20, 5)
    assert "this fit is left out" in caplog.text


def test_a_seed_of_which_every_fit_diverges_is_refused(tiny_dataset, tmp_path):
    definition = factorized(grid=[{"mask_l1": [1e39]}], training=small_training(evaluate_every=5))
    with pytest.raises(UserError, match="no fit of seed 0 has a finite loss: lower"):
        sweep(definition, tiny_dataset, new_checkpoint(tmp_path))


@pytest.mark.parametrize(
    ("definition", "advice"),
    [
        (factorized(), "set the model's convention to signed_recording"),
        ({"family": "ridge", "loss": "poisson", "grid": [{}]}, "set the model's loss to mse$"),
        ({"family": "lnp", "training": small_training(), "grid": [{}]}, "leave it out"),
    ],
)
def test_negative_responses_are_refused_for_a_poisson_loss_with_advice_for_the_family(
    tiny_dataset, definition, advice
):
    tiny_dataset["responses"][:, :, 3] -= 9
    data, _ = fit_data(tiny_dataset)
    with pytest.raises(UserError, match=rf"1 neurons have some \(\[3\]\): .*{advice}"):
        prepared(ModelSpec.of(definition), data, None)


def fit_data(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    average = spike_triggered_average(data.train_images, data.train_responses)
    return data, dict.fromkeys(AVERAGES, average)


def sweep(definition, tiny_dataset, checkpoint):
    data, averages = fit_data(tiny_dataset)
    return train_seed(
        ModelSpec.of(definition), 0, data, averages, None, None, torch.device("cpu"), checkpoint
    )


def new_checkpoint(folder, fingerprint="same", seconds=1e9):
    return Checkpoint(folder / "checkpoint.pt", fingerprint, seconds, 2)


def assert_same(first, second):
    for one, two in zip(first.parameters, second.parameters, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    for one, two in zip(first.fits, second.fits, strict=True):
        np.testing.assert_array_equal(one.validation_loss, two.validation_loss)
        np.testing.assert_array_equal(one.history, two.history)
        assert (one.best_step, one.last_step) == (two.best_step, two.last_step)


def test_a_sweep_repeats_bit_by_bit(tiny_dataset, tmp_path):
    definition = factorized()
    first = sweep(definition, tiny_dataset, new_checkpoint(tmp_path))
    assert_same(first, sweep(definition, tiny_dataset, new_checkpoint(tmp_path)))
    assert len(first.fits) == 2


DROPOUT = factorized(
    family="cnn_fully_connected",
    readout={"weight_sd": "xavier", "dropout": 0.5},
    grid=[{"readout_l2": [0.01, 0.1]}],
    cores=[small_core(batch_norm={"decay": 0.9, "shift": True})],
    training=small_training(learning_rate=0.003),
)


_STAGES = ("patience", "burn_in", "n_stages", "factor")
CYCLE = {key: value for key, value in small_training().items() if key not in _STAGES} | {
    "schedule": "one_cycle",
    "weight_decay": 0.5,
}


def together(definition, fits_at_once):
    return definition | {"training": definition["training"] | {"fits_at_once": fits_at_once}}


class Stopping(Checkpoint):
    """Is asked to stop after so many steps, counted from where the sweep continued."""

    def __init__(self, path, stop_after):
        super().__init__(path, "same", 1e9, 2)
        self.left = stop_after

    def __call__(self, training):
        self.left -= 1
        if self.left == 0:
            self._on_signal(15, None)
        super().__call__(training)


@pytest.mark.parametrize(("fits_at_once", "stops"), [(1, [1, 11, 9, 9]), (2, [1, 4, 8])])
@pytest.mark.parametrize("schedule", ["stages", "one_cycle"])
def test_a_stopped_sweep_continues_bit_by_bit(tiny_dataset, tmp_path, stops, fits_at_once, schedule):
    short = {"max_steps": 20, "evaluate_every": 2}
    more = {"training": DROPOUT["training"] | short}
    if schedule == "one_cycle":
        # The second part of a refit stops and continues as the first part, a whole fit, does.
        more = {"training": CYCLE | short, "refit": True}
    definition = together(DROPOUT | more, fits_at_once)
    undisturbed = sweep(definition, tiny_dataset, new_checkpoint(tmp_path))
    folder = tmp_path / "stopped"
    for stop_after in stops:
        with pytest.raises(UserError, match="SIGTERM: progress is saved"):
            sweep(definition, tiny_dataset, Stopping(folder / "checkpoint.pt", stop_after))
    continued = new_checkpoint(folder)
    assert continued.current is not None
    assert_same(undisturbed, sweep(definition, tiny_dataset, continued))


@pytest.mark.parametrize("fits_at_once", [1, 2])
def test_a_refit_takes_the_best_steps_of_its_schedule_with_all_images(tiny_dataset, tmp_path, fits_at_once):
    definition = together(DROPOUT | {"training": CYCLE | {"learning_rate": 0.1}}, fits_at_once)
    first = sweep(definition, tiny_dataset, new_checkpoint(tmp_path / "a"))
    found = sweep(definition | {"refit": True}, tiny_dataset, new_checkpoint(tmp_path / "b"))
    data, averages = fit_data(tiny_dataset)
    spec = ModelSpec.of(definition)
    blocks = blocks_of(with_validation(data), CPU, spec.convention.reduction)
    for index, (setting, fit) in enumerate(zip(spec.settings, found.fits, strict=True)):
        # What validation says is of the fit to the training images.
        assert (fit.best_step, fit.converged) == (first.fits[index].best_step, True)
        np.testing.assert_array_equal(fit.validation_loss, first.fits[index].validation_loss)
        unseen = SeedFit.of(to_tensors(definition, [first]), 0, index)
        expected = unseen.predict(data.standardize.undo(data.validation_images, None))
        np.testing.assert_allclose(found.validation_predictions[index], expected, rtol=1e-5, atol=1e-6)
        # The weights are those after so many plain steps.
        (initial,), (order,), (dropout,) = _seeds(0, 1)
        encoder = build(spec, setting, data.train_images.shape[1:], 5)
        encoder.initialize(_start(data, averages, None, None, initial))
        torch.manual_seed(dropout)
        orders = [torch.Generator().manual_seed(order)]
        objective = Objective(spec.loss, "sum", {"readout_l2": setting["readout_l2"]})
        training = Training([encoder], blocks, [objective], spec.schedule, orders)
        batches = zip(*training.batches, strict=True)
        for _ in range(fit.best_step):
            training._take_step(training._program(training.runs), training.runs, next(batches))
        for name, value in encoder.state_dict().items():
            torch.testing.assert_close(found.parameters[index][name], value)
    assert 0 < min(fit.best_step for fit in found.fits) < definition["training"]["max_steps"]


def test_a_stopped_sweep_reports_the_time_of_all_attempts(tiny_dataset, tmp_path, monkeypatch, caplog):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    first = new_checkpoint(tmp_path)
    now += 90
    first._on_signal(15, None)
    with pytest.raises(UserError, match="SIGTERM"):
        sweep(factorized(), tiny_dataset, first)
    now += 5000
    second = new_checkpoint(tmp_path)
    now += 31
    caplog.set_level("INFO")
    second.remove()
    assert caplog.messages[-1] == "trained for 2:01, attempts: 2"


def test_settings_train_together_only_where_the_model_is_the_same():
    definition = together(factorized(cores=[small_core(), small_core(channels=[2])]), 3)
    definition["grid"] = [{"mask_l1": [0.0, 0.1, 0.2, 0.3]}]
    groups = _groups(ModelSpec.of(definition))
    groups = [[(setting["core"], setting["mask_l1"]) for setting in group] for group in groups]
    assert groups == [[(0, 0.0), (0, 0.1), (0, 0.2)], [(0, 0.3)], [(1, 0.0), (1, 0.1), (1, 0.2)], [(1, 0.3)]]


def test_a_checkpoint_of_another_configuration_is_ignored(tiny_dataset, tmp_path):
    checkpoint = new_checkpoint(tmp_path, seconds=0)
    sweep(factorized(), tiny_dataset, checkpoint)
    saved = new_checkpoint(tmp_path)
    assert len(saved.completed) == 1
    assert saved.current is not None
    assert new_checkpoint(tmp_path, "other").completed == []


def test_a_damaged_checkpoint_is_ignored_with_a_warning(tiny_dataset, tmp_path, caplog):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    assert new_checkpoint(tmp_path).completed == []
    assert "damaged checkpoint" in caplog.text


def test_stored_fits_predict_as_they_did(tiny_dataset, tmp_path):
    definition = factorized()
    candidates = sweep(definition, tiny_dataset, new_checkpoint(tmp_path))
    data, _ = fit_data(tiny_dataset)
    stored = to_tensors(definition, [candidates])
    fitted = SeedFit.of(copy.deepcopy(stored), 0, 1)
    predictions = fitted.predict(tiny_dataset["images"].values[data.subset.validation])
    loss = (predictions - data.validation_responses * np.log(predictions + 1e-5)).mean(0)
    np.testing.assert_allclose(loss, candidates.fits[1].validation_loss, rtol=1e-4)


def test_validation_file_names_every_hyper_parameter(tiny_dataset, tmp_path):
    definition = factorized()
    content = to_validation(definition, [sweep(definition, tiny_dataset, new_checkpoint(tmp_path))])
    assert content["validation_loss"].dims == ("seed", "setting", "neuron")
    assert content["mask_l1"].values.tolist() == [0.001, 0.01]
    assert content["feature_l1"].values.tolist() == [0.01, 0.01]


def test_mean_predicts_the_mean_training_response(tiny_dataset):
    data, _ = fit_data(tiny_dataset)
    definition = {"family": "mean", "loss": "mse", "grid": [{}]}
    candidates = fit_seed(ModelSpec.of(definition), 0, data)
    fitted = SeedFit.of(to_tensors(definition, [candidates]), 0, 0)
    predictions = fitted.predict(tiny_dataset["images"].values[:3])
    np.testing.assert_allclose(predictions, np.tile(data.train_responses.mean(0), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        candidates.fits[0].validation_loss, candidates.validation_loss_of_mean, rtol=1e-5
    )


def test_clock_counts_hours_minutes_and_seconds():
    assert clock(3725.4) == "1:02:05"


def test_seeds_of_a_condition_have_one_number_of_images(tiny_dataset):
    """Folds of a recording with copies differ by a few images, and tables know a condition by its number."""
    definition = {"family": "mean", "loss": "mse", "grid": [{}]}
    found = fit_seed(ModelSpec.of(definition), 0, fit_data(tiny_dataset)[0])
    folds = [replace(found, seed=seed, n_images=n) for seed, n in enumerate((981, 979, 980))]
    content = to_tensors(definition, folds)
    assert [one["n_images"] for one in content["seeds"].values()] == [979] * 3


def test_a_fingerprint_changes_with_the_condition_and_with_what_is_in_its_files(tmp_path):
    file = tmp_path / "dataset.nc"
    file.write_bytes(b"one")
    first = fingerprint([{"grid": 1}], [file])
    assert first == fingerprint([{"grid": 1}], [file])
    assert first != fingerprint([{"grid": 2}], [file])
    file.write_bytes(b"two")
    assert first != fingerprint([{"grid": 1}], [file])


@pytest.mark.parametrize(("n_images", "drop", "steps"), [(100, True, 9), (100, False, 12), (20, True, 3)])
def test_epochs_are_passes_over_the_training_images(n_images, drop, steps):
    found = Schedule(32, 0.1, 10, max_epochs=3, drop_incomplete_batch=drop).with_steps(n_images)
    assert (found.max_steps, found.evaluate_every) == (steps, min(10, steps))
    order = torch.Generator().manual_seed(0)
    batches = itertools.islice(Batches(n_images, 32, drop, order, CPU), steps)
    seen = np.bincount(torch.cat(list(batches)).numpy(), minlength=n_images)
    assert seen.max() <= 3
    assert drop or (seen == 3).all()
