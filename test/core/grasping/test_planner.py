"""Grasps on clouds with a known shape, judged by a force-closure check of its own that shares no code with the planner."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from surface_scenes import as_scene, bowl_surface, box_surface, cylinder_surface, plate_surface, sphere_surface

from pan3d_core.config import FingertipConfig, GraspConfig, GripperConfig
from pan3d_core.grasping.completion import complete_surface, fit_axis
from pan3d_core.grasping.contacts import find_pairs
from pan3d_core.grasping.hands import contact_of, hands_around
from pan3d_core.grasping.object_cloud import build_object_cloud
from pan3d_core.grasping.planner import REASONS, select_grasps
from pan3d_core.grasping.scoring import COVERED_COST, hand_scores

CONFIG = GraspConfig()


def force_closure(grasp, points, normals, friction):
    """Two soft fingers hold iff the line between their contacts lies inside both friction cones (Nguyen 1988).

    The contacts are where the closing jaws first meet the true surface near the line through the TCP.
    """
    world_from_grasp = grasp.world_from_grasp.double().numpy()
    local = (points - world_from_grasp[:3, 3]) @ world_from_grasp[:3, :3]
    turned = normals @ world_from_grasp[:3, :3]
    under_pads = (np.abs(local[:, 1]) < 0.010) & (local[:, 2] > -0.03) & (local[:, 2] < 0.010)
    under_pads &= np.abs(local[:, 0]) < grasp.opening_m / 2
    if under_pads.sum() < 4:
        return False
    local, turned = local[under_pads], turned[under_pads]
    left, right = local[:, 0] < local[:, 0].min() + 0.003, local[:, 0] > local[:, 0].max() - 0.003
    contacts = [local[side].mean(0) for side in (left, right)]
    outward = [turned[side].mean(0) / np.linalg.norm(turned[side].mean(0)) for side in (left, right)]
    line = contacts[1] - contacts[0]
    line /= np.linalg.norm(line)
    cone = np.cos(np.arctan(friction))
    return bool(-outward[0] @ line > cone and outward[1] @ line > cone)


def hand_parts(width):
    """(low, high) corners of both fingers and the palm in the grasp frame."""
    gripper = CONFIG.gripper
    tip, back = gripper.tip_beyond_tcp_m, gripper.tip_beyond_tcp_m - gripper.finger_length_m
    half, thick, breadth = width / 2, gripper.finger_thickness_m, gripper.finger_breadth_m / 2
    palm = (gripper.palm_width_m / 2, gripper.palm_breadth_m / 2)
    return [
        ((half, -breadth, back), (half + thick, breadth, tip)),
        ((-half - thick, -breadth, back), (-half, breadth, tip)),
        ((-palm[0], -palm[1], back - gripper.palm_length_m), (palm[0], palm[1], back)),
    ]


def touches(grasp, points, support_height_m=None):
    """Whether the open hand meets points or support anywhere on its straight way from pre-grasp to grasp."""
    world_from_grasp = grasp.world_from_grasp.double().numpy()
    for back in np.linspace(0, grasp.pregrasp_distance_m, 21):
        origin = world_from_grasp[:3, 3] - back * world_from_grasp[:3, 2]
        local = (points - origin) @ world_from_grasp[:3, :3]
        for low, high in hand_parts(grasp.opening_m):
            if ((local > np.array(low)) & (local < np.array(high))).all(1).any():
                return True
            if support_height_m is not None:
                corners = np.array([[(low, high)[k >> axis & 1][axis] for axis in range(3)] for k in range(8)])
                if (origin[2] + corners @ world_from_grasp[2, :3]).min() < support_height_m:
                    return True
    return False


def make(name, rng):
    if name == "box":
        return box_surface(np.array([0.1, 0.05, 0.05]), np.array([0.05, 0.07, 0.10]), rng)
    if name == "cylinder":
        return cylinder_surface(np.array([-0.1, 0.0, 0.06]), 0.032, 0.12, rng)
    if name == "sphere":
        return sphere_surface(np.array([0.0, 0.1, 0.03]), 0.03, rng)
    return box_surface(np.array([0.0, 0.0, 0.012]), np.array([0.2, 0.024, 0.024]), rng)


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.004])
@pytest.mark.parametrize("name", ["box", "cylinder", "sphere", "bar"])
def test_grasps_hold_by_force_closure_and_touch_nothing(name, noise):
    points, normals = make(name, np.random.default_rng(1))
    result = select_grasps(as_scene((points, normals), noise=noise), 1, CONFIG, 0.0)
    assert result.reason == "found" and len(result.targets) >= 3, result.message
    held = [force_closure(grasp, points, normals, 0.6) for grasp in result.targets]
    assert held[0] and np.mean(held) >= 0.8, held
    for grasp in result.targets:
        assert not touches(grasp, np.zeros((0, 3)), support_height_m=0.0)
        assert grasp.object_width_m < grasp.width_m <= grasp.opening_m <= CONFIG.gripper.max_width_m + 1e-6
        assert grasp.world_from_grasp[2, 2] < -np.cos(np.radians(CONFIG.max_tilt_deg)) + 1e-3
        rotation = grasp.world_from_grasp[:3, :3]
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3), atol=1e-5, rtol=0)
        assert torch.linalg.det(rotation) > 0
    assert [grasp.score for grasp in result.targets] == sorted((grasp.score for grasp in result.targets), reverse=True)


def test_fingers_close_around_the_middle_of_a_box():
    """Along the closing axis the TCP is midway between the faces; the opening leaves the configured clearance."""
    points, normals = make("box", np.random.default_rng(2))
    grasp = select_grasps(as_scene((points, normals)), 1, CONFIG, 0.0).targets[0]
    assert grasp.stamp_ns == 5 and grasp.world_frame_id == "world" and grasp.instance_id == 1
    closing = grasp.world_from_grasp[:3, 0].numpy()
    assert abs(closing[0]) > 0.98 or abs(closing[1]) > 0.98
    axis = 0 if abs(closing[0]) > 0.98 else 1
    assert abs(grasp.world_from_grasp[axis, 3] - (0.1, 0.05)[axis]) < 0.004
    assert abs(grasp.width_m - min(0.08, (0.05, 0.07)[axis] + 2 * CONFIG.clearance_m)) < 0.006
    assert abs(grasp.object_width_m - (0.05, 0.07)[axis]) < 0.006


def test_widths_are_of_the_object_and_the_opening_is_of_the_room():
    """A thin post is approached with jaws that are open all the way, and still its own width is told, and how deep it is held."""
    points, normals = cylinder_surface(np.array([0.0, 0.0, 0.06]), 0.012, 0.12, np.random.default_rng(2))
    targets = select_grasps(as_scene((points, normals)), 1, CONFIG, 0.0).targets
    assert max(grasp.opening_m for grasp in targets) == pytest.approx(CONFIG.gripper.max_width_m)
    for grasp in targets:
        assert abs(grasp.object_width_m - 0.024) < 0.006
        assert abs(grasp.width_m - grasp.object_width_m - 2 * CONFIG.clearance_m) < 1e-6
        assert 0.003 < grasp.depth_m < CONFIG.gripper.finger_length_m


def test_neighbours_are_not_touched():
    rng = np.random.default_rng(3)
    target = box_surface(np.array([0.0, 0.0, 0.05]), np.array([0.05, 0.05, 0.10]), rng)
    wall = box_surface(np.array([0.0, 0.045, 0.06]), np.array([0.12, 0.02, 0.12]), rng)
    result = select_grasps(as_scene(target, wall), 1, CONFIG, 0.0)
    assert result.targets
    for grasp in result.targets:
        assert not touches(grasp, wall[0])
        assert abs(grasp.world_from_grasp[0, 0]) > 0.8  # closing along the wall, not against it
    assert result.counts.collision > 0


def test_a_blocked_approach_is_avoided():
    """A roof over half of the object leaves only approaches from the other side."""
    rng = np.random.default_rng(4)
    target = box_surface(np.array([0.0, 0.0, 0.04]), np.array([0.05, 0.05, 0.08]), rng)
    roof = box_surface(np.array([0.0, 0.04, 0.16]), np.array([0.3, 0.2, 0.01]), rng)
    free = select_grasps(as_scene(target), 1, CONFIG, 0.0)
    blocked = select_grasps(as_scene(target, roof), 1, CONFIG, 0.0)
    assert any(touches(grasp, roof[0]) for grasp in free.targets)
    assert blocked.targets and not any(touches(grasp, roof[0]) for grasp in blocked.targets)


def test_an_object_boxed_in_says_collision():
    rng = np.random.default_rng(5)
    target = box_surface(np.array([0.0, 0.0, 0.03]), np.array([0.05, 0.05, 0.06]), rng)
    fence = [box_surface(np.array([x, y, 0.06]), np.array([0.055, 0.055, 0.12]), rng)
             for x in (-0.058, 0.0, 0.058) for y in (-0.058, 0.0, 0.058) if (x, y) != (0.0, 0.0)]  # fmt: skip
    result = select_grasps(as_scene(target, *fence), 1, CONFIG, 0.0)
    assert not result.targets and result.reason == "collision" and "other objects" in result.message


def test_a_flat_plate_says_table():
    rng = np.random.default_rng(6)
    plate = cylinder_surface(np.array([0.0, 0.0, 0.004]), 0.10, 0.008, rng)
    result = select_grasps(as_scene(plate), 1, CONFIG, 0.0)
    assert not result.targets and result.reason in ("table", "too_wide"), result.message


def test_a_large_box_says_too_wide():
    box = box_surface(np.array([0.0, 0.0, 0.06]), np.array([0.12, 0.12, 0.12]), np.random.default_rng(7))
    result = select_grasps(as_scene(box), 1, CONFIG, 0.0)
    assert not result.targets and result.reason == "too_wide", result.message
    assert result.counts.too_wide > 0


def test_a_wider_hand_takes_the_large_box():
    box = box_surface(np.array([0.0, 0.0, 0.06]), np.array([0.12, 0.12, 0.12]), np.random.default_rng(7))
    config = GraspConfig(gripper=GripperConfig(max_width_m=0.15, palm_width_m=0.2))
    assert select_grasps(as_scene(box), 1, config, 0.0).targets


def test_what_is_thinner_than_the_hand_closes_is_not_held():
    box = box_surface(np.array([0.0, 0.0, 0.03]), np.array([0.025, 0.025, 0.06]), np.random.default_rng(7))
    result = select_grasps(as_scene(box), 1, GraspConfig(gripper=GripperConfig(min_width_m=0.04)), 0.0)
    assert not result.targets and result.reason == "too_thin", result.message
    assert result.counts.too_thin > 0 and "too_thin " in result.message
    assert "too_thin" not in select_grasps(as_scene(box), 1, CONFIG, 0.0).message, "nothing is told of what did not happen"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_width_m": 0.09}, "GripperConfig.min_width_m: expected at most 0.08, got 0.09"),
        ({"fingertip": FingertipConfig(0.06)}, "GripperConfig.fingertip.length_m: expected at most 0.05, got 0.06"),
    ],
)
def test_a_gripper_that_cannot_be(changes, words):
    with pytest.raises(ValueError, match=words):
        GripperConfig(**changes)


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_a_bowl_is_taken_at_its_rim(noise):
    bowl = bowl_surface(np.array([0.0, 0.0, 0.03]), 0.07, 0.06, np.random.default_rng(8))
    result = select_grasps(as_scene(bowl, noise=noise), 1, CONFIG, 0.0)
    assert result.targets, result.message
    grasp = result.targets[0]
    position, closing = grasp.world_from_grasp[:3, 3].numpy(), grasp.world_from_grasp[:3, 0].numpy()
    outward = position[:2] / np.linalg.norm(position[:2])
    wall_radius = 0.07 * (0.5 + 0.5 * position[2] / 0.06) - 0.0025
    assert abs(np.linalg.norm(position[:2]) - wall_radius) < 0.012 and position[2] > 0.015
    assert abs(closing[:2] @ outward) > 0.85  # one finger inside, one outside
    assert not touches(grasp, bowl[0], 0.0)


@pytest.mark.parametrize("name", ["box", "cylinder", "sphere"])
def test_one_side_is_enough(name):
    """Only what a camera at -x, 45 degrees up, can see: grasps must still close on the true shape."""
    points, normals = make(name, np.random.default_rng(9))
    visible = normals @ np.array([-0.6, 0.0, 0.8]) > 0.25
    result = select_grasps(as_scene((points[visible], normals[visible]), noise=0.001), 1, CONFIG, 0.0)
    assert result.targets, result.message
    assert force_closure(result.targets[0], points, normals, 0.7)
    fingers = [touches(grasp, points[points[:, 2] > 0.005]) for grasp in result.targets[:3]]
    assert not fingers[0]


def test_table_points_in_the_mask_do_not_matter():
    rng = np.random.default_rng(10)
    points, normals = make("cylinder", rng)
    table = np.column_stack([rng.uniform(-0.17, -0.03, 300), rng.uniform(-0.07, 0.07, 300), rng.normal(0, 0.002, 300)])
    leaked = (np.concatenate([points, table]), np.concatenate([normals, np.tile([0.0, 0.0, 1.0], (300, 1))]))
    result = select_grasps(as_scene(leaked, noise=0.001), 1, CONFIG, 0.0)
    assert result.targets and force_closure(result.targets[0], points, normals, 0.6)


def test_a_surface_of_revolution_is_completed():
    points, normals = cylinder_surface(np.array([0.02, -0.01, 0.05]), 0.03, 0.1, np.random.default_rng(11), lid=False)
    front = normals[:, 0] < -0.2
    axis = fit_axis(points[front], normals[front], np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(axis.point[:2], [0.02, -0.01], atol=0.002)
    extra, extra_normals = complete_surface(points[front], normals[front], np.eye(3), 0.0)
    np.testing.assert_allclose(np.linalg.norm(extra[:, :2] - [0.02, -0.01], axis=1), 0.03, atol=0.003)
    assert (extra[:, 0] > 0.04).sum() > 50 and (extra_normals[extra[:, 0] > 0.04][:, 0] > 0.5).all()


def test_without_metric_scale_nothing_is_offered():
    scene = as_scene(make("box", np.random.default_rng(12)))
    result = select_grasps(scene, 1, CONFIG, 0.0, is_metric=False)
    assert not result.targets and result.reason == "not_metric" and "metric" in result.message


def test_few_points_and_unknown_ids_are_answered():
    points, normals = make("box", np.random.default_rng(13))
    assert select_grasps(as_scene((points[:5], normals[:5])), 1, CONFIG, 0.0).reason == "no_points"
    with pytest.raises(KeyError, match="instance_id: expected one of"):
        select_grasps(as_scene((points, normals)), 7, CONFIG, 0.0)


def test_every_reason_has_a_sentence_and_the_search_is_repeatable():
    scene = as_scene(make("sphere", np.random.default_rng(14)), noise=0.002)
    first, second = (select_grasps(scene, 1, CONFIG, None) for _ in range(2))
    assert first.reason in REASONS and first.message.startswith(REASONS[first.reason])
    assert all(torch.equal(a.world_from_grasp, b.world_from_grasp) for a, b in zip(first.targets, second.targets))


def test_a_plate_is_taken_at_its_sloping_rim_and_nobody_is_sure_of_it():
    plate = plate_surface(0.085, 0.016, np.random.default_rng(10))
    result = select_grasps(as_scene(plate), 1, CONFIG, 0.0)
    assert result.targets and set(result.methods) == {"rim"} and result.targets[0].score < 0.25
    for grasp in result.targets:
        place, closing = grasp.world_from_grasp[:3, 3].numpy(), grasp.world_from_grasp[:3, 0].numpy()
        assert 0.05 < np.linalg.norm(place[:2]) < 0.09 and abs(closing[:2] @ place[:2]) > 0.9 * np.linalg.norm(place[:2])
        assert not touches(grasp, np.zeros((0, 3)), 0.0)


def test_a_tray_is_no_cylinder_that_reaches_up_to_where_nothing_was_seen():
    rng = np.random.default_rng(11)
    across, along = rng.uniform(-0.11, 0.11, 900), rng.uniform(-0.06, 0.06, 900)
    toward = np.column_stack([np.zeros(900), -across, np.sqrt(0.14**2 - across**2)])  # the axis, 14 cm above
    points = np.column_stack([along, across, 0.145 - toward[:, 2]])
    extra, _ = complete_surface(points, toward / 0.14, np.eye(3), 0.0)
    assert len(extra) == 0 or extra[:, 2].max() < points[:, 2].max() + 0.011


def test_an_edge_on_a_lid_is_no_place_for_fingers_that_would_stand_in_the_lid():
    rng = np.random.default_rng(12)
    book = box_surface(np.array([0.0, 0.0, 0.011]), np.array([0.17, 0.11, 0.022]), rng)
    title = box_surface(np.array([0.04, 0.0, 0.0225]), np.array([0.03, 0.05, 0.002]), rng)
    both = tuple(np.concatenate(parts) for parts in zip(book, title))
    result = select_grasps(as_scene(both), 1, CONFIG, 0.0)
    assert not result.targets and result.reason in ("self_collision", "table", "too_wide")
    assert select_grasps(as_scene(title), 1, CONFIG, 0.0).reason != "self_collision"  # alone, nothing of it is in the way


def test_what_others_lie_on_is_worth_less():
    block = box_surface(np.array([0.0, 0.0, 0.03]), np.array([0.05, 0.05, 0.06]), np.random.default_rng(13))
    board = box_surface(np.array([0.06, 0.0, 0.066]), np.array([0.13, 0.03, 0.01]), np.random.default_rng(14))
    beside = (board[0] + [0.2, 0.0, -0.06], board[1])
    free, carrying = (build_object_cloud(as_scene(block, other), 1, 0.0) for other in (beside, board))
    assert free.covered == 0.0 and carrying.covered == pytest.approx(0.5, abs=0.12)
    gripper = CONFIG.gripper
    pairs, _ = find_pairs(free, CONFIG)
    hands = hands_around(pairs, CONFIG)
    contact = contact_of(hands, free, CONFIG)
    lone, held_down = (hand_scores(hands, contact, replace(free, covered=share), gripper) for share in (0.0, carrying.covered))
    assert lone.max() > 0.3 and np.allclose(held_down, lone * (1 - COVERED_COST * carrying.covered))
