import copy

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training
from test_localization import PATCH, SIZE, definition, population

import compute_sta
import fit_baseline
import train
from whatwhere.config.model_checks import check_model
from whatwhere.errors import UserError
from whatwhere.files import read_netcdf, read_tensors, write_netcdf
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.base import Start
from whatwhere.models.spec import ModelSpec
from whatwhere.sta import AVERAGES, spike_triggered_average
from whatwhere.training.checkpoint import Checkpoint
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.families import build
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.starts import best_setting, start_from
from whatwhere.training.sweep import train_seed

pytestmark = pytest.mark.slow


def network(**changes):
    core = small_core(channels=[1], kernels=[PATCH], last_activation="identity", kernel_start="posterior")
    readout = {
        "positive_mask": False,
        "positive_features": False,
        "mask_start": {"position": "posterior", "height": "amplitude", "noise_sd": 0, "truncated": False},
        "feature_start": {"mean": "posterior", "sd": 0, "truncated": False},
    }
    model = factorized(
        cores=[core], readout=readout, convention="paper_simulation", grid=[{"mask_l1": [0.0, 0.01]}]
    )
    return model | {"localizer": "localized"} | changes


def located(dataset, model, **changes):
    """Data, start and maps of one seed, as ``fit_baseline`` and ``train`` have them."""
    localizer = definition(**changes)
    data = load_fit_data(dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(localizer), 0, data)
    fits, validation = to_tensors(localizer, [candidates]), to_validation(localizer, [candidates])
    found = start_from(fits, validation, model, 0)
    # Networks start from first fits, to training images alone.
    fits["seeds"][0]["parameters"] = candidates.first_parameters
    return data, fits, *found


def initialized(model, data, localized, maps):
    spec = ModelSpec.of(model)
    encoder = build(spec, spec.settings[0], data.train_images.shape[1:], data.train_responses.shape[1])
    average = spike_triggered_average(data.train_images, data.train_responses)
    encoder.initialize(
        Start(
            generator=torch.Generator().manual_seed(0),
            response_sd=torch.from_numpy(data.response_sd),
            response_mean=torch.from_numpy(data.train_responses.mean(0)),
            start_maps=dict.fromkeys(AVERAGES, average) | maps,
            localized=localized,
        )
    )
    return encoder.eval()


@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_network_starts_with_the_predictions_of_inference(unit_norm):
    dataset = population(400, 15)
    model = network()
    model["cores"][0]["unit_norm"] = unit_norm
    data, starts, localized, maps = located(dataset, model)
    encoder = initialized(model, data, localized, maps)
    images = torch.from_numpy(data.validation_images)
    with torch.no_grad():
        expected = SeedFit.of(starts, 0, 0).predict(data.validation_images)
        torch.testing.assert_close(encoder(images).numpy(), expected, atol=1e-4, rtol=1e-3)


def test_two_kernels_start_with_nearly_the_predictions_of_inference():
    dataset = population(3000, 30, 1, (0.4, 1.0), variation=0.05)
    model = network()
    model["cores"][0]["channels"] = [2]
    data, starts, localized, maps = located(dataset, model, grid=[{"n_kernels": [1, 2]}])
    encoder = initialized(model, data, localized, maps)
    with torch.no_grad():
        predicted = encoder(torch.from_numpy(data.validation_images)).numpy()
    expected = SeedFit.of(starts, 0, 1).predict(data.validation_images)
    r = [np.corrcoef(one, other)[0, 1] for one, other in zip(predicted.T, expected.T, strict=True)]
    assert np.median(r) > 0.99


def test_training_is_never_worse_on_validation_than_its_start(tmp_path):
    dataset = population(200, 15)
    model = network(training=small_training(learning_rate=0.3, max_steps=20))
    data, starts, localized, maps = located(dataset, model)
    average = spike_triggered_average(data.train_images, data.train_responses)
    fits = train_seed(
        ModelSpec.of(model),
        0,
        data,
        dict.fromkeys(AVERAGES, average) | maps,
        None,
        localized,
        torch.device("cpu"),
        Checkpoint(tmp_path / "checkpoint.pt", "x", 1e9, 2),
    ).fits
    predicted = SeedFit.of(starts, 0, 0).predict(data.validation_images)
    loss_of_start = ((predicted - data.validation_responses) ** 2).mean()
    # Steps this large ruin the weights, so that the start must be what is kept.
    assert fits[0].best_step == 0
    for fit in fits:
        assert fit.validation_loss.mean() <= loss_of_start * (1 + 1e-4)


def test_maps_of_locations_lie_where_the_receptive_fields_do():
    dataset = population(1500, 15)
    model = network()
    _, _, _, maps = located(dataset, model)
    flat = maps["posterior"].reshape(15, -1).argmax(1)
    found = np.stack(np.divmod(flat, SIZE), 1)
    np.testing.assert_allclose(found, dataset["location"].values, atol=1)
    np.testing.assert_allclose(maps["posterior"].sum((1, 2)), 1, rtol=1e-4)


def test_the_localizer_setting_is_selected_by_validation_among_those_that_fit():
    localizer = [{"n_kernels": n} for n in (1, 2, 3)]
    loss = np.array([[3.0, 3.0], [1.0, 1.0], [2.0, 2.0]])
    three_kernels = small_core(channels=[3], kernel_start="posterior")
    assert best_setting(localizer, loss, factorized()) == 1
    assert best_setting(localizer, loss, factorized(cores=[three_kernels])) == 2


def test_other_cores_can_start_at_the_places_found():
    dataset = population(1500, 15)
    model = network(cores=[small_core(channels=[3], kernels=[5])])
    model["readout"]["mask_start"] = {
        "position": "posterior",
        "height": 0.5,
        "noise_sd": 0.001,
        "truncated": False,
    }
    model["readout"]["feature_start"] = {"mean": "inverse_channels", "sd": 0.01, "truncated": False}
    data, _, localized, maps = located(dataset, model)
    mask = initialized(model, data, localized, maps).readout.mask.detach()
    peak = mask.flatten(1).argmax(1).numpy()
    found = np.stack(np.divmod(peak, mask.shape[-1]), 1) + 2
    np.testing.assert_allclose(found, dataset["location"].values, atol=1)
    assert 0.1 < mask.amax((1, 2)).median() <= 0.51


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda model, _: model.pop("localizer"), "needs the key 'localizer'"),
        (lambda model, _: model.update(localizer="network"), "no model of family localization"),
        (
            lambda model, _: model["cores"][0].update(channels=[2]),
            "2 is not among the n_kernels of 'localized'",
        ),
        (lambda _, localizer: localizer.update(kernel=7), "9 px, but 'localized' has 7 px"),
        (
            lambda model, _: model["readout"]["mask_start"].update(position="sta"),
            "amplitude needs 'position: posterior'",
        ),
    ],
)
def test_a_start_that_cannot_be_is_refused_with_its_key(mistake, message):
    model, localizer = copy.deepcopy(network()), definition()
    mistake(model, localizer)
    config = {"models": {"network": model, "localized": localizer}}
    with pytest.raises(UserError, match=f"config.yaml: models.network.*{message}"):
        check_model(config, "network", [("config.yaml", config)])


def test_the_scripts_hand_the_start_from_rule_to_rule(tmp_path):
    names = ("data.nc", "sta.nc", "localized.pt", "localized.nc", "fits.pt", "validation.nc")
    data, averages, localized, rated, fits, validation = (tmp_path / name for name in names)
    write_netcdf(population(120, 8), data)
    condition = ("all", "all")
    compute_sta.main(data, *condition, [0, 1], 9, averages)
    fit_baseline.main(data, [], *condition, definition(), [0, 1], localized, rated)
    model = network(training=small_training(max_steps=5))
    files, sizes = (data, averages, [localized, rated], []), (*condition, model, [0, 1])
    train.main(*files, *sizes, "cpu", 1e9, "code", fits, validation)
    with read_netcdf(validation) as trained, read_netcdf(rated) as inferred:
        loss = trained["validation_loss"].mean("neuron").values
        assert (loss <= inferred["validation_loss"].mean("neuron").values * (1 + 1e-4)).all()
    stored = read_tensors(localized)["seeds"][0]
    first, second = (stored[name][0]["readout.amplitude"] for name in ("first_parameters", "parameters"))
    # The second fit uses the validation images, the start does not.
    assert not torch.equal(first, second)
