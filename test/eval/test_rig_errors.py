"""Calibration that is a little wrong."""

from __future__ import annotations

import math

import pytest
import torch

from pan3d_core.geometry import invert_rigid, look_at
from pan3d_eval.rig_errors import RigError

POSE = look_at(torch.tensor([0.4, -0.5, 0.6]), torch.tensor([0.0, 0.1, 0.0]))


def difference(told: torch.Tensor, true: torch.Tensor) -> tuple[float, float]:
    apart = told.double() @ invert_rigid(true.double())
    angle = math.degrees(math.acos(min(1.0, float((apart[:3, :3].trace() - 1) / 2))))
    centres = [invert_rigid(pose.double())[:3, 3] for pose in (told, true)]
    return float((centres[0] - centres[1]).norm()), angle


def test_a_camera_is_told_to_be_off_by_exactly_as_much_as_asked():
    moved, turned = difference(RigError(position_m=0.01).told_pose(POSE, "scene", "left"), POSE)
    assert moved == pytest.approx(0.01, abs=1e-5) and turned == pytest.approx(0, abs=0.05)
    _, turned = difference(RigError(rotation_deg=1.0).told_pose(POSE, "scene", "left"), POSE)
    assert turned == pytest.approx(1.0, abs=0.01)


def test_a_turned_camera_stays_where_it_is():
    moved, _ = difference(RigError(rotation_deg=5.0).told_pose(POSE, "scene", "left"), POSE)
    assert moved == pytest.approx(0.0, abs=1e-5)


def test_every_camera_has_an_error_of_its_own_and_the_same_one_each_time():
    error = RigError(0.01, 1.0)
    left, again, right, elsewhere = (
        error.told_pose(POSE, *names) for names in (("a", "left"), ("a", "left"), ("a", "right"), ("b", "left"))
    )
    assert torch.equal(left, again)
    assert not torch.allclose(left, right, atol=1e-4) and not torch.allclose(left, elsewhere, atol=1e-4)


def test_no_error_leaves_everything_as_it_is():
    assert RigError().told_pose(POSE, "a", "left") is POSE
    assert RigError().told_support(0.7) == 0.7 and RigError(support_m=0.02).told_support(0.7) == pytest.approx(0.72)
    assert RigError(support_m=0.02).told_support(None) is None


def test_an_error_out_of_range_is_refused_by_name():
    with pytest.raises(ValueError, match="RigError.rotation_deg"):
        RigError(rotation_deg=-1.0)
