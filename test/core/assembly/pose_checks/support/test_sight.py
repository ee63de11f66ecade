"""Poses that agree with every picture, in a world in which their cameras could not see what stands on the support."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from table_rig import EYES

from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.assembly.pose_checks.pose_fit import small_motion
from pan3d_core.assembly.pose_checks.support.sight import blind_cameras, judge_world, sees_support
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.structures import CameraView, PoseConsistency

LENS = torch.tensor([[33.0, 0.0, 15.5], [0.0, 33.0, 11.5], [0.0, 0.0, 1.0]])


def camera(pose, name):
    return CameraView(torch.zeros(3, 24, 32), LENS, pose, camera=name)


@pytest.fixture
def plain():
    """Cameras that look down at a table on which nothing can be recognised."""
    return [camera(look_at(torch.tensor(eye), torch.zeros(3)), f"camera_{index}") for index, eye in enumerate(EYES)]


def judged(views, height, figure=None):
    """What is said of views of which each has this figure."""
    found = PoseConsistency(tuple(view.camera for view in views), (figure,) * len(views))
    return judge_world(found, views, np.stack([view.cam_from_world.double().numpy() for view in views]), height)


def of_world(views, world_from_told):
    """The views with poses of another world."""
    other = torch.as_tensor(world_from_told).float()
    return [replace(view, cam_from_world=view.cam_from_world @ other) for view in views]


def turned(x, y, z=0.0, shift=(0.0, 0.0, 0.0)):
    return small_motion(np.array([*np.radians([x, y, z]), *shift]))


@pytest.mark.parametrize("figure", [None, 0.9])
@pytest.mark.parametrize(("count", "origin"), [(1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (4, 3)])
def test_poses_relative_to_a_camera_are_refused_whatever_the_pictures_show(plain, count, origin, figure):
    relative = of_world(plain[:count], invert_rigid(plain[origin].cam_from_world))
    found = judged(relative, 0.0, figure)
    assert f"the pose of camera_{origin} is the identity: the poses look like ones relative to it" in found.contradiction
    assert "cannot see the support at 0.000 m (workspace.support_height_m)" in found.contradiction
    unknown = judged(relative, None, figure)
    assert unknown.contradiction == "" and unknown.support is None
    assert f"the pose of camera_{origin} is the identity" in unknown.doubts[-1]


@pytest.mark.parametrize("height", [0.0, 0.3, -0.5])
def test_right_poses_are_right_wherever_the_world_begins(plain, height):
    raised = of_world(plain, turned(0, 0, 30, (2.0, -3.0, -height)))
    for given in (height, None):
        found = judged(raised, given)
        assert (found.contradiction, found.left_out, found.doubts) == ("", (), ())
    assert blind_cameras(raised, np.stack([view.cam_from_world.double().numpy() for view in raised]), height) == ()


@pytest.mark.parametrize(
    "turn", [turned(180, 0), turned(0, 170), turned(90, 0), turned(0, 90), turned(-90, 0), turned(120, 40, 10)]
)
def test_a_world_that_lies_on_its_side_or_upside_down_is_refused(plain, turn):
    found = judged(of_world(plain, turn), 0.0)
    assert "cannot see the support" in found.contradiction and "is y up in their world" in found.contradiction


def test_a_world_in_which_all_cameras_look_up_is_doubted_without_a_height(plain):
    found = judged(of_world(plain, turned(180, 0)), None)
    assert "all cameras look up" in found.doubts[0] and found.contradiction == ""


@pytest.mark.parametrize("height", [740.0, 1.5])
def test_a_support_above_all_cameras_is_refused_with_the_highest_of_them(plain, height):
    found = judged(plain, height)
    assert "no camera stands higher than 0.600 m; is the height in metres of this world?" in found.contradiction


def test_one_camera_that_looks_up_beside_others_is_left_out_unless_it_agrees_with_them(plain):
    up = camera(look_at(torch.tensor([0.1, 0.1, -0.2]), torch.tensor([0.1, 0.2, 1.0])), "camera_1")
    mixed = [plain[0], up, *plain[2:]]
    found = judged(mixed, 0.0)
    assert found.left_out == ("camera_1",) and found.contradiction == ""
    assert "its pose has it see nothing of the support at 0.000 m" in found.reasons[0]
    assert judged(mixed, None).left_out == (), "without a height nobody knows where things stand"
    assert "camera_1 cannot see the support" in judged(mixed, 0.0, figure=0.9).contradiction, "the others are wrong alike"
    assert "camera_1 cannot see the support" in judged([plain[0], up], 0.0).contradiction, "of two nobody knows which is right"


def test_a_camera_that_moves_may_look_away(plain):
    away = look_at(torch.tensor([0.1, 0.1, 0.5]), torch.tensor([0.1, 0.2, 1.5]))
    wrist = [camera(pose, "wrist") for pose in (*(view.cam_from_world for view in plain[:3]), away)]
    assert judged(wrist, 0.0) == PoseConsistency(("wrist",) * 4, (None,) * 4)


def test_one_depth_camera_is_judged_too(plain):
    alone = replace(plain[0], cam_from_world=torch.eye(4), depth=torch.full((24, 32), 0.8))
    assert "the pose of camera_0 is the identity" in check_poses([alone], support_height_m=0.0).contradiction
    assert check_poses([alone]).support is None


def test_a_low_camera_sees_the_support_from_above_and_never_from_below():
    low = CameraView(torch.zeros(3, 24, 32), LENS, torch.eye(4))
    ahead = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0.02], [1, 0, 0, 0], [0, 0, 0, 1]]).double().numpy()  # 2 cm high, level
    assert sees_support([low, low], np.stack([ahead, ahead]), 0.0).all()
    assert not sees_support([low], ahead[None], 0.03).any()
    assert sees_support([low], ahead[None], None).all()
