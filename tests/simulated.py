"""Small simulations of all kinds."""

from whatwhere.simulations import difference_of_gaussians, v1_cells
from whatwhere.simulations.design import Design

SHARED = {"n_images": 100, "n_test": 30, "validation_fraction": 0.2, "validation_max": 0, "seed": 2}
GENERATED = {"normalize": "global"} | SHARED
DEFINITIONS = {
    "dog": SHARED
    | {"scales": [1.0], "n_neurons": 10, "variation": 0.0, "centered": True, "image_size": 20, "patch": 9},
    "v1": GENERATED
    | {
        "n_simple_types": 2,
        "n_complex_types": 3,
        "n_neurons": 23,
        "patch": 13,
        "mean_count": 0.6,
        "n_repeats": 4,
        "image_size": 21,
    },
    "features": GENERATED
    | {
        "n_types": 2,
        "n_neurons": 12,
        "color": "rgb",
        "image_size": 20,
    },
}


def simulated(kind, **changes):
    """A dataset of a kind with changes to its keys."""
    design, arguments = Design.of(kind, DEFINITIONS[kind] | changes)
    if kind == "features":
        # Only here, because torch takes longer to import than the other kinds to simulate.
        from whatwhere.simulations.feature_units import simulate
    else:
        simulate = {"dog": difference_of_gaussians, "v1": v1_cells}[kind].simulate
    return simulate(design, **arguments)
