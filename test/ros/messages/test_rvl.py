"""RVL against an encoder that follows the program in Wilson's paper word by word."""

import struct

import numpy as np
import pytest
from packed_depth import Compressed, encode_rvl, sized

from pan3d_ros.messages.images import compressed_to_depth
from pan3d_ros.messages.rvl import decode_rvl


def pictures():
    random = np.random.default_rng(7)
    slope = (600 + np.arange(48)[None] * 3 + np.arange(32)[:, None] * 7).astype(np.uint16)
    holes = np.where(random.random(slope.shape) < 0.3, 0, slope).astype(np.uint16)
    wild = random.integers(0, 65536, (9, 13)).astype(np.uint16)
    return {
        "slope": slope, "holes": holes, "any number": wild, "nothing": np.zeros((5, 7), np.uint16),
        "one pixel": np.array([[65535]], np.uint16), "ends with zeros": np.array([[0, 0, 4], [65535, 1, 0]], np.uint16),
    }  # fmt: skip


@pytest.mark.parametrize("name", pictures())
def test_every_pixel_comes_back(name):
    depth = pictures()[name]
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(sized(depth), np.uint8)), depth)


def test_the_words_of_a_small_picture_are_those_of_the_format():
    # No zeros, two others: +1 is folded to 2, then +3 to 6; nibbles 0 2 2 6 from the top of a little-endian word.
    data = struct.pack("<III", 2, 1, 0x02260000)
    np.testing.assert_array_equal(decode_rvl(np.frombuffer(data, np.uint8)), [[1, 4]])


def test_compressed_depth_of_millimetres_is_read():
    depth = pictures()["holes"]
    message = Compressed("16UC1; compressedDepth rvl", bytes(12) + sized(depth))
    np.testing.assert_allclose(compressed_to_depth(message), depth * 0.001, rtol=1e-6)


def test_compressed_depth_of_metres_is_inverse_depth():
    numerator, offset = 100 * 101.0, 1 - 100 * 101 / 10.0
    metres = np.linspace(0.3, 4.0, 96, dtype=np.float32).reshape(8, 12)
    quantized = np.round(numerator / metres + offset).astype(np.uint16)
    quantized[0, 0] = 0
    header = struct.pack("<iff", 0, numerator, offset)
    restored = compressed_to_depth(Compressed("32FC1; compressedDepth rvl", header + sized(quantized)))
    assert restored[0, 0] == 0
    np.testing.assert_allclose(restored.ravel()[1:], metres.ravel()[1:], rtol=1e-3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a size in 8 bytes, got 0"),
        (struct.pack("<II", 0, 5) + bytes(8), "got 0 x 5"),
        (struct.pack("<II", 2**31, 2**31) + bytes(8), "pixels, got 2147483648"),
        (sized(pictures()["slope"])[:-200], "expected 1536 pixels"),
        (struct.pack("<II", 4, 4) + bytes(40), "expected 16 pixels, got 0"),
        (struct.pack("<II", 2, 1) + encode_rvl(pictures()["slope"]), "a run of 1536"),
        (struct.pack("<II", 2, 1) + b"\xff" * 8, "expected 2 pixels, got 0"),
        (struct.pack("<II", 2, 1) + b"\xff" * 8 + bytes(4), "at most 9 nibbles"),
    ],
)
def test_what_is_no_rvl_is_refused_with_words(data, words):
    with pytest.raises(ValueError, match=words):
        decode_rvl(np.frombuffer(data, np.uint8))
    with pytest.raises(ValueError, match="RVL|expected"):
        compressed_to_depth(Compressed("16UC1; compressedDepth rvl", bytes(12) + data))
