"""A user's recording goes from its files to figures by configuration alone."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from recording_files import IMAGE, SPLIT
from sessions import N_IMAGES, N_NEURONS, recording, small_network, trials, write_sensorium
from tiny_run import RUN, configuration, experiment, snakemake, write_config

pytestmark = pytest.mark.slow


def write_images(folder, rng):
    images, drive = recording(rng)
    (folder / "bilder ä").mkdir()
    rows = []
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "bilder ä" / f"{number}.png")
        rows += [[f"{number}.png", *trials(drive[number], rng)] for _ in range(3)]
    table = pd.DataFrame(rows, columns=["image", "left", "middle", "right"])
    table.to_csv(folder / "responses.csv", index=False)
    return {
        "kind": "images",
        "images": str(folder / "bilder ä"),
        "responses": str(folder / "responses.csv"),
        "image": IMAGE,
        "split": SPLIT | {"folds": 1},
    }


@pytest.mark.parametrize(
    ("write", "n_neurons", "seeds"), [(write_sensorium, "all", [0]), (write_images, 2, [0, 1, 2])]
)
def test_files_become_figures_by_configuration_alone(tmp_path, write, n_neurons, seeds):
    config = configuration(
        datasets={"mine": write(tmp_path, np.random.default_rng(4))},
        models={"factorized": small_network()},
        experiments=[experiment(name="own", datasets=["mine"], n_neurons=[n_neurons], seeds=seeds)],
    )
    write_config(tmp_path, config)
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stdout
    for name in ("figures/recording_mine.svg", "figures/recording_mine.png", "datasets/mine.html"):
        assert (tmp_path / RUN / name).stat().st_size > 1000
    assert f"{N_IMAGES} of 1 x 8 x 10" in (tmp_path / RUN / "datasets/mine.html").read_text()
    scores = pd.read_csv(tmp_path / RUN / "tables/scores.csv")
    assert len(scores) == len(seeds) * (N_NEURONS if n_neurons == "all" else n_neurons)
    # One pixel drives each neuron; single trials of Poisson counts allow no more than about .9.
    assert scores.correlation.min() > 0.8
    assert (scores.cc_max > scores.correlation - 0.1).all()
