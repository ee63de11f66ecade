"""Messages that would cost far more memory than they bring are refused by their header."""

import struct
import tracemalloc
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pan3d_core.config import ImageLimits
from pan3d_ros.messages.cameras import to_camera_view

SMALL = ImageLimits(max_pixels=1000, max_aspect=4.0)


def header():
    return SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id="front")


def raw(height, width, encoding="rgb8", size=3):
    data = bytes(min(height * width * size, 30_000_000))
    return SimpleNamespace(
        header=header(), height=height, width=width, encoding=encoding, step=width * size, is_bigendian=False, data=data
    )


def compressed(pixels, ending="png", text="rgb8; png"):
    return SimpleNamespace(header=header(), format=text, data=cv2.imencode(f".{ending}", pixels)[1].tobytes())


def refused(image, depth=None, limits=SMALL, reason="limits"):
    with pytest.raises(ValueError, match=reason):
        to_camera_view(image, None, depth, None, camera="front", world_frame_id="base", limits=limits)


@pytest.mark.parametrize("size", [(10, 101), (1, 5), (5, 1), (32, 32)])
def test_colour_beyond_the_limits_is_refused_raw_and_compressed(size):
    refused(raw(*size))
    refused(raw(size[0] * 2, size[1] * 2, "nv12", 1))
    for ending in ("png", "jpg", "tiff"):
        refused(compressed(np.zeros((*size, 3), np.uint8), ending))


@pytest.mark.parametrize("size", [(10, 101), (1, 5), (32, 32)])
def test_depth_beyond_the_limits_is_refused_raw_png_and_rvl(size):
    colour = raw(8, 8)
    refused(colour, raw(*size, "16UC1", 2))
    stored = np.zeros(size, np.uint16)
    refused(colour, SimpleNamespace(**vars(compressed(stored)) | {"format": "16UC1; png"}))
    packed = bytes(12) + struct.pack("<II", size[1], size[0])
    refused(colour, SimpleNamespace(header=header(), format="16UC1; compressedDepth rvl", data=packed))


def test_the_header_of_a_large_png_is_enough_to_refuse_it():
    image = compressed(np.zeros((7200, 7200), np.uint8))
    assert len(image.data) < 300_000
    tracemalloc.start()
    try:
        refused(image, limits=ImageLimits(), reason=r"max_pixels = 50000000 pixels, got 7200 x 7200")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_what_opens_in_no_picture_library_is_not_decoded_by_guesswork():
    refused(SimpleNamespace(header=header(), format="jpeg", data=bytes(57)), reason="expected a JPEG or PNG")


@pytest.mark.parametrize("size", [(25, 40), (31, 32)])
def test_what_is_within_the_limits_is_taken(size):
    for image in (raw(*size), compressed(np.zeros((*size, 3), np.uint8))):
        view = to_camera_view(image, None, None, None, camera="front", world_frame_id="base", limits=SMALL)
        assert view.hw == size
