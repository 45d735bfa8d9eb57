import resource
import stat

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from whatwhere.errors import UserError
from whatwhere.files import (
    atomic,
    read_netcdf,
    read_table,
    read_tensors,
    write_netcdf,
    write_table,
    write_tensors,
)


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_write_has_ordinary_permissions(tmp_path):
    with atomic(tmp_path / "new" / "a.txt") as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) & 0o444 == 0o444


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file/a.csv: cannot be written") as error:
        write_table(pd.DataFrame({"a": [1]}), tmp_path / "file" / "a.csv")
    assert "\n" not in str(error.value)


@pytest.fixture
def small_disk():
    """No file may exceed 10 kB, as if the disk were full then."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


VALUES = np.arange(10_000.0)
each_writer = pytest.mark.parametrize(
    ("write", "content"),
    [
        (write_netcdf, xr.Dataset({"a": ("x", VALUES)})),
        (write_tensors, {"a": torch.from_numpy(VALUES), "b": {"c": 1}}),
        (write_table, pd.DataFrame({"a": VALUES, "b": np.nan})),
    ],
)


@pytest.mark.usefixtures("small_disk")
@each_writer
def test_every_writer_says_when_the_disk_is_full_and_leaves_nothing(tmp_path, write, content):
    with pytest.raises(UserError, match="out: cannot be written") as error:
        write(content, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@each_writer
def test_equal_content_gives_equal_bytes(tmp_path, write, content):
    for name in ("first", "second"):
        write(content, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_what_a_killed_writer_left_is_overwritten(tmp_path):
    (tmp_path / ".partial-table.csv").write_text("half")
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "table.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_round_trips(tmp_path):
    dataset = xr.Dataset({"a": (("x",), np.arange(3.0))}, attrs={"name": "ä"})
    write_netcdf(dataset, tmp_path / "a.nc")
    with read_netcdf(tmp_path / "a.nc") as content:
        assert content.identical(dataset)
    table = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", "y"]})
    write_table(table, tmp_path / "a.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "a.csv"), table)
    write_tensors({"a": {1: torch.ones(2)}}, tmp_path / "a.pt")
    assert torch.equal(read_tensors(tmp_path / "a.pt")["a"][1], torch.ones(2))


def test_a_flipped_bit_never_changes_tensors_without_a_word(tmp_path, rng):
    path, content = tmp_path / "a.pt", {"a": torch.arange(500.0), "b": {"c": ["text", 3]}}
    write_tensors(content, path)
    stored = path.read_bytes()
    for place in rng.integers(len(stored), size=300):
        damaged = bytearray(stored)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_tensors(path)
        except UserError:
            continue
        assert torch.equal(found["a"], content["a"])
        assert found["b"] == content["b"]


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04 truncated"])
def test_damaged_files_are_one_line(tmp_path, content):
    for reader, name in ((read_netcdf, "a.nc"), (read_tensors, "a.pt")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="delete it and rerun"):
            reader(tmp_path / name)


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_a_tensor_file_cannot_execute_code(tmp_path, capsys):
    write_tensors({"a": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil.pt"):
        read_tensors(tmp_path / "evil.pt")
    assert "executed" not in capsys.readouterr().out
