"""Test responses of a dataset and their predictions by a fit."""

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST, select_images, select_responses
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.population import Evaluation
from whatwhere.sessions import PooledRecordings


def evaluate(fit: SeedFit, data: xr.Dataset) -> Evaluation:
    """Test responses for one seed of a condition and their predictions."""
    pooled = PooledRecordings.of(data)
    test = np.flatnonzero(data["split"].values[fit.seed % data.sizes["fold"]] == TEST)
    return Evaluation(
        seed=fit.seed,
        predictions=fit.predict(select_images(data, test), None if pooled is None else pooled.images[test]),
        responses=select_responses(data, test, fit.neurons),
        images=test,
        neurons=fit.neurons,
        noise_free=bool(data.attrs["noise_free_test"]),
    )
