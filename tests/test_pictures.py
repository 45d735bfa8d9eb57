"""Picture files: upright, opaque and in full depth, or refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from planted import answers, folder_of_pictures, pictures, survives
from recording_files import IMAGE, SPLIT

from whatwhere.errors import UserError
from whatwhere.recordings.pictures import decode_image, in_numeric_order

TURNED = {3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a), 8: lambda a: np.rot90(a, -1), 2: np.fliplr}
"""Transformations of stored pixels that a tag turns upright."""


def with_array(folder):
    np.save(folder / "r.npy", answers(pictures()))
    return {
        "kind": "images",
        "images": str(folder / "pictures"),
        "responses": str(folder / "r.npy"),
        "file_order": "natural",
        "image": IMAGE,
        "split": SPLIT,
    }


@pytest.mark.parametrize("tag", TURNED)
def test_pictures_are_turned_as_their_tag_says(tmp_path, tag):
    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(pictures()):
        exif = Image.Exif()
        exif[0x0112] = tag
        stored = Image.fromarray(np.ascontiguousarray(TURNED[tag](pixels)))
        stored.save(tmp_path / "pictures" / f"{number}.png", exif=exif)
    survives(with_array(tmp_path), tmp_path)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_are_refused(mode):
    picture, stream = Image.fromarray(pictures()[0]).convert(mode), io.BytesIO()
    picture.putpixel((0, 0), (*picture.getpixel((0, 0))[:-1], 254))
    picture.save(stream, "PNG")
    with pytest.raises(UserError, match="has transparent pixels: save it in front of"):
        decode_image(stream.getvalue(), "a.png")


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_opaque_pictures_with_an_alpha_channel_are_read(mode):
    stream = io.BytesIO()
    Image.fromarray(pictures()[0]).convert(mode).save(stream, "PNG")
    pixels = decode_image(stream.getvalue(), "a.png")
    np.testing.assert_array_equal(pixels[0], pictures()[0])


def test_a_transparent_color_of_a_palette_is_transparent():
    stream = io.BytesIO()
    Image.fromarray(pictures()[0]).convert("P").save(stream, "PNG", transparency=0)
    with pytest.raises(UserError, match="transparent"):
        decode_image(stream.getvalue(), "a.png")


def deep_png(y, x, channels):
    """PNG of 16 bits per channel, which Pillow cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", x, y, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(y * (b"\0" + x * channels * b"ab"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_color_of_sixteen_bits_is_not_cut_to_eight(channels):
    with pytest.raises(UserError, match="has color of 16 bits"):
        decode_image(deep_png(7, 5, channels), "a.png")


@pytest.mark.parametrize("suffix", ["bmp", "gif", "png", "tiff"])
def test_pictures_of_every_kind_are_read(tmp_path, suffix):
    folder_of_pictures(tmp_path, [f"{number}.{suffix}" for number in range(40)])
    survives(with_array(tmp_path), tmp_path)


def test_an_animation_is_no_picture(tmp_path):
    first, *others = (Image.fromarray(pixels) for pixels in pictures()[:3])
    stream = io.BytesIO()
    first.save(stream, "GIF", save_all=True, append_images=others)
    with pytest.raises(UserError, match="holds 3 pages, expected one image"):
        decode_image(stream.getvalue(), "a.gif")


def test_numbers_in_names_are_sorted_by_value_and_digits_of_other_kinds_are_letters():
    names = ["7.png", "a2.png", "a2b.png", "a10.png"]
    assert in_numeric_order(names[::-1]) == names
    assert in_numeric_order(["7²7.png", "7²10.png", "7.png"]) == ["7.png", "7²7.png", "7²10.png"]
