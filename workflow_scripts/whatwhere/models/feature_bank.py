"""A fixed bank of features on which models of recordings can stand: Gabor energies and means of pixels.

A few hundred noisy images do not teach a network what primary visual cortex computes. The bank gives it:
energies of quadrature pairs, as of complex cells (Adelson & Bergen 1985), beside local means of the pixels.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import EVALUATION_CHUNK, Bank, ImageShape


class StandardizedBank(Bank):
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


class FeatureBank(StandardizedBank):
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
        A model's ``bank``: ``wavelengths`` in pixels, number of ``orientations`` between 0 and 180 degrees,
        ``pool``, the side in pixels of the squares over which maps are averaged, and ``means``, whether there
        is a map of the pixels themselves per colour channel. Squares at the lower and right border average
        what there is.

    Attributes
    ----------
    out_shape
        (channel, y, x) of the maps: energies by wavelength, then orientation; then means.

    Raises
    ------
    UserError
        If there are no maps, or a square does not fit into the image.
    """

    def __init__(self, image_shape: ImageShape, config: dict[str, Any]) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.stride = config["pool"]
        self.n_channels = channels
        self.means: bool = config["means"]
        if self.stride > min(height, width):
            raise UserError(
                f"bank: squares of {self.stride} px do not fit into images of {height} x {width} px"
            )
        self.pairs = [
            (float(wavelength), math.pi * index / config["orientations"])
            for wavelength in config["wavelengths"]
            for index in range(config["orientations"])
        ]
        n_maps = len(self.pairs) + channels * self.means
        if n_maps == 0:
            raise UserError("bank: holds no maps: name wavelengths, or set means: true")
        self.start_at((n_maps, -(-height // self.stride), -(-width // self.stride)))

    def filters(self) -> Tensor:
        """The even filters of the quadrature pairs, and the squares of means, (feature, channel, y, x)."""
        reach = max([self.stride, *(math.ceil(1.5 * wavelength / 2) for wavelength, _ in self.pairs)])
        axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        gabors = []
        for wavelength, angle in self.pairs:
            window = torch.exp(-(y**2 + x**2) / (2 * (wavelength / 2) ** 2))
            wave = torch.cos(2 * math.pi / wavelength * (y * math.sin(angle) + x * math.cos(angle)))
            even = window * (wave - (window * wave).sum() / window.sum())
            gabors.append((even / even.norm()).expand(self.n_channels, -1, -1))
        square = ((y.abs() < self.stride / 2) & (x.abs() < self.stride / 2)).float() / self.stride
        means = [square * torch.eye(self.n_channels)[c, :, None, None] for c in range(self.n_channels)]
        return torch.stack([*gabors, *(means if self.means else [])])

    def maps_of(self, images: Tensor) -> Tensor:
        """Energies and means, (image, channel, y, x) to (image, *out_shape)."""
        grey = images.mean(1)
        energies = [gabor_energy(grey, *pair)[:, None] for pair in self.pairs]
        maps = torch.cat([*energies, images] if self.means else energies, 1)
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
    even, odd, mean = _scales(frequency, angle, wavelength / 2)
    output = wave_y @ images.to(wave_y.dtype) @ wave_x.T
    window = window_y @ images @ window_x.T
    return torch.hypot((output.real - mean * window) / even, output.imag / odd)


def _profiles(size: int, frequency: float, sd: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (size, size) that filter along one axis: a wave under a Gaussian, and the Gaussian alone."""
    axis = torch.arange(size, device=like.device, dtype=torch.float64)
    offset = axis[None] - axis[:, None]
    window = torch.exp(-(offset**2) / (2 * sd**2))
    wave = window * torch.exp(1j * frequency * offset)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return wave.to(complex_type), window.to(like.dtype)


def _scales(frequency: float, angle: float, sd: float) -> tuple[float, float, float]:
    """Norms of the even and the odd filter, and the share of the window that the even one has to lose."""
    reach = math.ceil(6 * sd)
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    window = torch.exp(-(y**2 + x**2) / (2 * sd**2))
    phase = frequency * (y * math.sin(angle) + x * math.cos(angle))
    even, odd = window * phase.cos(), window * phase.sin()
    mean = float(even.sum() / window.sum())
    return float((even - mean * window).norm()), float(odd.norm()), mean
