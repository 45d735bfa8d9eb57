"""Frames of a clip: an array, a folder of numbered pictures, a file of several pages, or a video."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import as_list, read_array
from whatwhere.recordings.images import read_pictures
from whatwhere.recordings.layouts import FRAME_AXES, arrange, stated_axes
from whatwhere.recordings.pictures import in_numeric_order, is_image
from whatwhere.recordings.preprocess import preprocess

_CHUNK = 1024
"""Frames that are prepared at once."""


def read_frames(location: str, layout: Sequence[str] | None, key: str) -> np.ndarray:
    """Frames of a file or folder as stored, (frame, channel, y, x).

    ``location`` is a file of an array; a folder or zip file of pictures whose names count without gaps; a
    TIFF file of several pages; or a video (.mp4, .avi), which is decoded to RGB. ``layout`` has words for the
    axes of an array, or is None where the file names its axes or every frame is one number. UserError if
    axes are not stated, or pictures are missing.
    """
    path, suffix = Path(location), Path(location).suffix.lower()
    readers = {".mp4": _decode_video, ".avi": _decode_video}
    if path.is_dir() or suffix == ".zip" or is_image(location):
        readers[suffix] = _decode_pictures
    if suffix in readers and layout is not None:
        raise UserError(f"{key}: is for arrays, and {location} is none: remove it")
    return readers[suffix](path) if suffix in readers else _arrange_frames(location, layout, key)


def _arrange_frames(location: str, layout: Sequence[str] | None, key: str) -> np.ndarray:
    stored = read_array(location)
    if stored.values.ndim == 2 and 1 in stored.values.shape and (layout is None or len(layout) == 1):
        stored = stored._replace(values=as_list(stored.values, location, "one number per frame"), axes=None)
    axes = stated_axes(stored, layout, FRAME_AXES, key, location)
    if axes is None and stored.values.ndim > 1:
        words = ", ".join(FRAME_AXES[stored.values.ndim])
        fault = f"its axes {stored.values.shape} are not stated"
        raise UserError(f"{location}: {fault}: set {key} to the words {words} in the order of its axes")
    axes, wanted = axes or FRAME_AXES[1], ("frame", "channel", "y", "x")
    frames = arrange(stored.values, axes, [word for word in wanted if word in axes])
    return np.expand_dims(frames, tuple(place for place, word in enumerate(wanted) if word not in axes))


def _decode_pictures(path: Path) -> np.ndarray:
    """Pages of a file, or pictures whose names differ in one number that counts without gaps."""
    files, pictures = read_pictures(str(path), in_numeric_order)
    stems = [re.sub(r"\.\w+$", "", file) for file in files]
    start = stems[0].rstrip("0123456789")
    first = int(stems[0].removeprefix(start) or 0)
    for number, (stem, picture) in enumerate(zip(stems, pictures, strict=True), first):
        if not re.fullmatch(rf"{re.escape(start)}0*{number}", stem):
            advice = "frames must be numbered without gaps, such as frame1, frame2: add or rename pictures"
            raise UserError(f"{path}: {files[number - first]} is not frame {number}: {advice}")
        if picture.shape != pictures[0].shape:
            shapes = f"{picture.shape}, the first {pictures[0].shape} (channel, y, x)"
            raise UserError(f"{path}: frame {number} has shape {shapes}: save all frames alike")
    return np.stack(pictures)


def _decode_video(path: Path) -> np.ndarray:
    try:
        import av
    except ModuleNotFoundError as error:
        advice = "pip install av, or give an array of frames"
        raise UserError(f"{path}: videos are read by PyAV: {advice}") from error
    try:
        with av.open(str(path)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    except (OSError, ValueError, IndexError) as error:  # errors of FFmpeg are among these types
        raise UserError(f"{path}: is no readable video: {error}") from error
    if not frames:
        raise UserError(f"{path}: holds no frame")
    return np.moveaxis(np.stack(frames), -1, 1)


def prepare_frames(frames: np.ndarray, config: dict[str, Any], key: str) -> np.ndarray:
    """Frames in color, crop and size of the ``image`` keys, (frame, channel, y, x) in C order.

    ``config`` and ``key`` are those of :func:`whatwhere.recordings.preprocess.preprocess`. Bytes and truth
    values that are only cropped are uint8, all others float32.
    """
    kept = frames.dtype in (np.uint8, bool) and config["size"] is None
    kept = kept and (config["color"] != "grey" or frames.shape[1] == 1)
    pieces = (frames[start : start + _CHUNK] for start in range(0, len(frames), _CHUNK))
    dtype = np.uint8 if kept else np.float32
    return np.concatenate([preprocess(piece, config, key).astype(dtype) for piece in pieces])
