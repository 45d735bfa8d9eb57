"""Recorded sessions of neurons with one pixel each, alone or two that are pooled."""

import numpy as np
from conftest import factorized, small_core, small_training
from recording_files import IMAGE
from tiny_run import configuration, experiment

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
    """A session in the layout of the Sensorium competition."""
    images, drive = recording(rng)
    session = folder / name
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


def small_network(**training):
    """One filter of one pixel, and masks."""
    return factorized(
        cores=[small_core(kernels=[1], smooth_layers=[0], sparse_layers=[0])],
        grid=[{"mask_l1": [0.01], "feature_l1": [0.01]}],
        training=small_training(max_steps=600, evaluate_every=20, patience=5) | training,
    )


def two_sessions(folder, **training):
    """Configuration of two sessions of other neurons, which saw other images, and of both together."""
    monday, tuesday = (
        write_sensorium(folder, np.random.default_rng(seed), name)
        for seed, name in enumerate(("monday", "tuesday"))
    )
    return configuration(
        datasets={
            "monday": monday,
            "tuesday": {"like": "monday", "path": tuesday["path"]},
            "both": {"kind": "pooled", "recordings": ["monday", "tuesday"]},
        },
        models={"factorized": small_network(**training)},
        experiments=[experiment(datasets=["both"])],
        checkpoint_seconds=0.5,
    )
