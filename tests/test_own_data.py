"""A user's recordings go from their files to figures by configuration alone, pooled or not."""

import pandas as pd
import pytest
from sessions import N_IMAGES, N_NEURONS
from tiny_run import RUN

pytestmark = pytest.mark.slow


@pytest.fixture
def scores(sessions_run):
    return pd.read_csv(sessions_run / RUN / "tables/scores.csv")


SIZES = {
    "both": f"monday: {N_IMAGES} images; tuesday: {N_IMAGES} images",
    "pictures": f"{N_IMAGES} of 1 x 8 x 10",
}


@pytest.mark.parametrize("dataset", SIZES)
def test_files_become_figures_by_configuration_alone(sessions_run, dataset):
    for name in (f"figures/recording/{dataset}.svg", f"figures/recording/{dataset}.png"):
        assert (sessions_run / RUN / name).stat().st_size > 1000
    assert SIZES[dataset] in (sessions_run / RUN / f"datasets/{dataset}.html").read_text()


def test_pictures_and_a_table_are_fitted(scores):
    found = scores[scores.dataset == "pictures"]
    assert len(found) == 2 * 2  # seeds, neurons
    # One pixel drives each neuron; single trials of Poisson counts allow no more than about 0.9.
    assert found.correlation.min() > 0.8
    assert (found.cc_max > found.correlation - 0.1).all()


def test_two_sessions_are_pooled_by_five_lines(sessions_run, scores):
    of_session = scores[scores.dataset == "both"].groupby("recording")
    assert of_session.size().to_dict() == {"monday": N_NEURONS, "tuesday": N_NEURONS}
    # Responses of a wrong session, or in another order, have nothing to do with the pixel.
    assert of_session.correlation.min().min() > 0.8
    assert (of_session.cc_max.min() > of_session.correlation.min() - 0.1).all()
    summary = pd.read_csv(sessions_run / RUN / "tables" / "summary.csv")
    assert summary[summary.dataset == "both"].recording.tolist() == ["monday", "tuesday"]
