"""A stand-in for the recording of Table 1: the publisher's layout and shapes, simulated V1-like neurons."""

import io
from pathlib import Path

import numpy as np
import yaml
from repository_copy import REPOSITORY, snakemake
from sklearn.datasets import load_sample_images

ZIP = "supplement.zip"
SIDE = 31
PUBLISHED = {1: (1800, 50, 10, 103), 2: (1260, 50, 8, 55), 3: (1800, 50, 12, 102)}
"""By region: images shown once, test images, their repeats, neurons."""
_BRIGHTEST = 2.6e-4
"""Of the published pixels."""


def crops(n_images, side, rng):
    """Grey crops of photographs at half their resolution, (image, y, x)."""
    photographs = [photo.mean(2) for photo in load_sample_images().images]
    images = []
    for _ in range(n_images):
        photo = photographs[rng.integers(len(photographs))]
        row, column = (rng.integers(0, length - 2 * side) for length in photo.shape)
        crop = photo[row : row + 2 * side, column : column + 2 * side]
        images.append(crop.reshape(side, 2, side, 2).mean((1, 3)))
    return np.array(images)


def rates(images, n_neurons, rng):
    """Mean counts of simple and complex cells in turn, (image, neuron).

    Gabor filters of three orientations at random places; threshold at the median drive, mean count 1.
    """
    side = images.shape[1]
    y, x = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    flat = (images - images.mean(0)).reshape(len(images), -1) / images.std()
    drives = []
    for neuron in range(n_neurons):
        v, u = (axis - rng.uniform(0.3, 0.7) * side for axis in (y, x))
        angle = neuron % 3 * np.pi / 3
        phase = 2 * np.pi / 6 * (u * np.cos(angle) + v * np.sin(angle))
        quadrature = np.exp(-(u**2 + v**2) / 12 + 1j * phase).ravel()
        output = flat @ quadrature
        drives.append(output.real if neuron % 2 else np.abs(output))
    drives = np.array(drives).T
    above = np.maximum(drives - np.median(drives, 0), 0)
    return above / above.mean(0)


def supplement(shapes, side=SIDE):
    """Content of the supplement by path, in the publisher's layout; ``shapes`` as :data:`PUBLISHED`."""
    members = {}
    for region, (n_images, n_test, n_repeats, n_neurons) in shapes.items():
        rng = np.random.default_rng(region)
        images = crops(n_images + n_test, side, rng)
        expected = rates(images, n_neurons, rng)
        repeated = rng.poisson(expected[n_images:], (n_repeats, n_test, n_neurons)).astype(float)
        flat = images.reshape(len(images), -1) / 255 * _BRIGHTEST
        arrays = {
            "training_inputs": flat[:n_images],
            "training_set": rng.poisson(expected[:n_images]).astype(float),
            "validation_inputs": flat[n_images:],
            "raw_validation_set": repeated,
            "validation_set": repeated.mean(0),
        }
        for name, array in arrays.items():
            stream = io.BytesIO()
            np.save(stream, array)
            members[f"Data/region{region}/{name}.npy"] = stream.getvalue()
    return members


def override(folder, mirror):
    """Write the config that lets config/table1.yaml accept the stand-in."""
    names = [f"antolik_region{region}" for region in PUBLISHED]
    content = {"mirror": mirror, "datasets": {name: {"checksums": False} for name in names}}
    path = Path(folder, "stand_in.yaml")
    path.write_text(yaml.safe_dump(content))
    return path


def run(folder, configs, *arguments):
    """Run Snakemake on config/table1.yaml and what is laid over it; results go to ``folder``."""
    table1 = REPOSITORY / "config" / "table1.yaml"
    return snakemake(REPOSITORY, "--directory", folder, "--configfile", table1, *configs, *arguments)
