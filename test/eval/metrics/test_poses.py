import math

import pytest
import torch

from pan3d_core.geometry.transforms import look_at, rigid
from pan3d_eval.metrics.poses import pose_errors, rotation_angle_deg


@pytest.fixture
def cameras() -> torch.Tensor:
    eyes = torch.tensor([[0.6, 0.0, 0.5], [0.0, 0.7, 0.4], [-0.5, -0.3, 0.6]])
    return torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])


def about_z(angle_deg: float) -> torch.Tensor:
    angle = math.radians(angle_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def test_perfect_cameras_have_no_error(cameras):
    errors = pose_errors(cameras, cameras)
    assert errors.rotation_deg < 1e-4 and errors.direction_deg < 1e-4 and errors.center_m < 1e-6
    assert errors.auc30 == 1.0 and errors.scale == pytest.approx(1.0)


def test_another_world_and_another_size_are_no_relative_error(cameras):
    world_from_other = rigid(about_z(70.0), torch.tensor([1.0, 2.0, 3.0]))
    moved = cameras @ world_from_other
    moved[:, :3, 3] *= 0.5
    errors = pose_errors(moved, cameras)
    assert errors.rotation_deg < 1e-3 and errors.direction_deg < 1e-3
    assert errors.scale == pytest.approx(2.0, rel=1e-4) and errors.center_m > 0.1


def test_a_turned_camera_is_measured_in_degrees(cameras):
    turned = cameras.clone()
    turned[0] = rigid(about_z(5.0), torch.zeros(3)) @ cameras[0]  # two of three pairs contain it
    errors = pose_errors(turned, cameras)
    assert errors.rotation_deg == pytest.approx(2 / 3 * 5.0, abs=1e-3)
    assert 0.8 < errors.auc30 < 1.0


def test_one_camera_has_no_relative_pose(cameras):
    errors = pose_errors(cameras[:1], cameras[:1])
    assert math.isnan(errors.rotation_deg) and math.isnan(errors.scale) and errors.center_m == 0.0
    with pytest.raises(ValueError, match="predicted_cam_from_world: expected"):
        pose_errors(cameras[:1], cameras)


@pytest.mark.parametrize("angle", [0.0, 0.001, 45.0, 179.0])
def test_angles_from_small_to_half_a_turn(angle):
    assert float(rotation_angle_deg(about_z(angle).double())) == pytest.approx(angle, abs=1e-4)


def test_area_under_the_curve_by_hand(cameras):
    pair = cameras[:2].clone()
    pair[0] = rigid(about_z(4.5), torch.zeros(3)) @ pair[0]
    errors = pose_errors(pair, cameras[:2])
    assert errors.rotation_deg == pytest.approx(4.5, abs=1e-3) and errors.direction_deg < 1e-3
    assert errors.auc30 == pytest.approx(26 / 30)  # below the limits 5, 6, ... 30
    away = cameras[:2].clone()
    away[0] = rigid(about_z(100.0), torch.zeros(3)) @ away[0]
    assert pose_errors(away, cameras[:2]).auc30 == 0.0


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_order_of_cameras_has_no_influence(cameras, order):
    turned = cameras.clone()
    turned[0] = rigid(about_z(5.0), torch.tensor([0.1, 0.0, 0.0])) @ cameras[0]
    expected, other = pose_errors(turned, cameras), pose_errors(turned[list(order)], cameras[list(order)])
    assert other.rotation_deg == pytest.approx(expected.rotation_deg, abs=1e-4)
    assert other.center_m == pytest.approx(expected.center_m, rel=1e-5)
