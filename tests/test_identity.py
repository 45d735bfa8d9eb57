"""The same neurons on another day."""

import numpy as np
import pandas as pd
import pytest

import collect_identity
import plot_identity
from whatwhere.errors import UserError
from whatwhere.files import write_tensors
from whatwhere.fit_data import load_fit_data
from whatwhere.identity import alikeness, cosines, days_of, partners, ranks, summary
from whatwhere.models.spec import ModelSpec
from whatwhere.recordings.pooled import pool
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors

BANK = {"wavelengths": [4], "orientations": 2, "pool": 2}
MODELS = {
    "ridge": {
        "family": "ridge",
        "input": "features",
        "bank": BANK,
        "loss": "mse",
        "grid": [{"ridge_l2": [10.0]}],
    },
    "factorized": {
        "family": "factorized_ridge",
        "bank": BANK,
        "loss": "mse",
        "grid": [{"rank": [1], "mask_l2": [0.1], "feature_l2": [0.1]}],
    },
}


@pytest.fixture
def two_days(tiny_dataset, rng):
    """Six linear neurons of a small patch each, with little noise, seen again in another order on day two.

    The first 60 images of both days are the same; the second day has 240 of its own.
    """
    n_images = 300
    images = rng.normal(3, 2, (2, n_images, 3, 9, 11)).astype(np.float32)
    images[1, :60] = images[0, :60]
    filters = np.zeros((6, 3, 9, 11))
    for neuron, one in enumerate(filters):
        row, column = divmod(neuron, 3)
        one[:, 4 * row : 4 * row + 3, 3 * column : 3 * column + 3] = rng.normal(size=(3, 1, 1))
    days = {}
    for name, shown, order in (("one", images[0], np.arange(6)), ("two", images[1], [3, 0, 5, 1, 4])):
        drive = np.einsum("icyx,ncyx->in", shown - 3, filters[order])
        responses = drive + 0.2 * rng.normal(size=drive.shape)
        split = np.tile(np.arange(n_images) % 6, (2, 1)).clip(3) - 3
        days[name] = tiny_dataset.drop_dims(["image", "neuron", "repeat"]).assign(
            images=(("image", "channel", "y", "x"), shown),
            responses=(("repeat", "image", "neuron"), responses[None].astype(np.float32)),
            split=(("fold", "image"), split.astype(np.int8)),
        )
        days[name].attrs |= {"citation": "nobody", "normalize": "global"}
    return pool(days, "two_days", "leave_out")


PAIRS = [[0, 3], [1, 0], [2, 5], [3, 1], [4, 4]]


def test_partners_are_found_by_their_responses(two_days):
    (days,) = days_of(two_days)
    assert (days.earlier, days.later, days.n_pictures) == ("one", "two", 60)
    assert days.candidates.tolist() == [0, 1, 2, 3, 4, 5]
    assert days.neurons.tolist() == [6, 7, 8, 9, 10]
    assert days.partners.tolist() == PAIRS


def test_partners_are_clear_and_mutual(rng):
    signal = rng.normal(size=(4000, 5))
    noise = rng.normal(size=(2, 4000, 5))
    one, other = signal + 0.1 * noise[0], signal + 0.1 * noise[1]
    assert partners(one, other).tolist() == [[i, i] for i in range(5)]
    # A correlation of .4 is too small.
    weak = signal + 1.2 * noise[1]
    assert len(partners(signal + 1.2 * noise[0], weak)) == 0
    # Neuron 1 is nearly neuron 0, so that both have two candidates.
    alike = other.copy()
    alike[:, 1] = alike[:, 0] + 0.1 * noise[0, :, 1]
    assert partners(one, alike).tolist() == [[i, i] for i in range(2, 5)]
    # A neuron that never responds matches nobody.
    silent = other.copy()
    silent[:, 2] = 7
    assert partners(one, silent).tolist() == [[i, i] for i in (0, 1, 3, 4)]


def test_a_single_neuron_has_no_rival(rng):
    signal = rng.normal(size=(50, 1))
    assert partners(signal, signal + 0.1).tolist() == [[0, 0]]


def test_sign_and_scale_between_mask_and_weights_do_not_matter(two_days, rng):
    (days,) = days_of(two_days)
    masks, weights = rng.normal(size=(11, 4, 5)), rng.normal(size=(11, 3))
    factor = rng.choice([-2.0, 0.5], 11)
    same = alikeness(masks * factor[:, None, None], weights / factor[:, None], days)
    for part, alike in alikeness(masks, weights, days).items():
        np.testing.assert_allclose(same[part], alike, err_msg=part)
    product = cosines(np.einsum("nyx,nc->ncyx", masks, weights), days)
    np.testing.assert_allclose(same["both"], product)


def test_ranks_count_what_is_more_alike_and_share_ties():
    alike = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.2]])
    assert ranks(alike, np.array([[0, 0], [0, 2], [1, 1]])).tolist() == [1, 2, 2]
    found = summary(np.array([1, 1, 1, 4]), 50)
    assert (found["n_pairs"], found["top1"], found["median_rank"]) == (4, 0.75, 1)
    assert found["top1_se"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert (found["top1_chance"], found["median_rank_chance"]) == (0.02, 25.5)


def test_neurons_of_chance_are_found_by_chance(rng):
    n = 50
    pairs = np.stack([np.arange(n)] * 2, 1)
    shares = [summary(ranks(rng.normal(size=(n, n)), pairs), n)["top1"] for _ in range(200)]
    assert np.mean(shares) == pytest.approx(1 / n, abs=0.005)


def test_recordings_without_shared_pictures_or_partners_are_refused(tiny_dataset, two_days, rng):
    with pytest.raises(UserError, match="tiny: is no pool"):
        days_of(tiny_dataset)
    other = two_days.copy(deep=True)
    other["responses"][:, :, 6:] = np.where(
        np.isnan(other["responses"][:, :, 6:]), np.nan, rng.random((300 * 2, 5))
    )
    with pytest.raises(UserError, match="two_days: no neuron of 'two'"):
        days_of(other)
    other["images"][:60] += 1
    with pytest.raises(UserError, match="no two recordings share 50 pictures"):
        days_of(other)


def test_planted_partners_are_found_again_by_fits_to_other_pictures(two_days, tmp_path):
    two_days.to_netcdf(tmp_path / "two_days.nc")
    names, fits, selections = [], [], []
    for model, definition in MODELS.items():
        candidates = [
            fit_seed(ModelSpec.of(definition), seed, load_fit_data(two_days, None, None, seed))
            for seed in (0, 1)
        ]
        names.append({"experiment": "identity", "dataset": "two_days", "model": model})
        fits.append(tmp_path / f"{model}.pt")
        write_tensors(to_tensors(definition, candidates), fits[-1])
        index = pd.MultiIndex.from_product([["population", "neuron"], (0, 1), range(11)])
        table = index.to_frame(index=False, name=["selection", "seed", "neuron"])
        selections.append(tmp_path / f"{model}.csv")
        table.assign(cell="nall-dall", setting=0, finished=True, at_edge=False).to_csv(selections[-1])
    data, table = tmp_path / "two_days.nc", tmp_path / "identity.csv"
    cells = ["nall-dall"] * 2
    collect_identity.main(names, [data] * 2, fits, selections, cells, MODELS, table)
    found = pd.read_csv(table)
    assert found.part.tolist() == ["filter", "mask", "feature weights", "both"]
    assert (found.n_pairs == 5).all()
    assert (found.n_candidates == 6).all()
    assert (found.n_fits == 2).all()
    assert (found.set_index("part").top1[["filter", "mask", "both"]] == 1).all()
    plot_identity.main(table, tmp_path / "identity.svg", tmp_path / "identity.png")
    assert (tmp_path / "identity.svg").stat().st_size > 5000
