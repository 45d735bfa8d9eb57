"""Fit the factorized model to arrays."""

import numpy as np

from whatwhere.api import fit

# A stand-in for a recording: five neurons of one type at five locations, 1200 images shown once.
rng = np.random.default_rng(0)
y, x = np.mgrid[-3:4, -3:4]
field = np.exp(-(x**2 + y**2) / 3)
corners = rng.integers(0, 14, (5, 2))
images = rng.normal(size=(1200, 20, 20))
drive = np.stack([(images[:, i : i + 7, j : j + 7] * field).sum((1, 2)) for i, j in corners], axis=1)
responses = rng.poisson(np.log1p(np.exp(drive)))

# Without `model`, fit selects a model for recordings. The network with three layers of config/models.yaml,
# with one layer, suits these neurons and takes seconds.
layer = {"channels": [4], "kernels": [7], "padding": ["valid"], "smooth_layers": [1], "sparse_layers": [0]}
model = {
    "like": "factorized_three_layers",
    "cores": [{"like": "three_layers", **layer}],
    "grid": [{"smoothness": [0.003], "joint_l1": [0.02, 0.05]}],
    "training": {"learning_rate": 0.01, "max_steps": 200},
}

fitted = fit(images, responses, model=model)

print(fitted.scores[["neuron", "correlation"]].round(2).to_string(index=False))
print("predictions", fitted.predict(images).shape)
print("masks", fitted.masks.shape, "feature weights", fitted.feature_weights.shape)
peaks = [np.unravel_index(mask.argmax(), mask.shape) for mask in fitted.masks.values]
# All neurons have the same offset: the position of the shared filter in its window.
print("mask peak minus true corner", (np.array(peaks) - corners).tolist())
