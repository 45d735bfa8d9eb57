"""A user's recording goes from its files to figures by configuration alone."""

import numpy as np
import pandas as pd
import pytest
from conftest import factorized, small_core, small_training
from PIL import Image
from recording_files import IMAGE, SPLIT
from tiny_run import RUN, configuration, experiment, snakemake, write_config

pytestmark = pytest.mark.slow

N_IMAGES, N_NEURONS, N_REPEATED = 300, 3, 40
SIZE = (8, 10)


def recording(rng):
    """Images (image, y, x) uint8 and responses (image, neuron) of three neurons with one pixel each."""
    images = rng.integers(0, 256, (N_IMAGES, *SIZE)).astype(np.uint8)
    drive = np.stack([images[:, 2, 3], images[:, 5, 6], images[:, 4, 2]], 1) / 128.0
    return images, drive


def trials(drive, rng):
    return rng.poisson(5 * drive).astype(np.float32)


def write_sensorium(folder, rng):
    images, drive = recording(rng)
    session = folder / "my session"
    for part in ("data/images", "data/responses", "meta/trials"):
        (session / part).mkdir(parents=True)
    shown = np.concatenate([np.arange(N_IMAGES), np.repeat(np.arange(N_REPEATED), 4)])
    for trial, image in enumerate(shown):
        np.save(session / f"data/images/{trial}.npy", images[image][None].astype(np.float32))
        np.save(session / f"data/responses/{trial}.npy", trials(drive[image], rng))
    tiers = np.array(["test"] * N_REPEATED + ["validation"] * 50 + ["train"] * (N_IMAGES - 50 - N_REPEATED))
    np.save(session / "meta/trials/tiers.npy", tiers[shown])
    np.save(session / "meta/trials/frame_image_id.npy", shown + 1000)
    return {"kind": "sensorium", "path": str(session), "image": IMAGE}


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
    model = factorized(
        cores=[small_core(kernels=[1], smooth_layers=[0], sparse_layers=[0])],
        grid=[{"mask_l1": [0.01], "feature_l1": [0.01]}],
        training=small_training(max_steps=600, evaluate_every=20, patience=5),
    )
    config = configuration(
        datasets={"mine": write(tmp_path, np.random.default_rng(4))},
        models={"factorized": model},
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
