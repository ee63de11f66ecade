"""Preprocessing: official results reproduced, intrinsics and depth follow the pixels, bad views refused."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import look_at
from pan3d_core.preprocess import preprocess
from pan3d_core.structures import CameraView

# Results of the official VGGT and SegVGGT loaders, every few pixels; `sum` runs over all of them.
OFFICIAL = np.load(Path(__file__).parent.parent / "data" / "preprocess_official.npz")
MINI = PreprocessConfig()
NAMES = ("landscape_48x36", "portrait_20x44", "rgba_30x22", "gray_26x26", "wide_62x11")


def official_view(name: str) -> CameraView:
    pixels = OFFICIAL[f"vggt.pixels.{name}"].astype(np.float64)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:] / 255.0
        pixels = np.round(pixels[..., :3] * alpha + 255.0 * (1 - alpha))
    return CameraView(image=torch.from_numpy(pixels).float().permute(2, 0, 1) / 255.0)


def as_bytes(images: torch.Tensor) -> np.ndarray:
    return (images * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("mode", ["crop", "pad"])
@pytest.mark.parametrize("name", NAMES)
def test_vggt_rule_is_the_official_one(mode, name):
    config = PreprocessConfig(height=518, width=518, mode="width" if mode == "crop" else "pad", resample="bicubic")
    images = as_bytes(preprocess([official_view(name)], config).images)
    assert images.shape == tuple(OFFICIAL[f"vggt.shape.{mode}.{name}"])
    expected = OFFICIAL[f"vggt.out.{mode}.{name}"]
    difference = np.abs(images[..., ::6, ::6].astype(int) - expected.astype(int))
    assert difference.max() <= 1
    total = int(OFFICIAL[f"vggt.sum.{mode}.{name}"])
    assert abs(int(images.astype(np.int64).sum()) - total) <= 2e-4 * total


@pytest.mark.parametrize("mode", ["crop", "pad"])
def test_views_of_different_size_are_padded_as_officially(mode):
    config = PreprocessConfig(height=518, width=518, mode="width" if mode == "crop" else "pad", resample="bicubic")
    images = as_bytes(preprocess([official_view(name) for name in (NAMES[0], NAMES[1], NAMES[4])], config).images)
    assert images.shape == tuple(OFFICIAL[f"vggt.shape.{mode}.multi"])
    assert np.abs(images[..., ::6, ::6].astype(int) - OFFICIAL[f"vggt.out.{mode}.multi"].astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["landscape_162x121_to_70", "portrait_60x130_to_42", "up_40x30_to_84"])
def test_segvggt_rule_is_the_official_one(name):
    side = int(name.rsplit("_", 1)[1])
    pixels = torch.from_numpy(OFFICIAL[f"segvggt.pixels.{name}"]).permute(2, 0, 1).float() / 255.0
    config = PreprocessConfig(height=side, width=side, mode="width", resample="lanczos")
    image = as_bytes(preprocess([CameraView(image=pixels)], config).images)[0].transpose(1, 2, 0)
    assert image.shape == OFFICIAL[f"segvggt.out.{name}"].shape
    assert np.abs(image.astype(int) - OFFICIAL[f"segvggt.out.{name}"].astype(int)).max() <= 1


def ramp_view(height: int, width: int, **more) -> CameraView:
    """Red grows with the column, green with the row: the picture says where a pixel comes from."""
    rows, columns = torch.meshgrid(torch.arange(height) / 2000.0, torch.arange(width) / 2000.0, indexing="ij")
    return CameraView(image=torch.stack([columns, rows, torch.zeros_like(rows)]), **more)


@pytest.mark.parametrize("hw", [(480, 640), (240, 320), (720, 1280), (300, 200), (90, 100), (112, 144)])
@pytest.mark.parametrize(
    "config",
    [MINI, PreprocessConfig(height=126, width=126, mode="width"), PreprocessConfig(height=126, width=126, mode="pad")],
)
def test_pixel_map_says_where_each_pixel_came_from(hw, config):
    batch = preprocess([ramp_view(*hw)], config)
    height, width = batch.hw
    y, x = height // 2 + 7, width // 2 - 9
    origin = torch.linalg.inv(batch.network_from_original[0]) @ torch.tensor([x, y, 1.0])
    assert torch.allclose(batch.images[0, :2, y, x] * 2000.0, origin[:2], atol=0.2)


def test_intrinsics_follow_the_pixels():
    intrinsics = torch.tensor([[600.0, 0.0, 322.0], [0.0, 605.0, 236.0], [0.0, 0.0, 1.0]])
    point = torch.tensor([[0.05, -0.03, 0.8]])
    batch = preprocess([ramp_view(480, 640, intrinsics=intrinsics)], MINI)
    original, _ = project(point, intrinsics)
    small, _ = project(point, batch.intrinsics[0])
    mapped = batch.network_from_original[0] @ torch.cat([original[0], torch.ones(1)])
    assert torch.allclose(small[0], mapped[:2], atol=1e-4)
    x, y = small[0].round().long().tolist()
    assert torch.allclose(batch.images[0, :2, y, x] * 2000.0, original[0], atol=3.0)


def test_depth_is_picked_not_blended():
    depth = torch.full((480, 640), 0.5)
    depth[:, 320:] = 2.0
    depth[100:140] = float("nan")
    depth[140:180] = -1.0
    batch = preprocess([ramp_view(480, 640, depth=depth), ramp_view(480, 640)], MINI)
    assert set(batch.depth[0].unique().tolist()) == {0.0, 0.5, 2.0}
    assert batch.depth.shape == (2, 112, 144)
    assert bool((batch.depth[1] == 0).all())
    assert preprocess([ramp_view(480, 640)], MINI).depth is None


def test_views_at_network_size_pass_unchanged():
    view = ramp_view(112, 144, intrinsics=torch.tensor([[130.0, 0, 71.5], [0, 130.0, 55.5], [0, 0, 1]]))
    batch = preprocess([view], MINI, support_height_m=0.02)
    assert torch.equal(batch.images[0], view.image)
    assert torch.equal(batch.intrinsics[0], view.intrinsics)
    assert batch.support_height_m == 0.02


@pytest.mark.parametrize(
    "config", [MINI, PreprocessConfig(height=240, width=320), *(replace(MINI, resample=r) for r in ("bicubic", "lanczos"))]
)
def test_images_of_bytes_give_what_floats_give(config):
    pixels = torch.randint(0, 256, (3, 240, 320), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels = torch.nn.functional.avg_pool2d(pixels.float(), 5, 1, 2).byte()
    rows = pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # as a camera stores them
    found = [preprocess([CameraView(image=image)], config).images for image in (pixels.float() / 255, pixels, rows)]
    assert all(images.dtype == torch.float32 for images in found)
    for images in found[1:]:
        assert float((images - found[0]).abs().max()) <= 1.01 / 255
        assert float((images - found[0]).abs().mean()) <= 0.3 / 255


def test_partly_missing_calibration_is_none_for_all_and_logged(caplog):
    pose = look_at(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3))
    intrinsics = torch.tensor([[130.0, 0, 71.5], [0, 130.0, 55.5], [0, 0, 1]])
    views = [
        ramp_view(112, 144, intrinsics=intrinsics, cam_from_world=pose, camera="left"),
        ramp_view(112, 144, intrinsics=intrinsics, camera="right"),
    ]
    with caplog.at_level(logging.WARNING, logger="pan3d"):
        batch = preprocess(views, MINI)
    assert batch.cam_from_world is None
    assert batch.intrinsics is not None
    assert "cam_from_world: missing for right" in caplog.text


POSE = look_at(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (list, ("views", "at least one")),
        (lambda: [ramp_view(480, 640, depth=torch.ones(240, 320))], ("CameraView.depth", "(480, 640)", "(240, 320)")),
        (lambda: [ramp_view(480, 640, intrinsics=torch.zeros(3, 3))], ("CameraView.intrinsics", "positive")),
        (
            lambda: [ramp_view(240, 320, intrinsics=torch.tensor([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]))],
            ("CameraView.intrinsics", "320 x 240", "640"),
        ),
        (lambda: [ramp_view(48, 64, cam_from_world=torch.full((4, 4), float("nan")))], ("cam_from_world", "finite")),
        (lambda: [ramp_view(48, 64, cam_from_world=2 * torch.eye(4))], ("cam_from_world", "rotation")),
        (
            lambda: [
                ramp_view(48, 64, cam_from_world=POSE, world_frame_id="base"),
                ramp_view(48, 64, cam_from_world=POSE, world_frame_id="map"),
            ],
            ("world_frame_id", "base, map"),
        ),
        (lambda: [CameraView(image=torch.full((3, 48, 64), float("nan")))], ("CameraView.image", "finite")),
        (lambda: [CameraView(image=torch.zeros(3, 48, 64, dtype=torch.int64))], ("CameraView.image", "uint8", "int64")),
        (lambda: [CameraView(image=torch.zeros(48, 64, 3))], ("CameraView.image", "(48, 64, 3)")),
    ],
)
def test_bad_views_are_refused_with_the_reason(build, words):
    with pytest.raises(ValueError) as caught:
        preprocess(build(), MINI)
    for word in words:
        assert word in str(caught.value)


def test_flat_images_are_refused_by_the_width_rule():
    with pytest.raises(ValueError, match="leaves no pixels"):
        preprocess([ramp_view(4, 400)], PreprocessConfig(height=518, width=518, mode="width"))
