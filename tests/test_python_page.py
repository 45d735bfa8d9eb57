"""Runs the program of docs/python.md in the order of the page."""

import re

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The names that the page defines, and the folder in which it ran."""
    folder = tmp_path_factory.mktemp("page")
    names = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in BLOCKS:
            exec(compile(block, "docs/python.md", "exec"), names)
    return names, folder


def test_the_page_runs_from_fit_to_figure(done):
    _, folder = done
    assert len(BLOCKS) >= 7
    with Image.open(folder / "neurons.png") as figure:
        assert figure.size[0] > 500
    assert len(list((folder / "exciting").glob("neuron_*.png"))) == 6
    # A core comes with versions of the 1200 images by which a leak is found, 20 x 20 bytes each at most.
    assert (folder / "model.pt").stat().st_size < 200_000 + 1200 * 400


def test_the_model_of_the_page_finds_the_simulated_neurons(done):
    names, _ = done
    assert names["fitted"].scores["correlation"].min() > 0.5
    field, corners = names["field"], names["corners"]
    wanted = np.zeros((6, 20, 20))
    for image, (row, column) in zip(wanted, corners, strict=True):
        image[row : row + 9, column : column + 9] = field
    found = names["found"]["image"].values[:, 0]
    cosine = (found * wanted).sum((1, 2)) / np.linalg.norm(found, axis=(1, 2)) / np.linalg.norm(wanted[0])
    assert cosine.min() > 0.9
    assert names["found"]["confirmed"].min() > 0.6
    # Vertical stripes of 1.3 rad per pixel.
    distance = (names["table"]["orientation"] + 90) % 180 - 90
    assert np.abs(distance).max() < 10
    assert set(names["table"]["frequency"]) <= {0.16, 0.24}
