"""Mouse V1 responses to natural images (Antolik et al. 2016), the data of the paper's Table 1."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import numeric, parse_npy
from whatwhere.recordings.fetch import PublishedFile, download, fetch, has_checksum, is_url, one_at_a_time
from whatwhere.recordings.recording import Recording, to_float32

logger = logging.getLogger(__name__)

ADDRESS = "https://doi.org/10.1371/journal.pcbi.1004927.s001"
ZIP = "journal.pcbi.1004927.s001.zip"
"""Name under which the supplement is kept among the downloads."""
_CITATION = (
    "Antolik, Hofer, Bednar & Mrsic-Flogel 2016, Model constrained by visual hierarchy improves prediction "
    "of neural responses to natural scenes, PLOS Computational Biology, doi:10.1371/journal.pcbi.1004927"
)

_SAME_TEST_IMAGES = "a5269c567a431ed969301b75ffd39ba0c92432f583982e5742860cae92d392c9"
REGIONS = {
    1: {
        "training_inputs": "25bd6a7def8597163033d762b81a8c1ebaee4ef5",
        "training_set": "fdd83ba4c6e548d615768f1eec5723e2bd0c804841bb5c2352e85a87c71c813c",
        "validation_inputs": _SAME_TEST_IMAGES,
        "raw_validation_set": "3ff518cee9d7dcde19525d11a294af09158a6b114f970dd01d43be278e7801dc",
    },
    2: {
        "training_inputs": "5651e3bdfe6d6f140d3236af14db0ddd1b56dd4d",
        "training_set": "3b33bc42bb85bbebc51c2058fe322a522463d0b2b2a875e0d98784afa1182483",
        "validation_inputs": _SAME_TEST_IMAGES,
        "raw_validation_set": "979ed05629561423b397d6c828a871229935262cf38e17f35a08da7f734733e8",
    },
    3: {
        "training_inputs": "1ccc45c1c07c5002b9a01ca4793f03905eb2ce98",
        "training_set": "9786b1805abb533804bbafccd48f26d2948559b14d79c6025ba518725e19e302",
        "validation_inputs": "cd9bb58b89a9b64c8ea4ea12f6d97481e7cd8f7bd86258395b718c0ca55e4c1e",
        "raw_validation_set": "be77780380f757a12fe16d84146b2e05ab269ab974559baa0cad13d8d26b351d",
    },
}
"""Checksums by region and file: SHA-256, or the git blob id that public copies of the file carry."""


def load(definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Load one region.

    The publisher's names run backwards: ``validation_*`` is the test set, shown several times; the images
    of ``training_*``, shown once, are divided into training and validation.

    Parameters
    ----------
    definition
        ``region``: 1, 2 or 3. ``checksums``: false accepts other content, for a re-release or a
        simulated stand-in; true if it is left out.
    downloads
        Folder that keeps the downloaded supplement, ``antolik2016/`` and :data:`ZIP`.
    mirror
        Instead of the public address, or None: the supplement as a zip file, a folder that holds the zip
        file or what is in it (``Data/region1/``), or the URL of either.

    Returns
    -------
    Recording
        Images (image, 1, y, x) in the publisher's units, 0 to 2.6e-4.

    Raises
    ------
    UserError
        If a file cannot be had or is not what was published.
    """
    region = definition["region"]
    checksums: dict[str, str | None] = dict(REGIONS[region])
    if not definition.get("checksums", True):
        checksums = dict.fromkeys(checksums)
    files = _files(region, checksums, downloads / "antolik2016", mirror)
    place = f"{mirror or ADDRESS}: Data/region{region}"
    return _assemble(files, place)


def _files(
    region: int, checksums: dict[str, str | None], downloads: Path, mirror: str | None
) -> dict[str, np.ndarray]:
    if mirror is not None and is_url(mirror) and not mirror.lower().endswith(".zip"):
        folder = downloads
        for name, checksum in checksums.items():
            fetch(PublishedFile(_path(region, name), checksum), ADDRESS, mirror, folder)
        return _read(folder, region, checksums)
    if mirror is not None and not is_url(mirror):
        inside = Path(mirror, ZIP)
        return _read(inside if inside.is_file() else Path(mirror), region, checksums)
    supplement = downloads / ZIP
    with one_at_a_time(supplement):
        if None in checksums.values() or not supplement.is_file():
            fault: str | None = "not here"
        else:
            # The checksum of the zip file is not known, those of the files in it are.
            fault = _fault(supplement, region, checksums)
        if fault is not None:
            logger.info("%s: %s", supplement, fault)
            download(mirror or ADDRESS, supplement, lambda received: _fault(received, region, checksums))
    return _read(supplement, region, checksums)


def _fault(supplement: Path, region: int, checksums: dict[str, str | None]) -> str | None:
    """What is wrong with a zip file, None if nothing is."""
    try:
        _read(supplement, region, checksums)
    except UserError as error:
        return str(error).replace(str(supplement), ZIP)
    return None


def _path(region: int, name: str) -> str:
    return f"Data/region{region}/{name}.npy"


def _read(place: Path, region: int, checksums: dict[str, str | None]) -> dict[str, np.ndarray]:
    """Arrays of one region in a folder or zip file, verified."""
    arrays = {}
    with open_tree(place) as tree:
        for name, checksum in checksums.items():
            path = _path(region, name)
            if path not in tree.names:
                advice = "use its zip file as it is"
                if place.is_dir():
                    advice = (
                        f"put the zip file into this folder as {ZIP}, or the unpacked file at {place / path}"
                    )
                raise UserError(f"{place}: holds no {path}: download the supplement {ADDRESS} and {advice}")
            content = tree.read(path)
            if checksum is not None and not has_checksum(content, checksum):
                raise UserError(
                    f"{tree.label(path)}: wrong checksum: damaged or another version: get the supplement "
                    f"{ADDRESS} again, or set 'checksums: false' if it is a stand-in"
                )
            arrays[name] = numeric(parse_npy(content, tree.label(path)), tree.label(path))
    return arrays


def _assemble(files: dict[str, np.ndarray], place: str) -> Recording:
    pool, test = files["training_inputs"], files["validation_inputs"]
    once, repeated = files["training_set"], files["raw_validation_set"]
    if (pool.ndim, test.ndim, once.ndim, repeated.ndim) != (2, 2, 2, 3):
        raise UserError(
            f"{place}: expected inputs (image, pixel), training_set (image, neuron) and raw_validation_set "
            "(repeat, image, neuron)"
        )
    side = math.isqrt(pool.shape[1])
    if test.shape[1] != pool.shape[1] or side * side != pool.shape[1]:
        raise UserError(f"{place}: inputs of {pool.shape[1]} and {test.shape[1]} pixels are no equal squares")
    shapes_wanted = (len(pool), len(test), once.shape[1])
    if (len(once), repeated.shape[1], repeated.shape[2]) != shapes_wanted or not len(repeated):
        raise UserError(
            f"{place}: training_set {once.shape} and raw_validation_set {repeated.shape} do not belong to "
            f"{len(pool)} and {len(test)} images"
        )
    responses = np.full((len(repeated), len(pool) + len(test), once.shape[1]), np.nan, np.float32)
    responses[0, : len(pool)] = to_float32(once)
    responses[:, len(pool) :] = to_float32(repeated)
    return Recording(
        images=np.concatenate([pool, test]).reshape(-1, 1, side, side),
        responses=responses,
        split=np.array([""] * len(pool) + ["test"] * len(test)),
        neurons=None,
        source=place,
        citation=_CITATION,
        repeat_averages=False,
    )
