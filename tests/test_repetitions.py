import numpy as np
import pytest

from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, check
from whatwhere.draw import draw
from whatwhere.fit_data import load_fit_data
from whatwhere.simulations import difference_of_gaussians, v1_cells
from whatwhere.simulations.repetitions import repeated_split
from whatwhere.streams import Purpose, stream

NOISE = {
    "scales": [1.0],
    "n_neurons": 3,
    "variation": 0.1,
    "centered": False,
    "image_size": 24,
    "patch": 9,
    "n_images": 40,
    "n_test": 10,
    "validation_fraction": 0.25,
    "validation_max": 0,
    "seed": 5,
}
V1 = {
    "n_simple_types": 1,
    "n_complex_types": 0,
    "n_neurons": 3,
    "patch": 7,
    "mean_count": 2,
    "n_repeats": 2,
    "stimuli": {"source": "generated"},
    "image_size": 15,
    "normalize": "global",
    "n_images": 40,
    "n_test": 10,
    "validation_fraction": 0.25,
    "validation_max": 0,
    "seed": 5,
    "recording": None,
}
SIMULATIONS = {"noise": (difference_of_gaussians.simulate, NOISE), "v1": (v1_cells.simulate, V1)}


def simulated(kind, repetitions):
    simulate, arguments = SIMULATIONS[kind]
    return simulate("data", **arguments, repetitions=repetitions)


def test_repetitions_share_no_image():
    split = repeated_split({TRAIN: 3, VALIDATION: 1, TEST: 2}, 2)
    assert split.tolist() == [[0, 0, 0, 1, 2, 2, *[UNUSED] * 6], [*[UNUSED] * 6, 0, 0, 0, 1, 2, 2]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIMULATIONS)
def test_every_seed_has_images_noise_and_a_test_set_of_its_own(kind):
    """Five seeds of all images gave .9014 five times: they shared everything but their order."""
    data = simulated(kind, 3)
    check(data, "data")
    fits = [load_fit_data(data, None, None, seed) for seed in range(3)]
    images = np.concatenate([np.concatenate([fit.draw.train, fit.draw.validation]) for fit in fits])
    assert len(np.unique(images)) == len(images) == 3 * 40
    tested = [np.flatnonzero(fold == TEST) for fold in data["split"].values]
    assert len(np.unique(np.concatenate([images, *tested]))) == 3 * 50
    noise = [
        data["responses"].values[0, fit.draw.train] - data["rates"].values[fit.draw.train] for fit in fits
    ]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.4
    assert not np.array_equal(fits[0].train_images, fits[1].train_images)
    # A fourth seed sees the first repetition again, in another order.
    assert set(draw(data, None, None, 3).train) == set(fits[0].draw.train)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIMULATIONS)
def test_more_repetitions_leave_the_first_and_the_neurons_as_they_are(kind):
    one, three = simulated(kind, 1), simulated(kind, 3)
    for name in ("images", "rates"):
        np.testing.assert_array_equal(three[name][:50], one[name])
    np.testing.assert_array_equal(three["responses"][:, :50], one["responses"])
    np.testing.assert_array_equal(three["location"], one["location"])


def test_test_responses_of_every_repetition_are_free_of_noise():
    data = simulated("noise", 2)
    for fold in data["split"].values:
        noise = (data["responses"].values[0] - data["rates"].values).std(1)
        assert (noise[fold == TEST] == 0).all()
        assert (noise[(fold == TRAIN) | (fold == VALIDATION)] > 0).all()


def test_a_simulation_and_a_fit_of_one_seed_draw_nothing_alike():
    first = {purpose: tuple(stream(3, purpose).generate_state(4)) for purpose in Purpose}
    assert len({*first.values(), tuple(np.random.SeedSequence(3).generate_state(4))}) == len(Purpose) + 1
    # What Purpose avoids: numpy pads seeds with zeros.
    padded = np.random.SeedSequence([3, 0]).spawn(1)[0].generate_state(4)
    assert (padded == np.random.SeedSequence(3).spawn(1)[0].generate_state(4)).all()
