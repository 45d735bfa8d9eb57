"""Intervals for responses to stimuli that a model selects, such as most exciting images.

A stimulus that is selected for the largest prediction has a prediction that is too large on average. So have
held-out images that are selected in the same way, whose residuals give the interval.
"""

import numpy as np

BOUNDS = (0.05, 0.95)
"""Quantiles of the residuals between which a response is to lie."""


def interval_of_selected(
    predicted: np.ndarray, measured: np.ndarray, promised: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Interval for the responses to stimuli that were selected for their large predictions.

    It is made of the residual of the held-out image with the largest prediction, relative to the root mean
    square of all residuals of the neuron, of all neurons together. Fewer than 19 neurons take several images
    each, because the bounds need 19 residuals.

    Parameters
    ----------
    predicted, measured
        (image, neuron) of images that the fit did not see. Measured responses are means over as many
        presentations as the interval is for, NaN where an image was not shown to a neuron.
    promised
        (neuron,) predicted responses to the selected stimuli.

    Returns
    -------
    Low and high bounds, (neuron,) each; NaN for neurons without residuals.
    """
    residuals = measured - predicted
    shown = ~np.isnan(residuals)
    unit = np.sqrt((residuals**2).sum(0, where=shown) / np.where(shown.any(0), shown.sum(0), np.nan))
    per_neuron = -(-19 // len(promised))
    largest = np.argsort(np.where(shown, -predicted, np.inf), 0)[:per_neuron]
    selected = np.take_along_axis(residuals, largest, 0) / np.where(unit > 0, unit, np.nan)
    known = selected[~np.isnan(selected)]
    # With these ranks a further residual lies between the bounds with just this probability.
    low, high = np.quantile(known, BOUNDS, method="weibull") if len(known) else (np.nan, np.nan)
    return promised + low * unit, promised + high * unit
