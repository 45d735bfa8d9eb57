"""A user's recordings of neurons with one pixel each: two sessions that are pooled, and pictures."""

import numpy as np
import pandas as pd
from conftest import factorized, small_core, small_training
from PIL import Image
from recording_files import IMAGE, SPLIT
from tiny_run import RUN, configuration, experiment

N_IMAGES, N_NEURONS, N_REPEATED = 300, 3, 40
SIZE = (8, 10)


def recording(rng):
    """Images (image, y, x) uint8 and responses (image, neuron) of three neurons with one pixel each."""
    images = rng.integers(0, 256, (N_IMAGES, *SIZE)).astype(np.uint8)
    drive = np.stack([images[:, 2, 3], images[:, 5, 6], images[:, 4, 2]], 1) / 128.0
    return images, drive


def trials(drive, rng):
    return rng.poisson(5 * drive).astype(np.float32)


def write_sensorium(folder, rng, name="my session"):
    """Writes a session in the layout of the Sensorium competition."""
    images, drive = recording(rng)
    session = folder / name
    for name in ("data/images", "data/responses", "meta/trials"):
        (session / name).mkdir(parents=True)
    shown = np.concatenate([np.arange(N_IMAGES), np.repeat(np.arange(N_REPEATED), 4)])
    for trial, image in enumerate(shown):
        np.save(session / f"data/images/{trial}.npy", images[image][None].astype(np.float32))
        np.save(session / f"data/responses/{trial}.npy", trials(drive[image], rng))
    tiers = np.array(["test"] * N_REPEATED + ["validation"] * 50 + ["train"] * (N_IMAGES - 50 - N_REPEATED))
    np.save(session / "meta/trials/tiers.npy", tiers[shown])
    np.save(session / "meta/trials/frame_image_id.npy", shown + 1000)
    return {"kind": "sensorium", "path": str(session), "image": IMAGE}


def write_pictures(folder, rng):
    """Writes pictures, and a table of three presentations of each picture."""
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
        "image_of_presentation": "image",
        "neurons": ["left", "middle", "right"],
        "image": IMAGE,
        "split": SPLIT | {"folds": 1},
    }


def small_network(kernel=1, **training):
    """One filter, of one pixel unless a kernel is given, and masks."""
    return factorized(
        cores=[small_core(kernels=[kernel], smooth_layers=[0], sparse_layers=[0])],
        grid=[{"mask_l1": [0.01], "feature_l1": [0.01]}],
        training=small_training(max_steps=600, evaluate_every=20, patience=5) | training,
    )


LONG = {"max_steps": 1000, "patience": 1000, "n_stages": 1}
"""Training of a few seconds, which a test can interrupt."""
OF_PICTURES = f"{RUN}/fits/own/pictures/factorized/n2-dall"
"""Folder of the fit to the pictures, saved twice a second."""
PICTURES = (f"{RUN}/datasets/pictures.html", f"{RUN}/figures/recording/pictures.svg")
"""Results that need the pictures and their fit, and a quarter of the jobs."""
RESULTS = (
    *PICTURES,
    f"{RUN}/datasets/both.html",
    f"{RUN}/figures/recording/both.svg",
    f"{RUN}/figures/barcodes/tiny/both/factorized.svg",
    f"{RUN}/figures/most_exciting/tiny/both/factorized.svg",
    f"{RUN}/tables/answers.csv",
    f"{RUN}/explore.html",
)
"""Results that differ between recordings and simulations; other pages and tables are made in another run."""


def own_recordings(folder):
    """Configuration of two pooled sessions with different images, and of two seeds on pictures."""
    monday, tuesday = (
        write_sensorium(folder, np.random.default_rng(seed), name)
        for seed, name in enumerate(("monday", "tuesday"))
    )
    return configuration(
        datasets={
            "monday": monday,
            "tuesday": {"like": "monday", "path": tuesday["path"]},
            "both": {"kind": "pooled", "recordings": ["monday", "tuesday"]},
            "pictures": write_pictures(folder, np.random.default_rng(4)),
        },
        models={"factorized": small_network(**LONG)},
        experiments=[
            experiment(datasets=["both"]),
            experiment(name="own", datasets=["pictures"], n_neurons=[2], seeds=[0, 1]),
        ],
        checkpoint_seconds=0.5,
    )
