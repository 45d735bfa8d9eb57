"""Files from which a simulation is made; light to import, for the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from whatwhere.recordings.fetch import is_url
from whatwhere.recordings.pictures import is_image


def simulation_inputs(definition: dict[str, Any]) -> dict[str, Any]:
    """Inputs of rule ``simulate`` by role; a changed input remakes the dataset.

    Of a simulated dataset of the config, the inputs that it has: ``recording``, name of the recorded dataset
    whose images are shown; ``images``, image files, or the zip file or missing folder itself; ``weights``,
    local checkpoint of a feature space.
    """
    inputs: dict[str, Any] = {}
    stimuli = definition.get("stimuli", {})
    if "dataset" in stimuli:
        inputs["recording"] = stimuli["dataset"]
    if "path" in stimuli:
        found = sorted(str(p) for p in Path(stimuli["path"]).rglob("*") if p.is_file() and is_image(p.name))
        inputs["images"] = found or [stimuli["path"]]
    weights = definition.get("feature_space", {}).get("weights")
    if weights is not None and not is_url(weights):
        inputs["weights"] = weights
    return inputs
