"""CompressedImage and compressedDepth as drivers send them, and as they must not: right, or refused with the field."""

import struct
from io import BytesIO

import cv2
import numpy as np
import pytest
from packed_depth import Compressed, sized
from PIL import Image as Pillow

from pan3d_ros.messages.images import compressed_to_depth, compressed_to_rgb

DOWN, ACROSS = np.mgrid[0:48, 0:64]
RGB = np.stack([ACROSS * 3, DOWN * 4, ACROSS + DOWN], -1).astype(np.uint8)
GREY = np.asarray(Pillow.fromarray(RGB).convert("L"))[..., None].repeat(3, 2)
DEPTH = np.where((ACROSS > 20) & (ACROSS < 30), 0, 500 + 7 * ACROSS + DOWN).astype(np.uint16)
SIZE = struct.pack(">HH", *RGB.shape[:2])
DATA, FORMAT, PARAMETERS = "CompressedImage.data", "CompressedImage.format", "parameters of inverse depth"
INVERSE_DEPTH, START = "32FC1; compressedDepth png", bytes(12)
HEADER, PNG_DEPTH, RVL_DEPTH = "16UC1; compressedDepth", "16UC1; compressedDepth png", "16UC1; compressedDepth rvl"


def packed(kind, *pictures, mode="RGB", **options):
    first, *others = (Pillow.fromarray(item).convert(mode) for item in pictures or (RGB,))
    file = BytesIO()
    first.save(file, kind, **options, **({"save_all": True, "append_images": others} if others else {}))
    return file.getvalue()


def png(values):
    return cv2.imencode(".png", values)[1].tobytes()


def with_thumbnail(data):
    """A whole small picture within the EXIF of a large one, whose end is none of the large one's."""
    small = packed("JPEG", RGB[::4, ::4])
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + data[2:]


JPEG, WIDE = packed("JPEG", quality=95, subsampling=0), RGB[..., ::-1].astype(np.uint16)
INVERSE = np.where(DEPTH > 0, np.round(2000.0 / np.maximum(DEPTH, 1) * 1000 - 50), 0).astype(np.uint16)

COLOURS = {
    "JPEG": (JPEG, RGB),
    "zeros behind a JPEG": (JPEG + bytes(99), RGB),
    "progressive": (packed("JPEG", progressive=True), RGB),
    "CMYK": (packed("JPEG", mode="CMYK", quality=95), RGB),
    "grey JPEG": (packed("JPEG", mode="L"), GREY),
    "a thumbnail within": (with_thumbnail(JPEG), RGB),
    "with alpha": (packed("PNG", mode="RGBA"), RGB),
    "grey with alpha": (packed("PNG", mode="LA"), GREY),
    "16-bit colour": (png(WIDE * 257), RGB),
    "WebP": (packed("WEBP", lossless=True), RGB),
    "a picture of a phone": (packed("MPO", RGB, 255 - RGB), RGB),
}
NO_COLOURS = {
    "nothing": (b"", DATA),
    "a JPEG without its end": (JPEG[:-2], DATA),
    "half a JPEG": (JPEG[: len(JPEG) // 2], DATA),
    "half behind a thumbnail": (with_thumbnail(JPEG)[:-99], DATA),
    "half a progressive one": (packed("JPEG", progressive=True)[:-300], DATA),
    "a PNG cut short": (packed("PNG")[:-20], DATA),
    "height 0": (JPEG.replace(SIZE, b"\0\0" + SIZE[2:], 1), DATA),
    "width 0": (JPEG.replace(SIZE, SIZE[:2] + b"\0\0", 1), DATA),
    "a film, GIF": (packed("GIF", RGB, 255 - RGB), "holds 2 pictures"),
    "a film, WebP": (packed("WEBP", RGB, 255 - RGB), "holds 2 pictures"),
    "a film, APNG": (packed("PNG", RGB, 255 - RGB), "holds 2 pictures"),
    "pages": (packed("TIFF", RGB, 255 - RGB), "holds 2 pictures"),
    "12 bits of 16": (png(WIDE * 16), "none above 4095"),
    "grey, 12 bits of 16": (png(WIDE[..., 0] * 16), "none above 4095"),
    "depth": (png(DEPTH), "none above 4095"),
}
DEPTHS = {
    "PNG": (HEADER + " png", START + png(DEPTH)),
    "PNG, unnamed": (HEADER, START + png(DEPTH)),
    "plain": ("16UC1; png", png(DEPTH)),
    "mono16": ("mono16; compressedDepth png", START + png(DEPTH)),
    "RVL": (RVL_DEPTH, START + sized(DEPTH)),
    "RVL in capitals": (RVL_DEPTH[:-3] + "RVL", START + sized(DEPTH)),
    "zeros behind RVL": (RVL_DEPTH, START + sized(DEPTH) + bytes(8)),
    "inverse": (INVERSE_DEPTH, struct.pack("<iff", 1, 2000.0, -50.0) + png(INVERSE)),
}
NO_DEPTHS = {
    "a colour format": ("rgb8; jpeg compressed bgr8", JPEG, FORMAT),
    "no format": ("", START + png(DEPTH), FORMAT),
    "doubles": ("64FC1; compressedDepth png", START + png(DEPTH), FORMAT),
    "no header": (PNG_DEPTH, png(DEPTH), DATA),
    "a header alone": (PNG_DEPTH, START, DATA),
    "half a header": (PNG_DEPTH, bytes(5), DATA),
    "a JPEG": (PNG_DEPTH, START + JPEG, DATA),
    "8 bits": (PNG_DEPTH, START + png(RGB[..., 0]), DATA),
    "colours of 16 bits": (PNG_DEPTH, START + png(WIDE), DATA),
    "a PNG cut short": (PNG_DEPTH, START + png(DEPTH)[:-99], DATA),
    "RVL named PNG": (PNG_DEPTH, START + sized(DEPTH), DATA),
    "PNG named RVL": (RVL_DEPTH, START + png(DEPTH), "limits.max_pixels"),
    "RVL cut short": (RVL_DEPTH, START + sized(DEPTH)[:-40], "RVL data"),
    "more behind RVL": (RVL_DEPTH, START + sized(DEPTH) + b"1234", "more behind"),
    "RVL of half the height": (RVL_DEPTH, START + struct.pack("<II", 64, 24) + sized(DEPTH)[8:], "RVL data: expected 1536"),
    "RVL of twice the height": (RVL_DEPTH, START + struct.pack("<II", 64, 96) + sized(DEPTH)[8:], "RVL data: expected 6144"),
    "RVL of no size": (RVL_DEPTH, START + bytes(8) + sized(DEPTH)[8:], "at least 1 x 1"),
    "RVL, other byte order": (RVL_DEPTH, START + struct.pack(">II", 64, 48) + sized(DEPTH)[8:], "limits.max_pixels"),
    "inverse by nothing": (INVERSE_DEPTH, struct.pack("<iff", 1, 0.0, 0.0) + png(INVERSE), PARAMETERS),
    "inverse by no number": (INVERSE_DEPTH, struct.pack("<iff", 1, np.nan, 0.0) + png(INVERSE), PARAMETERS),
    "inverse, negative": (INVERSE_DEPTH, struct.pack("<iff", 1, -9.0, 0.0) + png(INVERSE), PARAMETERS),
    "inverse without end": (INVERSE_DEPTH, struct.pack("<iff", 1, 9.0, np.inf) + png(INVERSE), PARAMETERS),
    "inverse without header": ("32FC1; png", png(INVERSE), "whose header says"),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_right(name):
    data, expected = COLOURS[name]
    found = compressed_to_rgb(Compressed("rgb8; jpeg compressed bgr8", data))
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("name", NO_COLOURS)
def test_what_are_no_colours_is_refused(name):
    data, words = NO_COLOURS[name]
    with pytest.raises(ValueError, match=words) as refused:
        compressed_to_rgb(Compressed("rgb8; jpeg compressed bgr8", data))
    assert "CompressedImage.data" in str(refused.value)


@pytest.mark.parametrize("text", ["16UC1; png compressed", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl"])
def test_depth_on_a_topic_of_colours_is_refused_by_its_format(text):
    with pytest.raises(ValueError, match=r"CompressedImage.format: expected one of colours, got '.*', which is depth"):
        compressed_to_rgb(Compressed(text, png(DEPTH * 20)))


@pytest.mark.parametrize("name", DEPTHS)
def test_depth_is_right(name):
    np.testing.assert_allclose(compressed_to_depth(Compressed(*DEPTHS[name])), DEPTH / 1000, atol=1e-3)


@pytest.mark.parametrize("name", NO_DEPTHS)
def test_what_is_no_depth_is_refused(name):
    text, data, words = NO_DEPTHS[name]
    with pytest.raises(ValueError, match=words):
        compressed_to_depth(Compressed(text, data))


def test_rvl_with_values_that_no_encoder_writes_is_damaged():
    """A difference that leads to 0 within a run of others, which is of what measured something."""
    numbers = (0, 2, 10, 9)  # no zeros, two others: +5, then -5
    nibbles = [n for value in numbers for n in ([value] if value < 8 else [value & 7 | 8, value >> 3])]
    word = sum(nibble << 4 * (7 - place) for place, nibble in enumerate(nibbles))
    with pytest.raises(ValueError, match="they are damaged"):
        compressed_to_depth(Compressed(RVL_DEPTH, START + struct.pack("<III", 2, 1, word)))
