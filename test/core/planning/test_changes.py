"""A planner is told what has changed: new, moved, held, let go, gone; and nothing twice."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from raycast_scene import Block, camera_ring
from remembered_scenes import remembered, shown

from pan3d_core.body import HeldObject
from pan3d_core.body.description import LinkShape
from pan3d_core.config import PlanningConfig
from pan3d_core.memory import ObjectState, WorldMemory
from pan3d_core.planning import ChangeKind, PlannedScene, collision_bodies

CONFIG = PlanningConfig(padding_sigmas=0.0)
CAMERAS = camera_ring(8, arc_deg=315.0)
ADD, MOVE, REMOVE, ATTACH, DETACH = ChangeKind
LOW = Block((0.0, 0.0, 0.03), (0.10, 0.06, 0.06), 0.0)
TALL = Block((0.2, 0.1, 0.05), (0.05, 0.05, 0.10), rgb=(0.8, 0.7, 0.1))
HELD = HeldObject(1, LinkShape("hand", np.eye(3), np.array([[0, 1, 2]])))


def bodies(*objects, hidden=False, seen=True):
    memory = WorldMemory()
    shown(memory, objects, 0.0, cameras=CAMERAS)
    state = ObjectState.VISIBLE if seen else ObjectState.OCCLUDED
    return collision_bodies((replace(item, state=state) for item in memory.world.objects), CONFIG, 0.0)


def told(scene, standing, held=()):
    return [(change.kind, change.instance_id) for change in scene.update(standing, held, 0.01)]


def test_new_objects_are_added_once_and_removed_when_they_are_gone():
    scene = PlannedScene()
    assert told(scene, bodies(LOW, TALL)) == [(ADD, 1), (ADD, 2)]
    assert told(scene, bodies(LOW, TALL)) == [] and scene.count == 2
    assert told(scene, bodies(LOW, TALL, seen=False)) == []  # hidden: still there
    assert told(scene, bodies(LOW)) == [(REMOVE, 2)] and scene.count == 1
    assert [change.key for change in scene.everything()] == ["pan3d/1"]


def test_noise_below_the_tolerance_is_not_told():
    scene = PlannedScene()
    told(scene, bodies(LOW))
    assert told(scene, bodies(replace(LOW, center=(0.004, 0.0, 0.03)))) == []
    # A slow drift is not hidden by small steps: it is compared with what was told.
    assert told(scene, bodies(replace(LOW, center=(0.03, 0.0, 0.03)))) == [(MOVE, 1)]


@pytest.mark.parametrize("yaw", [0.0, 0.7, math.pi / 2, 2.5])
def test_a_pushed_object_keeps_its_shape_and_gets_a_new_pose(yaw):
    scene, before, after = PlannedScene(), bodies(LOW), bodies(replace(LOW, center=(0.15, -0.1, 0.03), yaw=yaw))
    told(scene, before)
    (change,) = scene.update(after, (), 0.015)
    assert change.kind is MOVE and change.body.parts is before[0].parts
    cosine, sine = math.cos(yaw), math.sin(yaw)
    along = change.body.world_from_body[:3, :3] @ before[0].world_from_body[:3, :3].T @ [1, 0, 0]
    assert abs(along @ [cosine, sine, 0]) > 0.98  # a half turn of a box cannot be seen
    np.testing.assert_allclose(change.body.world_from_body[:2, 3], [0.15, -0.1], atol=0.01)


def test_what_looks_otherwise_than_before_takes_its_place():
    scene = PlannedScene()
    told(scene, bodies(LOW))
    assert told(scene, bodies(replace(LOW, size=(0.10, 0.10, 0.06)))) == [(ADD, 1)]
    dark = tuple(replace(body, unseen=np.eye(3)[:1]) for body in bodies(replace(LOW, size=(0.10, 0.10, 0.06))))
    assert told(scene, dark) == [(ADD, 1)]  # a side is no longer known


def test_what_is_held_is_attached_and_stays_where_it_was_let_go_until_it_is_seen():
    scene = PlannedScene()
    told(scene, bodies(LOW, TALL))
    rest = bodies(LOW, TALL)[1:]
    assert told(scene, rest, [HELD]) == [(ATTACH, 1)] and scene.count == 2
    assert told(scene, rest, [HELD]) == []
    assert [(change.kind, change.instance_id) for change in scene.everything()] == [(ADD, 2), (ATTACH, 1)]
    # Let go and not seen yet: it is remembered where it was taken, and that is not told.
    assert told(scene, bodies(LOW, TALL, seen=False)) == [(DETACH, 1)]
    assert told(scene, bodies(LOW, TALL, seen=False)) == [] and scene.count == 2
    elsewhere = replace(LOW, center=(0.1, -0.2, 0.03))
    assert told(scene, bodies(elsewhere, TALL)) == [(ADD, 1)]
    assert told(scene, bodies(elsewhere, TALL)) == []


def test_what_is_let_go_and_never_seen_again_is_removed_with_its_memory():
    scene = PlannedScene()
    told(scene, (), [HELD])
    assert told(scene, bodies(LOW, seen=False)) == [(DETACH, 1)]
    assert told(scene, ()) == [(REMOVE, 1)]
    assert told(scene, ()) == [] and scene.count == 0
    told(scene, (), [HELD])
    assert told(scene, ()) == [(DETACH, 1), (REMOVE, 1)]


def test_a_new_grip_on_a_held_object_is_told():
    scene = PlannedScene()
    told(scene, (), [HELD])
    assert told(scene, (), [replace(HELD, shape=replace(HELD.shape, link="other"))]) == [(ATTACH, 1)]


def test_an_object_that_is_taken_away_is_gone_for_the_planner():
    memory, scene = WorldMemory(), PlannedScene()
    shown(memory, [LOW, TALL], 0.0, cameras=CAMERAS)
    told(scene, collision_bodies(memory.world.objects, CONFIG, 0.0))
    steps = []
    for step in range(1, 5):
        shown(memory, [LOW], float(step), cameras=CAMERAS)
        steps.append(told(scene, collision_bodies(memory.world.objects, CONFIG, 0.0)))
    gone = 2 if remembered(memory, 2).segment.box.size_m[2] > 0.08 else 1
    assert steps == [[], [], [(REMOVE, gone)], []]
    assert torch.isfinite(remembered(memory, gone).rest.center_m).all()
