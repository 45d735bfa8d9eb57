"""Recordings with planted filters: only the right pairs and axes give a high score."""

import numpy as np
from PIL import Image
from recording_files import IMAGE, SPLIT

from whatwhere.recordings import load

N_IMAGES, N_NEURONS = 40, 5
SHAPE = (10, 12)


def pictures(n_images=N_IMAGES, shape=SHAPE):
    """Images (image, y, x) of noise, uint8."""
    return np.random.default_rng(5).integers(0, 256, (n_images, *shape)).astype(np.uint8)


def filters(n_neurons=N_NEURONS, shape=SHAPE):
    """One filter per neuron, (neuron, y, x)."""
    return np.random.default_rng(6).normal(size=(n_neurons, *shape))


def answers(images, n_neurons=N_NEURONS, repeats=None):
    """Noisy responses of the filters, (image, neuron) or (repeat, image, neuron), all positive."""
    drive = np.tensordot(images.astype(float), filters(n_neurons, images.shape[1:]), ((1, 2), (1, 2)))
    noise = np.random.default_rng(7).normal(size=drive.shape if repeats is None else (repeats, *drive.shape))
    return 50 + 10 * drive / drive.std() + noise


def score(dataset, n_neurons=N_NEURONS):
    """Lowest correlation over neurons of planted drives with mean responses of a loaded dataset."""
    images = dataset["images"].values.mean(1)
    drive = np.tensordot(images, filters(n_neurons, images.shape[1:]), ((1, 2), (1, 2)))
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(dataset["responses"].values, axis=0)
    assert mean.shape == drive.shape
    return min(np.corrcoef(drive[:, n], mean[:, n])[0, 1] for n in range(mean.shape[1]))


def survives(definition, folder, n_neurons=N_NEURONS):
    """The loaded dataset, after a check that its pairs are the planted ones."""
    dataset = load("mine", definition, folder, None)
    assert score(dataset, n_neurons) > 0.9
    return dataset


def arrays(folder, images=None, responses=None, **keys):
    """Definition of kind arrays; by default (image, neuron)."""
    images = pictures() if images is None else images
    responses = answers(pictures()) if responses is None else responses
    np.save(folder / "images.npy", images)
    np.save(folder / "responses.npy", responses)
    files = {"images": str(folder / "images.npy"), "responses": str(folder / "responses.npy")}
    return {"kind": "arrays", **files, "image": IMAGE, "split": SPLIT, **keys}


def folder_of_pictures(folder, names, images=None):
    """Save one picture per name."""
    place = folder / "pictures"
    place.mkdir(exist_ok=True)
    for name, image in zip(names, pictures() if images is None else images, strict=True):
        Image.fromarray(image).save(place / name)
    return str(place)


def table(folder, header, rows, separator=",", name="responses.csv"):
    """Write a table; numbers with three decimals."""
    lines = [separator.join(map(str, header))]
    for row in rows:
        lines.append(separator.join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


def with_table(folder, names, header, rows, **keys):
    """Definition of kind images with a table, whose first column names images, its last five neurons."""
    definition = {
        "kind": "images",
        "images": folder_of_pictures(folder, names),
        "responses": table(folder, header, rows),
        "image_of_presentation": str(header[0]),
        "neurons": [str(name) for name in header[-N_NEURONS:]],
        "image": IMAGE,
        "split": SPLIT,
        **keys,
    }
    return {key: value for key, value in definition.items() if value is not None}
