"""Macaque V4 responses to natural images (Cowley, Stan, Pillow & Smith 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import read_array
from whatwhere.recordings.fetch import PublishedFile, fetch
from whatwhere.recordings.pictures import decode_image, in_numeric_order, is_image
from whatwhere.recordings.recording import Recording, to_float32

_COMMIT = "f4552ad9d34a466ebc66658f72a08a8e5038f1cf"
ADDRESS = f"https://raw.githubusercontent.com/cowleygroup/V4_compact_models/{_COMMIT}"
_CITATION = (
    "Cowley, Stan, Pillow & Smith 2023, Compact deep neural network models of visual cortex, bioRxiv, "
    "doi:10.1101/2023.11.22.568315"
)
_FOLDER = "data_V4_responses"

SESSIONS = {
    "190925": {
        "images": "765b4d4372302d4ed72c3382d41ece5ca55d7dcc3d84da7402091253529b87d1",
        "responses_repeat_averaged": "2f94d7bcef0f68fecdb7472f509737fafac92477cf6b11a4966162b1b1072529",
    },
    "190927": {
        "images": "d2469cc2caa629d4ed38e8d4964fb1de8c0b29e9937c25ce1c5838bc4e382653",
        "responses_repeat_averaged": "4c3c75ec72bc4bd3f0e22987a7b2e7e962af249d6577e8a6d727ea9075bde034",
    },
    "190928": {
        "images": "6d90fdf2341e038beb57c16ce85f48c3a2bdfd450bc1c6440489529aead0f161",
        "responses_repeat_averaged": "41707e2d31ace45da6d181ad28a91c299971d42430c91cc738602523e7d7eda6",
    },
    "190929": {
        "images": "7fea6a28c092acfa646145813f532b2ea1d5a22a0b1bdade47d392b8f6bfb3f0",
        "responses_repeat_averaged": "18639c9e2b2baed54c4fb22e311d84dafbd986a12069370b1004880a721d2c4a",
    },
    "201025": {
        "images": "3abb63679107665eab7220bdeaf7863832a1df943bf3d7792501f5082a55b2e8",
        "responses_repeat_averaged": "f729f3dc0d29aa38bd380c0da9e39aba916f9e2580949929b65d1714e7217a8a",
    },
    "210305": {
        "images": "9fab651e9c2d0b44091c2ea238c78d68fedf573cd7d4ae6b0545c5d84c121776",
        "responses_repeat_averaged": "00dce8d39558bfc3f5dd55c6f678c05de1b63895d56193379fd7dfe41fc703f0",
    },
    "210322": {
        "images": "a72f357c73381fc6e496403820b38abe38c78b92f6d1c0b7153d6fe6d3986c32",
        "responses_repeat_averaged": "1d643594633c7ad6d5281147bf1742275135507c8b283550e00e7028c65a5373",
    },
    "210325": {
        "images": "992774eca3508a2ad01accb1a31f5f3e3d90248c49f4eec314f2a915a263e454",
        "responses_raw": "4008dbbf31a47d9b1b8d8da609f4a7a3433c7071f0e45c611c220b217dd75b76",
    },
    "210621": {
        "images": "aff4d1639a04fb0d964ee09f8e76b07707e8435283c8e0ea47b0fd398ffcc233",
        "responses_repeat_averaged": "28e57e8eefe774b455087a62f039931b9547b2300908a0af85eee5baa49aa1ba",
    },
}
"""Checksums by session: single trials where they were published, averages over repeats elsewhere."""


def load(definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Load one session.

    Parameters
    ----------
    definition
        ``session``: a key of :data:`SESSIONS`.
    downloads
        Folder that keeps downloaded files.
    mirror
        Where to take them from instead of the public address, or None.

    Returns
    -------
    Recording
        Images (image, 3, 112, 112) uint8 and spike counts per 100 ms.

    Raises
    ------
    UserError
        If a file cannot be had or is not what was published.
    """
    session = definition["session"]
    checksums = SESSIONS[session]
    kind = "responses_raw" if "responses_raw" in checksums else "responses_repeat_averaged"

    def get(path: str, checksum: str) -> Path:
        file = PublishedFile(f"{_FOLDER}/{path}", checksum)
        return fetch(file, ADDRESS, mirror, downloads / "cowley2023")

    responses = read_array(get(f"{kind}/responses_{session}.npy", checksums[kind])).values
    # (neuron, image, repeat), or (neuron, image) for averages
    responses = np.atleast_3d(responses).transpose(2, 1, 0)
    images = _images(get(f"images/images_{session}.zip", checksums["images"]))
    if len(images) != responses.shape[1]:
        raise UserError(f"cowley2023 {session}: {len(images)} images but responses to {responses.shape[1]}")
    return Recording(
        images=images,
        responses=to_float32(responses),
        split=None,
        neurons=None,
        source=f"{ADDRESS}, session {session}",
        citation=_CITATION,
        repeat_averages=kind == "responses_repeat_averaged",
    )


def _images(path: Path) -> np.ndarray:
    with open_tree(path) as tree:
        # Row i of the responses belongs to imageNNNN.jpg with the i-th smallest number.
        names = in_numeric_order([name for name in tree.names if is_image(name)])
        return np.stack([decode_image(tree.read(name), tree.label(name)) for name in names])
