"""A fixed bank of features on which models of recordings can stand: Gabor energies and means of pixels.

A few hundred noisy images do not teach a network what primary visual cortex computes. The bank gives it:
energies of quadrature pairs, as of complex cells (Adelson & Bergen 1985), beside local means of the pixels.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import EVALUATION_CHUNK, FixedFeatures, ImageShape


class StandardizedFeatures(FixedFeatures):
    """Features whose every value is standardised on training images."""

    mean: Tensor
    sd: Tensor

    def start_at(self, out_shape: ImageShape) -> None:
        """Say what shape the features have; they are as they come until they are standardised."""
        self.out_shape = out_shape
        self.register_buffer("mean", torch.zeros(out_shape))
        self.register_buffer("sd", torch.ones(out_shape))

    def maps_of(self, images: Tensor) -> Tensor:
        """Features of a few images before they are standardised, (image, channel, y, x)."""
        raise NotImplementedError

    def standardize_on(self, images: Tensor) -> Tensor:
        """Take mean and sd of every value of the maps from training images (image, channel, y, x).

        Returns
        -------
        Their standardised maps.
        """
        maps = self.raw_maps(images)
        sd, mean = torch.std_mean(maps.double(), 0, correction=0)
        self.mean.copy_(mean)
        # A value that never varies becomes 0 and stays there.
        self.sd.copy_(torch.where(sd > 1e-6 * (1 + mean.abs()), sd, 1.0))
        return (maps - self.mean) / self.sd

    def forward(self, images: Tensor) -> Tensor:
        """Standardised maps, (image, channel, y, x) to (image, *out_shape)."""
        return (self.raw_maps(images) - self.mean) / self.sd

    def raw_maps(self, images: Tensor) -> Tensor:
        """Maps before they are standardised, (image, channel, y, x) to (image, *out_shape)."""
        return torch.cat([self.maps_of(chunk) for chunk in images.split(EVALUATION_CHUNK)])


class GaborFeatureBank(StandardizedFeatures):
    """Energies of Gabor filters and local means, standardised on training images.

    A Gabor filter of wavelength w is a plane wave under a Gaussian of sd w / 2, without mean and of unit
    norm. The energy is the root of the sum of both squared outputs of a quadrature pair, which does not
    depend on the phase of a grating. Energies see the mean of the colour channels. Outside of the image all
    is 0; images are z-scored as a whole, because one scale per pixel would distort what a filter sees.

    Parameters
    ----------
    image_shape
        (channel, y, x).
    config
        A model's ``feature_bank``: ``wavelengths`` in pixels, number of ``orientations`` between 0 and 180 degrees,
        and ``pool``, the side in pixels of the squares over which maps are averaged. Squares at the lower and
        right border average what there is.

    Attributes
    ----------
    out_shape
        (channel, y, x) of the maps: energies by wavelength, then orientation; then means of the pixels, one
        map per colour channel.

    Raises
    ------
    UserError
        If a square does not fit into the image.
    """

    def __init__(self, image_shape: ImageShape, config: dict[str, Any]) -> None:
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        self.stride = config["average_pooling"]
        if self.stride > min(height, width):
            raise UserError(
                f"feature_bank: squares of {self.stride} px do not fit into images of {height} x {width} px"
            )
        self.pairs = [
            (float(wavelength), math.pi * index / config["orientations"])
            for wavelength in config["wavelengths"]
            for index in range(config["orientations"])
        ]
        self.start_at((len(self.pairs) + channels, -(-height // self.stride), -(-width // self.stride)))

    def filters(self) -> Tensor:
        """Filter of every map, (map, channel, y, x): even Gabor filters, and squares of ones for means."""
        channels = self.image_shape[0]
        sd = max((wavelength / 2 for wavelength, _ in self.pairs), default=0)
        reach = max(math.ceil(3 * sd), self.stride)
        gabors = [gabor_pair(wavelength, angle, reach)[0].float() for wavelength, angle in self.pairs]
        grey = [gabor.expand(channels, -1, -1) for gabor in gabors]
        square = torch.zeros(2 * reach + 1, 2 * reach + 1)
        first = reach - self.stride // 2
        square[first : first + self.stride, first : first + self.stride] = 1
        means = [square * one[:, None, None] for one in torch.eye(channels)]
        return torch.stack([*grey, *means])

    def maps_of(self, images: Tensor) -> Tensor:
        """Energies and means, (image, channel, y, x) to (image, *out_shape)."""
        grey = images.mean(1)
        energies = [gabor_energy(grey, *pair)[:, None] for pair in self.pairs]
        maps = torch.cat([*energies, images], 1)
        return functional.avg_pool2d(maps, self.stride, ceil_mode=True, count_include_pad=False)


def gabor_energy(images: Tensor, wavelength: float, angle: float) -> Tensor:
    """Energy of a quadrature pair of Gabor filters at every pixel.

    The wave under the Gaussian is a product of a function of y and one of x, so that both filters are two
    products of matrices.

    Parameters
    ----------
    images
        (image, y, x).
    wavelength
        Of the wave, px.
    angle
        Of its direction from the x axis, radians.

    Returns
    -------
    (image, y, x).
    """
    frequency = 2 * math.pi / wavelength
    wave_y, window_y = _profiles(images.shape[1], frequency * math.sin(angle), wavelength / 2, images)
    wave_x, window_x = _profiles(images.shape[2], frequency * math.cos(angle), wavelength / 2, images)
    even, odd, window = gabor_pair(wavelength, angle, math.ceil(3 * wavelength))
    mean = float(even.sum() / window.sum())
    output = wave_y @ images.to(wave_y.dtype) @ wave_x.T
    seen = window_y @ images @ window_x.T
    # The window that the even filter loses to have no mean.
    return torch.hypot(
        (output.real - mean * seen) / float((even - mean * window).norm()), output.imag / float(odd.norm())
    )


def _profiles(size: int, frequency: float, sd: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (size, size) that filter along one axis: a wave under a Gaussian, and the Gaussian alone."""
    axis = torch.arange(size, device=like.device, dtype=torch.float64)
    offset = axis[None] - axis[:, None]
    window = torch.exp(-(offset**2) / (2 * sd**2))
    wave = window * torch.exp(1j * frequency * offset)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return wave.to(complex_type), window.to(like.dtype)


def gabor_pair(wavelength: float, angle: float, reach: int) -> tuple[Tensor, Tensor, Tensor]:
    """Even and odd wave under the window, and the window, before means and norms are set.

    Parameters
    ----------
    wavelength, angle
        As for :func:`gabor_energy`.
    reach
        Half the width, px.

    Returns
    -------
    Three (2 * reach + 1, 2 * reach + 1).
    """
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    window = torch.exp(-2 * (y**2 + x**2) / wavelength**2)
    phase = 2 * math.pi / wavelength * (y * math.sin(angle) + x * math.cos(angle))
    return window * phase.cos(), window * phase.sin(), window
