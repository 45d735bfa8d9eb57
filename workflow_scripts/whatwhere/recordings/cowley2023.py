"""Macaque V4 responses to natural images (Cowley, Stan, Pillow & Smith 2023)."""

from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import read_array
from whatwhere.recordings.fetch import checksums_of, download, has_checksum
from whatwhere.recordings.pictures import decode_image, in_numeric_order, is_image
from whatwhere.recordings.recording import Recording, to_float32

_COMMIT = "f4552ad9d34a466ebc66658f72a08a8e5038f1cf"
ADDRESS = f"https://raw.githubusercontent.com/cowleygroup/V4_compact_models/{_COMMIT}"
_CITATION = (
    "Cowley, Stan, Pillow & Smith 2023, Compact deep neural network models of visual cortex, bioRxiv, "
    "doi:10.1101/2023.11.22.568315"
)

SESSIONS = checksums_of("cowley2023")
"""Checksums by session: single trials where published, averages over repeats elsewhere."""


def published(file: str, checksum: str, downloads: Path, mirror: str | None) -> Path:
    """Local path of a file of the publisher's layout, with the right content; parameters as for :func:`load`.

    UserError if the file cannot be read or downloaded, or has another checksum.
    """

    def fault(path: Path) -> str | None:
        is_right = has_checksum(path.read_bytes(), checksum)
        return None if is_right else "wrong checksum: damaged, truncated or another version"

    if mirror is None:
        return download(f"{ADDRESS}/{file}", downloads / file, fault)
    path = Path(mirror, file)
    if not path.is_file():
        raise UserError(f"{path}: no such file: 'mirror' must hold the publisher's layout")
    if (found := fault(path)) is not None:
        raise UserError(f"{path}: {found}: get it again")
    return path


def load(definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Loads one session: images (image, 3, 112, 112) uint8 and spike counts per 100 ms.

    ``definition`` has the key ``session``, a key of :data:`SESSIONS`. ``mirror`` is a folder with the
    publisher's layout, whose files are used where they are. If it is None, files are downloaded to the folder
    ``downloads``, again if one is damaged. Errors as for :func:`published`.
    """
    session = definition["session"]
    checksums = SESSIONS[session]
    kind = "responses_raw" if "responses_raw" in checksums else "responses_repeat_averaged"

    def get(path: str, checksum: str) -> Path:
        return published(f"data_V4_responses/{path}", checksum, downloads / "cowley2023", mirror)

    responses = read_array(get(f"{kind}/responses_{session}.npy", checksums[kind])).values
    # (neuron, image, repeat), or (neuron, image) for averages
    responses = np.atleast_3d(responses).transpose(2, 1, 0)
    with open_tree(get(f"images/images_{session}.zip", checksums["images"])) as tree:
        # Row i of the responses belongs to imageNNNN.jpg with the i-th smallest number.
        names = in_numeric_order([name for name in tree.names if is_image(name)])
        images = np.stack([decode_image(tree.read(name), tree.label(name)) for name in names])
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
