"""Rotations, camera code, rotary positions and grid embedding against stored results of the official code."""

import pytest
import torch

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.geometry.transforms import invert_rigid, rigid, transform_points
from pan3d_core.models.layers.dpt import grid_embedding
from pan3d_core.models.layers.transformer import Rope2d
from pan3d_core.models.vggt.pose_encoding import cameras_from_pose_encoding, pose_encoding_from_cameras

close = torch.testing.assert_close


@pytest.fixture(scope="module")
def golden(procedural):
    return procedural.load_case("vggt/geometry.npz")


def square(extrinsic):
    """(..., 3, 4) -> (..., 4, 4)."""
    return rigid(extrinsic[..., :3, :3], extrinsic[..., :3, 3])


def test_quaternions(golden):
    close(matrix_from_quat_xyzw(golden["rot.quat_in"]), golden["rot.matrix"], atol=1e-6, rtol=0)
    close(quat_xyzw_from_matrix(golden["rot.matrix"]), golden["rot.quat_out"], atol=1e-6, rtol=0)


def test_half_turns_survive_the_round_trip():
    quats = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.6, 0.8, 0, 0]])
    close(matrix_from_quat_xyzw(quat_xyzw_from_matrix(matrix_from_quat_xyzw(quats))), matrix_from_quat_xyzw(quats))


def test_camera_code(golden):
    hw = tuple(golden["pose.image_size_hw"].tolist())
    code = pose_encoding_from_cameras(square(golden["pose.extrinsic_in"]), golden["pose.intrinsic_in"], hw)
    close(code, golden["pose.encoding"], atol=1e-6, rtol=0)
    for source, target in (("pose.encoding", ("pose.extrinsic_out", "pose.intrinsic_out")), ("pose.raw_encoding", None)):
        cam_from_world, intrinsics = cameras_from_pose_encoding(golden[source], hw)
        target = target or ("pose.raw_extrinsic", "pose.raw_intrinsic")
        close(cam_from_world[..., :3, :], golden[target[0]], atol=1e-6, rtol=0)
        close(intrinsics, golden[target[1]], atol=1e-4, rtol=1e-6)


def test_field_of_view_of_zero_gives_a_finite_camera():
    code = torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 0, 0])
    assert torch.isfinite(cameras_from_pose_encoding(code, (28, 28))[1]).all()


def test_unprojection_and_projection(golden):
    cam_from_world = square(golden["unproject.extrinsic"])
    points = unproject_depth(golden["unproject.depth"][..., 0], golden["unproject.intrinsic"], cam_from_world)
    close(points, golden["unproject.points"], atol=2e-6, rtol=1e-5)
    close(invert_rigid(square(golden["se3.in"])), golden["se3.inverse"], atol=1e-6, rtol=0)
    points_cam = transform_points(cam_from_world, points.reshape(1, -1, 3))
    close(points_cam.transpose(1, 2), golden["project.cam"], atol=2e-5, rtol=1e-5)
    pixels, z = project(points_cam, golden["unproject.intrinsic"])
    in_front = z > 0.1
    close(pixels[in_front], golden["project.pixels"][in_front], atol=5e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ["rope", "rope64"])
def test_rotary_positions(golden, name):
    x, positions = golden[f"{name}.x"], golden[f"{name}.positions"][0]
    grid_hw = tuple(positions.max(0).values.tolist())
    rope = Rope2d.for_grid(grid_hw, x.shape[-1], num_special=len(positions) - grid_hw[0] * grid_hw[1], like=x)
    layout = x.transpose(1, 2).contiguous()  # (batch, tokens, heads, channels)
    close(rope.rotate(layout).transpose(1, 2), golden[f"{name}.y"], atol=2e-6, rtol=1e-5)
    with torch.no_grad():
        close(rope.rotate(layout).transpose(1, 2), golden[f"{name}.y"], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("key", ["5x4_c32_a1.250000", "20x16_c16_a1.250000", "9x4_c12_a2.250000", "3x3_c8_a1.000000"])
def test_grid_embedding(golden, key):
    expected = golden[f"uvembed.{key}"]
    across, down = grid_embedding(tuple(expected.shape[:2]), expected.shape[2], float(key.rsplit("a", 1)[1]), torch.device("cpu"))
    half = expected.shape[2] // 2
    close(across.expand(expected.shape[0], -1, -1), expected[..., :half], atol=1e-6, rtol=0)
    close(down[:, None].expand(-1, expected.shape[1], -1), expected[..., half:], atol=1e-6, rtol=0)
