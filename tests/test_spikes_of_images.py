"""Spike times and onsets of images outside of NWB: counts after onsets, one vector per neuron or clusters."""

import numpy as np
import pytest
from planted import answers, pictures, score
from recording_files import IMAGE, SPLIT

from whatwhere.errors import UserError
from whatwhere.recordings import load

N = 40
WINDOW = [50, 150]


def recording(folder, clusters=False, ticks=1, **changes):
    """Presentations of images in random order, with planted counts of spikes in a window after the onset."""
    rng = np.random.default_rng(0)
    images = pictures(N)
    counts = np.rint(answers(images)).astype(int) - 20
    shown = rng.permutation(np.tile(np.arange(N), 2))
    onsets = 10 + 0.5 * np.arange(len(shown))
    trains = []
    for neuron in range(counts.shape[1]):
        inside = [
            start + rng.uniform(0.051, 0.149, counts[image, neuron])
            for start, image in zip(onsets, shown, strict=True)
        ]
        trains.append(np.concatenate([*inside, onsets + 0.2, [2.0]]))
    np.save(folder / "images.npy", images)
    np.save(folder / "shown.npy", shown)
    np.save(folder / "onsets.npy", onsets * ticks)
    definition = {"kind": "arrays", "image": IMAGE, "split": SPLIT, "layout": ["image", "y", "x"]}
    definition |= {"images": str(folder / "images.npy"), "image_of_presentation": str(folder / "shown.npy")}
    definition |= {"index_base": 0, "onsets": str(folder / "onsets.npy"), "window": WINDOW}
    if ticks != 1:
        definition["ticks_per_second"] = ticks
    if clusters:
        order = rng.permutation(sum(map(len, trains)))
        np.save(folder / "spike_times.npy", np.concatenate(trains)[order] * ticks)
        ids = np.repeat([3, 7, 12, 20, 105][: len(trains)], [len(train) for train in trains])
        np.save(folder / "spike_clusters.npy", ids[order])
        definition["spike_clusters"] = str(folder / "spike_clusters.npy")
        definition["spike_times"] = str(folder / "spike_times.npy")
    else:
        np.savez(
            folder / "spikes.npz", **{f"n{neuron}": train * ticks for neuron, train in enumerate(trains)}
        )
        definition["spike_times"] = str(folder / "spikes.npz")
    return definition | changes, counts


@pytest.mark.parametrize(("clusters", "ticks"), [(False, 1), (True, 30000), (True, 1000)])
def test_spikes_are_counted_in_the_window_after_the_onset_of_their_image(tmp_path, clusters, ticks):
    definition, counts = recording(tmp_path, clusters, ticks)
    dataset = load("mine", definition, tmp_path, None)
    assert dataset["responses"].shape == (2, N, counts.shape[1])
    np.testing.assert_array_equal(dataset["responses"].values, [counts, counts])
    assert score(dataset) > 0.9
    names = [3, 7, 12, 20, 105] if clusters else [f"n{neuron}" for neuron in range(5)]
    assert dataset["neuron_id"].values.tolist() == [str(name) for name in names]


def test_clocks_that_differ_and_vectors_that_do_not_fit_are_refused(tmp_path):
    definition, _ = recording(tmp_path, clusters=True)
    np.save(tmp_path / "late.npy", np.load(definition["onsets"]) / 1000)
    with pytest.raises(UserError, match=r"^datasets.mine: no neuron has a spike with .*by one clock"):
        load("mine", definition | {"onsets": str(tmp_path / "late.npy")}, tmp_path, None)
    np.save(tmp_path / "few.npy", np.arange(10, 15))
    with pytest.raises(UserError, match=r"few.npy: has 5 values for \d+ spikes of .*spike_times.npy$"):
        load("mine", definition | {"spike_clusters": str(tmp_path / "few.npy")}, tmp_path, None)
    with pytest.raises(UserError, match="has 5 along its axis 'presentation' but there are 80 presentations"):
        load("mine", definition | {"onsets": str(tmp_path / "few.npy")}, tmp_path, None)
