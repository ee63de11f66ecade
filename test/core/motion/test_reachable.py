"""Which grasps an arm gets to on straight ways, and what is said of the others."""

import time

import numpy as np
import pytest
from arms_among_boxes import AWAY, HOME, grasp

from pan3d_core.motion import Arm, ArmNames, ArmPlace, reachable_grasps, without_meshes
from pan3d_core.motion.reachable import beyond_m
from pan3d_sim.arm import ARM, urdf_text

ARM_MODEL = Arm(urdf_text(ARM))
HERE = ArmPlace(np.eye(4), AWAY, np.eye(4))
NEAR, FAR = grasp(1, (0.05, 0.0, 0.06)), grasp(2, (-1.6, 0.0, 0.06))


def test_reached_grasps_keep_their_order_and_lie_on_straight_ways():
    other = grasp(3, (0.1, 0.1, 0.08))
    report = reachable_grasps(ARM_MODEL, [other, NEAR], HERE, 0.10)
    assert [item.grasp.instance_id for item in report.reached] == [3, 1] and report.message == "" and report.short_m == 0.0
    for item, wanted in zip(report.reached, (other, NEAR)):
        pose = wanted.world_from_grasp.double().numpy()
        found = ARM_MODEL.world_from_tip(item.angles)
        np.testing.assert_allclose(found, item.grasp.world_from_grasp.double().numpy(), atol=5e-4)
        np.testing.assert_allclose(found[:3, 2:], pose[:3, 2:], atol=5e-4)  # the approach; the closing direction has no sign
        assert abs(found[:3, 0] @ pose[:3, 0]) > 0.9999
        np.testing.assert_allclose(ARM_MODEL.world_from_tip(item.before)[:3, 3], pose[:3, 3] + [0, 0, 0.10], atol=5e-4)
        np.testing.assert_allclose(ARM_MODEL.world_from_tip(item.above)[:3, 3], pose[:3, 3] + [0, 0, 0.10], atol=5e-4)
        for angles in (item.angles, item.before, item.above):
            assert (angles >= ARM_MODEL.lower).all() and (angles <= ARM_MODEL.upper).all()


def test_every_refusal_has_its_reason():
    begun = time.process_time()
    report = reachable_grasps(ARM_MODEL, [FAR] * 20, HERE, 0.10)
    assert time.process_time() - begun < 2.0  # what is beyond all links in one line is refused without a search
    assert not report.reached and report.refused == {"out_of_reach": 20}
    missing = beyond_m(ARM_MODEL, np.array([-1.6, 0.0, 0.06]))
    assert (
        0.0 < report.short_m == pytest.approx(missing) and f"out of reach: 20 (the nearest by {missing:.2f} m" in report.message
    )
    # Reached, but from there it cannot go straight up by so much.
    report = reachable_grasps(ARM_MODEL, [NEAR], HERE, 2.0)
    assert report.refused == {"no_straight_way": 1} and "without a straight way" in report.message and report.short_m == 0.0
    assert reachable_grasps(ARM_MODEL, [], HERE, 0.1).message == ""


def test_only_as_many_are_tried_as_are_wanted():
    report = reachable_grasps(ARM_MODEL, [NEAR, FAR, NEAR, FAR, FAR], HERE, 0.10, at_most=2)
    assert len(report.reached) == 2 and report.refused == {"out_of_reach": 1}


def test_the_arm_may_stand_anywhere_and_its_tip_be_another_frame():
    root, tip_from_grasp = np.eye(4), np.eye(4)
    root[:3, :3], root[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [3.0, -2.0, 0.5]
    tip_from_grasp[:3, 3] = [0.0, 0.0, 0.05]
    moved = grasp(1, tuple(root[:3, :3] @ [0.05, 0.0, 0.06] + root[:3, 3]))
    assert reachable_grasps(ARM_MODEL, [moved], HERE, 0.10).refused == {"out_of_reach": 1}
    (item,) = reachable_grasps(ARM_MODEL, [moved], ArmPlace(root, HOME, tip_from_grasp), 0.10).reached
    world_from_grasp = root @ ARM_MODEL.world_from_tip(item.angles) @ tip_from_grasp
    np.testing.assert_allclose(world_from_grasp, item.grasp.world_from_grasp.double().numpy(), atol=5e-4)
    np.testing.assert_allclose(world_from_grasp[:3, 3], moved.world_from_grasp[:3, 3].numpy(), atol=5e-4)


def test_nothing_is_said_to_be_beyond_a_line_that_is_not():
    rng = np.random.default_rng(3)
    for _ in range(50):
        angles = rng.uniform(ARM_MODEL.lower, ARM_MODEL.upper)
        assert beyond_m(ARM_MODEL, ARM_MODEL.world_from_tip(angles)[:3, 3]) <= 0


def test_meshes_that_are_not_there_are_left_out_of_an_arm():
    text = urdf_text(ARM)
    mesh = '<collision><geometry><mesh filename="package://nowhere/hull.stl"/></geometry></collision>'
    link = '<link name="tool0">' if '<link name="tool0">' in text else '<link name="tool0"/>'
    body = link.replace("/>", ">") + mesh + ("</link>" if link.endswith("/>") else "")
    spoiled = text.replace(link, body)
    assert spoiled != text
    with pytest.raises(ValueError, match="expected what pinocchio reads"):
        Arm(spoiled)
    arm = Arm(without_meshes(spoiled))
    assert len(arm.bodies.geometryObjects) == len(ARM_MODEL.bodies.geometryObjects)
    with pytest.raises(ValueError, match="Arm.urdf: expected XML"):
        without_meshes("<robot>")


def test_an_arm_without_fingers_reaches_as_well():
    arm = Arm(urdf_text(ARM), ArmNames(fingers=()))
    assert arm.max_opening_m == 0.0 and len(reachable_grasps(arm, [NEAR], HERE, 0.10).reached) == 1
