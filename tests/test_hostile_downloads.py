"""Published recordings that are broken or cannot be downloaded: one line says what to do, nothing is kept."""

import numpy as np
import pytest
from recording_files import IMAGE, N_NEURONS, SPLIT, refuse, served, write_antolik, write_zip, zip_folder

from whatwhere.recordings import antolik2016, cowley2023

ANTOLIK = {
    "no training images": ("training_inputs.npy", None, "Data/region2/training_inputs.npy"),
    "flat responses": ("raw_validation_set.npy", np.ones((10, N_NEURONS)), "expected (10, 10, 4): inputs"),
    "no square": ("training_inputs.npy", np.ones((60, 960)), "shape (60, 960), expected (60, 900)"),
    "other test images": ("validation_inputs.npy", np.ones((10, 900)), "shape (10, 900), expected (10, 961)"),
    "fewer responses": ("training_set.npy", np.ones((59, N_NEURONS)), "shape (59, 4), expected (60, 4)"),
    "no repeats": ("raw_validation_set.npy", np.ones((0, 10, N_NEURONS)), "has shape (0, 10, 4)"),
    "text": ("training_set.npy", np.array([["a"]]), "expected numbers"),
}


@pytest.mark.parametrize("case", ANTOLIK)
def test_a_broken_supplement_is_refused(tmp_path, case):
    name, array, expected = ANTOLIK[case]
    definition = write_antolik(tmp_path)
    path = tmp_path / "mirror" / "Data" / "region2" / name
    path.unlink() if array is None else np.save(path, array)
    refuse(definition, tmp_path, expected, str(tmp_path / "mirror"))


def test_another_version_of_the_supplement_is_refused(tmp_path):
    definition = write_antolik(tmp_path) | {"checksums": True}
    refuse(definition, tmp_path, "wrong checksum", str(tmp_path / "mirror"))
    supplement = zip_folder(tmp_path / "mirror", tmp_path / "a.zip")
    refuse(definition, tmp_path, "wrong checksum", str(supplement))
    refuse(definition, tmp_path, "no such folder or zip file", str(tmp_path / "none"))


V4 = {"kind": "cowley2023", "session": "210325", "image": IMAGE, "split": SPLIT}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/none", "HTTP status 404"),
        ("/loop", "TooManyRedirects"),
        ("/short", "ChunkedEncodingError"),
        ("/wrong", "wrong checksum"),
        ("/none.zip", "HTTP status 404"),
        ("/page.zip", "not a readable zip file"),
        ("/other.zip", "holds no Data/region2/training_inputs.npy"),
    ],
)
def test_a_failed_download_says_what_to_do_and_keeps_nothing(tmp_path, monkeypatch, place, expected):
    path = tmp_path / "wrong/data_V4_responses/responses_raw/responses_210325.npy"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other content")
    (tmp_path / "page.zip").write_text("<html>Sign in</html>")
    write_zip(tmp_path / "other.zip", {"README": b"x"})
    is_zip = place.endswith(".zip")
    with served(tmp_path) as (url, _):
        monkeypatch.setattr(antolik2016 if is_zip else cowley2023, "ADDRESS", url + place)
        refuse(write_antolik(tmp_path) if is_zip else V4, tmp_path, expected)


def test_a_mirror_that_is_not_there_is_named(tmp_path):
    refuse(V4, tmp_path, "'mirror' must hold the publisher's layout", "none")


def test_a_wrong_file_in_a_mirror_folder_is_left_alone(tmp_path):
    path = tmp_path / "data_V4_responses/responses_raw/responses_210325.npy"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    refuse(V4, tmp_path, "wrong checksum", str(tmp_path))
    assert path.read_bytes() == b"x"


def test_the_public_address_is_named_when_there_is_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(antolik2016, "ADDRESS", "http://127.0.0.1:1/s001")
    definition = write_antolik(tmp_path) | {"checksums": True}
    kept = tmp_path / "downloads" / "antolik2016" / antolik2016.ZIP
    fault = "http://127.0.0.1:1/s001: cannot be downloaded (ConnectionError)"
    refuse(definition, tmp_path, f"{fault}; download it elsewhere and put it at {kept}")
