"""An arm among boxes: where it gets to, what it would touch, ways around, and whole motions with an object."""

from dataclasses import replace

import numpy as np
import pinocchio
import pytest
from arms_among_boxes import AWAY, HOME, box, grasp, scene

from pan3d_core.body import parse_urdf, root_from_links
from pan3d_core.config import MotionConfig
from pan3d_core.motion import (
    Arm,
    ArmNames,
    Checker,
    Held,
    MotionPlanner,
    MotionScene,
    Rules,
    Task,
    free_path,
    free_places,
    in_the_arm,
    off_the_arm,
    picks,
    place_on,
    reach,
    straight_path,
    timed,
)
from pan3d_core.motion.paths import is_free
from pan3d_sim.arm import ARM, urdf_text

ARM_MODEL, ROBOT = Arm(urdf_text(ARM)), parse_urdf(urdf_text(ARM))
CONFIG = MotionConfig()
WALL = box(9, (0.0, 0.0), (0.06, 0.30, 0.28))
AREA = (np.array([-0.2, -0.22]), np.array([0.2, 0.22]))


def test_links_are_where_the_table_of_the_arm_puts_them():
    rng = np.random.default_rng(0)
    for _ in range(5):
        angles = rng.uniform(-3, 3, 6)
        links = root_from_links(ROBOT, {**dict(zip(ARM_MODEL.joints, angles)), "finger_left_joint": 0.0}).numpy()
        np.testing.assert_allclose(ARM_MODEL.world_from_tip(angles), links[ROBOT.index("tool0")], atol=1e-6)
    assert ARM_MODEL.joints == tuple(joint.name for joint in ARM.arm_joints)
    assert ARM_MODEL.max_opening_m == pytest.approx(0.08)


def test_the_derivative_is_that_of_the_error():
    goal = ARM_MODEL.world_from_tip(HOME + 0.1)
    error, jacobian = ARM_MODEL.error_and_jacobian(HOME, goal)
    steps = [(ARM_MODEL.error_and_jacobian(HOME + 1e-6 * unit, goal)[0] - error) / 1e-6 for unit in np.eye(6)]
    np.testing.assert_allclose(jacobian, np.stack(steps, axis=1), atol=1e-4)


def test_every_way_to_reach_a_pose_is_exact_and_within_limits():
    goal = ARM_MODEL.world_from_tip(HOME)
    found = reach(ARM_MODEL, goal, AWAY)
    assert found.reached and len(found.solutions) >= 4
    for angles in found.solutions:
        np.testing.assert_allclose(ARM_MODEL.world_from_tip(angles), goal, atol=5e-4)
        assert (angles >= ARM_MODEL.lower).all() and (angles <= ARM_MODEL.upper).all()
    motions = [np.abs(angles - AWAY).max() for angles in found.solutions]
    assert motions == sorted(motions)


def test_what_is_out_of_reach_is_told_with_what_is_missing():
    goal = ARM_MODEL.world_from_tip(HOME)
    goal[:3, 3] = [-1.0, 0.0, 0.2]
    found = reach(ARM_MODEL, goal, AWAY)
    assert not found.reached and 0.3 < found.short_m < 1.5


def test_names_that_the_urdf_has_not():
    with pytest.raises(ValueError, match="ArmNames.tip: expected a link of the URDF .*got hand"):
        Arm(urdf_text(ARM), ArmNames(tip="hand"))
    with pytest.raises(ValueError, match="ArmNames.fingers: expected joints of the URDF .*got thumb"):
        Arm(urdf_text(ARM), ArmNames(fingers=("thumb",)))
    with pytest.raises(ValueError, match="Arm.urdf: expected what pinocchio reads"):
        Arm("<robot>")


def test_it_meets_boxes_the_support_itself_and_what_it_holds():
    empty = Checker(ARM_MODEL, scene(), Rules(0.01))
    assert empty.free(AWAY) and empty.free(HOME) and empty.touched(HOME) == ()
    assert not Checker(ARM_MODEL, scene(box(1, (0.03, 0.0), (0.1, 0.1, 0.3))), Rules(0.0)).free(HOME)
    low = reach(ARM_MODEL, placed(0.0, 0.005), HOME).solutions[0]
    assert any("the support" in pair for pair in empty.touched(low))
    folded = np.array([0.0, -1.57, 3.0, 0.0, 0.0, 0.0])
    assert not empty.free(folded)
    below = Held(3, np.array([[x, y, z] for x in (-0.02, 0.02) for y in (-0.02, 0.02) for z in (0.0, 0.2)]))
    beside = box(2, (0.034, 0.0), (0.05, 0.05, 0.1))
    assert empty.free(HOME) and Checker(ARM_MODEL, scene(beside), Rules(0.01)).free(HOME)
    assert not Checker(ARM_MODEL, scene(beside), Rules(0.01), below).free(HOME)
    assert Checker(ARM_MODEL, scene(beside), Rules(0.01, held_may_touch=frozenset({2})), below).free(HOME)


def test_it_may_be_told_to_touch_with_the_gripper_alone():
    around = box(5, (0.034, 0.0), (0.10, 0.10, 0.27))
    assert not Checker(ARM_MODEL, scene(around), Rules(0.0)).free(HOME)
    assert Checker(ARM_MODEL, scene(around), Rules(0.0, gripper_may_touch=frozenset({5}))).free(HOME)
    tall = box(5, (0.034, 0.0), (0.10, 0.10, 0.6))
    assert not Checker(ARM_MODEL, scene(tall), Rules(0.0, gripper_may_touch=frozenset({5}))).free(HOME)


def test_cells_near_the_arm_are_the_arm():
    tip = ARM_MODEL.world_from_tip(HOME)[:3, 3]
    points = np.stack([tip + [0.0, 0.0, 0.06], tip - [0.3, 0.0, 0.0]])
    np.testing.assert_allclose(off_the_arm(ARM_MODEL, HOME, points, 0.1), points[1:])
    walled = MotionScene((), points[:1], 0.0)
    assert not Checker(ARM_MODEL, walled, Rules(0.0)).free(HOME)


def test_what_is_seen_where_the_arm_is_is_the_arm():
    tip = ARM_MODEL.world_from_tip(HOME)[:3, 3]
    shadow, beside = box(4, (tip[0], tip[1]), (0.1, 0.1, tip[2] + 0.05)), box(5, (tip[0] - 0.3, tip[1]), (0.1, 0.1, 0.1))
    assert in_the_arm(ARM_MODEL, HOME, scene(shadow, beside)) == {4} and in_the_arm(ARM_MODEL, HOME, scene(beside)) == set()


def test_the_arm_keeps_off_itself_where_it_is_not_built_closer():
    own = {pair[:2]: pair[2] for pair in ARM_MODEL.own_pairs}
    assert len(own) > 50 and 0.004 < min(own.values()) < 0.01
    bodies = [item.name for item in ARM_MODEL.bodies.geometryObjects]
    folding, checker = np.array(HOME), Checker(ARM_MODEL, scene(), Rules(0.0))
    while checker.free(folding):
        folding[2] += 0.001
    (met, *_) = (pair.split(" and ") for pair in checker.touched(folding))
    apart = distances(ARM_MODEL, folding)[tuple(sorted(map(bodies.index, met)))]
    assert 0.002 < apart <= 0.0041


def test_ways_that_touch_something_do_not_use_up_the_tries(monkeypatch):
    monkeypatch.setattr(picks, "WAYS", 1)
    there, low = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10))), grasp(1, (0.1, 0.12, 0.02))
    bent = HOME + [0.16, 1.35, -0.1, -0.14, -0.97, -1.4]
    checker = Checker(ARM_MODEL, there, Rules(CONFIG.close_clearance_m, low.opening_m, frozenset({1})))
    ways = reach(ARM_MODEL, low.world_from_grasp.double().numpy(), bent).solutions
    assert not checker.free(ways[0]) and any(checker.free(angles) for angles in ways)
    plan = MotionPlanner(ARM_MODEL).plan(Task(1, [low], free_places(there, 1, AREA, CONFIG)), there, bent, AWAY)
    assert plan.motion is not None and not plan.tried.get("blocked"), "the first way that is free is taken"


def test_what_is_held_is_carried_upright_without_a_swing_of_the_arm(monkeypatch):
    there, held = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10))), grasp(1, (0.1, 0.12, 0.06))

    def farthest_first(arm, goal, near):
        found = reach(arm, goal, near)
        return replace(found, solutions=found.solutions[::-1])

    monkeypatch.setattr(picks, "reach", farthest_first)
    plan = MotionPlanner(ARM_MODEL).plan(Task(1, [held], free_places(there, 1, AREA, CONFIG)), there, AWAY, AWAY)
    assert plan.motion is not None
    way = plan.motion.carry.positions
    assert np.ptp(way[:, :-1], axis=0).max() < picks.NEAR_RAD
    tips = np.stack([ARM_MODEL.world_from_tip(angles) for angles in way])
    assert np.degrees(np.arccos(np.clip(-tips[:, 2, 2], -1, 1))).max() < 45.0


def test_what_must_stay_upright_is_not_turned_over():
    up = tuple(ARM_MODEL.world_from_tip(HOME)[2, :3])
    upright = Checker(ARM_MODEL, scene(), Rules(0.0, up_in_tip=up))
    for turn_rad, stays in ((0.7, True), (0.9, False)):
        tilted = HOME + [0.0, 0.0, 0.0, turn_rad, 0.0, 0.0]
        assert Checker(ARM_MODEL, scene(), Rules(0.0)).free(tilted) and upright.free(tilted) is stays


@pytest.mark.parametrize(("share", "reason"), [(picks.NEAR_SHARE, "found"), (1.0, "no_path")])
def test_a_way_that_begins_near_something_is_gone_at_half_the_distance(monkeypatch, share, reason):
    monkeypatch.setattr(picks, "NEAR_SHARE", share)
    there = scene(box(1, (0.1, 0.12), (0.04, 0.08, 0.10)), box(2, (0.1, 0.188), (0.3, 0.04, 0.22)))
    task = Task(1, [grasp(1, (0.1, 0.12, 0.07))], free_places(there, 1, AREA, CONFIG)[:1])
    plan = MotionPlanner(ARM_MODEL, MotionConfig(lift_m=0.06)).plan(task, there, AWAY, AWAY)
    assert plan.reason == reason


def test_a_way_leads_around_a_wall_and_keeps_its_distance():
    left, right = reach(ARM_MODEL, placed(-0.12), HOME).solutions[0], reach(ARM_MODEL, placed(0.15), HOME).solutions[0]
    checker = Checker(ARM_MODEL, scene(WALL), Rules(CONFIG.clearance_m))
    assert not is_free(checker, np.stack([left, right]), CONFIG.step_rad)
    path = free_path(checker, left, [right], CONFIG, 10.0)
    assert path is not None and len(path) > 2
    np.testing.assert_allclose(path[[0, -1]], [left, right], atol=1e-6)
    assert is_free(checker, path, CONFIG.step_rad)


def test_no_way_out_of_a_box_is_told_in_time():
    inside = [box(k, middle, size) for k, (middle, size) in enumerate(CAGE, 1)]
    checker = Checker(ARM_MODEL, scene(*inside), Rules(0.0))
    start = reach(ARM_MODEL, placed(0.0, 0.05), HOME).solutions[0]
    assert free_path(checker, start, [AWAY], CONFIG, 0.3) is None


def test_a_straight_way_is_straight_and_stops_at_what_is_in_it():
    start = reach(ARM_MODEL, placed(0.0), HOME).solutions[0]
    free = Checker(ARM_MODEL, scene(), Rules(0.002))
    path = straight_path(free, start, placed(0.0, 0.30))
    assert path is not None
    tips = np.stack([ARM_MODEL.world_from_tip(angles) for angles in path])
    np.testing.assert_allclose(tips[:, :2, 3], [[0.0, 0.0]] * len(tips), atol=1e-3)
    np.testing.assert_allclose(tips[:, :3, :3], [tips[0, :3, :3]] * len(tips), atol=1e-3)
    assert straight_path(free, start, placed(0.0, -0.05)) is None
    assert straight_path(free, start, placed(-2.0)) is None


def test_times_keep_speeds_and_accelerations():
    path = np.stack([AWAY, HOME, HOME + 0.4])
    found = timed(ARM_MODEL, path, CONFIG)
    np.testing.assert_allclose(found.positions[[0, -1]], path[[0, -1]], atol=1e-6)
    speed = np.diff(found.positions, axis=0) / np.diff(found.times_s)[:, None]
    assert (np.abs(speed) <= CONFIG.speed_share * ARM_MODEL.speed * 1.02).all()
    assert np.abs(speed[[0, -1]]).max() < 0.1
    slow = timed(ARM_MODEL, path, CONFIG, length_m=5.0)
    assert slow.duration_s == pytest.approx(5.0 / CONFIG.straight_speed_m_s)
    back = found.reversed()
    np.testing.assert_allclose(back.at(0.3), found.at(found.duration_s - 0.3), atol=1e-9)
    assert timed(ARM_MODEL, np.stack([HOME, HOME]), CONFIG).duration_s == 0.0


def test_a_whole_motion_touches_nothing_that_it_should_not():
    target = box(1, (0.1, 0.12), (0.04, 0.04, 0.10))
    there = scene(target, box(9, (0.0, 0.0), (0.06, 0.30, 0.12)))
    places = free_places(there, 1, AREA, CONFIG)
    plan = MotionPlanner(ARM_MODEL).plan(Task(1, [grasp(1, (0.1, 0.12, 0.07))], places), there, AWAY, AWAY)
    assert plan.reason == "found" and plan.motion is not None
    motion = plan.motion
    pieces = (motion.approach, motion.enter, motion.lift, motion.carry, motion.lower, motion.leave, motion.retire)
    for before, after in zip(pieces[:-1], pieces[1:]):
        np.testing.assert_allclose(before.positions[-1], after.positions[0], atol=1e-5)
    empty = Checker(ARM_MODEL, there, Rules(0.005))
    assert all(empty.free(angles) for angles in motion.approach.positions)
    tip_from_world = np.linalg.inv(ARM_MODEL.world_from_tip(motion.lift.positions[0]))
    held = Held(1, target.corners @ tip_from_world[:3, :3].T + tip_from_world[:3, 3])
    carrying = Checker(ARM_MODEL, there, Rules(0.005), held)
    assert all(carrying.free(angles) for angles in motion.carry.positions)
    assert carried_slower(motion.carry) and not carried_slower(motion.approach)
    put = (motion.world_from_was @ [0.1, 0.12, 0.07, 1.0])[:3]
    np.testing.assert_allclose(ARM_MODEL.world_from_tip(motion.lower.positions[-1])[:2, 3], put[:2], atol=1e-3)


def test_a_grasp_at_the_top_goes_deeper_and_one_below_the_middle_does_not():
    there = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10)))
    places = free_places(there, 1, AREA, CONFIG)
    for height, expected in ((0.08, 0.08 - CONFIG.deeper_m), (0.056, 0.046), (0.04, 0.04)):
        plan = MotionPlanner(ARM_MODEL).plan(Task(1, [grasp(1, (0.1, 0.12, height))], places), there, AWAY, AWAY)
        assert plan.motion is not None
        tip = ARM_MODEL.world_from_tip(plan.motion.enter.positions[-1])
        assert tip[2, 3] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("grasps", "places", "reason"),
    [
        ([], 1, "no_grasp"),
        ([grasp(1, (0.1, 0.12, 0.07))], 0, "no_place"),
        ([grasp(1, (-0.9, 0.12, 0.07))], 1, "unreachable"),
        ([grasp(1, (0.1, 0.12, -0.03))], 1, "blocked"),
    ],
)
def test_why_there_is_no_motion(grasps, places, reason):
    there = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10)))
    offered = free_places(there, 1, AREA, CONFIG)[:places]
    plan = MotionPlanner(ARM_MODEL).plan(Task(1, grasps, offered), there, AWAY, AWAY)
    assert plan.motion is None and plan.reason == reason and plan.message


def test_no_time_no_motion():
    there = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10)))
    places = free_places(there, 1, AREA, CONFIG)
    hasty = MotionPlanner(ARM_MODEL, MotionConfig(plan_time_s=0.01))
    plan = hasty.plan(Task(1, [grasp(1, (0.1, 0.12, 0.07))] * 9, places), there, AWAY, AWAY)
    assert plan.motion is None and plan.reason == "no_path"


def test_places_keep_their_distance_and_those_on_top_are_on_top():
    there = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10)), box(2, (-0.1, -0.1), (0.16, 0.16, 0.02)))
    for motion in free_places(there, 1, AREA, CONFIG):
        x, y = (motion @ [0.1, 0.12, 0.0, 1.0])[:2]
        outside = np.maximum(np.abs([x + 0.1, y + 0.1]) - 0.08 - 0.02, 0.0)
        assert np.hypot(*outside) > CONFIG.place_gap_m - 0.012 and abs(x) <= 0.2 and abs(y) <= 0.22
    surface = np.array([[-0.1, -0.1, 0.008], [-0.1, -0.09, 0.008], [-0.02, -0.02, 0.02]])
    (onto,) = place_on(there, 1, 2, surface)
    np.testing.assert_allclose((onto @ [0.1, 0.12, 0.0, 1.0])[:3], [-0.1, -0.1, 0.008], atol=1e-9)
    full = scene(box(1, (0.1, 0.12), (0.04, 0.04, 0.10)), box(2, (0.0, 0.0), (0.5, 0.5, 0.02)))
    assert free_places(full, 1, AREA, CONFIG) == ()


def carried_slower(way) -> bool:
    speed = np.abs(np.diff(way.positions, axis=0) / np.diff(way.times_s)[:, None]).max()
    return speed < 1.02 * CONFIG.carry_share * CONFIG.speed_share * ARM_MODEL.speed[0]


def distances(arm: Arm, angles) -> dict:
    """Metres between the pairs of bodies of an arm that may meet."""
    bodies = arm.bodies.copy()
    for first, second, _ in arm.own_pairs:
        bodies.addCollisionPair(pinocchio.CollisionPair(first, second))
    found = bodies.createData()
    pinocchio.computeDistances(arm.model, arm.data, bodies, found, arm.configuration(angles))
    return {(item.first, item.second): one.min_distance for item, one in zip(bodies.collisionPairs, found.distanceResults)}


CAGE = (((0.22, 0.0), (0.02, 0.6, 0.6)), ((-0.22, 0.0), (0.02, 0.6, 0.6)), ((0.0, 0.22), (0.5, 0.02, 0.6)))


def placed(x: float, z: float = 0.2) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.diag([1.0, -1.0, -1.0]), [x, 0.0, z]
    return pose
