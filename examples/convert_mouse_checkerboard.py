"""Turn a recording of mouse retina under a random checkerboard into arrays of kind ``movie``.

``python examples/convert_mouse_checkerboard.py R1.mat OUTPUT`` takes a minute. R1.mat is ``20080516_R1.mat``
of CRCNS ret-1, https://crcns.org/data-sets/retina/ret-1. OUTPUT gets ``frames.npy`` (frame, y, x), 0 or 1,
221 MB, and ``responses.npy`` (frame, neuron), and of the last fifth of the frames ``test_frames.npy`` and
``test_responses.npy``. R1.mat holds no frames. The frames are the bits of the generator ran1 of Numerical
Recipes, one per check, y fastest.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import loadmat

MULTIPLIER, MODULUS = 16807, 2**31 - 1
"""The generator of Park and Miller."""
N_SLOTS = 32
"""Entries of the table by which Bays and Durham shuffle."""
BLOCK = 1 << 18
RECORDING = 1
"""Place of the recording with checks among the three of the file."""


def park_miller(seed: int) -> Iterator[np.ndarray]:
    """Yields blocks of numbers from 1 to MODULUS - 1."""
    block = np.empty(BLOCK, np.uint64)
    value = seed
    for place in range(BLOCK):
        value = value * MULTIPLIER % MODULUS
        block[place] = value
    jump = np.uint64(pow(MULTIPLIER, BLOCK, MODULUS))
    while True:
        yield block
        block = block * jump % np.uint64(MODULUS)


def ran1_bits(seed: int, n_bits: int) -> np.ndarray:
    """Bits of ran1 with a negative seed: whether its numbers are above 0.5, (n_bits,) uint8."""
    # The first five bits of a number are its slot in the table, and the first of these is the bit.
    slots = (np.asarray(block >> np.uint64(26), np.uint8) for block in park_miller(-seed))
    first = next(slots)
    # Eight numbers are dropped; the others fill the table from its end.
    start = 8 + N_SLOTS
    table = first[8:start][::-1].tolist()
    slot, bits, done = table[0], np.empty(n_bits, np.uint8), 0
    values = first[start:]
    while done < n_bits:
        drawn = bytearray(len(values))
        for place, value in enumerate(values.tolist()):
            drawn[place] = table[slot]
            table[slot], slot = value, drawn[place]
        some = np.frombuffer(drawn, np.uint8)[: n_bits - done] >> 4
        bits[done : done + len(some)] = some
        done += len(some)
        if sys.stderr.isatty():
            print(f"\r{100 * done // n_bits} % of the frames", end="", file=sys.stderr)
        values = next(slots)
    return bits


def main(file: Path, output: Path) -> None:
    """Writes frames (frame, y, x) uint8 and spikes per frame (frame, neuron), the last fifth apart."""
    content = loadmat(file, squeeze_me=True)
    stimulus, spikes = content["stimulus"][RECORDING], content["spikes"]
    shown = stimulus["param"]
    width, height = (int(shown[one] // shown[f"d{one}"]) for one in "xy")
    n_frames = int(stimulus["Nframes"])
    edges = stimulus["onset"] + np.arange(n_frames + 1) * stimulus["frame"]
    counts = np.stack([np.histogram(train[RECORDING], edges)[0] for train in spikes], 1)
    bits = ran1_bits(int(shown["seed"]), n_frames * width * height)
    output.mkdir(parents=True, exist_ok=True)
    frames = np.ascontiguousarray(bits.reshape(n_frames, width, height).swapaxes(1, 2))
    for name, part in ("", slice(n_frames * 4 // 5)), ("test_", slice(n_frames * 4 // 5, None)):
        np.save(output / f"{name}frames.npy", frames[part])
        np.save(output / f"{name}responses.npy", counts[part].astype(np.float32))
    rate = 1 / stimulus["frame"]
    print(f"{n_frames} frames of {height} x {width} checks at {rate:.4f} Hz, spikes {counts.sum(0)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
