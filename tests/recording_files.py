"""Small recordings in every format, and a server for them."""

import contextlib
import functools
import http.server
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image

from load_recording import main
from whatwhere.errors import UserError

IMAGE = {"color": "grey", "crop": None, "size": None, "normalize": "per_pixel"}
SPLIT = {"validation": 1 / 6, "test": 1 / 6, "folds": 2, "seed": 1}
N_IMAGES, N_NEURONS = 40, 4


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    """Zip file with the given contents by name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zip_folder(folder, path, prefix=""):
    """Zip file with all files of a folder."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return write_zip(
        path, {prefix + file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    )


def stimuli(n_images=N_IMAGES, shape=(10, 12)):
    return np.random.default_rng(0).integers(0, 255, (n_images, *shape)).astype(np.uint8)


def responses(*shape):
    return np.random.default_rng(1).random((*shape, N_NEURONS))


def write_arrays(folder):
    np.save(folder / "images.npy", stimuli())
    np.save(folder / "responses.npy", responses(3, N_IMAGES))
    return {
        "kind": "arrays",
        "images": str(folder / "images.npy"),
        "responses": str(folder / "responses.npy"),
        "responses_layout": ["repeat", "image", "neuron"],
        "image": IMAGE,
        "split": SPLIT,
    }


def write_images(folder):
    """PNG files 1.png to 40.png, each with one row of a table but 7.png with two."""
    (folder / "pictures").mkdir()
    lines = ["image,a,b,c,d"]
    for number, (image, row) in enumerate(zip(stimuli(), responses(N_IMAGES), strict=True), 1):
        Image.fromarray(image).save(folder / "pictures" / f"{number}.png")
        lines.append(f"{number}.png," + ",".join(f"{value:.9g}" for value in row))
    lines.append("7.png,1,2,3,4")
    (folder / "responses.csv").write_text("\n".join(lines) + "\n")
    return {
        "kind": "images",
        "images": str(folder / "pictures"),
        "responses": str(folder / "responses.csv"),
        "image_of_presentation": "image",
        "neurons": ["a", "b", "c", "d"],
        "image": IMAGE,
        "split": SPLIT,
    }


def write_sensorium(folder):
    """50 trials: 40 images once, then the first ten again; tiers 10 test, 10 validation, 20 train."""
    session = folder / "session"
    for name in ("data/images", "data/responses", "meta/trials", "meta/neurons"):
        (session / name).mkdir(parents=True)
    ids = np.concatenate([np.arange(N_IMAGES), np.arange(10)])
    images, trials = stimuli(), responses(len(ids)).astype(np.float32)
    for trial, index in enumerate(ids):
        np.save(session / "data/images" / f"{trial}.npy", images[index][None].astype(np.float32))
        np.save(session / "data/responses" / f"{trial}.npy", trials[trial])
    tiers = np.array(["test"] * 10 + ["validation"] * 10 + ["train"] * 20)[ids]
    np.save(session / "meta/trials/tiers.npy", tiers)
    np.save(session / "meta/trials/frame_image_id.npy", ids + 1000)
    np.save(session / "meta/neurons/unit_ids.npy", np.arange(N_NEURONS) + 7)
    return {"kind": "sensorium", "path": str(session), "image": IMAGE}


def write_antolik(folder):
    """Stand-in for region 2 in the publisher's layout: 60 images shown once, 10 shown five times."""
    rng = np.random.default_rng(2)
    data = folder / "mirror" / "Data" / "region2"
    data.mkdir(parents=True)
    np.save(data / "training_inputs.npy", rng.random((60, 961)) * 2.6e-4)
    np.save(data / "training_set.npy", rng.random((60, N_NEURONS)))
    np.save(data / "validation_inputs.npy", rng.random((10, 961)) * 2.6e-4)
    np.save(data / "raw_validation_set.npy", rng.random((5, 10, N_NEURONS)))
    split = SPLIT | {"validation": 0.2}
    return {"kind": "antolik2016", "region": 2, "checksums": False, "image": IMAGE, "split": split}


WRITERS = {
    "arrays": write_arrays,
    "images": write_images,
    "sensorium": write_sensorium,
    "antolik2016": write_antolik,
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; anything below /loop redirects without end, anything below /short breaks off."""

    def do_GET(self):
        if self.path.startswith("/loop"):
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            self.server.requested.append(self.path)
            super().do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """Yield the URL of a folder on the loopback and the list of paths asked for."""
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requested = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", server.requested
        finally:
            server.shutdown()
            thread.join()


def content(folder):
    """All files but the locks of downloads, which are empty and stay."""
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def refuse(definition, folder, expected, mirror=None):
    """Assert a refusal: one line, the culprit named, no output."""
    before = content(folder)
    output = folder / "results" / "data.nc"
    with pytest.raises(UserError) as error:
        main("mine", definition, folder / "downloads", mirror, str(output))
    message = str(error.value)
    assert expected in message
    assert "\n" not in message
    assert any(name in message for name in (str(folder), "datasets.mine", str(mirror)))
    assert content(folder) == before
