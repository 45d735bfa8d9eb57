"""Fixed features on which models can stand: the Gabor feature bank, and the core of another network.

A few hundred noisy images do not teach a network what primary visual cortex computes. The Gabor feature bank
gives it: energies of quadrature pairs, as of complex cells (Adelson & Bergen 1985), and local means.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import FixedFeatures, ImageShape
from whatwhere.models.cores import ConvCore


class GaborFeatureBank(FixedFeatures):
    """Energies of Gabor filters and local means, standardized on training images.

    A Gabor filter of wavelength w is a plane wave under a Gaussian of sd w / 2, without mean and of unit
    norm. The energy is the root of the sum of both squared outputs of a quadrature pair, which does not
    depend on the phase of a grating. Energies are those of the mean of the color channels. Pixels outside of
    the image are 0. Images are z-scored as a whole: one scale per pixel would distort them. Maps are energies
    by wavelength, then orientation; then means of the pixels, one map per color channel.

    ``config`` is a model's ``feature_bank``: ``wavelengths`` in pixels, number of ``orientations`` between 0
    and 180 degrees, and ``average_pooling``, the side in pixels of the squares over which maps are averaged.
    Squares at the lower and right border average the pixels inside the image. UserError if a square does not
    fit into the image.
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
    """Energy of a quadrature pair of Gabor filters at every pixel, (image, y, x) to (image, y, x)."""
    return torch.hypot(*gabor_outputs(images, wavelength, angle))


def gabor_outputs(images: Tensor, wavelength: float, angle: float) -> tuple[Tensor, Tensor]:
    """Outputs of an even and an odd Gabor filter at every pixel, (image, y, x) to (image, y, x) twice.

    The wave under the Gaussian is a function of y times a function of x, so that both filters are two
    products of matrices. ``wavelength`` is in px, ``angle`` that of the wave from the x axis in radians.
    """
    frequency = 2 * math.pi / wavelength
    wave_y, window_y = _profiles(images.shape[1], frequency * math.sin(angle), wavelength / 2, images)
    wave_x, window_x = _profiles(images.shape[2], frequency * math.cos(angle), wavelength / 2, images)
    even, odd, window = gabor_pair(wavelength, angle, math.ceil(3 * wavelength))
    mean = float(even.sum() / window.sum())
    output = wave_y @ images.to(wave_y.dtype) @ wave_x.T
    # The even filter has no mean without this share of the window.
    unwanted = mean * (window_y @ images @ window_x.T)
    norm = float((even - mean * window).norm())
    return (output.real - unwanted) / norm, output.imag / float(odd.norm())


def _profiles(size: int, frequency: float, sd: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (size, size) that filter along one axis: a wave under a Gaussian, and the Gaussian alone."""
    axis = torch.arange(size, device=like.device, dtype=torch.float64)
    offset = axis[None] - axis[:, None]
    window = torch.exp(-(offset**2) / (2 * sd**2))
    wave = window * torch.exp(1j * frequency * offset)
    complex_type = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    return wave.to(complex_type), window.to(like.dtype)


def gabor_pair(wavelength: float, angle: float, reach: int) -> tuple[Tensor, Tensor, Tensor]:
    """Even and odd wave under the window, and the window, (2 * reach + 1, 2 * reach + 1) each.

    Means and norms are not set; ``wavelength`` and ``angle`` as for :func:`gabor_energy`, ``reach`` in px.
    """
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    window = torch.exp(-2 * (y**2 + x**2) / wavelength**2)
    phase = 2 * math.pi / wavelength * (y * math.sin(angle) + x * math.cos(angle))
    return window * phase.cos(), window * phase.sin(), window


class TransferredFeatures(FixedFeatures):
    """Feature maps of a core that another network learned; the core is not trained.

    ``core`` is an element of a model's ``cores``, ``below`` the fixed features on which it stands, or None if
    it sees the images themselves; ``n_times`` is as for :class:`whatwhere.models.cores.ConvCore`.
    """

    def __init__(
        self, image_shape: ImageShape, core: dict[str, Any], below: FixedFeatures | None, n_times: int
    ) -> None:
        super().__init__()
        self.below = below
        self.stride = 1 if self.below is None else self.below.stride
        self.core = ConvCore(image_shape if below is None else below.out_shape, core, n_times)
        self.requires_grad_(False)
        self.start_at(self.core.out_shape)

    def transfer(self, state: dict[str, Tensor]) -> None:
        """Takes the core, and the feature bank below it, from the state of a network."""
        renamed = {name.replace("feature_bank.", "below.", 1): value for name, value in state.items()}
        self.load_state_dict(self.state_dict() | renamed)

    def filters(self) -> Tensor:
        """Filters of the first layer, (feature, channel, y, x)."""
        if self.below is not None:
            return self.below.filters()
        return self.core.conv_layers()[0].constrained_kernels()

    def maps_of(self, images: Tensor) -> Tensor:
        """Features of the core in evaluation mode, (image, channel, y, x) to (image, *out_shape)."""
        self.core.eval()
        features: Tensor = self.core(images if self.below is None else self.below(images))
        return features
