"""What becomes of objects: hidden, gone, moved, held, uncertain; and who is who when they come back."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import Ball, Block, camera_ring
from remembered_scenes import CAMERAS, remembered, seen, shown

from pan3d_core.config import MemoryConfig, TrackingConfig
from pan3d_core.memory import ObjectState, WorldMemory

MUG = Block((0.0, 0.0, 0.05), (0.06, 0.06, 0.1), rgb=(0.8, 0.1, 0.1))
BALL = Ball((0.12, -0.12, 0.035), 0.035, (0.1, 0.6, 0.2))
ARM = Block((0.12, 0.0, 0.2), (0.04, 0.5, 0.3), rgb=(0.3, 0.3, 0.3))  # between the table's middle and all cameras


def at(item, x, y):
    return type(item)(
        (x, y, item.center[2]), *((item.radius, item.rgb) if isinstance(item, Ball) else (item.size, 0.0, item.rgb))
    )


def test_an_object_behind_the_arm_is_hidden_and_has_its_id_when_it_comes_back():
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    for step in range(1, 100):
        assert shown(memory, [MUG, ARM], float(step), overlooked=[1]) == []
        item = remembered(memory, mug)
        assert item.state is ObjectState.OCCLUDED and item.hidden_by == () and "no object" in item.reason
        assert item.since_ns == int(1e9) and item.last_seen_ns == 0 and not item.seen
    assert shown(memory, [MUG, BALL], 100.0) == [mug, mug + 1]
    assert remembered(memory, mug).state is ObjectState.VISIBLE


def test_what_hides_an_object_is_named():
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    (front,) = shown(memory, [MUG, ARM], 1.0)  # the arm is an object here
    assert remembered(memory, mug).hidden_by == (front,) and f"object {front}" in remembered(memory, mug).reason


def test_an_object_that_is_taken_away_is_gone_after_some_steps_and_not_before():
    memory = WorldMemory(config=MemoryConfig(gone_after=3))
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    states = []
    for step in range(1, 5):
        assert shown(memory, [BALL], 0.2 * step) == [ball]
        states.append(remembered(memory, mug).state)
    assert states == [ObjectState.UNCERTAIN, ObjectState.UNCERTAIN, ObjectState.GONE, ObjectState.GONE]
    assert "empty" in remembered(memory, mug).reason
    assert shown(memory, [MUG, BALL], 30.0) == [mug, ball]  # put back


def test_what_comes_to_stand_where_an_object_was_does_not_bring_it_back():
    memory = WorldMemory(config=MemoryConfig(gone_after=1))
    (mug,) = shown(memory, [MUG], 0.0)
    shown(memory, [], 1.0)
    shown(memory, [at(MUG, -0.2, 0.0), ARM], 2.0, overlooked=[0, 1])
    assert remembered(memory, mug).state is ObjectState.GONE


def test_an_object_that_is_only_overlooked_is_uncertain_and_in_the_end_forgotten():
    memory = WorldMemory(TrackingConfig(max_lost_s=5.0))
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    for step in range(1, 6):
        shown(memory, [MUG, BALL], float(step), overlooked=[0])
        item = remembered(memory, mug)
        assert item.state is ObjectState.UNCERTAIN and "not empty" in item.reason
    assert shown(memory, [MUG, BALL], 5.5) == [mug, ball]
    for step in range(6, 13):
        shown(memory, [MUG, BALL], float(step), overlooked=[0])
    with pytest.raises(StopIteration):
        remembered(memory, mug)
    assert shown(memory, [MUG, BALL], 14.0) == [ball + 1, ball]


@pytest.mark.parametrize("way", [(0.2, 0.0), (-0.14, 0.14)])
def test_a_pushed_object_keeps_its_id_and_has_moved(way):
    memory = WorldMemory()
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    pushed = at(MUG, *way)
    assert shown(memory, [pushed, BALL], 0.2) == [mug, ball]
    item = remembered(memory, mug)
    assert item.state is ObjectState.MOVED and item.reason == "moved by 0.20 m" and len(item.history) == 2
    assert item.rest.count == 1 and float(item.surface.points[:, :2].mean(0).norm()) > 0.15  # nothing of the old place
    assert remembered(memory, ball).state is ObjectState.VISIBLE
    shown(memory, [pushed, BALL], 0.4)
    assert remembered(memory, mug).state is ObjectState.MOVED
    shown(memory, [pushed, BALL], 1.3)
    assert remembered(memory, mug).state is ObjectState.VISIBLE


def test_an_object_that_is_carried_elsewhere_keeps_its_id():
    memory = WorldMemory()
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    for step in range(1, 8):
        assert shown(memory, [BALL], 0.5 * step) == [ball]
    assert remembered(memory, mug).state is ObjectState.GONE
    assert shown(memory, [at(MUG, -0.1, 0.2), BALL], 60.0) == [mug, ball]


def test_a_hand_has_what_it_is_told_to_have():
    memory = WorldMemory()
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    with pytest.raises(KeyError, match=rf"expected one of \[{mug}, {ball}\], got 77"):
        memory.hold(77)
    memory.hold(mug)
    for step in range(1, 10):
        shown(memory, [BALL], 0.2 * step)
        assert remembered(memory, mug).state is ObjectState.HELD
    lifted = Block((0.1, 0.1, 0.2), MUG.size, rgb=MUG.rgb)
    assert shown(memory, [lifted, BALL], 3.0) == [mug, ball]
    assert remembered(memory, mug).state is ObjectState.HELD and remembered(memory, mug).seen
    memory.release(mug)
    assert shown(memory, [at(MUG, -0.1, 0.2), BALL], 4.0) == [mug, ball]
    assert remembered(memory, mug).state is ObjectState.MOVED


def test_twins_do_not_swap():
    one, two = at(MUG, 0.0, -0.1), at(MUG, 0.0, 0.1)
    memory = WorldMemory()
    first, second = shown(memory, [one, two], 0.0)
    assert shown(memory, [two, one], 0.2) == [second, first]
    # One of them is pushed past the other.
    assert shown(memory, [at(MUG, 0.0, 0.25), two], 0.4) == [first, second]
    # Both are moved between two steps, further than a place reaches: each is the one that was nearer.
    assert shown(memory, [at(MUG, 0.12, 0.25), at(MUG, -0.12, 0.1)], 0.6) == [first, second]


def test_a_new_twin_is_another_object_while_the_first_is_seen_or_behind_an_object():
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    assert shown(memory, [MUG, at(MUG, -0.1, 0.25)], 1.0) == [mug, mug + 1]
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    twin = Block((0.25, 0.0, 0.05), MUG.size, rgb=MUG.rgb)  # before the arm
    assert mug not in shown(memory, [MUG, ARM, twin], 1.0)
    assert remembered(memory, mug).state is ObjectState.OCCLUDED


def test_what_an_arm_may_have_carried_is_known_by_its_looks():
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    assert shown(memory, [MUG, ARM], 1.0, overlooked=[1]) == []
    there = Block((0.25, 0.0, 0.05), MUG.size, rgb=MUG.rgb)
    assert shown(memory, [ARM, there], 2.0, overlooked=[0]) == [mug]
    memory = WorldMemory()
    (mug,) = shown(memory, [MUG], 0.0)
    another = Block((0.25, 0.0, 0.05), (0.06, 0.06, 0.07), rgb=(0.8, 0.35, 0.1))  # not alike enough
    assert shown(memory, [MUG, ARM, another], 2.0, overlooked=[1]) == [mug + 1]


def test_of_two_that_could_be_it_the_one_that_vanished_just_now_is():
    memory = WorldMemory(config=MemoryConfig(gone_after=1))
    one, two = at(MUG, 0.0, -0.2), at(MUG, 0.0, 0.2)
    first, second = shown(memory, [one, two], 0.0)
    shown(memory, [two], 1.0)  # the first is gone
    assert shown(memory, [at(MUG, -0.05, -0.05)], 2.0) == [second]  # nearer to the first


def test_another_kind_of_thing_is_not_who_is_gone():
    memory = WorldMemory()
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    assert shown(memory, [at(BALL, -0.1, 0.2), BALL], 0.2) == [ball + 1, ball]
    big = Block((-0.1, -0.2, 0.1), (0.12, 0.12, 0.2), rgb=MUG.rgb)
    assert mug not in shown(memory, [big, BALL], 0.4)


def test_what_no_view_looks_at_is_remembered_for_its_time():
    away = camera_ring(2)
    away[:, :3, 3] += away[:, :3, :3] @ torch.tensor([0.0, -3.0, 0.0])  # the same cameras three metres further along y
    memory = WorldMemory(TrackingConfig(max_lost_s=5.0), MemoryConfig(remember_s=100.0))
    (mug,) = shown(memory, [MUG], 0.0)
    for step in range(1, 10):
        shown(memory, [MUG], 10.0 * step, cameras=away)
        item = remembered(memory, mug)
        assert item.state is ObjectState.UNCERTAIN and "no view looks" in item.reason
    assert shown(memory, [MUG], 95.0) == [mug]
    shown(memory, [MUG], 190.0, cameras=away)
    assert shown(memory, [MUG], 196.0, cameras=CAMERAS) != [mug]


def test_memory_is_bounded_and_the_gone_are_forgotten_first():
    memory = WorldMemory(config=MemoryConfig(max_objects=3, gone_after=1))
    mug, ball = shown(memory, [MUG, BALL], 0.0)
    shown(memory, [BALL], 1.0)
    others = [Ball((0.0, 0.2, 0.03), 0.03, (0.9, 0.9, 0.1)), Ball((-0.15, -0.2, 0.03), 0.03, (0.1, 0.1, 0.9))]
    shown(memory, [BALL, *others], 2.0)
    shown(memory, [BALL, *others], 3.0)
    ids = [item.instance_id for item in memory.world.objects]
    assert len(ids) == 3 and mug not in ids and ball in ids


def test_a_name_is_what_most_sightings_say():
    memory = WorldMemory()
    names = []
    for step, kind in enumerate((1, 1, 0, 1, 0, 0, 0)):
        panoptic, found = seen([MUG], float(step))
        memory.update(replace(panoptic, segments=tuple(replace(item, class_id=kind) for item in panoptic.segments)), found)
        names.append(remembered(memory, 1).name)
    assert names == ["box", "box", "box", "box", "box", "box", "ball"]
