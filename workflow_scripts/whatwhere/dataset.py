"""The data contract: one netCDF-4 file per dataset, the same for simulations and recordings.

==================  ========================  ========  =================================================
variable            dims                      dtype     meaning
==================  ========================  ========  =================================================
images              image, channel, y, x      float32   stimuli in the units of the attribute ``units``
frames              frame, channel, y, x      f32, u8   movies instead of images: clips, one after the other
last_frame          image                     int32     movies: newest frame of the window of a time bin
block               image                     int32     movies: contiguous pieces that are resampled together
responses           repeat, image, neuron     float32   one value per presentation; NaN: none
split               fold, image               int8      0 train, 1 validation, 2 test, -1 not in the fold
rates               image, neuron             float32   simulations: responses without noise
location            neuron, axis              float32   simulations: true centre (y, x) in pixels
cell_type           neuron                    int16     simulations: true cell type, from 0
response_sd         neuron                    float32   simulations: sd of averaged responses (section B)
receptive_field     neuron, ry, rx            float32   simulations: kernel, if all of one size
covariates          repeat, image, covariate  float32   running, pupil; used by models with state
==================  ========================  ========  =================================================

Stimuli, responses and split are required. White noise is not stored: the attributes of ``images`` are its
recipe, and :func:`open_dataset` draws what is read (:mod:`whatwhere.simulations.white_noise`).

In a movie an image is a time bin. Its stimulus is a window of the last ``lags`` frames (attribute), which
:func:`select_images` returns as :class:`whatwhere.windows.Windows`. Attributes ``seconds_per_bin`` and
``frames_per_second`` are its times; bins of a ``block`` are resampled together.

A fold is one assignment of the images to splits; a fit with seed ``s`` uses fold ``s % n_folds``. The folds
of a recording share its images. The folds of a simulation are repetitions, each with its own images, noise
and test set. A neuron needs responses to two or more images of each split (:mod:`whatwhere.missing`).

Attributes: ``name``, ``source``, ``kind`` (simulated or recorded), ``normalize`` (none, global or per_pixel;
applied with statistics of the training images of each fit), ``noise_free_test`` (1: the test responses are
rates without noise), ``repeat_averages`` (1: responses are published averages and hold no single trials),
``validation_fraction`` and ``validation_max`` (size of the validation set, see
:func:`whatwhere.subset.n_validation`).
Recordings may name their neurons, images and covariates (coordinates ``neuron_id``, ``image_name`` and
``covariate_name``), say what is done where a covariate is missing (``covariate_missing``), and record the
interpretation of the files (attribute ``reading``). Recordings have ``preparation``, see
:func:`whatwhere.recordings.preprocess.preparation`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netCDF4
import numpy as np
import xarray as xr

from whatwhere.errors import UserError
from whatwhere.files import atomic, read_netcdf
from whatwhere.missing import mean_of_repeats
from whatwhere.simulations.white_noise import WhiteNoise

if TYPE_CHECKING:
    from whatwhere.windows import Images

TRAIN, VALIDATION, TEST = 0, 1, 2
UNUSED = -1
SPLITS = ("train", "validation", "test")
NORMALIZATIONS = ("none", "global", "per_pixel")

VARIABLES = {
    "images": (("image", "channel", "y", "x"), "float32"),
    "frames": (("frame", "channel", "y", "x"), ("float32", "uint8")),
    "last_frame": (("image",), "int32"),
    "block": (("image",), "int32"),
    "responses": (("repeat", "image", "neuron"), "float32"),
    "split": (("fold", "image"), "int8"),
    "rates": (("image", "neuron"), "float32"),
    "location": (("neuron", "axis"), "float32"),
    "cell_type": (("neuron",), "int16"),
    "response_sd": (("neuron",), "float32"),
    "receptive_field": (("neuron", "ry", "rx"), "float32"),
    "covariates": (("repeat", "image", "covariate"), "float32"),
}
"""Dimensions and type of all variables."""
_ATTRIBUTES = (
    *("name", "source", "kind", "normalize", "noise_free_test"),
    *("repeat_averages", "validation_fraction", "validation_max"),
)
_CHUNK = 64 << 10
"""Bytes of responses that a file stores in one piece."""
_PIECE = 16 << 20
"""Bytes of responses or images that are in memory at a time where a function can work piece by piece."""


def check(dataset: xr.Dataset, name: str) -> None:
    """Raises a UserError that names the variable and the fault if a dataset breaks the contract.

    ``name`` is the name of the dataset in messages: the file or the config key.
    """
    for attribute in _ATTRIBUTES:
        if attribute not in dataset.attrs:
            raise UserError(f"{name}: attribute '{attribute}' is missing")
    if dataset.attrs["normalize"] not in NORMALIZATIONS:
        raise UserError(f"{name}: attribute 'normalize' must be one of {', '.join(NORMALIZATIONS)}")
    _require_variables(dataset, name)
    for variable, (dims, dtype) in VARIABLES.items():
        array = dataset.get(variable)
        types = (dtype,) if isinstance(dtype, str) else dtype
        if array is not None and (array.dims != dims or array.dtype not in types):
            found = f"dims {array.dims} and dtype {array.dtype}"
            raise UserError(f"{name}: '{variable}' has {found}, expected {dims} and {dtype}")
        if array is not None and not array.size:
            raise UserError(f"{name}: '{variable}' is empty, shape {array.shape}")
    _check_splits(dataset["split"].values, _check_values(dataset, name), name)


def _require_variables(dataset: xr.Dataset, name: str | Path) -> None:
    stimuli = ("frames", "last_frame", "block") if "frames" in dataset else ("images",)
    for variable in (*stimuli, "responses", "split"):
        if variable not in dataset:
            raise UserError(f"{name}: variable '{variable}' is missing: delete the file and rerun")


def _check_values(dataset: xr.Dataset, name: str) -> np.ndarray:
    """Refuses values that are not finite; returns the existence of responses, bool (image, neuron)."""
    what = "image"
    if is_movie(dataset):
        what, n_frames, lags = "frame", dataset.sizes["frame"], dataset.attrs["lags"]
        last = dataset["last_frame"].values
        if last.min() < lags - 1 or last.max() >= n_frames:
            raise UserError(f"{name}: windows of {lags} frames leave the movie of {n_frames} frames")
    stimuli, responses = dataset[f"{what}s"], dataset["responses"]
    for start, stop in _ranges(stimuli):
        finite = np.isfinite(stimuli[start:stop].values).all((1, 2, 3))
        if not finite.all():
            bad = start + np.argmin(finite)
            raise UserError(f"{name}: {what} {bad} holds NaN or infinite pixels: repair or remove it")
    present = []
    for start, stop in _ranges(responses):
        piece = responses[:, start:stop].values
        if np.isinf(piece).any():
            bad = start + np.flatnonzero(np.isinf(piece).any((0, 2)))[0]
            raise UserError(f"{name}: the responses to image {bad} are infinite: repair or remove it")
        present.append((~np.isnan(piece)).any(0))
    return np.concatenate(present)


def _check_splits(split: np.ndarray, present: np.ndarray, name: str) -> None:
    """Refuses wrong codes (fold, image), and neurons with too few responses, bool (image, neuron)."""
    if not np.isin(split, (UNUSED, TRAIN, VALIDATION, TEST)).all():
        raise UserError(f"{name}: 'split' must be 0 (train), 1 (validation), 2 (test) or -1 (unused)")
    if not present.any(1).all():
        image = np.flatnonzero(~present.any(1))[0]
        raise UserError(f"{name}: no neuron has a response to image {image}: remove the image")
    for fold, row in enumerate(split):
        for code, label in enumerate(SPLITS):
            if np.count_nonzero(row == code) < 2:
                raise UserError(f"{name}: fold {fold} has fewer than two {label} images")
            few = present[row == code].sum(0)
            if few.min() < 2:
                found = f"neuron {few.argmin()} has responses to {few.min()} {label} images of fold {fold}"
                raise UserError(f"{name}: {found}: remove neurons or images until all neurons have two")


def open_dataset(path: str | Path) -> xr.Dataset:
    """Opens a dataset file lazily; UserError if it is unreadable or a required variable is missing.

    White noise is drawn when it is read (:mod:`whatwhere.simulations.white_noise`).
    """
    dataset = read_netcdf(path)
    _require_variables(dataset, path)
    images = dataset.get("images")
    if images is not None and WhiteNoise.is_recipe(images.attrs):
        noise = WhiteNoise.of(images.attrs, images.shape, f"{path}: images")
        dataset["images"] = xr.Variable(images.dims, noise.lazy(), images.attrs)
    return dataset


def write_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Writes a dataset as netCDF-4; repeats that few images have take little room, white noise none.

    Responses are never whole in memory; :mod:`whatwhere.recordings.presentations` computes them when read.
    """
    images, responses = dataset.get("images"), dataset["responses"]
    drawn = images is not None and WhiteNoise.is_recipe(images.attrs)
    apart = ["responses", *(["images"] if drawn else [])]
    n_repeats, _, n_neurons = responses.shape
    together = max(1, _CHUNK // (4 * n_neurons))
    with atomic(path) as temporary:
        try:
            dataset.drop_vars(apart).to_netcdf(temporary, format="NETCDF4", engine="netcdf4")
            with netCDF4.Dataset(temporary, "a") as stored:
                for name in apart:
                    dims, chunks = VARIABLES[name][0], [1, *dataset[name].shape[1:]]
                    for dim, size in zip(dims, dataset[name].shape, strict=True):
                        if dim not in stored.dimensions:
                            stored.createDimension(dim, size)
                    if name == "responses":
                        chunks[1] = min(together, chunks[1])
                    # A chunk that is never written takes no room.
                    written = stored.createVariable(name, "f4", dims, chunksizes=chunks, fill_value=np.nan)
                    written.setncatts(dataset[name].attrs)
                written = stored["responses"]
                for start, stop in _ranges(responses, together):
                    piece = responses.isel(image=slice(start, stop)).values
                    for repeat in range(n_repeats):
                        for first in range(0, stop - start, together):
                            chunk = piece[repeat, first : first + together]
                            if not np.isnan(chunk).all():
                                written[repeat, start + first : start + first + len(chunk)] = chunk
        except RuntimeError as error:
            raise UserError(f"{path}: cannot be written: is the disk full?") from error


def duplicate_groups(images: Iterable[np.ndarray]) -> np.ndarray:
    """Group number of every image, equal for images with identical content."""
    numbers: dict[bytes, int] = {}
    # Adding 0 turns -0.0, which has other bytes, into 0.
    return np.array([numbers.setdefault((image + 0).tobytes(), len(numbers)) for image in images])


def _pieces(variable: xr.DataArray, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions in ``images`` and the values of a variable there, a bounded number at a time."""
    # In contiguous pieces: netCDF files read scattered indices hundreds of times slower.
    axis = variable.get_axis_num(_along(variable))
    for start, stop in _ranges(variable):
        inside = np.flatnonzero((images >= start) & (images < stop))
        if len(inside):
            first, last = images[inside].min(), images[inside].max()
            piece = variable.isel({_along(variable): slice(first, last + 1)}).values
            yield inside, piece.take(images[inside] - first, axis)


def _ranges(variable: xr.DataArray, multiple: int = 1) -> Iterator[tuple[int, int]]:
    """First and last image or frame, exclusive, of pieces of a variable that take little memory."""
    n_images = variable.sizes[_along(variable)]
    step = max(1, _PIECE * n_images // max(variable.nbytes, 1) // multiple) * multiple
    for start in range(0, n_images, step):
        yield start, min(start + step, n_images)


def _along(variable: xr.DataArray) -> str:
    return "frame" if "frame" in variable.dims else "image"


def presented(dataset: xr.Dataset) -> np.ndarray:
    """Existence of presentations: whether any neuron has a response, bool (repeat, image)."""
    responses = dataset["responses"]
    pieces = (responses.isel(image=slice(*ends)).values for ends in _ranges(responses))
    return np.concatenate([(~np.isnan(piece)).any(2) for piece in pieces], 1)


def is_movie(dataset: xr.Dataset) -> bool:
    """Whether the stimuli are windows of a movie."""
    return "frames" in dataset


def select_images(dataset: xr.Dataset, images: np.ndarray) -> "Images":
    """Images by index, (image, channel, y, x), or windows of a movie."""
    if not is_movie(dataset):
        return _select(dataset["images"], images)
    # Imported here: it imports torch, which takes a second.
    from whatwhere.windows import Windows

    lags = int(dataset.attrs["lags"])
    last = dataset["last_frame"].values[images].astype(np.int64)
    used = np.zeros(dataset.sizes["frame"], bool)
    for lag in range(lags):
        used[last - lag] = True
    # Without the frames of other windows, test windows among them.
    position = np.cumsum(used) - 1
    frames = _select(dataset["frames"], np.flatnonzero(used))
    return Windows.of(frames, position[last], lags)


def _select(stored: xr.DataArray, indices: np.ndarray) -> np.ndarray:
    selected = np.empty((len(indices), *stored.shape[1:]), stored.dtype)
    for inside, piece in _pieces(stored, indices):
        selected[inside] = piece
    return selected


def select_responses(dataset: xr.Dataset, images: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """Responses by index, (repeat, image, neuron)."""
    stored = dataset["responses"]
    selected = np.empty((stored.sizes["repeat"], len(images), len(neurons)), stored.dtype)
    for inside, piece in _pieces(stored, images):
        selected[:, inside] = piece[:, :, neurons]
    return selected


def select_trials(
    dataset: xr.Dataset, images: np.ndarray, neurons: np.ndarray, image: np.ndarray, repeat: np.ndarray
) -> np.ndarray:
    """Responses to presentations, (presentation, neuron): ``image`` is a position in ``images``, rising."""
    selected = np.empty((len(image), len(neurons)), np.float32)
    for inside, piece in _pieces(dataset["responses"], images):
        mine = np.flatnonzero(np.isin(image, inside))
        place = np.searchsorted(inside, image[mine])
        selected[mine] = piece[repeat[mine], place][:, neurons]
    return selected


def repeat_mean(dataset: xr.Dataset, images: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """Mean over existing repeats, (image, neuron), float32; NaN for pairs without a response."""
    mean = np.empty((len(images), len(neurons)), np.float32)
    for inside, piece in _pieces(dataset["responses"], images):
        own = piece[:, :, neurons]
        mean[inside] = own[0] if len(own) == 1 else mean_of_repeats(own)
    return mean


def neuron_names(dataset: xr.Dataset, neurons: np.ndarray) -> list[Any]:
    """Names of neurons (neuron,) in the recording; the indices themselves if the recording names none."""
    names = dataset["neuron_id"].values[neurons] if "neuron_id" in dataset.coords else neurons
    return names.tolist()


def shared_kernel(dataset: xr.Dataset) -> np.ndarray | None:
    """True receptive field (y, x) that all neurons of a simulation share, else None."""
    if "receptive_field" not in dataset:
        return None
    kernels = dataset["receptive_field"].values
    return kernels[0] if (kernels == kernels[0]).all() else None


def known_patches(dataset: xr.Dataset) -> tuple[np.ndarray | None, int | None]:
    """Top-left pixels (neuron, 2) and width of the patches that hold the true receptive fields.

    None twice if the dataset lacks receptive fields, or if a patch is not square or leaves the image.
    """
    if not {"receptive_field", "location"} <= set(dataset.variables):
        return None, None
    height, width = dataset.sizes["ry"], dataset.sizes["rx"]
    # Centres lie at most half a pixel from the middle pixel of their patch.
    corner = np.rint(dataset["location"].values).astype(int) - height // 2
    last = np.array([dataset.sizes["y"], dataset.sizes["x"]]) - height
    if height != width or (corner < 0).any() or (corner > last).any():
        return None, None
    return corner, height
