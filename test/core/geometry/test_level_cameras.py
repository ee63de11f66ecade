"""Cameras found from a plane and shared objects, against a raycast scene whose cameras are known."""

import pytest
import torch
from raycast_scene import Ball, Block, camera_ring, cast

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.level_cameras import _level_frame, locate_cameras
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_eval.metrics.poses import rotation_angle_deg

OBJECTS = (
    Ball((0.10, 0.08, 0.03), 0.03),
    Ball((-0.12, 0.05, 0.025), 0.025),
    Block((0.02, -0.10, 0.02), (0.025, 0.02, 0.02)),
    Ball((-0.05, -0.02, 0.02), 0.02),
)


@pytest.fixture(scope="module")
def scene():
    return cast(OBJECTS, camera_ring(4, distance=0.6))


def truth(scene):
    cameras = torch.stack([view.cam_from_world for view in scene.views])
    intrinsics = torch.stack([view.intrinsics for view in scene.views])
    masks = torch.stack([scene.ids == k + 1 for k in range(len(scene.objects))])
    return cameras @ invert_rigid(cameras[:1]), intrinsics, masks


def errors(found, cameras):
    angle = rotation_angle_deg(found.cam_from_view1[:, :3, :3] @ cameras[:, :3, :3].mT)
    return angle, (invert_rigid(found.cam_from_view1) - invert_rigid(cameras))[:, :3, 3].norm(dim=-1)


def test_true_depth_and_masks_give_the_cameras(scene):
    cameras, intrinsics, masks = truth(scene)
    found = locate_cameras(scene.depth, intrinsics, masks, scene.ids == 0)
    angle, shift = errors(found, cameras)
    assert found.located.all() and torch.equal(found.cam_from_view1[0], torch.eye(4))
    assert float(angle.max()) < 4.0 and float(shift.max()) < 0.05  # each view sees only the near side of every object


def test_the_unit_of_depth_is_the_unit_of_the_cameras(scene):
    cameras, intrinsics, masks = truth(scene)
    metres = locate_cameras(scene.depth, intrinsics, masks, scene.ids == 0).cam_from_view1
    tenths = locate_cameras(10 * scene.depth, intrinsics, masks, scene.ids == 0).cam_from_view1
    torch.testing.assert_close(tenths[:, :3, :3], metres[:, :3, :3], atol=1e-3, rtol=0)
    torch.testing.assert_close(tenths[:, :3, 3], 10 * metres[:, :3, 3], atol=1e-2, rtol=0)


def test_one_confused_object_is_outvoted(scene):
    cameras, intrinsics, masks = truth(scene)
    masks = masks.clone()
    masks[[0, 1], 2] = masks[[1, 0], 2]  # the third view takes two objects for each other
    masks = torch.cat([masks, torch.stack([scene.ids == 3])])
    masks[4, 1] = scene.ids[1] == 4
    clean = locate_cameras(scene.depth, intrinsics, truth(scene)[2], scene.ids == 0)
    angle, _ = errors(locate_cameras(scene.depth, intrinsics, masks, scene.ids == 0), clean.cam_from_view1)
    assert float(angle[1]) < 3.0


def test_views_that_share_too_little_are_not_located(scene):
    _, intrinsics, masks = truth(scene)
    masks = masks.clone()
    masks[1:, 3] = False
    found = locate_cameras(scene.depth, intrinsics, masks, scene.ids == 0)
    assert found.located.tolist() == [True, True, True, False]
    assert torch.equal(found.cam_from_view1[3], torch.eye(4))


def test_no_objects_and_a_single_view_are_no_error(scene):
    _, intrinsics, masks = truth(scene)
    found = locate_cameras(scene.depth, intrinsics, masks[:0], scene.ids == 0)
    assert found.located.tolist() == [True, False, False, False]
    alone = locate_cameras(scene.depth[:1], intrinsics[:1], masks[:, :1], scene.ids[:1] == 0)
    assert alone.located.tolist() == [True] and torch.equal(alone.cam_from_view1[0], torch.eye(4))


def test_the_support_is_what_lies_beside_the_objects_not_a_larger_wall_further_away():
    height, width = 64, 96
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    aside = torch.maximum((rows - 32).abs(), (columns - 48).abs())
    mask = aside <= 3
    intrinsics = torch.tensor([[100.0, 0.0, 47.5], [0.0, 100.0, 31.5], [0.0, 0.0, 1.0]])
    wall = 0.8 + 0.005 * columns  # slanted
    depth = torch.where(aside <= 11, 1.0, wall)  # a small table that faces the camera
    points = unproject_depth(depth[None], intrinsics[None], torch.eye(4)[None])[0]
    level = _level_frame(points, ~mask, mask[None], 1.0)
    assert torch.allclose(level[2], torch.tensor([0.0, 0.0, -1.0, 1.0]), atol=1e-3)  # height above the table
