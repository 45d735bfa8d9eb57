"""Clips of a movie with responses per time bin, in the form of :mod:`whatwhere.dataset`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, VARIABLES, check
from whatwhere.errors import UserError
from whatwhere.recordings.splits import assign


@dataclass(frozen=True)
class Clip:
    """A contiguous piece of a movie: frames (frame, channel, y, x), uint8 or float32, and responses.

    Responses are (repeat, bin, neuron) float32, NaN where missing; bin ``i`` holds those during frames ``i *
    frames_per_bin`` to ``(i + 1) * frames_per_bin - 1``. A clip whose ``test`` is True tests models, False:
    it trains and validates, None: its blocks are assigned. ``covariates`` are (repeat, bin, covariate)
    float32, NaN where missing; None if there are none.
    """

    frames: np.ndarray
    responses: np.ndarray
    test: bool | None = None
    covariates: np.ndarray | None = None


@dataclass(frozen=True)
class Timing:
    """Time of a movie: frames per second, frames of a time bin, and frames of a window.

    ``latency`` counts frames between the newest frame of a window and the end of its bin, ``block`` bins of
    what is assigned to a split, and resampled, together.
    """

    rate: float
    frames_per_bin: int
    lags: int
    latency: int
    block: int

    @property
    def seconds_per_bin(self) -> float:
        """Length of a time bin, s."""
        return self.frames_per_bin / self.rate

    def attributes(self) -> dict[str, float]:
        """Attributes of a dataset, from which :meth:`of` makes the timing again."""
        return {
            "lags": self.lags,
            "frames_per_second": self.rate,
            "frames_per_bin": self.frames_per_bin,
            "seconds_per_bin": self.seconds_per_bin,
            "latency_frames": self.latency,
            "block_bins": self.block,
        }

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "Timing":
        """Timing of a dataset from its attributes."""
        names = ("frames_per_second", "frames_per_bin", "lags", "latency_frames", "block_bins")
        rate, *numbers = (attributes[name] for name in names)
        return cls(float(rate), *map(int, numbers))

    def windows(self, n_frames: int, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Bins of a clip that have a window, and the newest frame of each, (bin,) both; there must be two."""
        newest = (np.arange(n_frames // self.frames_per_bin) + 1) * self.frames_per_bin - 1 - self.latency
        bins = np.flatnonzero(newest >= self.lags - 1)
        if len(bins) < 2:
            raise UserError(f"{label}: {n_frames} frames hold no window of {self.lags}: set fewer 'lags'")
        return bins, newest[bins]


def to_contract(
    clips: Sequence[Clip], timing: Timing, attributes: dict[str, Any], shares: dict[str, Any] | None, key: str
) -> xr.Dataset:
    """Brings clips into the form of :mod:`whatwhere.dataset`.

    Windows never cross the start of a clip: bins before are left out. Blocks are assigned to splits; clips
    with the same frames share theirs. A bin whose window holds the frame of a bin of another split is used by
    none, so that a gap as long as the window lies between splits.

    ``attributes`` are those of the dataset without those of time, ``shares`` the ``config`` of
    :func:`whatwhere.recordings.splits.assign`. UserError if bins and frames of a clip do not fit, a clip is
    shorter than a window, a clip shows a second of a test clip, or as for ``assign``.
    """
    per_bin, n_repeats = timing.frames_per_bin, max(len(clip.responses) for clip in clips)
    last, block, given, copies = [], [], [], []
    responses: list[np.ndarray] = []
    covariates: list[np.ndarray] = []
    first_frame = n_blocks = 0
    has_test = any(clip.test for clip in clips)
    if not has_test and any(clip.test is False for clip in clips):
        raise UserError(f"{key}.clips: none tests: set 'test: true' for a clip, or leave 'test' out of all")
    contents: dict[bytes, int] = {}
    for number, clip in enumerate(clips):
        where = f"{key}.clips[{number}]"
        n_frames, n_bins = len(clip.frames), clip.responses.shape[1]
        if n_frames != n_bins * per_bin:
            fault = f"{n_frames} frames make {n_frames / per_bin:g} bins of {per_bin} frames"
            advice = "cut the files so that they begin and end together"
            raise UserError(f"{where}: {fault}, but there are responses in {n_bins} bins: {advice}")
        used, newest = timing.windows(n_frames, where)
        # Bins in which nobody was recorded, such as those of a lost trial.
        recorded = (~np.isnan(clip.responses[:, used])).any((0, 2))
        used, newest = used[recorded], newest[recorded]
        own = contents.setdefault(clip.frames.tobytes(), number)
        of_bin = np.arange(n_bins) // timing.block
        last.append(first_frame + newest)
        block.append(n_blocks + of_bin[used])
        copies.append(own * (1 << 20) + of_bin[used])
        for into, values in ((responses, clip.responses), (covariates, clip.covariates)):
            if values is not None:
                padded = np.full((n_repeats, len(used), values.shape[2]), np.nan, np.float32)
                padded[: len(values)] = values[:, used]
                into.append(padded)
        given.append(np.full(len(used), "test" if clip.test else ""))
        first_frame += n_frames
        n_blocks += of_bin[-1] + 1
    _refuse_copies(clips, max(timing.lags, round(timing.rate)), key)
    newest, groups = np.concatenate(last), np.unique(np.concatenate(copies), return_inverse=True)[1]
    split = assign(groups, np.concatenate(given) if has_test else None, shares, key)
    frames = np.concatenate([clip.frames for clip in clips])
    dataset = xr.Dataset(
        {
            "frames": (VARIABLES["frames"][0], frames, {"units": "as stored, after colour, crop and size"}),
            "last_frame": ("image", newest.astype(np.int32)),
            "block": ("image", np.concatenate(block).astype(np.int32)),
            "responses": (VARIABLES["responses"][0], np.concatenate(responses, 1), {"units": "per bin"}),
            "split": (
                ("fold", "image"),
                np.stack([with_gaps(one, newest, timing.lags, len(frames)) for one in split]),
                {"meaning": "0 train, 1 validation, 2 test, -1 in a gap between splits"},
            ),
        },
        attrs=attributes
        | timing.attributes()
        | {
            "validation_fraction": float((split[0] == VALIDATION).sum() / max((split[0] != TEST).sum(), 1)),
            "validation_max": 0,
        },
    )
    if covariates:
        dataset["covariates"] = VARIABLES["covariates"][0], np.concatenate(covariates, 1)
    check(dataset, key)
    return dataset


def _refuse_copies(clips: Sequence[Clip], length: int, key: str) -> None:
    """UserError if another clip holds ``length`` frames of a test clip that are not all alike.

    A copy of a whole test clip tests, too, unless it is said to train.
    """
    tests = [(number, clip) for number, clip in enumerate(clips) if clip.test]
    whole = {clip.frames.tobytes() for _, clip in tests}
    others = [
        (number, clip)
        for number, clip in enumerate(clips)
        if clip.test is False or (clip.test is None and tests and clip.frames.tobytes() not in whole)
    ]
    numbers: dict[bytes, int] = {}
    tested: dict[bytes, tuple[int, int]] = {}
    for number, clip in [*tests, *others]:
        digests = (blake2b(one.tobytes(), digest_size=16).digest() for one in clip.frames)
        frames = np.array([numbers.setdefault(digest, len(numbers)) for digest in digests], np.int32)
        for start in range(len(frames) - length + 1):
            run = frames[start : start + length]
            content = run.tobytes()
            if clip.test:
                tested.setdefault(content, (number, start))
            elif content in tested and (run != run[0]).any():
                test, at = tested[content]
                raise UserError(
                    f"{key}.clips[{number}]: its frames {start} to {start + length - 1} are frames {at} to "
                    f"{at + length - 1} of clips[{test}], which tests: remove them from one of the clips"
                )


def with_gaps(split: np.ndarray, last: np.ndarray, lags: int, n_frames: int) -> np.ndarray:
    """Split (image,) without the bins whose window holds the newest frame of a bin of another split.

    ``last`` (image,) is the newest frame of every window of ``lags`` frames, ``n_frames`` counts all frames.
    """
    apart = split.copy()
    for code in (TRAIN, VALIDATION, TEST):
        mine = np.zeros(n_frames, bool)
        mine[last[split == code]] = True
        behind = np.cumsum(np.concatenate([[0], mine]))
        holds = behind[last + 1] > behind[last + 1 - lags]
        apart[holds & (split != code)] = UNUSED
    return apart
