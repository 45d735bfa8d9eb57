"""Groups of maps of a Gabor feature bank, for images of any size: numbers without the filters themselves."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Wave = tuple[float, float]
"""Wavelength in px, and angle from the x axis in radians."""

N_HALF_WAVES = 4
"""Maps of `phases` per wave: both signs of the even and of the odd filter."""
_LEAST = 3.0  # samples per wavelength, below which a wave is left out where wavelengths are shares


@dataclass(frozen=True)
class BankLayout:
    """Maps of a model's ``feature_bank`` for images of ``n_channels`` and ``width`` px.

    With ``unit: width`` lengths are shares of the width. Waves with fewer than three samples per wavelength
    are left out, because small images do not show them.
    """

    config: dict[str, Any]
    n_channels: int
    width: int

    def _waves(self, lengths: list[float], orientations: int, sample: int = 1) -> list[Wave]:
        """Waves by wavelength, then orientation; ``sample`` are the px between samples."""
        unit = self.width if self.shares else 1.0
        return [
            (unit * length, math.pi * index / orientations)
            for length in lengths
            if not self.shares or unit * length >= _LEAST * sample
            for index in range(orientations)
        ]

    @property
    def shares(self) -> bool:
        """Whether lengths are shares of the width of the image."""
        return self.config.get("unit", "px") == "width"

    @property
    def stride(self) -> int:
        """Side of the squares over which maps are averaged, px."""
        side = self.config["average_pooling"]
        return max(1, round(side * self.width)) if self.shares else int(side)

    @property
    def cell(self) -> int:
        """Side of the squares on which second-order filters work, px: half a square where it is even."""
        return self.stride // 2 if self.stride % 2 == 0 else self.stride

    @cached_property
    def energies(self) -> list[Wave]:
        """Waves of the energies."""
        return self._waves(self.config["wavelengths"], self.config["orientations"])

    @cached_property
    def phases(self) -> list[Wave]:
        """Waves of the half-wave rectified phases."""
        return self._waves(self.config.get("phases", []), self.config["orientations"])

    @cached_property
    def second_order(self) -> list[tuple[Wave, list[int]]]:
        """Waves, each with the indices of the energies of shorter waves that it filters."""
        config = self.config.get("second_order")
        if config is None:
            return []
        second = self._waves(config["wavelengths"], config["orientations"], self.cell)
        filtered = [
            (wave, [index for index, (first, _) in enumerate(self.energies) if first < wave[0]])
            for wave in second
        ]
        return [(wave, indices) for wave, indices in filtered if indices]

    @cached_property
    def color(self) -> list[Wave]:
        """Waves of the energies of red - green, and of blue - yellow; none for grey images."""
        if "color" not in self.config or self.n_channels != 3:
            return []
        return self._waves(self.config["color"], self.config["orientations"])

    @property
    def opponent(self) -> bool:
        """Whether means are those of grey and of the two opponent colors, instead of one per channel."""
        return "color" in self.config and self.n_channels == 3

    @cached_property
    def groups(self) -> dict[str, int]:
        """Number of maps of every group, in the order of the maps; groups without maps are absent."""
        sizes = {
            "energies": len(self.energies),
            "means": 1 if self.opponent else self.n_channels,
            "phases": N_HALF_WAVES * len(self.phases),
            "second_order": sum(len(indices) for _, indices in self.second_order),
            "color": 2 * len(self.color),
            "color_means": 2 if self.opponent else 0,
        }
        return {name: size for name, size in sizes.items() if size}

    @property
    def n_maps(self) -> int:
        """Number of all maps."""
        return sum(self.groups.values())

    def gains(self) -> list[float] | None:
        """Factors of the maps, (map,), with a mean square of 1; None without ``weights``."""
        if "weights" not in self.config:
            return None
        weights = {name: self.config["weights"].get(name, 1.0) for name in self.groups}
        unit = self.n_maps / sum(weights.values())
        return [
            math.sqrt(unit * weights[name] / size) for name, size in self.groups.items() for _ in range(size)
        ]

    def step(self, wavelength: float, per_wave: int) -> int:
        """Px between samples of an output: at least ``per_wave`` samples per wavelength, and whole cells."""
        step = 1
        while self.shares and 2 * step * per_wave <= wavelength and self.cell % (2 * step) == 0:
            step *= 2
        return step
