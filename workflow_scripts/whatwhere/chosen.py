"""The fits that validation chose, cell by cell: what scores, barcodes, figures and tables are made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.files import read_table, read_tensors
from whatwhere.selection import MEAN_RESPONSE, most_frequent
from whatwhere.training.fits import Fitted, load_fit


@dataclass(frozen=True)
class Chosen:
    """What one selection rule chose for one seed of a cell.

    Attributes
    ----------
    cell
        Folder of the cell, such as ``n100-d4096`` or ``nall-dall``.
    last
        Whether it is the last cell, the largest one.
    rule
        Name of the selection rule.
    seed
        Of the fits.
    settings
        (neuron,) index of the setting chosen for every neuron, or
        :data:`whatwhere.selection.MEAN_RESPONSE`.
    finished, at_edge
        (neuron,) whether training of that setting ended by itself, and whether one of its penalties lies at
        the edge of its grid.
    fits
        Content of the cell's ``fits.pt``.
    """

    cell: str
    last: bool
    rule: str
    seed: int
    settings: np.ndarray
    finished: np.ndarray
    at_edge: np.ndarray
    fits: dict[str, Any]

    @property
    def neurons(self) -> np.ndarray:
        """(neuron,) indices into the dataset."""
        return self.fits["seeds"][self.seed]["neurons"].numpy()

    @property
    def sizes(self) -> dict[str, int]:
        """Neurons, training plus validation images and seed, as columns of tables."""
        n_images = self.fits["seeds"][self.seed]["n_images"]
        return {"n_neurons": len(self.neurons), "n_images": n_images, "seed": self.seed}

    def fitted(self) -> Fitted:
        """The fit that most neurons were given: parameters of different fits are not comparable."""
        return load_fit(self.fits, self.seed, most_frequent(self.settings))

    def predict(self, images: np.ndarray, recording: np.ndarray | None = None) -> np.ndarray:
        """Predictions of every neuron's own setting, (image, channel, y, x) to (image, neuron).

        Of several recordings, ``recording`` tells those of the images, see
        :meth:`whatwhere.training.fits.Fitted.predict`.
        """
        mean = self.fits["seeds"][self.seed]["response_mean"].numpy()
        predictions = np.repeat(mean[None], len(images), axis=0)
        for setting in np.unique(self.settings[self.settings != MEAN_RESPONSE]):
            mine = self.settings == setting
            fit = load_fit(self.fits, self.seed, int(setting))
            predictions[:, mine] = fit.predict(images, recording)[:, mine]
        return predictions


def chosen_fits(selection: str | Path, cells: Sequence[str], fits: Sequence[str | Path]) -> Iterator[Chosen]:
    """What was chosen in every cell: cells in order, in each the rules and the seeds in theirs.

    Parameters
    ----------
    selection
        ``selection.csv`` of one experiment, dataset and model.
    cells, fits
        Folder and ``fits.pt`` of every cell, smallest first. One file is read at a time.
    """
    table = read_table(selection)
    for cell, path in zip(cells, fits, strict=True):
        content = read_tensors(path)
        mine = table[table["cell"] == cell]
        for _, rows in mine.groupby(["selection", "seed"], sort=False):
            rule, seed = rows["selection"].iloc[0], int(rows["seed"].iloc[0])
            settings, finished, at_edge = (rows[n].to_numpy() for n in ("setting", "finished", "at_edge"))
            yield Chosen(cell, cell == cells[-1], rule, seed, settings, finished, at_edge, content)
