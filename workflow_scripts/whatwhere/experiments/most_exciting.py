"""Most exciting images, or clips of a movie, of the neurons of a fitted model, by gradient ascent.

After Walker et al. 2019 (Inception loops discover what excites neurons most using deep predictive models,
Nature Neuroscience 22) and Bashivan, Kar & DiCarlo 2019 (Neural population control via deep image synthesis,
Science 364): the image of a given norm, within the range of the training images, with the largest response.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch
import xarray as xr
from PIL import Image
from torch import Tensor

from whatwhere.errors import UserError
from whatwhere.experiments.selected import interval_of_selected
from whatwhere.files import atomic
from whatwhere.fitted.model import FittedModel
from whatwhere.thumbnails import frames_of, save_gif

logger = logging.getLogger(__name__)

Respond = Callable[[Tensor], Tensor]
"""Response of every image's own neuron: (image, channel, y, x) to (image,)."""

NORM_SHARE = 0.2
"""Norm of the images relative to the training images: as much contrast, on a twenty-fifth of the pixels."""
FAINT = 0.1
"""Norm at which an ascent from noise starts, relative to where it ends: noise of the norm silences more."""
N_COMPARED = 1000
"""Largest number of images, spread over those that are given, of which an ascent starts at the best."""
RATES = (1.0, 0.1)
"""Length of the first and the last step, relative to the norm."""

GIF_SIDE = 160
"""Side of animations up to which small frames are enlarged by whole numbers, px."""

_CHUNK = 128
_PROJECTIONS = 10


def project(images: Tensor, norm: float, low: Tensor, high: Tensor) -> Tensor:
    """Scales images to a norm within the limits of their pixels; less if the limits do not hold as much.

    Parameters
    ----------
    images
        (image, channel, y, x).
    norm
        L2 norm over channels and pixels.
    low, high
        (channel, y, x), or of every image its own.
    """
    for _ in range(_PROJECTIONS):
        length = images.flatten(1).norm(dim=1).clamp(min=1e-12)
        images = (images * (norm / length)[:, None, None, None]).clamp(low, high)
    return images


def ascend(
    respond: Respond, start: Tensor, norm: float, low: Tensor, high: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Projected gradient ascent with steps of shrinking length; the best image on the way counts.

    A neuron that no image excites more than the mean image keeps the mean image.

    Parameters
    ----------
    respond
        Response to be maximized.
    start
        (image, channel, y, x) faint noise, or images of the norm.
    norm, low, high
        As for :func:`project`.
    steps
        Number of gradients.

    Returns
    -------
    Images, and their responses (image,).
    """
    image, best = start, torch.zeros_like(start)
    with torch.no_grad():
        largest = respond(best)
    for step in range(steps + 1):
        image = image.detach().requires_grad_(True)
        response = respond(image)
        # A faint start is no candidate: its norm is another.
        better = (response.detach() > largest) & (step > 0)
        largest = torch.where(better, response.detach(), largest)
        best = torch.where(better[:, None, None, None], image.detach(), best)
        if step == steps:
            break
        (gradient,) = torch.autograd.grad(response.sum(), image)
        length = gradient.flatten(1).norm(dim=1)
        # Without gradient an image stays where it is.
        direction = gradient / length.clamp(min=1e-30)[:, None, None, None]
        first, last = RATES
        rate = last + (first - last) * (1 + math.cos(math.pi * step / steps)) / 2
        image = project(image.detach() + rate * norm * direction, norm, low, high)
    return best, largest


def most_exciting_images(
    fitted: FittedModel,
    neurons: Sequence[Any] | None = None,
    *,
    norm: float | None = None,
    steps: int = 20,
    n_starts: int = 2,
    seed: int = 0,
    least: bool = False,
    images: np.ndarray | None = None,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    confirm: FittedModel | None = None,
) -> xr.Dataset:
    """Finds the image that every neuron responds to most.

    Parameters
    ----------
    fitted
        The model, or the mean of several.
    neurons
        Names, as in ``neuron_ids`` of the model; None takes all.
    norm
        L2 norm of the images after standardization; None takes :data:`NORM_SHARE` of the median of the
        training images. Every pixel stays within what the training images show there.
    steps
        Gradients per start.
    n_starts
        Ascents, of which the best counts: from one of ``images``, if given, and from different faint noise.
    seed
        Seed of the noise; the noise of a neuron does not depend on the other neurons.
    least
        Find the image that neurons respond to least.
    images
        (image, channel, y, x) in the units of the dataset, best the training images. The first ascent of a
        neuron starts at the image with the largest response, after all images were scaled to the norm. Noise
        finds what wins at low contrast, and can leave a neuron silent, whose ascent then has no direction.
    held_out
        Predictions and measured responses (image, neuron) of all neurons of the model to images that the
        fit did not see, for an interval, see :func:`whatwhere.experiments.selected.interval_of_selected`.
    confirm
        Another fit of these neurons, best with another seed, which is shown the images.

    Returns
    -------
    Dataset with ``image`` (neuron, channel, y, x) in the units of the dataset, ``response`` (neuron,) that
    the model predicts, ``response_of_start`` (neuron, start); with ``held_out`` ``response_low`` and
    ``response_high`` (neuron,), between which 90 % of measured responses are to lie; and with ``confirm``
    ``confirmed`` (neuron,): the response that the other fit predicts, as a share of ``response``.

    Raises
    ------
    UserError
        If a neuron is unknown, or a number out of range.
    """
    space = fitted.image_space
    every = range(len(fitted.neuron_ids)) if neurons is None else _places(fitted.neuron_ids, neurons)
    positions = np.array(every)
    norm = NORM_SHARE * space.norm if norm is None else norm
    if not (norm > 0 and steps >= 1 and n_starts >= 1):
        raise UserError("most_exciting_images: norm must be positive, steps and n_starts at least 1")
    sign = -1.0 if least else 1.0
    limits = [torch.from_numpy(limit) for limit in (space.low, space.high)]
    found, reached = [], []
    for chunk in torch.from_numpy(positions).split(_CHUNK):
        mean, sd = fitted.seed_fits[0].module.statistics_of(chunk)
        low, high = ((limit - mean) / sd for limit in limits)

        def respond(images: Tensor, chunk: Tensor = chunk, mean: Tensor = mean, sd: Tensor = sd) -> Tensor:
            return sign * own_responses(fitted, images * sd + mean, chunk)

        starts = []
        for start in range(n_starts):
            if start == 0 and images is not None:
                first = (_most_exciting_of(fitted, images, norm, sign, chunk) - mean) / sd
            else:
                noise = _noise(fitted.neurons[chunk.numpy()], space.shape, seed, start)
                first = project(noise, FAINT * norm, low, high)
            starts.append(ascend(respond, first, norm, low, high, steps))
        ends, largest = (torch.stack(of_starts) for of_starts in zip(*starts, strict=True))
        found.append(ends[largest.argmax(0), torch.arange(len(chunk))] * sd + mean)
        reached.append(sign * largest)
        logger.info("%d of %d neurons have their image", sum(map(len, found)), len(positions))
    reached_of_start = torch.cat(reached, 1)
    best = reached_of_start.amin(0) if least else reached_of_start.amax(0)
    result = xr.Dataset(
        {
            "image": (("neuron", "channel", "y", "x"), torch.cat(found).numpy()),
            "response": ("neuron", best.numpy()),
            "response_of_start": (("neuron", "start"), reached_of_start.T.numpy()),
        },
        coords={"neuron": [fitted.neuron_ids[position] for position in positions]},
        attrs={"low": float(space.low.min()), "high": float(space.high.max())}
        | {"norm": norm, "steps": steps, "seed": seed, "least": int(least)}
        | ({} if space.timing is None else space.timing.attributes()),
    )
    if held_out is not None:
        # The least response is the largest of the opposite.
        predicted, measured = (sign * values[:, positions] for values in held_out)
        bounds = interval_of_selected(predicted, measured, sign * best.numpy())
        lowest, highest = (sign * bound for bound in (bounds[::-1] if least else bounds))
        result = result.assign(response_low=("neuron", lowest), response_high=("neuron", highest))
    if confirm is None:
        return result
    # By index, because the names in a recording may occur twice.
    same = torch.tensor(_places(confirm.neurons.tolist(), fitted.neurons[positions].tolist()))
    with torch.no_grad():
        chunks = zip(torch.cat(found).split(_CHUNK), same.split(_CHUNK), strict=True)
        confirmed = torch.cat([own_responses(confirm, *chunk) for chunk in chunks])
    return result.assign(confirmed=xr.DataArray(confirmed.numpy(), dims="neuron") / result["response"])


def own_responses(fitted: FittedModel, images: Tensor, neurons: Tensor) -> Tensor:
    """Predicted response of one neuron to each image, (image,), the mean over the fits of all seeds.

    ``images`` are in the units of the dataset; ``neurons`` (image,) are positions in the population.
    """
    total = images.new_zeros(len(images))
    for fit in fitted.seed_fits:
        total = total + fit.own_responses(images, neurons)
    return total / len(fitted.seed_fits)


def _places(known: Sequence[Any], wanted: Sequence[Any]) -> list[int]:
    """Positions of the wanted neurons among the known ones."""
    if np.asarray(wanted).dtype == bool:
        raise UserError("neurons: are truth values, which are no names: give the names of the neurons")
    place = {name: position for position, name in enumerate(known)}
    unknown = [name for name in wanted if name not in place]
    if unknown or not len(wanted):
        raise UserError(f"neurons: {unknown[:10]} are not among the {len(known)} of this model")
    return [place[name] for name in wanted]


def _most_exciting_of(
    fitted: FittedModel, images: np.ndarray, norm: float, sign: float, neurons: Tensor
) -> Tensor:
    """Image (neuron, channel, y, x) with the largest response times ``sign`` after scaling to the norm."""
    some = torch.from_numpy(images[:: -(-len(images) // N_COMPARED)].astype(np.float32))
    mean, sd = fitted.seed_fits[0].module.statistics_of(neurons[0])
    low, high = (
        (torch.from_numpy(one) - mean) / sd for one in (fitted.image_space.low, fitted.image_space.high)
    )
    scaled = project((some - mean) / sd, norm, low, high) * sd + mean
    return scaled[(sign * fitted.arrays.predict(scaled.numpy())[:, neurons.numpy()]).argmax(0)]


def _noise(neurons: np.ndarray, shape: tuple[int, int, int], seed: int, start: int) -> Tensor:
    """White noise (neuron, channel, y, x), from a random stream for every neuron and start."""
    streams = (np.random.default_rng([seed, int(neuron), start]) for neuron in neurons)
    return torch.from_numpy(np.stack([rng.standard_normal(shape, np.float32) for rng in streams]))


def responsive_courses(fitted: FittedModel, clips: np.ndarray) -> np.ndarray:
    """Courses in time of the change of a response with the frames of a clip: filters of linear neurons.

    Parameters
    ----------
    fitted
        A model of a movie.
    clips
        (neuron, lag * channel, y, x) windows, such as most exciting clips, of all neurons of the model.

    Returns
    -------
    (neuron, lag), newest first, at the pixel of the largest change, largest absolute value 1 or all 0.
    """
    timing = fitted.image_space.timing
    if timing is None:
        raise UserError("responsive_courses: the model takes still images, which have no course in time")
    changes = []
    for shown, neurons in zip(
        torch.from_numpy(clips).split(_CHUNK), torch.arange(len(clips)).split(_CHUNK), strict=True
    ):
        shown = shown.detach().requires_grad_(True)
        changes += torch.autograd.grad(own_responses(fitted, shown, neurons).sum(), shown)
    by_time = torch.cat(changes).numpy().reshape(len(clips), timing.lags, -1)
    peak = np.abs(by_time).max(1).argmax(1)
    courses = np.take_along_axis(by_time, peak[:, None, None], 2)[:, :, 0]
    largest = np.abs(courses).max(1, keepdims=True)
    return courses / np.where(largest > 0, largest, 1)


def _in_range(found: xr.Dataset) -> np.ndarray:
    """Images (neuron, channel, y, x) from 0 to 1, which training images of 0 to 255 keep."""
    low, high = found.attrs["low"], found.attrs["high"]
    if low >= 0 and 1 < high <= 255:
        low, high = 0, 255
    return ((found["image"].values - low) / (high - low)).clip(0, 1)


def write_pngs(found: xr.Dataset, folder: str | Path) -> list[Path]:
    """Writes one PNG per neuron, ``neuron_<name>.png``, to be shown in an experiment.

    Values keep their meaning where training images have 0 to 255; else the range of the training images is
    stretched to that.

    Parameters
    ----------
    found
        Result of :func:`most_exciting_images`, with one or three channels.
    folder
        Folder of the files; it is made.

    Raises
    ------
    UserError
        If images have another number of channels, as clips of a movie have.
    """
    paths = []
    for neuron, image in zip(found["neuron"].values, _in_range(found), strict=True):
        if len(image) not in (1, 3) or "lags" in found.attrs:
            raise UserError(
                f"images of {len(image)} channels are no pictures: PNG holds 1 or 3; write clips of a movie "
                "with write_gifs()"
            )
        pixels = (255 * image).round().astype(np.uint8)
        paths.append(Path(folder, f"neuron_{quote(str(neuron), safe='')}.png"))
        with atomic(paths[-1]) as temporary:
            Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(temporary)
    return paths


def write_gifs(found: xr.Dataset, folder: str | Path) -> list[Path]:
    """Writes the clip of every neuron as an animation, ``neuron_<name>.gif``, oldest frame first.

    Frames are enlarged, and shown for 0.1 s each. Grey levels are those of :func:`write_pngs`.

    Parameters
    ----------
    found
        Result of :func:`most_exciting_images` for a movie.
    folder
        Folder of the files; it is made.

    Raises
    ------
    UserError
        If the images are no clips.
    """
    if "lags" not in found.attrs:
        raise UserError("write_gifs: the model takes still images: write them with write_pngs()")
    paths = []
    for neuron, clip in zip(found["neuron"].values, _in_range(found), strict=True):
        paths.append(Path(folder, f"neuron_{quote(str(neuron), safe='')}.gif"))
        frames = frames_of(clip, int(found.attrs["lags"]))
        with atomic(paths[-1]) as temporary:
            save_gif(frames, temporary, max(1, GIF_SIDE // max(frames.shape[2:])) * max(frames.shape[2:]))
    return paths
