import numpy as np
import pandas as pd
import pytest
from recording_files import WRITERS
from tiny_run import DATASET

import describe_dataset
import simulate
from whatwhere.dataset import TEST, TRAIN, VALIDATION
from whatwhere.description import drift, findings, neuron_table, oracle_correlation, overview
from whatwhere.files import write_netcdf
from whatwhere.metrics import pearson
from whatwhere.recordings import load


def with_responses(dataset, responses):
    return dataset.assign(responses=(("repeat", "image", "neuron"), responses.astype(np.float32)))


def test_oracle_correlation_is_that_of_trials_with_the_mean_of_the_others(rng):
    responses = rng.normal(size=(3, 20, 2))
    trials = np.concatenate(responses)
    others = np.concatenate([np.delete(responses, repeat, 0).mean(0) for repeat in range(3)])
    np.testing.assert_allclose(oracle_correlation(responses), pearson(others, trials))


def test_oracle_correlation_leaves_out_what_was_not_presented(rng):
    responses = rng.normal(size=(2, 30, 3))
    more = np.concatenate([responses, np.full((1, 30, 3), np.nan)])
    np.testing.assert_allclose(oracle_correlation(more), oracle_correlation(responses))
    more[2, :, :] = np.nan
    more[:, 10, 0] = [5, np.nan, np.nan]
    assert oracle_correlation(more)[0] == pytest.approx(oracle_correlation(np.delete(responses, 10, 1))[0])


def test_drift_does_not_depend_on_the_images(rng):
    noise = rng.normal(size=(5, 200, 1))
    images = 10 * rng.normal(size=(1, 200, 1))
    np.testing.assert_allclose(drift(noise + images)[0], drift(noise)[0])
    assert drift(noise + np.arange(5)[:, None, None])[0][0] > 0.7


def test_repeats_of_few_images_do_not_show_drift(rng):
    responses = rng.normal(size=(3, 100, 2))
    responses[2, 5:] = np.nan
    by_repeat = drift(responses)[1]
    assert np.isfinite(by_repeat[:2]).all()
    assert np.isnan(by_repeat[2]).all()


def test_a_recording_with_signal_has_nothing_suspicious_and_noise_has(tiny_dataset, rng):
    signal = tiny_dataset["responses"].values + rng.normal(20, 4, (1, 60, 5))
    assert findings(with_responses(tiny_dataset, signal)) == []
    assert "no variance beyond noise" in findings(tiny_dataset)[0]


def test_everything_suspicious_is_found(tiny_dataset, rng):
    responses = tiny_dataset["responses"].values + 5
    responses[..., 0] = np.where(np.isnan(responses[..., 0]), np.nan, 0)
    responses[..., 1] = np.where(np.isnan(responses[..., 1]), np.nan, 3)
    responses[..., 2] *= -1
    responses[..., 3] += 10 * np.arange(4)[:, None]
    images = tiny_dataset["images"].values
    images[7] = images[3]
    images[20] = 1
    suspicious = with_responses(tiny_dataset, responses)
    suspicious = suspicious.assign(images=(("image", "channel", "y", "x"), images))
    found = "; ".join(findings(suspicious))
    for expected in (
        "1 images repeat earlier ones",
        "1 images are uniform: [20]",
        "1 neurons never respond: [0]",
        "1 neurons always respond alike: [1]",
        "1 neurons have negative responses, which a poisson loss cannot fit: [2]",
        "1 neurons drift over repeats: [3]",
        "neurons have no variance beyond noise",
    ):
        assert expected in found


def test_a_recording_without_repeats_says_so(tiny_dataset):
    single = with_responses(tiny_dataset, tiny_dataset["responses"].values[:1])
    assert findings(single) == ["no image was repeated: noise ceilings and FEVE are undefined"]
    assert neuron_table(single)[["oracle_correlation", "cc_max", "drift"]].isna().to_numpy().all()


def test_the_overview_counts_what_is_there(tiny_dataset):
    rows = overview(tiny_dataset)
    assert rows["Images"] == "60 of 3 x 9 x 11 (channel, y, x)"
    assert rows["Presentations per image"] == "2 to 4"
    assert rows["Splits"] == "40 train, 10 validation, 10 test"
    assert {TRAIN, VALIDATION, TEST} == set(np.unique(tiny_dataset["split"]))


def describe(folder):
    paths = {name: folder / f"page.{name}" for name in ("csv", "svg", "png", "html")}
    describe_dataset.main(folder / "data.nc", "mine", *paths.values())
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(WRITERS) - {"antolik2016"}))
def test_a_recording_has_a_page_that_stands_alone(tmp_path, kind):
    dataset = load("mine", WRITERS[kind](tmp_path), tmp_path, None)
    write_netcdf(dataset, tmp_path / "data.nc")
    paths = describe(tmp_path)
    page = paths["html"].read_text()
    assert "40 of 1 x 10 x 12" in page
    assert page.count("<svg") == 1
    assert "src=" not in page
    for finding in findings(dataset):
        assert finding in page
    assert len(pd.read_csv(paths["csv"])) == 4


@pytest.mark.slow
def test_a_simulation_has_a_page_too(tmp_path):
    simulate.main("small", DATASET, tmp_path / "data.nc")
    page = describe(tmp_path)["html"].read_text()
    assert "Nothing suspicious was found" in page
    assert "test responses without noise" in page


@pytest.mark.slow
def test_a_page_is_the_same_every_time_whatever_names_it_shows(tmp_path, tiny_dataset):
    write_netcdf(tiny_dataset.assign_attrs(source="<script>alert(1)</script>"), tmp_path / "data.nc")
    first = {name: path.read_bytes() for name, path in describe(tmp_path).items()}
    assert b"<script" not in first["html"]
    assert first == {name: path.read_bytes() for name, path in describe(tmp_path).items()}
