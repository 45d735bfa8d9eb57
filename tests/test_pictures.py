"""Picture files: upright, opaque and in full depth, or refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from planted import answers, folder_of_pictures, pictures, survives
from recording_files import IMAGE, SPLIT, refuse

from whatwhere.errors import UserError
from whatwhere.recordings.pictures import decode_image, in_numeric_order

TURNED = {3: lambda a: np.rot90(a, 2), 6: lambda a: np.rot90(a), 8: lambda a: np.rot90(a, -1), 2: np.fliplr}
"""How pixels are stored that a tag turns upright."""


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


def test_transparent_pixels_are_refused_or_blended(tmp_path):
    (tmp_path / "pictures").mkdir()
    left = np.arange(12) < 4
    for number, pixels in enumerate(pictures()):
        # What is hidden is no part of the picture.
        hidden = np.where(left, 255 - pixels, pixels).astype(np.uint8)
        alpha = np.broadcast_to(np.where(left, 0, 255), pixels.shape).astype(np.uint8)
        stack = np.stack([hidden, hidden, hidden, alpha], -1)
        Image.fromarray(stack).save(tmp_path / "pictures" / f"{number}.png")
    definition = with_array(tmp_path)
    shown = np.where(left, 128, pictures())
    np.save(tmp_path / "r.npy", answers(shown))
    refuse(definition, tmp_path, "has transparent pixels: set image.background")
    definition["image"] = IMAGE | {"background": 128}
    dataset = survives(definition, tmp_path)
    np.testing.assert_allclose(dataset["images"].values[:, 0], shown, rtol=1e-5)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_opaque_pictures_need_no_background(mode):
    stream = io.BytesIO()
    Image.fromarray(pictures()[0]).convert(mode).save(stream, "PNG")
    pixels = decode_image(stream.getvalue(), "a.png")
    np.testing.assert_array_equal(pixels[0], pictures()[0])


def test_a_transparent_colour_of_a_palette_is_transparent():
    stream = io.BytesIO()
    Image.fromarray(pictures()[0]).convert("P").save(stream, "PNG", transparency=0)
    with pytest.raises(UserError, match="transparent"):
        decode_image(stream.getvalue(), "a.png")


def deep_png(pixels):
    """PNG of 16 bits per channel, which Pillow cannot write, from (y, x, channel)."""
    y, x, channels = pixels.shape

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", x, y, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def deep_tiff(pixels, order):
    """Uncompressed TIFF of 16 bits per channel, from (y, x, channel)."""
    y, x, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    start = 8 + len(data)
    entries = [
        (256, 3, x),
        (257, 3, y),
        (258, 3, None),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, 8),
        (277, 3, channels),
    ]
    entries += [(278, 3, y), (279, 4, len(data)), (284, 3, 1)]
    depths = start + 2 + 12 * len(entries) + 4
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    table = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        if value is None:
            table += struct.pack(f"{order}HHII", tag, kind, channels, depths)
        elif kind == 3:
            table += struct.pack(f"{order}HHIHH", tag, kind, 1, value, 0)
        else:
            table += struct.pack(f"{order}HHII", tag, kind, 1, value)
    return (
        head
        + data
        + table
        + struct.pack(f"{order}I", 0)
        + struct.pack(f"{order}{channels}H", *[16] * channels)
    )


DEEP = np.random.default_rng(1).integers(0, 65536, (7, 5, 3)).astype(np.uint16)


@pytest.mark.parametrize(
    "content", [deep_png(DEEP), deep_tiff(DEEP, "<"), deep_tiff(DEEP, ">")], ids=["png", "little", "big"]
)
def test_colour_of_sixteen_bits_keeps_its_depth(content):
    pixels = decode_image(content, "a.png")
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(np.moveaxis(pixels, 0, -1), DEEP)


def test_transparency_of_sixteen_bits_is_seen():
    with pytest.raises(UserError, match="transparent"):
        decode_image(deep_png(np.concatenate([DEEP, DEEP[:, :, :1]], 2)), "a.png")
    opaque = np.concatenate([DEEP, np.full((7, 5, 1), 65535, np.uint16)], 2)
    np.testing.assert_array_equal(np.moveaxis(decode_image(deep_png(opaque), "a.png"), 0, -1), DEEP)


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


def test_digits_of_other_kinds_are_letters():
    assert in_numeric_order(["7²7.png", "7²10.png", "7.png"]) == ["7.png", "7²7.png", "7²10.png"]
