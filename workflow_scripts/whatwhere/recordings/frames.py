"""Frames of a clip: an array, a folder of numbered pictures, a file of several pages, or a video."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import as_list, read_array
from whatwhere.recordings.images import list_pictures
from whatwhere.recordings.layouts import FRAME_AXES, arrange, stated_axes
from whatwhere.recordings.pictures import decode_image, decode_pages, in_numeric_order, is_image
from whatwhere.recordings.preprocess import preprocess

_VIDEOS = (".mp4", ".avi")
_CHUNK = 1024
"""Frames that are prepared at once."""


def read_frames(location: str, layout: Sequence[str] | None, key: str) -> np.ndarray:
    """Frames of a file or folder as stored, (frame, channel, y, x).

    Parameters
    ----------
    location
        File of an array; folder or zip file of pictures whose names count without gaps; TIFF file of several
        pages; or video (.mp4, .avi), which is decoded to RGB.
    layout
        Words for the axes of an array, or None where the file names its axes or every frame is one number.
    key
        Key of the layout, for messages.

    Raises
    ------
    UserError
        If the file is unreadable, its axes are not stated, or pictures are missing.
    """
    path = Path(location)
    pictured = path.is_dir() or path.suffix.lower() == ".zip"
    if layout is not None and (pictured or is_image(location) or location.lower().endswith(_VIDEOS)):
        raise UserError(f"{key}: is for arrays, and {location} is none: remove it")
    if pictured:
        return np.stack(_numbered_pictures(location))
    if location.lower().endswith(_VIDEOS):
        return _decode_video(path)
    if is_image(location):
        try:
            return np.stack(decode_pages(path.read_bytes(), location, None))
        except OSError as error:
            raise UserError(f"{location}: cannot be read: {error.strerror}") from error
    return _arrange_frames(location, layout, key)


def _arrange_frames(location: str, layout: Sequence[str] | None, key: str) -> np.ndarray:
    stored = read_array(location)
    if stored.values.ndim == 2 and 1 in stored.values.shape and (layout is None or len(layout) == 1):
        stored = stored._replace(values=as_list(stored.values, location, "one number per frame"), axes=None)
    if stored.values.ndim == 1 and layout is None:
        layout = FRAME_AXES[1]
    axes = stated_axes(stored, layout, FRAME_AXES, key, location)
    if axes is None:
        words = ", ".join(FRAME_AXES[stored.values.ndim])
        raise UserError(
            f"{location}: its axes {stored.values.shape} are not stated: set {key} to the words {words} in "
            "the order of its axes"
        )
    wanted = ("frame", "channel", "y", "x")
    frames = arrange(stored.values, axes, [word for word in wanted if word in axes])
    missing = tuple(place for place, word in enumerate(wanted) if word not in axes)
    return np.expand_dims(frames, missing)


def _numbered_pictures(location: str) -> list[np.ndarray]:
    """Pictures in the order of their names, which differ in one number that counts without gaps."""
    files = in_numeric_order(list_pictures(location))
    found = [re.fullmatch(r"(.*?)(\d+)", str(PurePosixPath(file).with_suffix(""))) for file in files]
    starts = {one[1] if one else file for one, file in zip(found, files, strict=True)}
    numbers = [int(one[2]) for one in found if one]
    if len(starts) > 1 or len(numbers) < len(files):
        raise UserError(
            f"{location}: {files[0]} and {files[-1]} are no numbered frames: name them 0001, 0002, ..."
        )
    for before, after, file in zip(numbers, numbers[1:], files[1:], strict=False):
        if after != before + 1:
            raise UserError(
                f"{location}: {file} follows number {before}: frames must be numbered without gaps: add or "
                "rename them"
            )
    with open_tree(location) as tree:
        pictures = [decode_image(tree.read(file), tree.label(file)) for file in files]
    for picture, file in zip(pictures, files, strict=True):
        if (picture.shape, picture.dtype) != (pictures[0].shape, pictures[0].dtype):
            raise UserError(
                f"{location}: {file} has {picture.dtype} pixels of shape {picture.shape}, {files[0]} "
                f"{pictures[0].dtype} of {pictures[0].shape} (channel, y, x): save all frames alike"
            )
    return pictures


def _decode_video(path: Path) -> np.ndarray:
    try:
        import av
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: videos are read by PyAV: pip install av, or give an array of frames"
        ) from error
    try:
        with av.open(str(path)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    except (OSError, ValueError, IndexError) as error:  # errors of FFmpeg are among these types
        raise UserError(f"{path}: is no readable video: {error}") from error
    if not frames:
        raise UserError(f"{path}: holds no frame")
    return np.moveaxis(np.stack(frames), -1, 1)


def prepare_frames(frames: np.ndarray, config: dict[str, Any], key: str) -> np.ndarray:
    """Frames in color, crop and size of the ``image`` keys, in C order.

    Parameters
    ----------
    frames
        (frame, channel, y, x), any numeric type.
    config, key
        As for :func:`whatwhere.recordings.preprocess.preprocess`.

    Returns
    -------
    uint8 where bytes or truth values are cropped at most, float32 otherwise.
    """
    parts = [frames[start : start + _CHUNK] for start in range(0, len(frames), _CHUNK)]
    kept = frames.dtype in (np.uint8, bool) and config["size"] is None
    kept = kept and (config["color"] != "grey" or frames.shape[1] == 1)
    return np.concatenate(
        [preprocess(part, config, key).astype(np.uint8 if kept else np.float32) for part in parts]
    )
