"""Mouse V1 responses to natural images (Antolik et al. 2016), the data of the paper's Table 1."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import numeric, parse_npy
from whatwhere.recordings.fetch import checksums_of, download, has_checksum
from whatwhere.recordings.recording import Recording, to_float32

ADDRESS = "https://doi.org/10.1371/journal.pcbi.1004927.s001"
ZIP = "journal.pcbi.1004927.s001.zip"
"""Name under which the supplement is kept among the downloads."""
_CITATION = (
    "Antolik, Hofer, Bednar & Mrsic-Flogel 2016, Model constrained by visual hierarchy improves prediction "
    "of neural responses to natural scenes, PLOS Computational Biology, doi:10.1371/journal.pcbi.1004927"
)

REGIONS: dict[int, dict[str, str]] = checksums_of("antolik2016")
"""Checksums by region and file."""


def load(definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Loads one region: images (image, 1, y, x) in the publisher's units, 0 to 2.6e-4.

    The publisher's names run backwards: ``validation_*`` is the test set, shown several times; the images of
    ``training_*``, shown once, are divided into training and validation.

    ``region`` is 1, 2 or 3. ``checksums: false`` accepts other content, for a re-release or a simulated
    stand-in. ``mirror`` is the supplement as a zip file, or a folder that holds the zip file or the files in
    it (``Data/region1/``); without it, the supplement is kept in ``downloads``.
    """
    region, checked = definition["region"], definition.get("checksums", True)
    checksums = {file: checksum if checked else None for file, checksum in REGIONS[region].items()}
    place = _locate(region, checksums, downloads / "antolik2016", mirror)
    return _assemble(_read(place, region, checksums), f"{mirror or ADDRESS}: Data/region{region}")


def _locate(region: int, checksums: dict[str, str | None], downloads: Path, mirror: str | None) -> Path:
    """Folder or zip file with the files of a region, which is downloaded where necessary."""
    if mirror is not None:
        inside = Path(mirror, ZIP)
        return inside if inside.is_file() else Path(mirror)

    def fault(supplement: Path) -> str | None:
        # The checksums of the files in the zip file are known, its own checksum is not.
        try:
            _read(supplement, region, checksums)
        except UserError as error:
            return str(error).replace(str(supplement), ZIP)
        return None

    return download(ADDRESS, downloads / ZIP, fault)


def _read(place: Path, region: int, checksums: dict[str, str | None]) -> dict[str, np.ndarray]:
    """Arrays of one region in a folder or zip file, verified."""
    arrays = {}
    with open_tree(place) as tree:
        for name, checksum in checksums.items():
            path = f"Data/region{region}/{name}.npy"
            if path not in tree.names:
                advice = f"give the zip file of {ADDRESS}, a folder with it as {ZIP}, or {place / path}"
                raise UserError(f"{place}: holds no {path}: {advice}")
            content = tree.read(path)
            if not has_checksum(content, checksum):
                fault = "wrong checksum: damaged or another version"
                advice = f"get {ADDRESS} again, or set 'checksums: false' if it is a stand-in"
                raise UserError(f"{tree.label(path)}: {fault}: {advice}")
            arrays[name] = numeric(parse_npy(content, tree.label(path)), tree.label(path))
    return arrays


def _assemble(files: dict[str, np.ndarray], place: str) -> Recording:
    fitted, test = files["training_inputs"], files["validation_inputs"]
    once, repeated = files["training_set"], files["raw_validation_set"]
    side, n_neurons, n_repeats = math.isqrt(fitted.shape[-1]), once.shape[-1], len(repeated)
    wanted = {
        "training_inputs": (len(fitted), side**2),
        "validation_inputs": (len(test), side**2),
        "training_set": (len(fitted), n_neurons),
        "raw_validation_set": (n_repeats, len(test), n_neurons),
    }
    odd = next((name for name, shape in wanted.items() if files[name].shape != shape or 0 in shape), None)
    if odd is not None:
        raise UserError(
            f"{place}: {odd} has shape {files[odd].shape}, expected {wanted[odd]}: inputs are (image, pixel) "
            "of square images, training_set (image, neuron) and raw_validation_set (repeat, image, neuron)"
        )
    responses = np.full((n_repeats, len(fitted) + len(test), n_neurons), np.nan, np.float32)
    responses[0, : len(fitted)] = to_float32(once)
    responses[:, len(fitted) :] = to_float32(repeated)
    return Recording(
        images=np.concatenate([fitted, test]).reshape(-1, 1, side, side),
        responses=responses,
        split=np.array([""] * len(fitted) + ["test"] * len(test)),
        neurons=None,
        source=place,
        citation=_CITATION,
    )
