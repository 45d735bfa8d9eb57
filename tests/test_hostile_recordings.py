"""Broken and hostile input: one line that names the file or key, and nothing half-written."""

import io

import numpy as np
import pytest
from PIL import Image
from recording_files import (
    IMAGE,
    N_IMAGES,
    N_NEURONS,
    SPLIT,
    WRITERS,
    refuse,
    responses,
    stimuli,
    write_zip,
    zip_folder,
)
from scipy.io import savemat


def save(name, array):
    return lambda folder, _: np.save(folder / name, array)


def write(name, content):
    return lambda folder, _: (folder / name).write_bytes(content)


def put(**keys):
    """Change keys of the dataset; a string starting with / is a file in the folder of the test."""

    def change(folder, definition):
        for key, value in keys.items():
            definition[key] = f"{folder}{value}" if str(value).startswith("/") else value

    return change


def drop(key):
    return lambda _, definition: definition.pop(key)


def both(*changes):
    def change(folder, definition):
        for one in changes:
            one(folder, definition)

    return change


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def with_value(array, index, value):
    array = array.astype(float)
    array[index] = value
    return array


def truncate(name, size):
    def change(folder, _):
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])

    return change


def with_npz(**arrays):
    return lambda folder, _: np.savez(folder / "a.npz", **arrays)


def with_matlab(array):
    return lambda folder, _: savemat(folder / "a.mat", {"x": array})


IMAGES, TRIALS = stimuli(), responses(3, N_IMAGES)
COLOUR = np.stack([IMAGES] * 3, 1)
SPLITS = np.array(["train"] * 20 + ["validation"] * 10 + ["test"] * 10)

ARRAYS = {
    "pickled images": (write("images.npy", npy(np.array([{"a": 1}], object))), "could run code"),
    "complex responses": (save("responses.npy", TRIALS * 1j), "expected numbers"),
    "fewer images": (save("images.npy", IMAGES[:30]), "but there are 40 images"),
    "one image": (
        both(save("images.npy", IMAGES[:1]), save("responses.npy", TRIALS[:, :1])),
        "fewer than two",
    ),
    "too few images": (
        both(save("images.npy", IMAGES[:8]), save("responses.npy", TRIALS[:, :8])),
        "fewer than",
    ),
    "images of one axis": (save("images.npy", IMAGES.reshape(N_IMAGES, -1)), "expected (image, y, x)"),
    "wrong layout": (
        both(save("images.npy", COLOUR), put(layout=["image", "y", "x", "channel"])),
        "12 channels",
    ),
    "four channels": (save("images.npy", np.stack([IMAGES] * 4, 1)), "4 channels"),
    "infinite pixel": (save("images.npy", with_value(IMAGES, (7, 0, 0), np.inf)), "image 7 holds NaN or inf"),
    "truncated npy": (truncate("images.npy", 500), "damaged or truncated"),
    "empty npy": (write("images.npy", b""), "damaged or truncated"),
    "named array of npy": (put(images="/images.npy:x"), "leave ':x' out"),
    "npz of two arrays": (both(with_npz(a=IMAGES, b=IMAGES), put(images="/a.npz")), "arrays in it: a, b"),
    "npz without arrays": (both(with_npz(), put(images="/a.npz")), "holds no array"),
    "truncated npz": (both(with_npz(a=IMAGES), truncate("a.npz", 300), put(images="/a.npz")), "a.npz: not a"),
    "pickles in npz": (
        both(lambda f, _: write_zip(f / "a.npz", {"a.npy": npy(np.array([None]))}), put(images="/a.npz")),
        "could run code",
    ),
    "cells of MATLAB": (
        both(with_matlab(np.array([[TRIALS[0], "a"]], object)), put(responses="/a.mat:x")),
        "x: is a cell",
    ),
    "no netCDF": (both(write("a.nc", b"no netCDF"), put(images="/a.nc")), "not netCDF or HDF5"),
    "file is missing": (put(images="/none.npy"), "none.npy: no such file"),
    "file is a folder": (both(lambda f, _: (f / "a.npy").mkdir(), put(images="/a.npy")), "no such file"),
    "unknown type of file": (put(images="/images.pkl"), "unknown type of file; use one of .npy"),
    "infinite response": (
        save("responses.npy", with_value(TRIALS, (0, 3, 1), np.inf)),
        "to image 3 are infinite",
    ),
    "never presented": (
        save("responses.npy", with_value(TRIALS, (slice(None), 3), np.nan)),
        "no neuron has a response to image 3",
    ),
    "only NaN responses": (save("responses.npy", TRIALS * np.nan), "no neuron has a response to image 0"),
    "transposed responses": (
        save("responses.npy", TRIALS.transpose(0, 2, 1)),
        "there are 4 images",
    ),
    "repeats without a layout": (
        drop("responses_layout"),
        "set datasets.mine.responses_layout to [repeat, image, neuron] or to [neuron, image, repeat]",
    ),
    "four axes of responses": (save("responses.npy", TRIALS[None]), "expected (image, neuron)"),
    "no repeat": (save("responses.npy", TRIALS[:0]), "no row is left that shows an image"),
    "a split too few": (both(save("s.npy", SPLITS[:-1]), put(splits_from="/s.npy")), "39 values for 40"),
    "unknown split": (
        both(save("s.npy", np.char.replace(SPLITS, "test", "val")), put(splits_from="/s.npy")),
        "image 30 is given the split 'val'",
    ),
    "unknown number of a split": (
        both(save("s.npy", np.full(40, 3)), put(splits_from="/s.npy")),
        "is given the split '3', expected train, validation, test or empty: say what it is",
    ),
    "an image in two splits": (
        both(
            save("images.npy", np.concatenate([IMAGES[:39], IMAGES[:1]])),
            save("s.npy", SPLITS),
            put(splits_from="/s.npy"),
        ),
        "image 0 and its copy 39 are given different splits",
    ),
    "nothing to train on": (
        both(save("s.npy", np.char.replace(SPLITS, "train", "test")), put(splits_from="/s.npy")),
        "fewer than two train images",
    ),
    "shares above one": (put(split=SPLIT | {"validation": 0.6, "test": 0.5}), "datasets.mine.split"),
    "crop outside": (put(image=IMAGE | {"crop": [0, 5, 10, 10]}), "datasets.mine.image.crop"),
    "colour of grey images": (put(image=IMAGE | {"color": "rgb"}), "datasets.mine.image.color"),
}


def picture(mode="L", size=(12, 10), form="PNG", **options):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, form, **options)
    return stream.getvalue()


PAGES = picture(form="TIFF", save_all=True, append_images=[Image.new("L", (12, 10))])
ROWS = "".join(f"{number}.png,1,2,3,4\n" for number in range(1, N_IMAGES + 1))


def table(text, encoding="utf-8"):
    return write("responses.csv", text.encode(encoding))


def archive(change=None):
    """The pictures as a zip file, changed."""

    def apply(folder, definition):
        path = zip_folder(folder / "pictures", folder / "p.zip")
        definition["images"] = str(path)
        if change:
            change(path)

    return apply


def patch(offset_in_entry, value):
    """Overwrite bytes of the first entry of the table of contents."""

    def change(path):
        content = bytearray(path.read_bytes())
        start = content.index(b"PK\x01\x02") + offset_in_entry
        content[start : start + len(value)] = value
        path.write_bytes(content)

    return change


def flip(path):
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)


IMAGES_CASES = {
    "no folder": (put(images="/none"), "none: no such folder or zip file"),
    "folder without images": (
        both(lambda f, _: (f / "empty").mkdir(), put(images="/empty")),
        "holds no PNG, JPEG, TIFF, BMP",
    ),
    "no image inside": (write("pictures/3.png", b"no image"), "3.png: not a readable PNG"),
    "truncated PNG": (truncate("pictures/3.png", 60), "3.png: not a readable PNG"),
    "several pages": (write("pictures/3.png", PAGES), "3.png: holds 2 pages"),
    "mixed sizes": (write("pictures/3.png", picture(size=(9, 9))), " and 3.png have shapes ("),
    "mixed depth": (write("pictures/3.png", picture("I;16")), "3.png: has uint16 pixels"),
    "no table": (put(responses="/none.csv"), "none.csv: no such file"),
    "empty table": (table(""), "responses.csv: is empty"),
    "only a header": (table("image,a\n"), "responses.csv: is not a CSV table"),
    "text for a response": (
        table("image,a,b,c,d\n" + ROWS.replace("1,2", "x,2", 1)),
        "'a': 'x' in line 2 is",
    ),
    "infinite response in the table": (
        table("image,a,b,c,d\n" + ROWS.replace("1,2", "inf,2", 1)),
        "infinite",
    ),
    "a missing field": (table("image,a,b,c,d\n" + ROWS[:-3]), "line 41 has 4 fields"),
    "a field too many": (
        table("image,a,b,c,d\n" + ROWS + "1.png,1,2,3,4,5\n"),
        "line 42 has 6 fields but the header has 5",
    ),
    "two columns of one name": (table("image,a,b,a,d\n" + ROWS), "two columns are named 'a'"),
    "commas and points": (
        table(("image,a,b,c,d\n" + ROWS).replace(",", ";").replace("1;2", "1.5;2,5", 1)),
        "both decimal commas and decimal points",
    ),
    "rows by order too few": (
        both(table("a,b,c,d\n" + "1,2,3,4\n" * 39), drop("image_of_presentation"), put(file_order="sorted")),
        "there are 40 images",
    ),
    "open quotes": (table('image,a,b,c,d\n"' + ROWS), "not a CSV table"),
    "array of responses too short": (
        both(save("r.npy", responses(39)), drop("image_of_presentation"), put(responses="/r.npy")),
        "there are 40 images",
    ),
    "two images of one name": (
        both(
            lambda f, _: (f / "pictures" / "more").mkdir(),
            write("pictures/more/1.png", picture()),
            lambda f, _: (f / "pictures" / "1.png").rename(f / "pictures" / "more" / "2.png"),
        ),
        "two images are named '2.png'",
    ),
    "encrypted zip": (archive(patch(8, b"\x01")), "without a password"),
    "unknown compression": (archive(patch(10, b"\x5d")), "by the method deflate"),
    "damaged zip": (archive(flip), "cannot be read ("),
    "truncated zip": (archive(lambda path: path.write_bytes(path.read_bytes()[:-300])), "not a readable zip"),
    "no zip": (archive(lambda path: path.write_bytes(b"no zip")), "not a readable zip"),
}


def in_session(change):
    return lambda folder, definition: change(folder / "session", definition)


def remove(name):
    return in_session(lambda folder, _: (folder / name).unlink())


def store(name, array):
    return in_session(save(name, array))


def add_second_session(folder, _):
    (folder / "b/meta/trials").mkdir(parents=True)
    np.save(folder / "b/meta/trials/tiers.npy", TIERS)


TIERS = np.array(["test"] * 10 + ["validation"] * 10 + ["train"] * 20 + ["test"] * 10)

SENSORIUM = {
    "no session": (put(path="/none"), "none: no such folder or zip file"),
    "no tiers": (remove("meta/trials/tiers.npy"), "holds no meta/trials/tiers.npy"),
    "two sessions": (in_session(add_second_session), "holds 2 meta/trials/tiers.npy"),
    "only unknown tiers": (
        store("meta/trials/tiers.npy", np.full(50, "live")),
        "holds no tier train, validation, test",
    ),
    "fewer tiers": (store("meta/trials/tiers.npy", TIERS[:-1]), "or whole number for each"),
    "one tier for an image, another for its repeat": (
        store("meta/trials/tiers.npy", np.append(TIERS[:-1], "train")),
        "presentations 9 and 49 show one image",
    ),
    "no ids": (remove("meta/trials/frame_image_id.npy"), "frame_image_id.npy"),
    "fractional ids": (store("meta/trials/frame_image_id.npy", np.zeros(50)), "or whole number for each"),
    "classes of another length": (
        store("meta/trials/frame_image_class.npy", TIERS[:9]),
        "or whole number for each",
    ),
    "ids of other images": (
        store("meta/trials/frame_image_id.npy", np.append(np.arange(49), 48 - 40)),
        "differs from trial 8",
    ),
    "a trial too many": (store("data/responses/50.npy", TRIALS[0, 0]), "trial 50 is too many"),
    "no responses of a trial": (remove("data/responses/7.npy"), "trial 7 is missing"),
    "no image of a trial": (remove("data/images/7.npy"), "trial 7 is missing"),
    "a trial with fewer neurons": (store("data/responses/7.npy", np.ones(3)), "7.npy: has shape (3,)"),
    "an image of another size": (
        store("data/images/7.npy", np.ones((1, 9, 9))),
        "7.npy: has shape (1, 9, 9)",
    ),
    "a video": (store("data/images/0.npy", np.ones((1, 9, 9, 5))), "expected (channel, y, x)"),
    "withheld responses": (
        store("data/responses/12.npy", np.full(N_NEURONS, np.nan)),
        "no neuron has a response to image 12",
    ),
    "a truncated trial": (in_session(truncate("data/images/7.npy", 200)), "7.npy: is damaged"),
    "other neurons": (store("meta/neurons/unit_ids.npy", np.arange(9)), "there are 4 neurons"),
}

CASES = {
    f"{kind}: {name}": (kind, *case)
    for kind, cases in (("arrays", ARRAYS), ("images", IMAGES_CASES), ("sensorium", SENSORIUM))
    for name, case in cases.items()
}


@pytest.mark.parametrize("case", CASES)
def test_hostile_input_is_refused_in_one_line_without_output(tmp_path, case):
    kind, change, expected = CASES[case]
    definition = WRITERS[kind](tmp_path)
    change(tmp_path, definition)
    refuse(definition, tmp_path, expected)
