"""Which poses of a set cannot be metres."""

import torch

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.structures import CameraView
from pan3d_ros.processing.set_processing import far_away


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
