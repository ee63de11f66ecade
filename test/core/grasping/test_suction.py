"""Places for a suction cup on surfaces with a known shape, and why there are none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from surface_scenes import as_scene, bowl_surface, box_surface, cylinder_surface, sphere_surface

from pan3d_core.config import GraspConfig, GripperConfig, SuctionConfig
from pan3d_core.grasping import REASONS, select_grasps
from pan3d_core.grasping.object_cloud import build_object_cloud
from pan3d_core.grasping.suction import SECTORS, Seats, seats_on, used_share


def cup(**changes):
    return GraspConfig(gripper=GripperConfig(kind="suction", suction=SuctionConfig(**changes)))


CONFIG = cup()
BOX = (np.array([0.1, 0.05, 0.05]), np.array([0.06, 0.08, 0.10]))


def box(rng=1, center=BOX[0], size=BOX[1]):
    return box_surface(np.asarray(center), np.asarray(size), np.random.default_rng(rng))


def counted(result, name):
    """The places counted under a reason, and that all are accounted for."""
    counts = result.counts.told()
    stopped = sum(value for key, value in counts.items() if key not in ("sampled", "kept"))
    assert stopped <= counts["sampled"] and f"{name} {counts[name]}" in result.message
    return counts[name]


def test_a_box_is_taken_in_the_middle_of_its_top():
    result = select_grasps(as_scene(box(), noise=0.001), 1, CONFIG, 0.0)
    best = result.targets[0]
    assert result.reason == "found" and set(result.methods) == {"suction"} and best.kind == "suction"
    np.testing.assert_allclose(best.world_from_grasp[:3, 3], [0.1, 0.05, 0.10], atol=0.012)
    assert best.world_from_grasp[2, 3] == pytest.approx(0.10, abs=0.002)
    rotation = best.world_from_grasp[:3, :3]
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
    assert torch.linalg.det(rotation) > 0 and rotation[2, 2] < -0.99
    assert best.width_m == best.opening_m == 0.0 and best.pregrasp_distance_m == CONFIG.approach_distance_m
    assert [grasp.score for grasp in result.targets] == sorted((grasp.score for grasp in result.targets), reverse=True)


def test_the_lip_stays_on_what_was_seen():
    """Places near an edge are none, by more than the radius of the lip less what neighbouring points are apart."""
    for grasp in select_grasps(as_scene(box()), 1, replace(CONFIG, max_tilt_deg=30.0), 0.0).targets:
        aside = np.abs(grasp.world_from_grasp[:2, 3].numpy() - BOX[0][:2])
        assert (BOX[1][:2] / 2 - aside > 0.8 * CONFIG.gripper.suction.radius_m).all()


def test_a_ball_is_taken_on_top_unless_the_lip_is_stiff():
    ball = as_scene(sphere_surface(np.array([0.0, 0.0, 0.04]), 0.04, np.random.default_rng(3)))
    best = select_grasps(ball, 1, CONFIG, 0.0).targets[0]
    outward = best.world_from_grasp[:3, 3].numpy() - [0.0, 0.0, 0.04]
    assert -best.world_from_grasp[:3, 2].numpy() @ outward / np.linalg.norm(outward) > 0.97
    stiff = select_grasps(ball, 1, cup(give_m=0.0004), 0.0)
    assert stiff.reason == "uneven" and not stiff.targets and counted(stiff, "uneven") > 20


def test_a_cup_larger_than_the_object_is_told():
    result = select_grasps(as_scene(box(size=(0.026, 0.026, 0.10))), 1, CONFIG, 0.0)
    assert not result.targets and result.reason == "too_small" and counted(result, "edge") == result.counts.sampled
    assert "larger than any face" in result.message


def test_an_open_bowl_is_not_taken_over_its_opening():
    bowl = as_scene(bowl_surface(np.array([0.0, 0.0, 0.03]), 0.07, 0.06, np.random.default_rng(4)))
    for grasp in select_grasps(bowl, 1, CONFIG, 0.0).targets:
        assert np.linalg.norm(grasp.world_from_grasp[:2, 3]) > 0.02


def test_walls_alone_face_away_from_above():
    points, normals = box()
    walls = np.abs(normals[:, 2]) < 0.5
    result = select_grasps(as_scene((points[walls], normals[walls])), 1, replace(CONFIG, max_tilt_deg=45.0), 0.0)
    assert not result.targets and result.reason == "tilted" and counted(result, "tilted") > 50


def test_a_roof_and_a_fence_are_collisions():
    roof = box(2, (0.1, 0.05, 0.20), (0.2, 0.2, 0.02))
    result = select_grasps(as_scene(box(), roof), 1, replace(CONFIG, max_tilt_deg=30.0), 0.0)
    assert not result.targets and result.reason == "collision" and counted(result, "collision") > 10
    beside = box(2, (0.1, 0.15, 0.10), (0.06, 0.08, 0.20))  # a high neighbour is kept off by the radius of what carries the cup
    for grasp in select_grasps(as_scene(box(), beside), 1, replace(CONFIG, max_tilt_deg=30.0), 0.0).targets:
        assert 0.11 - float(grasp.world_from_grasp[1, 3]) > CONFIG.gripper.suction.body_radius_m


def test_the_object_itself_and_the_table_may_be_in_the_way():
    rng = np.random.default_rng(5)
    points, normals = box_surface(np.array([0.0, 0.0, 0.01]), np.array([0.10, 0.10, 0.02]), rng)
    wall = [box_surface(np.array([x, y, 0.06]), np.array([0.02 if x else 0.14, 0.02 if y else 0.14, 0.10]), rng)
            for x, y in ((0.06, 0.0), (-0.06, 0.0), (0.0, 0.06), (0.0, -0.06))]  # fmt: skip
    tray = tuple(np.concatenate(values) for values in zip((points, normals), *wall))
    deep = cup(body_radius_m=0.06)
    result = select_grasps(as_scene(tray), 1, replace(deep, max_tilt_deg=30.0), 0.0)
    assert not result.targets and counted(result, "inside") > 0 and result.reason == "inside"
    low = select_grasps(as_scene(box(center=(0.0, 0.0, 0.02), size=(0.2, 0.2, 0.04))), 1, replace(CONFIG, max_tilt_deg=90.0), 0.0)
    assert counted(low, "table") + counted(low, "edge") > 0 and all(g.world_from_grasp[2, 2] < -0.5 for g in low.targets)


def test_weight_and_lever_are_held_or_not():
    heavy = select_grasps(as_scene(box()), 1, cup(density_kg_m3=8000.0), 0.0)
    assert not heavy.targets and heavy.reason == "heavy" and counted(heavy, "heavy") > 10
    hardly = select_grasps(as_scene(box()), 1, cup(density_kg_m3=2450.0), 0.0)  # 35 N hold 34 N
    assert not hardly.targets and hardly.reason == "heavy" and counted(hardly, "heavy") > 10
    plank = box(6, (0.0, 0.0, 0.02), (0.36, 0.06, 0.04))
    places = [grasp.world_from_grasp[0, 3] for grasp in select_grasps(as_scene(plank), 1, CONFIG, 0.0).targets]
    assert places and max(map(abs, places)) < 0.12 and abs(places[0]) < 0.03  # the ends would peel off


def test_constraints_are_those_of_the_paper():
    """By hand: a cup on top of a cube of 4 cm, its weight three times, the lever of the weight 1 cm aside."""
    settings = SuctionConfig(pressure_kpa=20.0, density_kg_m3=1000.0)
    cloud = build_object_cloud(as_scene(box(7, (0.0, 0.0, 0.02), (0.04, 0.04, 0.04))), 1, 0.0)
    cloud = replace(cloud, center=np.array([0.0, 0.0, 0.02], np.float32), points=np.array(
        [[x, y, z] for x in (-0.02, 0.02) for y in (-0.02, 0.02) for z in (0.0, 0.04)], np.float32))  # fmt: skip
    middle = np.array([[0.0, 0.0, 0.04], [0.01, 0.0, 0.04], [0.0, -0.02, 0.02]])
    normal = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    top, beside, wall = used_share(Seats(middle, normal, np.zeros(3), np.full(3, SECTORS)), cloud, settings)
    force, vacuum, radius = 3 * 9.81 * 1000 * 0.04**3, 20e3 * math.pi * 0.015**2, 0.015
    assert top == pytest.approx(force / vacuum)
    assert beside == pytest.approx(math.sqrt(2) * force * 0.01 / (radius * (vacuum - force) / 2))
    shear, bend = math.sqrt(3) * force / (0.5 * vacuum), math.sqrt(2) * force * 0.02 / (radius * vacuum / 2)
    assert wall == pytest.approx(max(shear, bend))


def test_a_seat_is_the_plane_of_what_is_under_the_cup():
    cloud = build_object_cloud(
        as_scene(cylinder_surface(np.array([0.0, 0.0, 0.05]), 0.035, 0.10, np.random.default_rng(8))), 1, 0.0
    )
    seats = seats_on(cloud, CONFIG.gripper.suction)
    on_top = (seats.sectors == SECTORS) & (seats.normal[:, 2] > 0.9)
    assert on_top.sum() > 5 and (np.linalg.norm(seats.middle[on_top][:, :2], axis=1) < 0.03).all()
    np.testing.assert_allclose(seats.middle[on_top][:, 2], 0.10, atol=1e-3)
    assert seats.unevenness[on_top].max() < 0.001


def test_what_is_not_metric_or_hardly_seen_is_told_as_for_two_jaws():
    points, normals = box()
    assert select_grasps(as_scene((points, normals)), 1, CONFIG, 0.0, is_metric=False).reason == "not_metric"
    few = select_grasps(as_scene((points[:5], normals[:5])), 1, CONFIG, 0.0)
    assert few.reason == "no_points" and few.message == REASONS["no_points"]
    with pytest.raises(KeyError, match="instance_id: expected one of"):
        select_grasps(as_scene((points, normals)), 7, CONFIG, 0.0)
    with pytest.raises(ValueError, match="SuctionConfig.radius_m"):
        SuctionConfig(radius_m=0.0)
