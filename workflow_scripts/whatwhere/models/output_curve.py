"""A measured nonlinearity between drive and response, the second stage of LN models (Chichilnisky 2001)."""

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.sessions import ALL

_KNOTS = 128  # knots at quantiles of the drive, and as many at even distances over its range

_BINS = 1000  # bins of equal counts whose means isotonic regression sees


class OutputCurve(nn.Module):
    """A rising, piecewise linear curve for every neuron, constant beyond its ends."""

    drive: Tensor
    response: Tensor

    def __init__(self, n_neurons: int) -> None:
        super().__init__()
        for name in ("drive", "response"):
            self.register_buffer(name, torch.linspace(-1e6, 1e6, 2 * _KNOTS).repeat(n_neurons, 1))

    def forward(self, drive: Tensor, neurons: slice = ALL) -> Tensor:
        """Responses to drives, (batch, neuron) to (batch, neuron).

        Isotonic regression rises in steps, whose gradient is 0. Gradients are those of the line from the
        first to the last knot, which most exciting stimuli follow.
        """
        knots, values = self.drive[neurons], self.response[neurons]
        columns = drive.T.contiguous()
        above = torch.searchsorted(knots, columns).clamp(1, knots.shape[1] - 1)
        low, high, start, end = (of.gather(1, at) for of in (knots, values) for at in (above - 1, above))
        share = ((columns - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        rise = values[:, -1:] - values[:, :1]
        slope = rise / (knots[:, -1:] - knots[:, :1]).clamp(min=1e-12)
        return ((start + share * (end - start)).detach() + slope * (columns - columns.detach())).T


def fit_curves(drives: np.ndarray, responses: np.ndarray) -> dict[str, Tensor]:
    """State of the :class:`OutputCurve` from drives to responses, (image, neuron) both; NaN is left out.

    Isotonic regression (Barlow et al. 1972) gives the curve, of which the knots keep the values.
    """
    from sklearn.isotonic import IsotonicRegression

    knots = np.empty((drives.shape[1], 2 * _KNOTS))
    values = np.empty_like(knots)
    for neuron in range(drives.shape[1]):
        known = ~np.isnan(responses[:, neuron])
        drive, response = drives[known, neuron].astype(np.float64), responses[known, neuron]
        # Means of bins of equal counts stand for all images: isotonic regression is slow on many points.
        order = np.array_split(np.argsort(drive, kind="stable"), min(_BINS, len(drive)))
        means = [np.array([of[some].mean() for some in order]) for of in (drive, response)]
        curve = IsotonicRegression(out_of_bounds="clip")
        curve.fit(*means, sample_weight=[len(some) for some in order])
        evenly = np.linspace(drive.min(), drive.max(), _KNOTS)
        knots[neuron] = np.sort([*evenly, *np.quantile(drive, np.linspace(0, 1, _KNOTS))])
        values[neuron] = curve.predict(knots[neuron])
    found = {"curve.drive": knots, "curve.response": values}
    return {name: torch.from_numpy(array).float() for name, array in found.items()}
