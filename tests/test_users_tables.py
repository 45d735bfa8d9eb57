"""Tables as users have them: paired rightly, or refused in one line that names the way out."""

import logging
import os
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image
from planted import answers, folder_of_pictures, pictures, survives, table, with_table
from recording_files import IMAGE, SPLIT

from whatwhere.errors import UserError
from whatwhere.recordings import load

NAMES = [f"{number}.png" for number in range(1, 41)]
NEURONS = list("abcde")
ORDER = np.random.default_rng(8).permutation(40)
VALUES = answers(pictures()).tolist()


def shuffled(name_of=lambda index: index + 1, extra=()):
    """Rows in another order than the pictures: what names the picture, extra columns, responses."""
    return [[name_of(i), *(value(i) for value in extra), *VALUES[i]] for i in ORDER]


def refusal(definition, folder):
    with pytest.raises(UserError) as error:
        load("mine", definition, folder, None)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "header", ["image", "frame", "istim", "image_index", "Unnamed: 0", "", "stimID", "index", "n", "whatever"]
)
def test_numbers_that_match_pictures_name_them_whatever_the_header(tmp_path, header):
    dataset = survives(with_table(tmp_path, NAMES, [header, *NEURONS], shuffled()), tmp_path)
    assert dataset["neuron_id"].values.tolist() == NEURONS
    assert "images from the column" in dataset.attrs["reading"]


@pytest.mark.parametrize(
    "name_of",
    [
        lambda i: f"{i + 1}.png",
        lambda i: f"{i + 1}.0",
        lambda i: f"{i + 1:04d}",
        lambda i: f"pictures/{i + 1}.png",
    ],
)
def test_the_column_of_pictures_may_stand_anywhere(tmp_path, name_of):
    rows = [[*VALUES[i], name_of(i)] for i in ORDER]
    definition = with_table(tmp_path, NAMES, [*NEURONS, "shown"], rows)
    if "/" in name_of(0):
        definition["images"] = str(tmp_path)
    survives(definition, tmp_path)


@pytest.mark.parametrize("form", ["image{:04d}.jpg", "im_{}.png", "2019_scene{}b.png"])
def test_a_number_may_end_the_name(tmp_path, form):
    names = [form.format(number).replace("jpg", "png") for number in range(1, 41)]
    survives(with_table(tmp_path, names, ["frame", *NEURONS], shuffled()), tmp_path)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("start_time", lambda i: float(np.argsort(ORDER)[i] * 0.5)),
        ("t", lambda i: float(np.argsort(ORDER)[i] * 0.5)),
        ("running_speed", lambda i: float(i % 7)),
        ("trial", lambda i: int(np.argsort(ORDER)[i])),
        ("w", lambda i: int(np.random.default_rng(1).permutation(40)[i])),
        ("condition", lambda i: float(i % 3)),
        ("comment", lambda _: "ok"),
        ("segment", lambda i: int(np.argsort(ORDER)[i] // 10)),
        ("contrast", lambda i: float(i % 3) / 2),
    ],
)
def test_what_is_no_neuron_is_refused_and_ignored_when_asked(tmp_path, header, value):
    definition = with_table(
        tmp_path, NAMES, ["stimulus", header, *NEURONS], shuffled(lambda i: f"{i + 1}.png", [value])
    )
    message = refusal(definition, tmp_path)
    assert f"the column '{header}' is no neuron by its" in message
    assert "datasets.mine.ignore" in message
    dataset = survives(definition | {"ignore": [header]}, tmp_path)
    assert f"ignored: {header}" in dataset.attrs["reading"]
    survives(definition | {"neurons": ["[a-e]"]}, tmp_path)
    if header != "comment":
        kept = survives(definition | {"covariates": [header]}, tmp_path)
        assert kept["covariate_name"].values.tolist() == [header]
        wanted = [value(i) for i in range(40)]
        np.testing.assert_allclose(kept["covariates"].values[0, :, 0], wanted)


def test_a_column_may_be_named_and_blanks_are_left_out(tmp_path):
    rows = shuffled(lambda i: i) + [[blank, *[50.0] * 5] for blank in (-1, -1, 40)]
    names = [f"{number}.png" for number in range(40)]
    dataset = survives(with_table(tmp_path, names, ["frame", *NEURONS], rows), tmp_path)
    assert dataset["responses"].shape == (1, 40, 5)
    assert "3 presentations of blanks are left out" in dataset.attrs["reading"]


def test_numbers_off_by_one_are_no_blanks(tmp_path):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled(lambda i: i))
    assert "there is no image '0'" in refusal(definition, tmp_path)


def test_numbers_may_count_the_names_if_the_base_is_told(tmp_path):
    names = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}.png" for i in range(40)]
    definition = with_table(tmp_path, names, ["image_index", *NEURONS], shuffled(lambda i: i))
    definition["image_of_presentation"] = "image_index"
    assert "set datasets.mine.index_base to 0 or 1" in refusal(definition, tmp_path)
    survives(definition | {"index_base": 0}, tmp_path)


def test_two_columns_that_name_other_images_are_asked_for(tmp_path):
    definition = with_table(
        tmp_path,
        NAMES,
        ["image_id", "stimulus", *NEURONS],
        shuffled(extra=[lambda i: f"{(i + 3) % 40 + 1}.png"]),
    )
    assert "both name images, but not the same" in refusal(definition, tmp_path)
    survives(definition | {"image_of_presentation": "image_id", "ignore": ["stimulus"]}, tmp_path)


def test_the_wrong_name_is_the_one_that_is_named(tmp_path):
    rows = shuffled()
    rows[7][0] = "77"
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], rows)
    assert "there is no image '77'" in refusal(definition, tmp_path)


def test_rows_without_names_say_in_which_order_they_are_read(tmp_path, caplog):
    definition = with_table(tmp_path, NAMES, NEURONS, VALUES)
    with caplog.at_level(logging.WARNING):
        survives(definition, tmp_path)
    assert "1.png, 2.png, 3.png, ..., and not in the order 1.png, 10.png, 11.png" in caplog.text


def test_counts_of_rows_in_another_order_of_files_are_refused(tmp_path):
    # As R writes a table whose rows follow list.files.
    definition = with_table(
        tmp_path,
        NAMES,
        ["", *NEURONS],
        [[n, *VALUES[NAMES.index(f)]] for n, f in enumerate(sorted(NAMES), 1)],
    )
    assert "may be numbers of images or count rows" in refusal(definition, tmp_path)


@pytest.mark.parametrize("first", ["image", ""])
def test_neurons_may_have_numbers_for_names(tmp_path, first):
    rows = shuffled(lambda i: f"{i + 1}.png")
    dataset = survives(with_table(tmp_path, NAMES, [first, *range(5)], rows), tmp_path)
    assert dataset["neuron_id"].values.tolist() == list("01234")


def test_numbers_for_names_need_no_column_of_pictures_but_a_header(tmp_path):
    survives(with_table(tmp_path, NAMES, [17, 4, 23, 8, 15], VALUES), tmp_path)
    definition = with_table(tmp_path, NAMES, VALUES[0], VALUES[1:])
    assert "the first line must name the columns" in refusal(definition, tmp_path)
    counts = [[round(value) for value in row] for row in VALUES]
    definition = with_table(tmp_path, NAMES, counts[0], counts[1:])
    assert "the first line must name the columns" in refusal(definition, tmp_path)


@pytest.mark.parametrize(
    ("separator", "decimal", "suffix"),
    [(";", ",", "csv"), (";", ".", "csv"), ("\t", ",", "tsv"), ("\t", ".", "txt")],
)
def test_separators_and_decimals_of_other_countries_are_read(tmp_path, separator, decimal, suffix):
    rows = [[row[0], *(f"{value:.3f}".replace(".", decimal) for value in row[1:])] for row in shuffled()]
    definition = with_table(tmp_path, NAMES, ["image"], [])
    definition["responses"] = table(
        tmp_path, ["image", *NEURONS], [*rows, [""] * 6, [""] * 6], separator, f"r.{suffix}"
    )
    survives(definition, tmp_path)


def test_an_empty_line_inside_is_no_row_that_shifts_others(tmp_path):
    definition = with_table(tmp_path, NAMES, ["a"], [[row[0]] for row in VALUES])
    lines = (tmp_path / "responses.csv").read_text().splitlines()
    (tmp_path / "responses.csv").write_text("\n".join([*lines[:9], "", *lines[9:]]))
    assert "line 10 is empty" in refusal(definition, tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_match_however_they_are_composed(tmp_path, form):
    other = "NFD" if form == "NFC" else "NFC"
    names = [unicodedata.normalize(form, f"é{chr(97 + i // 26)}{chr(97 + i % 26)}.png") for i in range(40)]
    rows = shuffled(lambda i: unicodedata.normalize(other, names[i]))
    survives(with_table(tmp_path, names, ["image", *NEURONS], rows), tmp_path)


def test_digits_that_are_no_numbers_are_text(tmp_path):
    names = [f"7²{number}.png" for number in range(1, 41)]
    survives(with_table(tmp_path, names, ["image", *NEURONS], shuffled(lambda i: names[i])), tmp_path)


def test_links_to_folders_are_entered_and_dangling_ones_refused(tmp_path):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled())
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "stimuli").symlink_to(tmp_path / "pictures")
    survives(definition | {"images": str(tmp_path / "session")}, tmp_path)
    (tmp_path / "pictures" / "41.png").symlink_to(tmp_path / "gone.png")
    assert "41.png: is a link to" in refusal(definition, tmp_path)
    (tmp_path / "pictures" / "41.png").unlink()
    (tmp_path / "pictures" / "again").symlink_to(tmp_path / "pictures")
    assert "is a link to a folder that it lies in" in refusal(definition, tmp_path)


def test_zip_files_with_the_separators_of_windows_are_read(tmp_path):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled())
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in NAMES:
            member = zipfile.ZipInfo()
            member.filename = f"stimuli\\{name}"
            archive.writestr(member, (tmp_path / "pictures" / name).read_bytes())
    survives(definition | {"images": str(tmp_path / "p.zip")}, tmp_path)


def test_files_that_are_left_out_are_named(tmp_path, caplog):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled())
    (tmp_path / "pictures" / "notes.svg").write_text("x")
    with caplog.at_level(logging.WARNING):
        survives(definition, tmp_path)
    assert "1 files that are no images are left out: notes.svg" in caplog.text


@pytest.mark.parametrize("from_file", [True, False])
def test_splits_are_a_column_with_any_names(tmp_path, from_file):
    tier = ["final_test" if i < 6 else "test" if i < 12 else "train" for i in range(40)]
    rows = shuffled(extra=[lambda i: tier[i]])
    rows.append(rows[3])
    definition = with_table(tmp_path, NAMES, ["image", "tier", *NEURONS], rows)
    definition |= {"splits_from": "tier", "tiers": {"test": ["test", "final_test"]}}
    if from_file:
        np.save(tmp_path / "tiers.npy", tier)
        definition |= {"splits_from": str(tmp_path / "tiers.npy"), "ignore": ["tier"]}
    dataset = survives(definition, tmp_path)
    split = dataset["split"].values[0]
    assert (split[:12] == 2).all()
    # Of 28 to train, a sixth validates: no image was given to validation.
    assert np.bincount(split[12:]).tolist() == [23, 5]


def test_truth_values_are_splits_if_told_what_they_mean(tmp_path):
    rows = shuffled(extra=[lambda i: str(i < 12)])
    definition = with_table(tmp_path, NAMES, ["image", "is_test", *NEURONS], rows, splits_from="is_test")
    assert "tiers: {train: [false], test: [true]}" in refusal(definition, tmp_path)
    dataset = survives(definition | {"tiers": {"train": [False], "test": [True]}}, tmp_path)
    assert (dataset["split"].values[:, :12] == 2).all()
    assert not (dataset["split"].values[:, 12:] == 2).any()


def test_groups_of_pictures_share_a_split(tmp_path):
    rows = shuffled(extra=[lambda i: f"texture {i // 4}"])
    definition = with_table(tmp_path, NAMES, ["image", "family", *NEURONS], rows, groups_from="family")
    split = survives(definition, tmp_path)["split"].values
    assert (split.reshape(2, 10, 4) == split.reshape(2, 10, 4)[:, :, :1]).all()


def test_published_averages_are_said_to_be_averages(tmp_path, caplog):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled())
    with caplog.at_level(logging.WARNING):
        survives(definition, tmp_path)
        assert "no image was repeated" in caplog.text
        caplog.clear()
        dataset = survives(definition | {"repeat_averages": True}, tmp_path)
    assert "no image was repeated" not in caplog.text
    assert dataset.attrs["repeat_averages"] == 1


def test_an_array_of_responses_may_name_its_pictures(tmp_path):
    np.save(tmp_path / "r.npy", np.array(VALUES)[ORDER])
    np.save(tmp_path / "shown.npy", [NAMES[i] for i in ORDER])
    definition = {
        "kind": "images",
        "images": folder_of_pictures(tmp_path, NAMES),
        "responses": str(tmp_path / "r.npy"),
        "image_of_presentation": str(tmp_path / "shown.npy"),
        "image": IMAGE,
        "split": SPLIT,
    }
    survives(definition, tmp_path)
    np.save(tmp_path / "shown.npy", ORDER + 1)
    survives(definition, tmp_path)


def test_the_pages_of_one_file_are_images(tmp_path):
    first, *others = (Image.fromarray(image) for image in pictures())
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others)
    np.save(tmp_path / "r.npy", VALUES)
    definition = {
        "kind": "images",
        "images": str(tmp_path / "stack.tif"),
        "responses": str(tmp_path / "r.npy"),
        "image": IMAGE,
        "split": SPLIT,
    }
    survives(definition, tmp_path)
    assert not os.path.exists(tmp_path / "results")


@pytest.mark.parametrize("folder", ["pictures/", "/data/session 1/", "C:\\stimuli\\"])
def test_names_may_have_a_folder_of_another_machine(tmp_path, folder):
    rows = [*shuffled(lambda i: f"{folder}{i + 1}.png"), ["gray_screen", *[50.0] * 5]]
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], rows)
    assert "1 presentations of blanks" in survives(definition, tmp_path).attrs["reading"]
    rows[3][0] = f"other/{ORDER[3] + 1}.png"
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], rows)
    assert "there is no image" in refusal(definition, tmp_path)


def test_names_may_have_the_ending_of_another_format(tmp_path):
    rows = shuffled(lambda i: f"{i + 1}.JPG")
    survives(with_table(tmp_path, NAMES, ["image", *NEURONS], rows), tmp_path)


@pytest.mark.parametrize("neurons", [NEURONS, ["z", "b", "c", "d", "e"]])
def test_spike_counts_that_are_numbers_of_pictures_are_asked_about(tmp_path, neurons):
    counts = np.random.default_rng(0).integers(1, 41, 40).tolist()
    rows = [[count, *row[1:]] for count, row in zip(counts, VALUES, strict=True)]
    definition = with_table(tmp_path, NAMES, neurons, rows)
    message = refusal(definition, tmp_path)
    assert f"the column '{neurons[0]}' may be numbers of images or a neuron" in message
    dataset = load("mine", definition | {"neurons": neurons}, tmp_path, None)
    np.testing.assert_array_equal(dataset["responses"].values[0, :, 0], counts)


def test_tests_shown_ten_times_are_known_by_their_numbers_whatever_the_header(tmp_path):
    rows = shuffled()
    often = [row for row in rows if row[0] <= 5]
    definition = with_table(tmp_path, NAMES, ["whatever", *NEURONS], rows + often * 9)
    assert survives(definition, tmp_path)["responses"].shape == (10, 40, 5)


def test_an_index_of_pandas_beside_names_is_left_out(tmp_path):
    rows = [[count, *row] for count, row in enumerate(shuffled(lambda i: f"{i + 1}.png"))]
    definition = with_table(tmp_path, NAMES, ["", "image", *NEURONS], rows)
    assert "ignored: Unnamed: 0" in survives(definition, tmp_path).attrs["reading"]


def test_a_separator_at_the_end_makes_no_column(tmp_path):
    rows = [[*row, ""] for row in shuffled()]
    rows.append([rows[4][0], "NULL", *rows[4][2:]])
    survives(with_table(tmp_path, NAMES, ["image", *NEURONS, ""], rows), tmp_path)


def test_a_transposed_table_is_refused(tmp_path):
    square = answers(pictures(), 40).T.tolist()
    assert "transpose the table" in refusal(with_table(tmp_path, NAMES, NAMES, square), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("r.xlsx", b"PK", "save it as .csv"),
        ("r.csv", "image,a\n1,2\n".encode("utf-16"), "is not a CSV table in UTF-8"),
        ("r.txt", b"image a b\n1 2 3\n", "commas, semicolons or tabs"),
        ("r.csv", b"# of monkey A\nimage,a\n1,2\n", "commas, semicolons or tabs"),
    ],
)
def test_other_tables_are_refused_with_what_to_do(tmp_path, name, content, expected):
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], shuffled())
    (tmp_path / name).write_bytes(content)
    assert expected in refusal(definition | {"responses": str(tmp_path / name)}, tmp_path)


def test_numbers_of_pages_from_1_are_told_by_a_base(tmp_path, caplog):
    first, *others = (Image.fromarray(image) for image in pictures())
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others)
    definition = with_table(tmp_path, NAMES, ["frame", *NEURONS], shuffled())
    definition["images"] = str(tmp_path / "stack.tif")
    assert "set datasets.mine.index_base to 0 or 1, and image_of_presentation" in refusal(
        definition, tmp_path
    )
    survives(definition | {"image_of_presentation": "frame", "index_base": 1}, tmp_path)
    definition["responses"] = table(tmp_path, NEURONS, VALUES)
    with caplog.at_level(logging.WARNING):
        survives(definition, tmp_path)
    assert "and not in the order" not in caplog.text


def test_names_of_a_zip_may_be_unicode_without_saying_so(tmp_path):
    names = [f"é{chr(97 + i // 26)}{chr(97 + i % 26)}.png" for i in range(40)]
    definition = with_table(tmp_path, names, ["image", *NEURONS], shuffled(lambda i: names[i]))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in names:
            archive.write(tmp_path / "pictures" / name, name)
    content = bytearray((tmp_path / "p.zip").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + flags + 1] &= ~8
            start = content.find(signature, start + 4)
    (tmp_path / "p.zip").write_bytes(content)
    survives(definition | {"images": str(tmp_path / "p.zip")}, tmp_path)
