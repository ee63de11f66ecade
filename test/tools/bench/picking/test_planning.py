"""`pan3d bench planning`: points within closed surfaces, and shapes of a rendered cell that hold what is there."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pan3d_core.planning import CollisionBody, MeshPart
from pan3d_core.planning.meshes import Columns, prism
from pan3d_tools.bench.picking.planning import judged, nearest, summary, winding, within

CUBE = np.array([[x, y, z] for x in (-0.05, 0.05) for y in (-0.05, 0.05) for z in (-0.05, 0.05)])


def test_a_surface_winds_once_around_what_is_within():
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.1, 0.1, (400, 3))
    columns = Columns(np.full(2, -0.05), np.full(2, 0.05), 0.01)
    high = np.where(rng.random(columns.shape) < 0.5, 0.03, -0.02)
    corners, triangles = columns.mesh(np.full(columns.shape, -0.05), high)
    index = np.floor((points[:, :2] - columns.origin) / columns.side_m).astype(int)
    on_grid = ((index >= 0) & (index < np.array(columns.shape))).all(1)
    expected = on_grid & (points[:, 2] > -0.05) & (points[:, 2] < high[tuple(index.clip(0, np.array(columns.shape) - 1).T)])
    np.testing.assert_allclose(winding(corners, triangles, points), expected, atol=1e-6)


def body(size, parts):
    return CollisionBody(1, "box", np.eye(4), np.full(3, size), parts, np.zeros((0, 3)), np.zeros(3), True, (0.5, 0.5, 0.5))


def test_a_point_is_within_the_box_or_any_part():
    points = np.array([[0.0, 0.0, 0.0], [0.04, 0.0, 0.0], [0.2, 0.0, 0.0]])
    assert within(body(0.1, ()), points).tolist() == [True, True, False]
    left, right = (MeshPart(*prism(CUBE * 0.3 + [x, 0, 0], np.zeros(3), -0.015)) for x in (0.0, 0.2))
    assert within(body(0.1, (left, right)), points).tolist() == [True, False, True]


def test_a_shape_is_judged_by_the_true_surface():
    from pan3d_sim.cell.robot_cell import RobotCell

    with RobotCell(3, num_objects=1, num_cameras=1, width=64, height=64) as cell:
        pose, size = cell.world_from_object(0), np.ptp(cell.objects[0].vertices, axis=0)
        middle = pose[:3, :3] @ cell.objects[0].vertices.mean(0) + pose[:3, 3]
        placed = np.eye(4)
        placed[:3, 3] = middle
        big, rng = 2.5 * float(np.linalg.norm(size)), np.random.default_rng(0)
        share, ratio = judged(SimpleNamespace(**vars(body(big, ())) | {"world_from_body": placed}), cell, 0, rng)
        assert share == 1.0 and ratio > 8
        placed[:3, 3] += [1.0, 0.0, 0.0]
        assert judged(SimpleNamespace(**vars(body(0.1, ())) | {"world_from_body": placed}), cell, 0, rng)[0] == 0.0


def test_only_what_is_remembered_nearby_is_judged():
    item = SimpleNamespace(instance_id=4, rest=SimpleNamespace(center_m=torch.tensor([0.1, 0.0, 0.3])))
    assert nearest([item], np.array([0.12, 0.01, 0.0])) is item
    assert nearest([item], np.array([0.2, 0.0, 0.0])) is None and nearest([], np.zeros(3)) is None
    figures = summary(np.array([[1.0, 2.0], [0.95, 4.0]]))
    assert figures["surface_within"] == pytest.approx(0.975) and figures["volume_ratio_median"] == 3.0
    assert (figures["objects_within_0.99"], figures["objects_within_0.90"]) == (0.5, 1.0)
