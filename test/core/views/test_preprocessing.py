"""Preprocessing: official results reproduced, intrinsics and depth follow the pixels, bad views refused."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from places import DATA

from pan3d_core.config import PreprocessConfig
from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import look_at
from pan3d_core.structures import CameraView
from pan3d_core.views.preprocessing import preprocess, require_usable, seen_shares

# Results of the official VGGT and SegVGGT loaders, every few pixels; `sum` runs over all of them.
OFFICIAL = np.load(DATA / "preprocess_official.npz")
MINI = PreprocessConfig()
WHOLE = PreprocessConfig(height=144, width=192, mode="whole", multiple=16)
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
    [MINI, WHOLE, PreprocessConfig(height=126, width=126, mode="width"), PreprocessConfig(height=126, width=126, mode="pad")],
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
    ("hw", "frame"),
    [((480, 640), (144, 192)), ((640, 480), (192, 144)), ((720, 1280), (128, 224)), ((800, 1280), (128, 208)),
     ((500, 500), (160, 160)), ((1024, 1280), (144, 176)), ((112, 144), (144, 192)), ((100, 800), (96, 288)),
     ((800, 100), (288, 96))],
)  # fmt: skip
def test_a_whole_picture_is_kept_in_a_frame_of_its_shape(hw, frame):
    batch = preprocess([ramp_view(*hw)], WHOLE)
    assert batch.hw == frame
    assert seen_shares(batch) == pytest.approx((1.0,))
    across, down = batch.network_from_original[0].diagonal()[:2].tolist()
    assert 0.95 < across / down < 1.05
    # Both ends of the picture are in it, each once: a ramp from side to side, beside it only the white of the filling.
    inside = batch.images[0][:, (batch.images[0] < 1).all(0)]
    assert float(inside[0].min()) < 5 / 2000
    assert float(inside[0].max()) > (hw[1] - 6) / 2000


def test_views_of_different_shape_are_whole_in_one_frame():
    batch = preprocess([ramp_view(480, 640), ramp_view(720, 1280)], WHOLE)
    assert batch.hw == (144, 224)
    assert seen_shares(batch) == pytest.approx((1.0, 1.0))
    assert bool((batch.images[0, :, :, :16] == 1).all())
    assert bool((batch.images[1, :, :8] == 1).all())


def test_a_frame_twice_as_fine_has_the_same_shape():
    for hw in ((480, 640), (720, 1280), (100, 800)):
        twice = replace(WHOLE, height=2 * WHOLE.height, width=2 * WHOLE.width, multiple=2 * WHOLE.multiple)
        coarse, fine = (preprocess([ramp_view(*hw)], config).hw for config in (WHOLE, twice))
        assert fine == (2 * coarse[0], 2 * coarse[1])


@pytest.mark.parametrize(("hw", "share"), [((112, 144), 1.0), ((720, 1280), 0.7232), ((1280, 720), 0.4375)])
def test_how_much_of_a_picture_is_cut_is_known(hw, share):
    assert seen_shares(preprocess([ramp_view(*hw)], MINI))[0] == pytest.approx(share, abs=2e-3)


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
    assert torch.equal(batch.known_poses[0], pose) and batch.known_poses[1] is None and batch.posed == (0,)
    assert batch.select([1, 0]).posed == (1,)
    assert preprocess(views[:1], MINI).known_poses == preprocess(views[1:], MINI).known_poses == ()


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


# Results of the official loader of Depth Anything 3; `sizes` are rows of height, width before and after at 504.
OFFICIAL_DA3 = np.load(DATA / "da3" / "preprocess.npz")
DA3 = PreprocessConfig(height=504, width=504, mode="longest", resample="opencv")


def da3_view(name: str, intrinsics: np.ndarray | None = None) -> CameraView:
    pixels = torch.from_numpy(OFFICIAL_DA3[name]).permute(2, 0, 1)
    return CameraView(image=pixels, intrinsics=None if intrinsics is None else torch.from_numpy(intrinsics).float())


def check_half_pixel(intrinsics, official, before):
    """The official rule scales the principal point with the picture's corner as origin, although the networks take integers for
    centres of pixels: half a pixel of the original picture less half a pixel of the result."""
    scale = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2] / before.diagonal()[:2]
    torch.testing.assert_close(intrinsics.diagonal(dim1=-2, dim2=-1), official.diagonal(dim1=-2, dim2=-1), atol=1e-3, rtol=0)
    torch.testing.assert_close(intrinsics[..., :2, 2] - official[..., :2, 2], 0.5 * scale - 0.5, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["down_land", "up_land", "down_port", "exact", "equal_long", "tie7"])
def test_the_rule_of_depth_anything_3_is_the_official_one(name):
    side = int(OFFICIAL_DA3[f"{name}/side"])
    # The stored principal point lies outside of some of the pictures; a wider lens keeps it inside, and the rule is linear.
    wider = np.diag([0.4, 0.4, 1.0])
    before, official = (wider @ OFFICIAL_DA3[f"{name}/{key}"] for key in ("K_in", "K_out"))
    batch = preprocess([da3_view(f"{name}/in", before)], replace(DA3, height=side, width=side))
    assert np.array_equal(as_bytes(batch.images)[0].transpose(1, 2, 0), OFFICIAL_DA3[f"{name}/out_u8"])
    check_half_pixel(batch.intrinsics[0], torch.from_numpy(official).float(), torch.from_numpy(before).float())


def test_depth_anything_3_at_full_size():
    image = as_bytes(preprocess([da3_view("full504/in")], DA3).images)[0].transpose(1, 2, 0)
    assert image.shape == (378, 504, 3) and np.array_equal(image[::7, ::7], OFFICIAL_DA3["full504/out_u8_sub7"])


@pytest.mark.parametrize("row", OFFICIAL_DA3["sizes"].tolist(), ids=lambda row: f"{row[1]}x{row[0]}")
def test_sizes_of_depth_anything_3(row):
    image = torch.zeros(3, *row[:2], dtype=torch.uint8)
    assert preprocess([CameraView(image=image)], DA3).hw == tuple(row[2:])


def test_views_of_different_size_are_cut_to_the_smallest_by_depth_anything_3():
    before = torch.from_numpy(OFFICIAL_DA3["mixed/K_in"]).float()
    views = [da3_view(f"mixed/in{index}", OFFICIAL_DA3["mixed/K_in"]) for index in range(2)]
    batch = preprocess(views, replace(DA3, height=70, width=70))
    assert np.array_equal(as_bytes(batch.images), OFFICIAL_DA3["mixed/out_u8"])
    check_half_pixel(batch.intrinsics, torch.from_numpy(OFFICIAL_DA3["mixed/K_out"]).float(), before)
    ramps = preprocess([ramp_view(480, 640), ramp_view(360, 640)], DA3)
    assert ramps.hw == (280, 504)
    for image, mapping in zip(ramps.images, ramps.network_from_original):
        origin = torch.linalg.inv(mapping) @ torch.tensor([250.0, 130.0, 1.0])
        assert torch.allclose(image[:2, 130, 250] * 2000.0, origin[:2], atol=4.0)  # steps of 255 are 8 here


@pytest.mark.parametrize("resample", ["area", "bicubic", "lanczos", "opencv"])
def test_images_that_are_not_finite_are_refused_by_every_rule(resample):
    image = torch.zeros(3, 48, 64)
    image[0, 20, 30] = float("inf")
    with pytest.raises(ValueError, match=r"CameraView\.image: expected finite values in 0\.\.1, got NaN or infinity"):
        preprocess([CameraView(image=image)], replace(MINI, resample=resample))


def test_what_is_wrong_with_one_view_can_be_asked_before_the_others_are_lost():
    config = PreprocessConfig(height=28, width=28, mode="width", multiple=14)
    require_usable(CameraView(torch.zeros(3, 30, 40)), config)
    with pytest.raises(ValueError, match="sides of similar length, got 900 x 2"):
        require_usable(CameraView(torch.zeros(3, 2, 900)), config)
    outside = torch.tensor([[40.0, 0.0, -3.0], [0.0, 40.0, 15.0], [0.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="principal point inside"):
        require_usable(CameraView(torch.zeros(3, 30, 40), intrinsics=outside), config)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]], "got the identity"),
        ([[60.0, 0, 0], [0, 60.0, 0], [32, 24, 1]], "last row 0 0 1, got 32 24 1; is the matrix transposed"),
        ([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 0]], "last row 0 0 1"),
        ([[60.0, 9, 32], [0, 60.0, 24], [0, 0, 1]], "without skew, got 9"),
        ([[0.9, 0, 0.5], [0, 0.9, 0.4], [0, 0, 1]], r"focal lengths of 6.4 to 3200 pixels .*got fx = 0.9"),
        ([[6e4, 0, 32], [0, 6e4, 24], [0, 0, 1]], r"focal lengths of 6.4 to 3200 pixels"),
        ([[60.0, 0, 32], [0, 600.0, 24], [0, 0, 1]], "fx and fy within a factor of 4"),
    ],
)
def test_intrinsics_that_no_camera_has_are_refused(matrix, said):
    view = CameraView(torch.zeros(3, 48, 64), intrinsics=torch.tensor(matrix, dtype=torch.float32), camera="left")
    with pytest.raises(ValueError, match=rf"CameraView\.intrinsics of 'left': expected .*{said}"):
        preprocess([view], MINI)


def test_a_pose_too_far_for_single_precision_is_refused():
    pose = look_at(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3))
    pose[:3, 3] += pose[:3, :3] @ torch.tensor([-5e5, 0.0, 0.0])  # as of a map in UTM coordinates
    with pytest.raises(ValueError, match=r"cam_from_world of 'left': expected a translation within 20000 m, got 5e\+05 m"):
        preprocess([CameraView(torch.zeros(3, 48, 64), cam_from_world=pose, camera="left")], MINI)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_mirrored_pose_is_refused(axis):
    pose = look_at(torch.tensor([0.5, 0.0, 0.5]), torch.zeros(3))
    view = CameraView(torch.zeros(3, 48, 64), cam_from_world=pose)
    preprocess([view], MINI)
    mirrored = pose.clone()
    mirrored[:3, axis] *= -1  # orthonormal all the same, with determinant -1
    assert float(torch.linalg.det(mirrored[:3, :3])) == pytest.approx(-1.0, abs=1e-5)
    with pytest.raises(ValueError, match="cam_from_world"):
        preprocess([replace(view, cam_from_world=mirrored)], MINI)
