"""Two sessions of a user, pooled by configuration alone; killed, and run again."""

import pandas as pd
import pytest
from sessions import N_NEURONS, two_sessions
from tiny_run import RUN, snakemake, write_config

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """Folder of a finished run of two sessions."""
    folder = tmp_path_factory.mktemp("pooled")
    write_config(folder, two_sessions(folder))
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


def test_two_sessions_are_pooled_by_five_lines(pooled):
    scores = pd.read_csv(pooled / RUN / "tables" / "scores.csv")
    of_session = scores.groupby("recording").correlation
    assert of_session.size().to_dict() == {"monday": N_NEURONS, "tuesday": N_NEURONS}
    # Responses of a wrong session, or in another order, have nothing to do with the pixel.
    assert (of_session.min() > 0.8).all()
    summary = pd.read_csv(pooled / RUN / "tables" / "summary.csv")
    assert summary.recording.tolist() == ["monday", "tuesday"]
