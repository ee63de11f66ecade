"""Depth of triangles is that of rays, also of what reaches behind the camera; padding moves every face outwards."""

import numpy as np
import pytest
import torch
from raycast_scene import Ball, Block, camera_ring, cast

from pan3d_core.body.drawing import draw_depth, draw_nearest
from pan3d_core.body.surfaces import box_triangles, convex_triangles, cylinder_triangles, outward, sphere_triangles
from pan3d_core.geometry.transforms import transform_points

CAMERAS = camera_ring(3)
BOX = Block((0.05, -0.1, 0.1), (0.2, 0.1, 0.15))


def drawn(vertices, faces, scene, cameras=CAMERAS):
    intrinsics = torch.stack([view.intrinsics for view in scene.views])
    points = transform_points(cameras, torch.from_numpy(vertices).float()[None])
    return draw_depth(points, torch.from_numpy(faces), intrinsics, scene.depth.shape[1:])


def box_at(block, padding=0.0):
    vertices, faces = box_triangles(np.array(block.size))
    return vertices + padding * outward(vertices, faces) + np.array(block.center), faces


def test_a_box_is_drawn_as_rays_see_it():
    scene = cast((BOX,), CAMERAS)
    near, far = drawn(*box_at(BOX), scene)
    inside = scene.ids == 1
    assert ((near > 0) == inside).float().mean() > 0.999
    both = inside & (near > 0)
    torch.testing.assert_close(near[both], scene.depth[both], atol=1e-4, rtol=1e-4)
    assert (far[both] > near[both]).all()


def test_a_ball_has_the_size_of_its_triangles():
    ball = Ball((0.0, 0.0, 0.2), 0.1)
    scene = cast((ball,), CAMERAS)
    vertices, faces = sphere_triangles(0.1)
    near, _ = drawn(vertices + np.array(ball.center), faces, scene)
    differs = ((near > 0) != (scene.ids == 1)).sum()
    assert differs < 0.06 * (scene.ids == 1).sum()
    both = (near > 0) & (scene.ids == 1)
    assert (near - scene.depth)[both].abs().median() < 0.003


def test_a_padded_box_is_a_larger_box():
    larger = Block(BOX.center, tuple(side + 0.04 for side in BOX.size))
    scene = cast((larger,), CAMERAS)
    near, _ = drawn(*box_at(BOX, padding=0.02), scene)
    assert ((near > 0) == (scene.ids == 1)).float().mean() > 0.998


@pytest.mark.parametrize(
    "shape", [cylinder_triangles(0.05, 0.4), sphere_triangles(0.1), box_triangles(np.array([0.1, 0.2, 0.3]))]
)
def test_padding_moves_faces_outwards_by_what_is_asked_for(shape):
    vertices, faces = shape
    normal = np.cross(*(vertices[faces[:, k]] - vertices[faces[:, 0]] for k in (1, 2)))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    moved = np.einsum("fk,fck->fc", normal, outward(vertices, faces)[faces])
    assert moved.min() > 0.9 and moved.max() < 1.05


def test_what_reaches_behind_the_camera_is_drawn_before_it():
    """A floor under a camera that looks along it: every row below the horizon sees it, at its own depth."""
    vertices, faces = convex_triangles(np.array([[x, y, z] for x in (-5, 5) for y in (0.3, 0.4) for z in (-5, 50)], float))
    intrinsics = torch.tensor([[[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]]])
    near = draw_nearest(torch.from_numpy(vertices).float()[None], torch.from_numpy(faces), intrinsics, (48, 64))[0]
    rows = torch.arange(48.0)
    seen = rows >= 24
    expected = 0.3 * 50.0 / (rows - 23.5)
    torch.testing.assert_close(near[seen, 32], expected[seen], rtol=1e-4, atol=1e-4)
    assert (near[~seen, 32] == 0).all()


def test_nothing_behind_or_beside_the_camera_is_drawn():
    vertices, faces = box_triangles(np.ones(3))
    intrinsics = torch.tensor([[[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]]])
    for place in ((0, 0, -3.0), (30.0, 0, 3.0)):
        points = torch.from_numpy(vertices + np.array(place)).float()[None]
        near, far = draw_depth(points, torch.from_numpy(faces), intrinsics, (48, 64))
        assert not near.any() and not far.any()


def test_points_in_a_plane_have_no_hull():
    with pytest.raises(ValueError, match="four or more that lie in no plane, got 3"):
        convex_triangles(np.eye(3))
