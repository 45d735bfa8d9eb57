"""Numbers of neurons, images and repeats of the published recordings: docs/results/recordings.csv.

    PYTHONPATH=workflow_scripts python benchmarks/recordings.py MIRROR

``MIRROR`` has the folders cowley2023 and antolik2016 as their publishers lay them out.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import write_table
from whatwhere.metrics import cc_max
from whatwhere.recordings import read
from whatwhere.recordings.cowley2023 import SESSIONS

TABLE = Path(__file__).parents[1] / "docs" / "results" / "recordings.csv"
PUBLISHED_REPEATS = {
    **{"190925": 14, "190927": 11, "190928": 13, "190929": 15, "201025": 12},
    **{"210305": 22, "210322": 4, "210621": 16},
}
"""Repeats of sessions of which only means are published (data_V4_responses/readme.txt)."""


def v4_session(session: str, mirror: Path) -> dict[str, object]:
    """Row of a session of macaque V4."""
    dataset = {"kind": "cowley2023", "session": session}
    recording = read(session, dataset, Path("downloads"), str(mirror / "cowley2023"))
    responses = np.asarray(recording.responses)  # (repeat, image, neuron)
    shown = np.isfinite(responses).sum(0).mean(1)
    repeats = shown if session not in PUBLISHED_REPEATS else [PUBLISHED_REPEATS[session]]
    return {
        "dataset": f"v4_{session}",
        "n_neurons": responses.shape[2],
        "n_images": responses.shape[1],
        "fewest_repeats": int(np.min(repeats)),
        "most_repeats": int(np.max(repeats)),
        "noise_ceiling": cc_max(responses).mean(),
    }


def v1_region(region: int, mirror: Path) -> dict[str, object]:
    """Row of a region of mouse V1; publishers call the test set validation."""
    folder = mirror / "antolik2016" / "Data" / f"region{region}"
    tested = np.load(folder / "raw_validation_set.npy")  # (repeat, image, neuron)
    return {
        "dataset": f"v1_region{region}",
        "region": region,
        "n_neurons": tested.shape[2],
        "n_images": len(np.load(folder / "training_set.npy")) + tested.shape[1],
        "fewest_repeats": 1,
        "most_repeats": len(tested),
        "noise_ceiling": cc_max(tested).mean(),
    }


if __name__ == "__main__":
    mirror = Path(sys.argv[1])
    rows = [v4_session(session, mirror) for session in SESSIONS]
    rows += [v1_region(region, mirror) for region in (1, 2, 3)]
    write_table(pd.DataFrame(rows), TABLE)
