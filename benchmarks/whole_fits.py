"""Times and scores of whole fits, in both precisions."""

from collections.abc import Iterator
from typing import Any

import eager
import numpy as np
import torch
import xarray as xr
from cases import Case, two_kernels
from measure import DEVICE, Row, rate, seconds

from whatwhere import sta
from whatwhere.config.load import load
from whatwhere.dataset import TEST
from whatwhere.fit_data import load_fit_data
from whatwhere.memory import keep_freed_memory
from whatwhere.models.base import Model, Start, predict_prepared
from whatwhere.simulations import difference_of_gaussians, v1_cells
from whatwhere.simulations.design import Design
from whatwhere.training.blocks import Tensors
from whatwhere.training.loop import Fit
from whatwhere.training.losses import LOSSES


class Started(Case):
    """A case whose models start as in the workflow, from spike-triggered averages.

    Parameters
    ----------
    definition
        A model of the config.
    dataset
        Dataset whose neurons and images are all used.
    """

    def __init__(self, definition: dict[str, Any], dataset: xr.Dataset) -> None:
        data = load_fit_data(dataset, None, None, 0)
        arrays = (data.train_images, data.train_responses, data.validation_images, data.validation_responses)
        super().__init__(definition, Tensors(*(torch.from_numpy(array).to(DEVICE) for array in arrays)))
        self.start = data
        self.averages = sta.spike_triggered_average(data.train_images, data.train_responses)
        self.last: Model | None = None

    def encoders(self) -> list[Model]:
        """One model per setting, initialized as in the workflow."""
        encoders = super().encoders()
        for encoder in encoders:
            encoder.cpu().initialize(
                Start(
                    generator=torch.Generator().manual_seed(0),
                    response_sd=torch.from_numpy(self.start.response_sd),
                    response_mean=torch.from_numpy(self.start.train_responses.mean(0)),
                    start_maps=dict.fromkeys(sta.AVERAGES, self.averages),
                )
            )
            encoder.to(DEVICE)
        self.last = encoders[-1]
        return encoders


def _eager_piece(case: Case) -> tuple[float, float]:
    """Time and validation loss of the first 100 steps of the baseline loop."""
    network = case.eager(case.encoders()[0])
    network.definition = case.definition | {"training": case.definition["training"] | {"max_steps": 100}}
    data, history = case.data, []
    time_taken = seconds(
        lambda: history.extend(
            eager.fit(
                network,
                (data.train_images, data.train_responses),
                (data.validation_images, data.validation_responses),
                case.strengths()[0],
                torch.Generator().manual_seed(1),
            )
        )
    )
    return time_taken, history[-1][2]


def figure_4() -> Iterator[Row]:
    """(b) The fit of Figure 4 to the end, and its FEVE."""
    definition = load([]).config["datasets"]["two_types"] | {"n_neurons": 1000, "n_test": 5000}
    design, arguments = Design.of("two_types", definition)
    data = difference_of_gaussians.simulate(design, **arguments)
    case = Started(two_kernels(), data)
    in_test = data["split"].values[0] == TEST
    test = torch.from_numpy(data["images"].values[in_test]).to(DEVICE)
    rates = data["rates"].values[in_test]
    pieces = [_eager_piece(case) for _ in range(2)]
    keep_freed_memory()
    n_steps, feves = 0, {}
    for precision, target in (("float32", 0.24), ("bfloat16", 0.18)):
        fits: list[Fit] = []
        ours = seconds(lambda precision=precision, fits=fits: fits.extend(case.train(1, precision=precision)))
        (fit,) = fits
        # The baseline loop takes the same path as float32, and so the same number of steps.
        n_steps = n_steps or fit.last_step
        ratios = [ours / (piece * n_steps / 100) for piece, _ in pieces]
        predictions = predict_prepared(case.last, case.last.prepare(test)).cpu().numpy()
        feves[precision] = float((1 - ((predictions - rates) ** 2).mean(0) / rates.var(0)).mean())
        drift = abs(fit.history[0, 2] / pieces[0][1] - 1)
        yield Row(
            "b",
            f"fit of Figure 4, {precision}",
            *(ours, ours / float(np.mean(ratios)), f"100 of {n_steps} steps"),
            *(float(np.mean(ratios)), min(ratios), max(ratios)),
            target,
            f"FEVE {feves[precision]:.4f}, {fit.last_step} steps; "
            f"validation loss {drift:.1g} from the eager baseline at step 100; "
            f"{rate(fit.last_step * case.operations(), ours, precision)}, evaluations included",
        )
    difference = abs(feves["bfloat16"] - feves["float32"])
    note = f"{feves['bfloat16']:.4f} and {feves['float32']:.4f}"
    yield Row.of_value("b", "FEVE of bfloat16 against float32", [difference], 0.003, note)


def equal_loss() -> Iterator[Row]:
    """(a) Validation loss of bfloat16 beside float32: a fit of three layers to simulated mouse V1."""
    config = load([]).config
    design, arguments = Design.of("v1_like", config["datasets"]["v1_like"])
    data = v1_cells.simulate(design, **arguments, recording=None)
    case = Started(config["models"]["cnn_3_layers"], data)
    responses = case.data.validation_responses
    mean = case.data.train_responses.mean(0).expand_as(responses)
    of_mean = float(LOSSES["poisson"](mean, responses).mean())
    gains = []
    for precision in ("float32", "bfloat16"):
        (fit,) = case.train(1, precision=precision)
        gains.append(of_mean - float(fit.validation_loss.mean()))
    lost = 1 - gains[1] / gains[0]
    what = "share of the gain over the mean response that bfloat16 loses, three layers on simulated V1"
    note = f"{gains[0]:.5f} in float32, {gains[1]:.5f} in bfloat16"
    yield Row.of_value("a", what, [lost], 0.01, note)
