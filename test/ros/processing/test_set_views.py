"""Which poses of a set cannot be: of another unit, or one for several cameras."""

import pytest
import torch
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraRefused, PoseRefused
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_ros.processing.problem_log import Problem
from pan3d_ros.processing.set_views import OF_CAMERAS, PARTS, far_away, one_place


def view(camera, *place):
    world_from_cam = torch.eye(4)
    world_from_cam[:3, 3] = torch.tensor(place)
    return CameraView(torch.zeros(3, 4, 4), cam_from_world=invert_rigid(world_from_cam), camera=camera)


def test_a_camera_far_from_the_others_is_the_wrong_one():
    views = [view("a", 500.0, 0.0, 900.0), view("b", 0.5, 0.0, 0.9), view("c", 0.6, 0.1, 0.9)]
    assert list(far_away(views, 30.0)) == ["a"]
    assert "camera b, got" in far_away(views, 30.0)["a"] or "camera c, got" in far_away(views, 30.0)["a"]


def test_of_two_cameras_the_one_near_the_reference_frame_is_right():
    assert list(far_away([view("a", 500.0, 0.0, 900.0), view("b", 0.5, 0.0, 0.9)], 30.0)) == ["a"]


def test_cameras_of_one_place_are_right_wherever_the_reference_frame_is():
    assert far_away([view("a", 5000.0, 0.0, 0.9), view("b", 5001.0, 0.0, 0.9)], 30.0) == {}
    assert far_away([view("a", 5000.0, 0.0, 0.9), CameraView(torch.zeros(3, 4, 4))], 30.0) == {}


@pytest.mark.parametrize("refused", [CameraRefused, CalibrationRefused, PoseRefused])
def test_the_library_leaves_cameras_out_under_the_codes_of_the_node(refused):
    assert hasattr(ErrorCode, refused.code) and Problem[refused.code] in OF_CAMERAS and refused.code in PARTS


def test_cameras_of_one_frame_and_one_pose_are_told_from_those_that_move():
    views = [view("a", 0.1, 0.0, 0.9), view("b", 0.105, 0.0, 0.9), view("c", 0.2, 0.0, 0.9)]
    frame_ids = {"a": "optical", "b": "optical", "c": "optical"}
    assert list(one_place(views, frame_ids)) == ["a", "b"], "a moving frame at two moments; the third has a pose by its name"
    assert "got 'optical' and so one pose for a, b; set camera.<name>.frame_id" in one_place(views, frame_ids)["a"]
    assert one_place(views, {"a": "one", "b": "two", "c": "three"}) == {}, "poses of their own may agree"
    unposed = [CameraView(torch.zeros(3, 4, 4), camera=name) for name in "ab"]
    assert one_place(unposed, {"a": "optical", "b": "optical"}) == {}
