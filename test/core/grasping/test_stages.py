"""The planner's stages one by one: what surrounds an object, its rim, and how deep a hand goes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.config import FingertipConfig, GraspConfig, GripperConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.grasping.completion import complete_surface
from pan3d_core.grasping.contacts import NAMES, find_pairs
from pan3d_core.grasping.hands import Hands, contact_of, free_depth, insert, low_end
from pan3d_core.grasping.object_cloud import ObjectCloud, build_object_cloud
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Segment

CONFIG = GraspConfig()


def grid(x_m: tuple[float, float], y_m: tuple[float, float], z_m: float, step_m: float) -> np.ndarray:
    x, y = np.meshgrid(np.arange(*x_m, step_m), np.arange(*y_m, step_m))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, z_m)], axis=1).astype(np.float32)


def test_what_stands_beside_an_object_is_an_obstacle_as_fine_as_fingers_need():
    own, other = grid((0.0, 0.04), (0.0, 0.04), 0.05, 0.003), grid((0.06, 0.14), (0.0, 0.08), 0.05, 0.002)
    points = torch.from_numpy(np.concatenate([own, other]))
    ids = torch.tensor([1] * len(own) + [2] * len(other))
    up = torch.tensor([0.0, 0.0, 1.0]).expand(len(points), 3)
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.04))
    segments = tuple(Segment(key, -1, 0.0, 1.0, 100, 1, torch.zeros(3), box, torch.zeros(3)) for key in (1, 2))
    none = torch.zeros(1, 1, 1, dtype=torch.int64)
    scene = Panoptic3D(none, none, segments, points, points, ids, up, LabelSpace.things(("thing",)))
    found = build_object_cloud(scene, 1, 0.0)
    surface = found.obstacles[found.obstacles[:, 2] > 0.049]
    gaps = np.linalg.norm(other[:, None] - surface[None], axis=2).min(1)
    assert gaps.max() < 0.009  # no finger is so thin
    assert len(surface) < 0.3 * len(other)
    assert (found.obstacles[:, 2] < 0.045).any(), "what is under it was not seen, and is not free"
    assert len(build_object_cloud(scene, 2, 0.0).points) > 100
    beneath = torch.from_numpy(grid((0.06, 0.14), (0.0, 0.08), 0.045, 0.002))  # the other is a board, seen from below, too
    board = Panoptic3D(
        none, none, segments, torch.cat([points, beneath]), torch.cat([points, beneath]),
        torch.cat([ids, torch.full((len(beneath),), 2)]), torch.cat([up, -up[: len(beneath)]]), LabelSpace.things(("thing",)),
    )  # fmt: skip
    assert build_object_cloud(board, 1, 0.0).obstacles[:, 2].min() > 0.044, "what is under a seen underside is free"


def test_points_far_from_an_object_are_no_part_of_it_wherever_it_stands():
    own, far = grid((0.5, 0.54), (0.3, 0.34), 0.05, 0.003), grid((0.9, 0.905), (0.3, 0.305), 0.05, 0.002)
    points = torch.from_numpy(np.concatenate([own, far]))
    up = torch.tensor([0.0, 0.0, 1.0]).expand(len(points), 3)
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.04))
    segment = Segment(1, -1, 0.0, 1.0, 100, 1, torch.zeros(3), box, torch.zeros(3))
    none = torch.zeros(1, 1, 1, dtype=torch.int64)
    ids = torch.ones(len(points), dtype=torch.int64)
    scene = Panoptic3D(none, none, (segment,), points, points, ids, up, LabelSpace.things(("thing",)))
    found = build_object_cloud(scene, 1, 0.0)
    assert found.seen.sum() > 100 and found.points[:, 0].max() < 0.6


def test_an_open_rim_is_found_in_few_points_all_around():
    angle = np.linspace(-np.pi, np.pi, 64, endpoint=False) + 0.01
    points = np.stack([0.05 * np.cos(angle), 0.05 * np.sin(angle), np.full(64, 0.06)], axis=1).astype(np.float32)
    normals = np.stack([np.cos(angle), np.sin(angle), np.zeros(64)], axis=1).astype(np.float32)
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.1))
    bowl = ObjectCloud(points, normals, np.ones(64, bool), points[:0], box, points.mean(0), 0.0, points)
    pairs, _ = find_pairs(bowl, CONFIG)
    rim = pairs[pairs.source == NAMES.index("rim")]
    assert len(rim) == 16
    assert np.allclose(np.linalg.norm(rim.centers[:, :2], axis=1), 0.05, atol=1e-3)
    assert np.allclose(rim.centers[:, 2], 0.06 - 0.008, atol=1e-4)
    assert np.allclose((rim.axes[:, :2] * rim.centers[:, :2]).sum(1), 0.05, atol=1e-3)  # closes across the wall
    broken = points - np.where(np.abs(angle - np.pi / 2) < 0.18, 0.03, 0.0)[:, None] * np.float32([0.0, 0.0, 1.0])
    gap = ObjectCloud(broken, normals, np.ones(64, bool), points[:0], box, points.mean(0), 0.0, points)
    with_gap, _ = find_pairs(gap, CONFIG)
    places = with_gap.centers[with_gap.source == NAMES.index("rim")]
    assert len(places) == 15 and places[:, 1].max() < 0.0495  # none where the rim is broken off
    closed = np.concatenate([points, grid((-0.02, 0.02), (-0.02, 0.02), 0.06, 0.01)])
    up = np.tile(np.float32([0.0, 0.0, 1.0]), (len(closed) - 64, 1))
    lid = ObjectCloud(
        closed, np.concatenate([normals, up]), np.ones(len(closed), bool), points[:0], box, closed.mean(0), 0.0, closed
    )
    assert NAMES.index("rim") not in find_pairs(lid, CONFIG)[0].source
    half = ObjectCloud(points[:32], normals[:32], np.ones(32, bool), points[:0], box, points.mean(0), 0.0, points)
    assert NAMES.index("rim") not in find_pairs(half, CONFIG)[0].source


def test_a_hand_goes_as_deep_as_is_free_and_no_deeper_than_helps():
    down = np.diag([1.0, -1.0, -1.0]).astype(np.float32)
    ones = np.ones(3, np.float32)
    hands = Hands(np.tile(down, (3, 1, 1)), np.zeros((3, 3), np.float32), ones, ones, ones, ones)
    tip = CONFIG.gripper.tip_beyond_tcp_m
    moved, reaches = insert(hands, np.array([math.inf, 0.010 - tip, -0.05]), CONFIG)
    assert reaches.tolist() == [True, True, False]
    assert np.allclose(-moved.position[:, 2] + tip, [0.024, 0.010, tip], atol=1e-6)  # how far the tips reach past the contacts
    assert np.allclose(moved.position[:, :2], 0.0)


def upright_hand(opening_m: float) -> Hands:
    """Its contacts 30 mm high, its closing direction along x."""
    of_one = (np.full(1, 0.03, np.float32), np.full(1, opening_m, np.float32), np.zeros(1, int), np.ones(1, np.float32))
    return Hands(np.diag([1.0, -1.0, -1.0]).astype(np.float32)[None], np.array([[0, 0, 0.03]], np.float32), *of_one)


def cloud_of(points: np.ndarray, normals: np.ndarray, obstacles: np.ndarray) -> ObjectCloud:
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.03))
    seen = np.ones(len(points), bool)
    return ObjectCloud(points, normals, seen, obstacles.astype(np.float32), box, np.zeros(3, np.float32), None, points)


def test_slim_fingertips_go_where_thick_fingers_do_not():
    wall = np.concatenate([grid((0.036, 0.04), (-0.02, 0.02), height, 0.002) for height in np.arange(0.0, 0.0121, 0.002)])
    none = np.zeros((0, 3), np.float32)
    thick = GripperConfig(finger_thickness_m=0.02, finger_breadth_m=0.03)
    slim = replace(thick, fingertip=FingertipConfig(0.02, 0.01, 0.016))
    cloud = cloud_of(none, none, wall)
    depths = [float(free_depth(upright_hand(0.04), cloud, GraspConfig(gripper=item), -1.0).total[0]) for item in (thick, slim)]
    assert depths[0] == pytest.approx(0.03 - 0.012 - 0.01 - 0.003, abs=1e-3), "the tips end above the wall"
    assert depths[1] == pytest.approx(depths[0] + 0.02, abs=1e-3), "what is behind them does"


def test_only_fingertips_touch_an_object():
    side = grid((-0.03, 0.03), (-0.02, 0.02), 0.02, 0.002)
    points = np.concatenate([side[:, [2, 1, 0]] + [0, 0, 0.03], side[:, [2, 1, 0]] * [-1, 1, 1] + [0, 0, 0.03]]).astype(
        np.float32
    )
    normals = np.sign(points * [1, 0, 0]).astype(np.float32)
    whole, tips = GripperConfig(), GripperConfig(fingertip=FingertipConfig(0.02, 0.01, 0.01))
    wide, slim = (
        contact_of(upright_hand(0.06), cloud_of(points, normals, points[:0]), GraspConfig(gripper=g)) for g in (whole, tips)
    )
    assert slim.patch[0] == pytest.approx(wide.patch[0] * (0.02 / 0.03) * (0.01 / 0.02), rel=0.25)
    assert slim.agreement[0] == wide.agreement[0] == 1.0


def test_the_low_end_of_marked_values_is_their_quantile():
    rng = np.random.default_rng(0)
    values, rows = rng.normal(size=(200, 40)), rng.random((200, 40)) < rng.random((200, 1)) * 0.3
    marked = rows.any(1)
    found = low_end(values, rows, 0.1)
    assert np.allclose(found[marked], np.nanquantile(np.where(rows, values, np.nan)[marked], 0.1, axis=1))
    assert marked.any() and not marked.all()
    assert np.all(found[~marked] == 0)


def test_of_a_thing_as_flat_as_paper_no_wall_is_guessed():
    sheet = grid((0.0, 0.04), (0.0, 0.03), 0.003, 0.002)
    up = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (len(sheet), 1))
    points, normals = complete_surface(sheet, up, np.eye(3), 0.0)
    assert points.shape == normals.shape == (0, 3)


@pytest.mark.parametrize("bent_deg", [60.0, 80.0])
def test_a_bent_thing_is_no_sector_of_a_ring(bent_deg):
    along, around = np.meshgrid(np.radians(np.linspace(-bent_deg / 2, bent_deg / 2, 60)), np.linspace(-0.6, np.pi + 0.6, 24))
    outward = np.stack([np.cos(along), np.sin(along), np.zeros_like(along)], axis=-1)
    normals = np.cos(around)[..., None] * outward + np.sin(around)[..., None] * [0.0, 0.0, 1.0]
    points = 0.07 * outward + 0.014 * normals + [0.0, 0.0, 0.014]
    points, normals = points.reshape(-1, 3).astype(np.float32), normals.reshape(-1, 3).astype(np.float32)
    guessed, _ = complete_surface(points, normals, np.eye(3), 0.0)
    assert len(guessed) == 0 or (guessed[:, :2] > points[:, :2].min(0) - 0.01).all()
    assert len(guessed) == 0 or (guessed[:, :2] < points[:, :2].max(0) + 0.01).all()


def test_a_can_that_was_seen_from_one_side_is_closed():
    angle, height = np.meshgrid(np.radians(np.linspace(-75.0, 75.0, 40)), np.linspace(0.0, 0.1, 20))
    normals = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1).reshape(-1, 3).astype(np.float32)
    points = 0.035 * normals + np.column_stack([np.zeros((len(normals), 2)), height.ravel()]).astype(np.float32)
    guessed, _ = complete_surface(points, normals, np.eye(3), 0.0)
    assert guessed[:, 0].min() < -0.033
