"""Timed networks and tables of ``make bench`` fit the library."""

import numpy as np
import pandas as pd
import pytest
import torch

from whatwhere.training.blocks import Tensors

NETWORKS = {
    "one_kernel": (1, 32, 32),
    "two_kernels": (1, 32, 32),
    "nonlinear_features": (3, 20, 20),
    "three_layers": (1, 19, 19),
}
"""Shape of images by the function of benchmarks/cases.py that makes the network."""


@pytest.mark.parametrize(("name", "shape"), NETWORKS.items())
def test_every_timed_network_starts_where_the_baseline_does_and_trains(name, shape):
    import cases
    import eager

    definition = getattr(cases, name)()
    definition["grid"] = [{key: values[:1] for key, values in definition["grid"][0].items()}]
    images, responses = cases.population(12, shape, 3, seed=0)
    case = cases.Case(definition, Tensors(images[:8], responses[:8], images[8:], responses[8:]))
    (encoder,), (strengths,) = case.encoders(), case.strengths()
    reference = case.eager(encoder)
    torch.testing.assert_close(encoder(images), reference(images), atol=1e-3, rtol=1e-3)
    optimizer = torch.optim.Adam([p for p in reference.parameters() if p.requires_grad], lr=1e-3)
    assert torch.isfinite(eager.step(reference, optimizer, images, responses, strengths))
    (fit,) = case.train(1, max_steps=1)
    assert np.isfinite(fit.validation_loss).all()


@pytest.mark.parametrize("name", ["checkerboard", "flicker"])
def test_timed_networks_of_movies_start_where_the_baseline_does(name):
    import cases

    case = cases.Case(*getattr(cases, name)())
    (encoder,) = case.encoders()
    images = case.data.train_images[torch.arange(8)]
    torch.testing.assert_close(encoder(images), case.eager(encoder)(images), atol=1e-3, rtol=1e-3)


def test_every_case_has_a_name_for_the_command_line():
    from bench import CASES

    assert all(name.isidentifier() for name in CASES)


def test_growth_finds_the_exponents_and_where_memory_ends():
    from scaling import POWERS, growth

    sizes = np.array([10.0, 100.0, 1000.0])
    rows = [
        {"axis": axis, axis: n, "step_s": n**3, "base_gib": 0.5, "peak_gib": 0.5 + n**power / 1000}
        for axis, power in POWERS.items()
        for n in sizes
    ]
    found = growth(pd.DataFrame(rows), memory_gib=1e4 + 0.5).set_index("axis")
    np.testing.assert_allclose(found["exponent_of_time"], 3)
    for axis, power in POWERS.items():
        assert found.loc[axis, "exponent_of_memory"] == pytest.approx(power)
        assert found.loc[axis, "memory_ends_at"] == pytest.approx(1e7 ** (1 / power))
