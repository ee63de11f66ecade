"""Pictures that would cost far more memory than their files show are refused by their header, before they are decoded."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pan3d_core.config import ImageLimits, PipelineConfig
from pan3d_core.pipeline import require_within
from pan3d_core.reconstruction import read_pictures
from pan3d_core.structures import CameraView
from pan3d_core.views.image_files import read_16_bit, read_image, read_pixels, require_image_size, stored_size
from pan3d_core.views.scene_folder import read_scene


def png(width, height, bits=8, kind=2):
    """A PNG whose header names a size; its pixels are zeros, packed to next to nothing, and are only there for small ones."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    channels = {0: 1, 2: 3}[kind]
    rows = bytes(height * (1 + width * channels * bits // 8)) if width * height < 1_000_000 else bytes(1000)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("read", [read_image, stored_size, read_16_bit, lambda path: read_pixels(path, "image", upright=False)])
@pytest.mark.parametrize("size", [(16_000, 16_000), (2500, 1), (1, 2500), (2**31 - 1, 2**31 - 1), (7100, 7100)])
def test_every_reader_refuses_sizes_beyond_the_limits_without_decoding(tmp_path, read, size):
    path = tmp_path / "large.png"
    path.write_bytes(png(*size))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"large\.png"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_limits_are_inclusive_and_can_be_changed(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(png(40, 10))
    assert read_image(path, limits=ImageLimits(max_pixels=400, max_aspect=4.0)).shape == (3, 10, 40)
    with pytest.raises(ValueError, match=r"limits\.max_pixels = 399 pixels, got 40 x 10"):
        read_image(path, limits=ImageLimits(max_pixels=399))
    with pytest.raises(ValueError, match=r"limits\.max_aspect = 3\.9 to 1, got 40 x 10"):
        read_image(path, limits=ImageLimits(max_aspect=3.9))


def test_an_empty_picture_is_no_division_by_zero():
    with pytest.raises(ValueError, match="image: expected a size of at least 1 x 1, got 100 x 0"):
        require_image_size("image", 0, 100)


def test_views_in_memory_are_held_to_the_same_limits():
    limits = PipelineConfig().limits
    require_within([CameraView(torch.zeros(3, 10, 40))], limits)
    with pytest.raises(ValueError, match="image of wide: expected sides"):
        require_within([CameraView(torch.zeros(3, 1, 2500, dtype=torch.uint8), camera="wide")], limits)
    with pytest.raises(ValueError, match=r"views: expected at most limits\.max_views = 2, got 3"):
        require_within([CameraView(torch.zeros(3, 4, 4))] * 3, ImageLimits(max_views=2))


def test_photographs_and_scene_folders_are_held_to_limits(tmp_path):
    paths = []
    for index in range(3):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(paths[-1])
    assert len(read_pictures(paths).views) == 3
    with pytest.raises(ValueError, match=r"images: expected at most limits\.max_views = 2, got 3"):
        read_pictures(paths, None, ImageLimits(max_views=2))
    with pytest.raises(ValueError, match=r"max_pixels = 63"):
        read_pictures(paths, None, ImageLimits(max_pixels=63))
    (tmp_path / "scene.json").write_text('{"views": [{"image": "0.png"}, {"image": "1.png"}]}')
    assert len(read_scene(tmp_path).views) == 2
    with pytest.raises(ValueError, match=r"views: expected at most limits\.max_views = 1, got 2"):
        read_scene(tmp_path, ImageLimits(max_views=1))
    with pytest.raises(ValueError, match=r"max_pixels = 63"):
        read_scene(tmp_path, ImageLimits(max_pixels=63))
