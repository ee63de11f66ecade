"""Cameras as functions of tensors: the same geometry at another size, normals of what they see."""

import math

import torch

from pan3d_core.geometry.cameras import normals_from_points, pixel_grid, pixel_rays, project, resized_intrinsics, unproject_depth

INTRINSICS = torch.tensor([[50.0, 0.0, 19.0], [0.0, 60.0, 14.5], [0.0, 0.0, 1.0]])


def plane_depth(normal: torch.Tensor, distance: float, height: int = 30, width: int = 40) -> torch.Tensor:
    """(1, H, W) z-depth of the plane `normal @ x = distance` in the camera's frame."""
    rays = pixel_rays(INTRINSICS, pixel_grid(height, width))
    return (distance / (rays @ normal)).reshape(1, height, width)


def test_normals_of_a_slanted_plane_are_its_normal_and_face_the_camera():
    normal = torch.tensor([0.3, -0.2, 0.8])
    normal /= normal.norm()
    pose = torch.eye(4)[None]
    points = unproject_depth(plane_depth(normal, 0.9), INTRINSICS[None], pose)
    found = normals_from_points(points, torch.zeros(1, 3))
    assert found.shape == (1, 30, 40, 3)
    assert torch.allclose(found, -normal.expand_as(found), atol=1e-3)
    behind = normals_from_points(points, 2 * points[:, 15, 20])  # seen from the other side
    assert torch.allclose(behind, normal.expand_as(found), atol=1e-3)


def test_a_resized_picture_shows_points_at_the_same_places_of_it():
    points = torch.tensor([[0.0, 0.0, 1.0], [0.2, -0.1, 1.0], [-0.3, 0.2, 1.5]])
    before, _ = project(points, INTRINSICS)
    after, _ = project(points, resized_intrinsics(INTRINSICS, (30, 40), (60, 80)))
    assert torch.allclose(after, before * 2 + 0.5, atol=1e-4)  # pixel (0, 0) is a centre: its corner is the picture's corner
    narrow, _ = project(points, resized_intrinsics(INTRINSICS, (30, 40), (30, 30)))
    middle = torch.tensor([19.5, 14.5]), torch.tensor([14.5, 14.5])
    assert torch.allclose(narrow - middle[1], (before - middle[0]) * 0.75, atol=1e-4)


def test_what_is_unprojected_projects_where_it_was():
    turn = torch.eye(4)
    turn[:3, :3] = torch.tensor([[math.cos(0.4), 0, math.sin(0.4)], [0, 1, 0], [-math.sin(0.4), 0, math.cos(0.4)]])
    turn[:3, 3] = torch.tensor([0.1, -0.2, 0.3])
    depth = 0.5 + torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(0))
    world = unproject_depth(depth, INTRINSICS[None], turn[None])[0]
    in_camera = world @ turn[:3, :3].T + turn[:3, 3]
    pixels, z = project(in_camera, INTRINSICS)
    assert torch.allclose(z, depth[0], atol=1e-5)
    assert torch.allclose(pixels.reshape(-1, 2), pixel_grid(30, 40).reshape(-1, pixel_grid(30, 40).shape[-1])[:, :2], atol=1e-3)
