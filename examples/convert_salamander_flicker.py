"""Turn a recording of salamander retina under full-field flicker into arrays of kind ``movie``.

``python examples/convert_salamander_flicker.py FOLDER OUTPUT`` takes seconds. FOLDER is
``experimentData/090320SalamanderS19`` of https://github.com/shayp/RetinaInvariance. OUTPUT gets
``frames.npy`` and ``responses.npy`` of the unique part, and ``test_frames.npy`` and ``test_responses.npy`` of
the repeated part.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
from scipy.io import loadmat

TICKS = 10_000 / 30
"""Ticks of a frame; times are in ticks of 0.1 ms."""
FEWEST_SPIKES = 400
REPEAT_FRAMES = 600


def counts(trains: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Spikes per bin, (bin, neuron) float32."""
    return np.stack([np.histogram(train, edges)[0] for train in trains], 1).astype(np.float32)


def main(folder: Path, output: Path) -> None:
    """Writes frames (frame,) and spikes per frame, (frame, neuron) and (repeat, frame, neuron)."""
    names = "SpTimes", "Stim", "stimtimes", "RepSpTimes", "RepStimulusExtended", "repeatStimulusTimes"
    files = {name: loadmat(folder / f"{name}.mat")[name] for name in names}
    trains = [train.ravel() for train in files["SpTimes"]["sp"].ravel()]
    kept = [unit for unit, train in enumerate(trains) if len(train) > FEWEST_SPIKES]
    starts = files["stimtimes"].ravel().astype(float)
    edges = np.append(starts, starts[-1] + TICKS)
    output.mkdir(parents=True, exist_ok=True)
    np.save(output / "frames.npy", files["Stim"].ravel().astype(np.float32))
    np.save(output / "responses.npy", counts([trains[unit] for unit in kept], edges))

    # MATLAB counts ticks from 1. The last of the starts is the end.
    repeated = [files["RepSpTimes"]["sp"].ravel()[unit].ravel() - 1 for unit in kept]
    contrast = files["RepStimulusExtended"][0]
    starts = files["repeatStimulusTimes"].ravel().astype(int) - 1
    change = np.flatnonzero(np.diff(contrast)) + 1
    frames, responses = [], []
    # The first repeat runs one frame late and is left out.
    for start, end in itertools.pairwise(starts[1:]):
        # A frame begins where the contrast, known for every tick, changes.
        inside = change[(change > start + 100) & (change < end - 100)]
        edges = np.append(start, inside)[: REPEAT_FRAMES + 1]
        frames.append(contrast[edges[:-1] + 5])
        responses.append(counts(repeated, edges))
    if any((one != frames[0]).any() for one in frames):
        sys.exit("the repeats show different frames: is the folder complete?")
    np.save(output / "test_frames.npy", frames[0].astype(np.float32))
    np.save(output / "test_responses.npy", np.stack(responses))
    print(f"{len(kept)} of {len(trains)} units, {len(frames)} repeats of {REPEAT_FRAMES} frames")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
