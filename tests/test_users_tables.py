"""Tables as users have them: paired as stated, or refused in one line that names the key to write."""

import logging
import unicodedata

import numpy as np
import pytest
from PIL import Image
from planted import answers, folder_of_pictures, pictures, score, survives, table, with_table
from recording_files import IMAGE, SPLIT, refuse

from whatwhere.errors import UserError
from whatwhere.recordings import load

NAMES = [f"{number}.png" for number in range(1, 41)]
NEURONS = list("abcde")
ORDER = np.random.default_rng(8).permutation(40)
VALUES = answers(pictures()).tolist()


def shuffled(name_of=lambda index: f"{index + 1}.png", extra=()):
    """Rows in another order than the pictures: what names the picture, extra columns, responses."""
    return [[name_of(i), *(value(i) for value in extra), *VALUES[i]] for i in ORDER]


def named(folder, name_of=lambda index: f"{index + 1}.png", extra=None, **keys):
    """Definition of a table whose rows name pictures, with one extra column."""
    extra = extra or {}
    header = ["shown", *extra, *NEURONS]
    return with_table(folder, NAMES, header, shuffled(name_of, extra.values()), **keys)


def refusal(definition, folder):
    with pytest.raises(UserError) as error:
        load("mine", definition, folder, None)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "form", ["{}", "{}.png", "{}.JPG", "pictures/{}.png", "/data/s 1/{}.png", "C:\\s\\{}"]
)
def test_names_of_files_are_matched_in_any_one_folder_with_any_ending(tmp_path, form):
    definition = named(tmp_path, lambda i: form.format(i + 1))
    dataset = survives(definition, tmp_path)
    assert dataset["neuron_id"].values.tolist() == NEURONS
    assert "images by " in dataset.attrs["reading"]


def test_columns_under_no_key_are_ignored(tmp_path):
    extra = {"order": lambda i: int(np.argsort(ORDER)[i]), "rt": lambda i: i % 3, "comment": lambda _: "ok"}
    definition = named(tmp_path, extra=extra)
    assert "ignored: order, rt, comment" in survives(definition, tmp_path).attrs["reading"]
    kept = survives(definition | {"covariates": ["rt"], "neurons": ["[a-e]"]}, tmp_path)
    np.testing.assert_allclose(kept["covariates"].values[0, :, 0], np.arange(40) % 3)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"neurons": None}, "datasets.mine.neurons: is missing: list the columns of"),
        ({"neurons": ["cell_*"]}, "has no column 'cell_*' but shown, order, rt, unit, a"),
        ({"neurons": ["*"]}, "datasets.mine.neurons: 'shown' is also under image_of_presentation"),
        ({"image_of_presentation": "image"}, "has no column 'image' but shown"),
        ({"image_of_presentation": "order"}, "there is no image '0'"),
        ({"image_of_presentation": None}, "datasets.mine.file_order: is missing"),
        ({"image_of_presentation": "order", "index_base": 0}, "datasets.mine.file_order: is missing"),
        ({"leave_out": {"rt": [3]}}, "leave_out.rt: there is no '3', there are 0, 1, 2"),
        ({"leave_out": {"r": [3]}}, "has no column 'r'"),
        ({"neurons": ["a", "rt"], "covariates": ["rt"]}, "'rt' is also under covariates"),
        ({"neurons": ["a"]}, "column 'unit' names the neuron of every row: give every neuron a column"),
        ({"neurons": ["unit", "a"]}, "column 'unit' names the neuron of every row"),
    ],
)
def test_what_is_not_stated_is_asked_for(tmp_path, keys, expected):
    extra = {"order": lambda i: int(np.argsort(ORDER)[i]), "rt": lambda i: i % 3, "unit": lambda i: i % 2}
    assert expected in refusal(named(tmp_path, extra=extra, **keys), tmp_path)


@pytest.mark.parametrize("order", ["natural", "sorted"])
@pytest.mark.parametrize("base", [0, 1, None])
def test_numbers_and_rows_follow_the_files_in_the_stated_order(tmp_path, order, base):
    listed = NAMES if order == "natural" else sorted(NAMES)
    rows = [[place + (base or 0), *VALUES[NAMES.index(name)]] for place, name in enumerate(listed)]
    keys = {"file_order": order}
    if base is None:
        keys["image_of_presentation"] = None
    else:
        keys["index_base"] = base
        rows = rows[::-1]
    definition = with_table(tmp_path, NAMES, ["n", *NEURONS], rows, **keys)
    survives(definition, tmp_path)
    other = {"natural": "sorted", "sorted": "natural"}[order]
    assert score(load("mine", definition | {"file_order": other}, tmp_path, None)) < 0.5
    if base is not None:
        assert f"do not count from {1 - base}" in refusal(definition | {"index_base": 1 - base}, tmp_path)


def test_blanks_are_listed(tmp_path):
    rows = [*shuffled(), ["grey", *[50.0] * 5], ["omitted", *[50.0] * 5]]
    definition = with_table(tmp_path, NAMES, ["shown", *NEURONS], rows, blanks=["grey", "omitted"])
    dataset = survives(definition, tmp_path)
    assert dataset["responses"].shape == (1, 40, 5)
    assert "2 presentations of blanks are left out" in dataset.attrs["reading"]
    assert "there is no image 'omitted'" in refusal(definition | {"blanks": ["grey"]}, tmp_path)
    rows = [[n if isinstance(n, str) and "." not in n else int(n[:-4]), *row] for n, *row in rows]
    keys = {"index_base": 1, "file_order": "natural", "blanks": ["grey", "omitted", 41]}
    definition = with_table(tmp_path, NAMES, ["shown", *NEURONS], [*rows, [41, *[50.0] * 5]], **keys)
    assert "3 presentations of blanks" in survives(definition, tmp_path).attrs["reading"]
    assert "'omitted' in row 42" in refusal(definition | {"blanks": ["grey", 41]}, tmp_path)
    assert "7 is listed under blanks but is" in refusal(
        definition | {"blanks": [*keys["blanks"], 7]}, tmp_path
    )


def test_trials_are_left_out_by_the_value_of_a_column(tmp_path):
    rows = shuffled(extra=[lambda _: 0]) + [[NAMES[i], 1, *VALUES[i - 1]] for i in range(40)]
    definition = with_table(tmp_path, NAMES, ["shown", "aborted", *NEURONS], rows, leave_out={"aborted": [1]})
    dataset = survives(definition, tmp_path)
    assert dataset.sizes["repeat"] == 1
    assert "40 rows of aborted 1 are left out" in dataset.attrs["reading"]


def test_a_wrong_name_is_named(tmp_path):
    rows = shuffled()
    rows[7][0] = "77"
    assert "there is no image '77'" in refusal(
        with_table(tmp_path, NAMES, ["image", *NEURONS], rows), tmp_path
    )
    rows[7][0] = f"other/{ORDER[7] + 1}.png"
    assert "there is no image" in refusal(with_table(tmp_path, NAMES, ["image", *NEURONS], rows), tmp_path)
    rows[7][0] = f"{ORDER[6] + 1}.jpg"
    assert "name one image" in refusal(with_table(tmp_path, NAMES, ["image", *NEURONS], rows), tmp_path)


@pytest.mark.parametrize(
    ("separator", "decimal", "suffix"),
    [(";", ",", "csv"), (";", ".", "csv"), ("\t", ",", "tsv"), ("\t", ".", "txt")],
)
def test_separators_and_decimals_of_other_countries_are_read(tmp_path, separator, decimal, suffix):
    rows = [[row[0], *(f"{value:.3f}".replace(".", decimal) for value in row[1:]), ""] for row in shuffled()]
    definition = with_table(tmp_path, NAMES, ["image", *NEURONS], [])
    header = ["image", *NEURONS, ""]
    rows += [[rows[4][0], "NULL", *rows[4][2:]], [""] * 7, [""] * 7]
    definition["responses"] = table(tmp_path, header, rows, separator, f"r.{suffix}")
    survives(definition, tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_match_however_they_are_composed(tmp_path, form):
    other = "NFD" if form == "NFC" else "NFC"
    names = [unicodedata.normalize(form, f"é{chr(97 + i // 26)}{chr(97 + i % 26)}.png") for i in range(40)]
    rows = shuffled(lambda i: unicodedata.normalize(other, names[i]))
    survives(with_table(tmp_path, names, ["image", *NEURONS], rows), tmp_path)


def test_links_to_folders_are_entered_and_dangling_ones_refused(tmp_path):
    definition = named(tmp_path)
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "stimuli").symlink_to(tmp_path / "pictures")
    survives(definition | {"images": str(tmp_path / "session")}, tmp_path)
    (tmp_path / "pictures" / "41.png").symlink_to(tmp_path / "gone.png")
    assert "41.png: cannot be read: No such file" in refusal(definition, tmp_path)


def test_files_that_are_left_out_are_named(tmp_path, caplog):
    definition = named(tmp_path)
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
    tiers = {"test": ["test", "final_test"]}
    definition |= {"splits_from": "tier", "tiers": tiers, "file_order": "natural"}
    if from_file:
        np.save(tmp_path / "tiers.npy", [f"{name}  " for name in tier])  # as rows of letters in MATLAB
        definition |= {"splits_from": str(tmp_path / "tiers.npy")}
    refuse(definition, tmp_path, "gives no validation image: label some")
    definition["tiers"] = tiers | {"assign": ["train"]}
    split = survives(definition, tmp_path)["split"].values[0]
    assert (split[:12] == 2).all()
    # Of 28 to assign, a sixth validates.
    assert np.bincount(split[12:]).tolist() == [23, 5]


def test_truth_values_are_splits_if_told_what_they_mean(tmp_path):
    definition = named(tmp_path, extra={"is_test": lambda i: str(i < 12)}, splits_from="is_test")
    assert "tiers: {assign: [false], test: [true]}" in refusal(definition, tmp_path)
    refuse(definition | {"tiers": {"train": [False], "test": [True]}}, tmp_path, "tiers: {assign: [false]}")
    dataset = survives(definition | {"tiers": {"assign": [False], "test": [True]}}, tmp_path)
    assert ((dataset["split"].values == 2) == (np.arange(40) < 12)).all()


@pytest.mark.parametrize("tiers", [{}, {"test": [0], "assign": [2]}])
def test_numbers_in_a_column_are_splits_unless_tiers_lists_them(tmp_path, tiers):
    codes = np.where(np.arange(40) < 12, 2, np.where(np.arange(40) < 20, 1, 0))
    codes = np.where(codes == 1, 2, codes) if tiers else codes
    definition = named(tmp_path, extra={"tier": lambda i: codes[i]}, splits_from="tier", tiers=tiers or None)
    split = survives(definition, tmp_path)["split"].values[0]
    assert ((split == 2) == (codes == 0) if tiers else split == codes).all()


def test_groups_of_pictures_share_a_split(tmp_path):
    definition = named(tmp_path, extra={"family": lambda i: f"texture {i // 4}"}, groups_from="family")
    split = survives(definition, tmp_path)["split"].values
    assert (split.reshape(2, 10, 4) == split.reshape(2, 10, 4)[:, :, :1]).all()


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
    assert "set datasets.mine.index_base to 1" in refusal(definition, tmp_path)
    assert "file_order: is missing" in refusal(definition | {"index_base": 1}, tmp_path)
    survives(definition | {"index_base": 1, "file_order": "natural"}, tmp_path)


def test_the_pages_of_one_file_are_images_in_their_order(tmp_path):
    first, *others = (Image.fromarray(image) for image in pictures())
    definition = with_table(tmp_path, NAMES, ["frame", *NEURONS], shuffled(lambda i: i + 1), index_base=1)
    definition["images"] = str(tmp_path / "stack.tif")
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others)
    survives(definition, tmp_path)
    np.save(tmp_path / "r.npy", VALUES)
    keys = {key: definition[key] for key in ("kind", "images", "image", "split")}
    survives(keys | {"responses": str(tmp_path / "r.npy")}, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("r.xlsx", b"PK", "save it as .csv"),
        ("r.csv", "image,a\n1,2\n".encode("utf-16"), "is not a CSV table in UTF-8"),
        ("r.txt", b"image a b\n1 2 3\n", "commas, semicolons or tabs"),
        ("r.csv", b"# of monkey A\nimage,a\n1,2\n", "commas, semicolons or tabs"),
        ("r.csv", b"image,a\n1,2\n\n2,3\n", "line 3 is empty"),
    ],
)
def test_other_tables_are_refused_with_what_to_do(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert expected in refusal(named(tmp_path) | {"responses": str(tmp_path / name)}, tmp_path)


@pytest.mark.parametrize(
    ("start", "numbers", "base"),
    [("", range(40), 1), ("", range(1, 41), 0), ("im_", [*range(3), *range(4, 41)], 0)],
)
def test_numbers_that_names_of_other_files_hold_are_refused(tmp_path, start, numbers, base):
    names = [f"{start}{number}.png" for number in numbers]
    rows = [[number, *row] for number, row in zip(numbers, answers(pictures()), strict=True)]
    rows = [row for row in rows if base <= row[0] < base + 39]
    header = ["image", *"abcde"]
    definition = with_table(tmp_path, names, header, rows, index_base=base, file_order="natural")
    refuse(definition, tmp_path, "numbers count other files")
    table(tmp_path, header, [[f"{start}{number}", *row] for number, *row in rows])
    del definition["index_base"]
    survives(definition, tmp_path)


def test_labels_without_names_need_the_order_of_files(tmp_path):
    names = [f"a{number}.png" for number in range(40)]
    rows = [[name, *row] for name, row in zip(names * 2, VALUES * 2, strict=True)]
    np.save(tmp_path / "splits.npy", np.where([name < "a2" for name in sorted(names)], "test", ""))
    keys = {"splits_from": str(tmp_path / "splits.npy")}
    definition = with_table(tmp_path, names, ["image", *NEURONS], rows, **keys)
    refuse(definition, tmp_path, "file_order: is missing: the labels of")
    dataset = survives(definition | {"file_order": "sorted"}, tmp_path)
    tested = dataset["image_name"].values[dataset["split"].values[0] == 2]
    assert sorted(tested) == [name for name in sorted(names) if name < "a2"]


@pytest.mark.parametrize(("base", "blank"), [(0, 40), (1, 0)])
def test_a_blank_that_may_be_an_image_is_refused(tmp_path, base, blank):
    rows = shuffled(lambda index: index + 1 - base)
    definition = with_table(tmp_path, NAMES, ["shown", *NEURONS], rows, index_base=base, file_order="natural")
    refuse(definition | {"blanks": [blank]}, tmp_path, f"index_base to {1 - base}")
    survives(definition | {"index_base": 1 - base}, tmp_path)


@pytest.mark.parametrize("column", ["cell_id", "cellID", "electrode", "units"])
def test_a_table_of_one_row_per_neuron_is_refused(tmp_path, column):
    names = [f"{number}.png" for number in range(40)]
    rows = [[name, n, 1.0 + n] for name in names for n in range(3)]
    definition = with_table(tmp_path, names, ["image", column, "rate"], rows, neurons=["rate"])
    refuse(definition, tmp_path, f"column '{column}' names the neuron of every row")
