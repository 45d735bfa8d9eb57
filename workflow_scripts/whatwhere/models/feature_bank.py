"""Fixed features on which models can stand: the Gabor feature bank, and the core of another network.

A few hundred noisy images do not teach a network what primary visual cortex computes. The Gabor feature bank
gives it: energies of quadrature pairs, as of complex cells (Adelson & Bergen 1985), and local means.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.bank_layout import BankLayout, Wave
from whatwhere.errors import UserError
from whatwhere.models.base import FixedFeatures, ImageShape
from whatwhere.models.cores import ConvCore
from whatwhere.windows import Windows

_OPPONENTS = [[1.0, -1.0, 0.0], [-0.5, -0.5, 1.0]]  # red - green, and blue - yellow, (color, channel)
_LOGARITHMIC = ("energies", "second_order", "color")  # groups of which `logarithm` takes the logarithm
_LOG_FLOOR = 0.1  # share of the mean of a map that is added before the logarithm


class GaborFeatureBank(FixedFeatures):
    """Energies of Gabor filters, local means and further groups of maps, standardized on training images.

    A Gabor filter of wavelength w is a plane wave under a Gaussian of sd w / 2, without mean and of unit
    norm. The energy is the root of the sum of both squared outputs of a quadrature pair, which does not
    depend on the phase of a grating. Energies are those of the mean of the color channels. Pixels outside of
    the image are 0. Images are z-scored as a whole: one scale per pixel would distort them. All maps are
    averaged over squares; squares at the lower and right border average the pixels inside the image.

    ``config`` is a model's ``feature_bank``, described in ``config/README.md``;
    :class:`whatwhere.bank_layout.BankLayout` has the order of the maps. UserError if a square does not
    fit into the image.
    """

    log_floor: Tensor

    def __init__(self, image_shape: ImageShape, config: dict[str, Any]) -> None:
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        self.layout = BankLayout(config, channels, width)
        self.stride = self.layout.stride
        if self.stride > min(height, width):
            raise UserError(
                f"feature_bank: squares of {self.stride} px do not fit into images of {height} x {width} px"
            )
        self.pairs = self.layout.energies
        self.start_at((self.layout.n_maps, -(-height // self.stride), -(-width // self.stride)))
        self.logarithm = config.get("logarithm", False)
        if self.logarithm:
            self.register_buffer("log_floor", torch.ones(self.layout.n_maps))
        gains = self.layout.gains()
        self.gains = None if gains is None else torch.tensor(gains)[:, None, None]

    def filters(self) -> Tensor:
        """Filter of every map, (map, channel, y, x), for figures.

        Energies have their even filter, means squares of ones, phases their signed filter; second-order maps
        have the wave of their energies with a contrast that follows the second wave.
        """
        layout, channels = self.layout, self.image_shape[0]
        every = [*layout.energies, *layout.phases, *layout.color, *(wave for wave, _ in layout.second_order)]
        reach = max(math.ceil(3 * max((wavelength / 2 for wavelength, _ in every), default=0)), self.stride)
        square = torch.zeros(2 * reach + 1, 2 * reach + 1)
        first = reach - self.stride // 2
        square[first : first + self.stride, first : first + self.stride] = 1
        phases = []
        for pair in layout.phases:
            even, odd, _ = gabor_pair(*pair, reach)
            phases += [even, -even, odd, -odd]
        seconds = []
        for wave, indices in layout.second_order:
            envelope, _, window = gabor_pair(*wave, reach)
            seconds += [_phase(*layout.energies[i], reach).cos() * (window + envelope) for i in indices]
        colors = [gabor_pair(*pair, reach)[0] for pair in layout.color]
        grey, opponents = [torch.ones(channels)], torch.tensor(_OPPONENTS).unbind()
        groups = [
            ([gabor_pair(*pair, reach)[0] for pair in layout.energies], grey),
            ([square], grey if layout.opponent else torch.eye(channels).unbind()),
            (phases, grey),
            (seconds, grey),
            (colors, opponents),
            ([square] if layout.opponent else [], opponents),
        ]
        return torch.stack(
            [
                one.float() * of[:, None, None]
                for filters, weights in groups
                for of in weights
                for one in filters
            ]
        )

    def maps_of(self, images: Tensor) -> Tensor:
        """Maps before their logarithm, (image, channel, y, x) to (image, *out_shape)."""
        layout, grey = self.layout, images.mean(1)
        energies = [self._energy(grey, pair) for pair in layout.energies]
        maps = [self._averaged(*energy) for energy in energies]
        maps.append(self._averaged(grey if layout.opponent else images, 1))
        for pair in layout.phases:
            step = layout.step(pair[0], 8)
            for output in gabor_outputs(grey, *pair, step):
                maps += [self._averaged(half.clamp(min=0), step).sqrt() for half in (output, -output)]
        if layout.second_order:
            cell = layout.cell
            small = torch.cat([self._averaged(*energy, cell) for energy in energies], 1)
            small = small - small.mean((2, 3), keepdim=True)
            for (wavelength, angle), indices in layout.second_order:
                texture = gabor_energy(small[:, indices].flatten(0, 1), wavelength / cell, angle)
                maps.append(self._averaged(texture.unflatten(0, (len(images), -1)), cell))
        if layout.opponent:
            opponents = torch.einsum("oc,icyx->oiyx", images.new_tensor(_OPPONENTS), images)
            maps += [self._averaged(*self._energy(one, pair)) for one in opponents for pair in layout.color]
            maps += [self._averaged(one, 1) for one in opponents]
        return torch.cat(maps, 1)

    def _energy(self, images: Tensor, pair: Wave) -> tuple[Tensor, int]:
        """Energy (image, y, x), and px between its samples."""
        step = self.layout.step(pair[0], 4)
        return torch.hypot(*gabor_outputs(images, *pair, step)), step

    def _averaged(self, maps: Tensor, step: int, side: int | None = None) -> Tensor:
        """Means over squares of ``side`` px, default the stride, of samples every ``step`` px.

        Maps are (image, y, x) or (image, map, y, x); returns (image, map, y, x).
        """
        maps = maps if maps.ndim == 4 else maps[:, None]
        size = (side or self.stride) // step
        return functional.avg_pool2d(maps, size, ceil_mode=True, count_include_pad=False)

    def standardize_on(self, images: Tensor | Windows) -> Tensor | Windows:
        """Takes statistics of the maps from training images (image, channel, y, x); returns their maps."""
        maps = self.raw_maps(images)
        if self.logarithm:
            # A map without any energy stays 0.
            self.log_floor.copy_(_LOG_FLOOR * maps.mean((0, 2, 3), dtype=torch.float64).clamp(min=1e-6))
        return self.standardize_maps(maps)

    def compressed(self, maps: Tensor) -> Tensor:
        """Maps with the logarithm of energies, (image, *out_shape) both."""
        if not self.logarithm:
            return maps
        sizes = list(self.layout.groups.values())
        groups = zip(self.layout.groups, maps.split(sizes, 1), self.log_floor.split(sizes), strict=True)
        return torch.cat(
            [
                (one + floor[:, None, None]).log() if name in _LOGARITHMIC else one
                for name, one, floor in groups
            ],
            1,
        )


def gabor_energy(images: Tensor, wavelength: float, angle: float) -> Tensor:
    """Energy of a quadrature pair of Gabor filters at every pixel, (image, y, x) to (image, y, x)."""
    return torch.hypot(*gabor_outputs(images, wavelength, angle))


def gabor_outputs(images: Tensor, wavelength: float, angle: float, step: int = 1) -> tuple[Tensor, Tensor]:
    """Outputs of an even and an odd Gabor filter, (image, y, x) to (image, y, x) twice.

    The wave under the Gaussian is a function of y times a function of x, so that both filters are two
    products of matrices. ``wavelength`` is in px, ``angle`` that of the wave from the x axis in radians;
    outputs are those at the centers of squares of ``step`` px.
    """
    frequency = 2 * math.pi / wavelength
    wave_y, window_y = _profiles(images.shape[1], frequency * math.sin(angle), wavelength / 2, images, step)
    wave_x, window_x = _profiles(images.shape[2], frequency * math.cos(angle), wavelength / 2, images, step)
    even, odd, window = gabor_pair(wavelength, angle, math.ceil(3 * wavelength))
    mean = float(even.sum() / window.sum())
    output = wave_y @ images.to(wave_y.dtype) @ wave_x.T
    # The even filter has no mean without this share of the window.
    unwanted = mean * (window_y @ images @ window_x.T)
    norm = float((even - mean * window).norm())
    return (output.real - unwanted) / norm, output.imag / float(odd.norm())


def _profiles(size: int, frequency: float, sd: float, like: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Matrices (sample, size) that filter along one axis: a wave under a Gaussian, and the Gaussian alone."""
    axis = torch.arange(size, device=like.device, dtype=torch.float64)
    offset = axis[None] - axis[::step, None] - (step - 1) / 2
    window = torch.exp(-(offset**2) / (2 * sd**2))
    # Subnormal numbers would make products of matrices a hundred times slower.
    window = torch.where(window < 1e-30, 0.0, window)
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
    phase = _phase(wavelength, angle, reach)
    return window * phase.cos(), window * phase.sin(), window


def _phase(wavelength: float, angle: float, reach: int) -> Tensor:
    """Phase of a plane wave in radians; parameters and shape as for :func:`gabor_pair`."""
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return 2 * math.pi / wavelength * (y * math.sin(angle) + x * math.cos(angle))


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
