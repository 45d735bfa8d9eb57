"""Models of a configuration fitted to one dataset in memory, by one seed, each once."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from whatwhere.config.files import Config, read
from whatwhere.config.load import MODELS
from whatwhere.config.model_checks import check_size, check_stimulus
from whatwhere.config.traits import traits_of
from whatwhere.cost import Size, duration, seconds_of_fits
from whatwhere.dataset import is_movie
from whatwhere.errors import UserError
from whatwhere.evaluation.scores import evaluate, state_scores
from whatwhere.fit_data import Condition
from whatwhere.fitted.ensemble import fit_ensemble
from whatwhere.fitted.model import FittedModel
from whatwhere.fitted.run import describe
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.fitted.selection import select
from whatwhere.metrics import scores
from whatwhere.models.spec import ModelSpec
from whatwhere.population import Evaluation
from whatwhere.sta import averages_of_fit
from whatwhere.training.closed_forms import fit_baseline
from whatwhere.training.fits import ModelFits
from whatwhere.training.progress import Progress, Screen
from whatwhere.training.sweep import n_trainings, train
from whatwhere.training.transferred import TransferredCore, transferred_cores


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Lets numpy and torch work with one thread, as every fit of a run does, and restores their numbers.

    Fits are of many small steps: more threads wait for each other, and results repeat bit by bit only with
    equal numbers of threads.
    """
    before = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def in_order(models: Config, names: Iterable[str]) -> list[str]:
    """Names of models and of the models that these need, every model after those that it needs."""
    ordered: dict[str, None] = {}
    for name in names:
        definition = models[name]
        others = [definition.get("localizer"), definition.get("core_from", {}).get("model")]
        needed = [*definition.get("members", []), *(other for other in others if other is not None)]
        ordered |= dict.fromkeys([*in_order(models, needed), name])
    return list(ordered)


class NamedFits:
    """Fits of the models of these ``names``, and of the models that they need, to a dataset in memory.

    The condition has the dataset, sizes and one seed, ``models`` are resolved models by name. ``lent`` is the
    core that a ``core_from`` without a model of its own takes. Networks train on ``device``; if ``verbose``,
    progress is written to the screen.
    """

    def __init__(
        self,
        condition: Condition,
        models: Config,
        names: Iterable[str],
        lent: TransferredCore | None,
        device: torch.device,
        verbose: bool,
    ) -> None:
        self.condition = condition
        (self.seed,) = condition.seeds
        self.models = models
        self.lent = lent
        self.device = device
        size = Size.of(condition.dataset)
        self.seconds = {one: seconds_of_fits(models[one], size, 1, None) for one in in_order(models, names)}
        self.screen = Screen(self.seconds, verbose)
        self._fits: dict[str, ModelFits] = {}

    def fit(self, name: str) -> ModelFits:
        """Fits of a model, which are made when they are asked for first.

        UserError if the model cannot be fitted to these data.
        """
        if name not in self._fits:
            definition = self.models[name]
            self._check(name)
            if traits_of(definition).rule == "fit_ensemble":
                self._fits[name], _ = self.ensemble(name, definition["members"])
            else:
                localizer = self.fit(definition["localizer"]) if "localizer" in definition else None
                cores = self._cores(definition.get("core_from", {}))
                self.screen.begin(name)
                if traits_of(definition).rule == "train":
                    progress = Progress(n_trainings(ModelSpec.of(definition)), self.screen)
                    self._fits[name] = train(
                        *(name, self.condition, definition, self._averages, localizer, cores),
                        *(self.device, progress),
                    )
                else:
                    self._fits[name] = fit_baseline(name, self.condition, definition, cores)
        return self._fits[name]

    def without_slow(self, names: Iterable[str], long: float) -> list[str]:
        """Names but that of a model with an estimate above ``long`` seconds and above all others together."""
        kept = list(names)
        slowest = max(kept, key=self.seconds.__getitem__)
        others = sum(self.seconds[name] for name in kept if name != slowest)
        if self.seconds[slowest] > max(long, others):
            kept.remove(slowest)
            estimates = f"about {duration(self.seconds[slowest])}, the others {duration(others)}"
            self.screen.end(f"{slowest} is left out, because it takes {estimates}: model='{slowest}' fits it")
            del self.seconds[slowest]
        return kept

    def fit_possible(self, names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Fits models, and names those that are fitted and, with the reason, those that cannot be fitted.

        UserError if none can be fitted; with the reason of the first.
        """
        fitted: list[str] = []
        left_out: dict[str, str] = {}
        for name in names:
            try:
                self.fit(name)
                fitted.append(name)
            except UserError as error:
                left_out[name] = str(error)
                self.screen.end(f"{name} is left out: {error}")
        if not fitted:
            raise UserError(f"no candidate can be fitted: {next(iter(left_out.values()))}")
        return fitted, left_out

    def ensemble(self, name: str, members: Iterable[str]) -> tuple[ModelFits, pd.DataFrame]:
        """Fits of an ensemble, and the rows of its members by name, the best validation correlation first."""
        fits = [self.fit(member) for member in members]
        found, ranking = fit_ensemble(name, self.condition, {"family": "ensemble", "grid": [{}]}, fits)
        return found, ranking.set_index("member").sort_values("validation_correlation", ascending=False)

    def selected(self, found: ModelFits) -> SeedFit:
        """The fit that validation selects for all neurons."""
        (selected,) = select(found.validation, "population")
        return SeedFit.of(found.fits, self.seed, selected)

    def evaluate(self, fit: SeedFit) -> Evaluation:
        """Test responses, and their predictions by a fit."""
        return evaluate(fit, self.condition.dataset)

    def describe(self, fit: SeedFit, tested: Evaluation) -> FittedModel:
        """The fit with its scores as one model."""
        rated = scores(tested.predictions, tested.responses, tested.noise_free)
        rated |= state_scores(fit, self.condition.dataset, tested.images)
        train = self.condition.data(self.seed).subset.train
        return describe(self.condition.dataset, fit, train, rated)

    def _averages(self, seed: int) -> dict[str, np.ndarray]:
        smoothing = read(MODELS)["sta_smoothing"]
        return averages_of_fit(self.condition.dataset, self.condition.data(seed), smoothing)

    def _cores(self, source: Mapping[str, str]) -> dict[int, TransferredCore]:
        """The core that ``core_from`` of a definition names, by seed."""
        if not source:
            return {}
        if "dataset" in source or "experiment" in source:
            raise UserError("core_from: names a dataset or experiment of a run: give it a fitted model")
        if "model" in source:
            lender = self.fit(source["model"])
            core = TransferredCore.of(lender.fits, lender.validation, self.seed, lender.name)
            return {self.seed: core}
        if self.lent is not None:
            return {self.seed: self.lent}
        file = Path(source["file"])
        return transferred_cores([str(file), str(file.with_name("validation.nc"))], [self.seed])

    def _check(self, name: str) -> None:
        """Refuses a model that does not take the images, or whose kernels do not fit into them."""
        sizes, sources = self.condition.dataset.sizes, [("model", {"models": self.models})]
        side = min(sizes["y"], sizes["x"])
        check_stimulus({"models": self.models}, name, is_movie(self.condition.dataset), sources)
        check_size({"models": self.models}, name, side, sizes["neuron"], sources)
