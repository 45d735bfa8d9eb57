"""A configuration with as many cells as Figures 3 to 5, to time how long Snakemake takes to plan them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from cases import CONFIG

from whatwhere.config import read

SIZES = [2**exponent for exponent in range(6, 19)]


def write_grid(path: Path) -> Path:
    """Write the configuration and return its path; nothing in it can be drawn, only planned."""
    base = read(CONFIG / "config.yaml")
    dataset = base["datasets"]["two_types"] | {"n_neurons": 1000, "n_images": SIZES[-1]}
    model = base["models"]["factorized_two_kernels"]

    def experiment(name: str, models: list[str], n_neurons: list[int], n_images: list[int]) -> dict[str, Any]:
        sizes = {"n_neurons": n_neurons, "n_images": n_images}
        common = {"datasets": ["two_types"], "selection": ["population"], "figure": None}
        return {"name": name, "models": models, "seeds": list(range(20)), **sizes, **common}

    content = {
        "run": "grid",
        "datasets": {"two_types": dataset},
        "models": {name: model for name in ("known_kernel", "features", "fixed", "connected")},
        "experiments": [
            experiment("fig3", ["factorized_two_kernels"], [2, 10, 100, 1000], SIZES),
            experiment("fig3_linear", ["mean", "ridge"], [2], SIZES),
            experiment("fig3_known", ["known_kernel"], [100], SIZES[:9]),
            experiment("fig4", ["factorized_two_kernels"], [1000], [8192]),
            experiment("fig5", ["features"], [12, 100, 1000], SIZES[3:11]),
            experiment("fig5_others", ["fixed", "connected"], [1000], SIZES[3:11]),
            experiment("fig5_types", ["features", "fixed", "connected"], [256, 512, 1000], [SIZES[-1]]),
        ],
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
