"""Objects that a result does not show are told as long as they may still be there."""

import torch
from pan3d_interfaces.msg import Instance
from raycast_scene import Block
from remembered_scenes import CAMERAS, seen

from pan3d_core.memory import WorldMemory
from pan3d_core.structures import PerceptionResult, ViewBatch
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.instances import remembered_instances

MUG = Block((0.0, 0.0, 0.05), (0.06, 0.06, 0.1), rgb=(0.8, 0.1, 0.1))
OTHER = Block((0.25, 0.1, 0.03), (0.06, 0.06, 0.06), rgb=(0.8, 0.7, 0.1))  # on this side of the arm
ARM = Block((0.12, 0.0, 0.2), (0.04, 0.5, 0.3), rgb=(0.3, 0.3, 0.3))


def told(memory: WorldMemory, objects, stamp_s: float, overlooked=(), is_metric=True) -> dict[int, Instance]:
    panoptic, reconstruction = seen(objects, stamp_s, overlooked=overlooked)
    stamps = (int(stamp_s * 1e9),) * len(CAMERAS)
    views = ViewBatch(
        torch.zeros(3, 3, 8, 8), None, None, None, stamps, ("a", "b", "c"), ((8, 8),) * 3, torch.eye(3).expand(3, 3, 3)
    )
    panoptic = memory.update(panoptic, reconstruction, comparable=is_metric)
    reconstruction = type(reconstruction)(**{**vars(reconstruction), "is_metric": is_metric})
    result = PerceptionResult(reconstruction, panoptic, views, {})
    return {item.id: item for item in remembered_instances(result, memory.world, 5.0)}


def test_a_hidden_object_is_told_for_as_long_as_it_is_hidden_and_a_gone_one_for_some_seconds():
    memory = WorldMemory()
    first = told(memory, [MUG, OTHER], 0.0)
    mug, other = first
    assert {item.state for item in first.values()} == {Instance.NEW}
    assert {item.state for item in told(memory, [MUG, OTHER], 1.0).values()} == {Instance.TRACKED}
    hidden = told(memory, [MUG, OTHER, ARM], 60.0, overlooked=[2])
    assert hidden[mug].state == Instance.LOST and hidden[mug].class_name == "box" and hidden[other].state == Instance.TRACKED
    assert stamp_to_ns(hidden[mug].first_seen) == 0 and stamp_to_ns(hidden[mug].last_seen) == 1_000_000_000
    for stamp_s in (61.0, 62.0, 63.0, 64.0):
        gone = told(memory, [OTHER], stamp_s)
    assert set(gone) == {other}
    assert set(told(memory, [MUG, OTHER], 65.0)) == {mug, other}


def test_a_result_without_a_unit_tells_of_nothing_that_it_does_not_show():
    memory = WorldMemory()
    told(memory, [MUG, OTHER], 0.0)
    assert len(told(memory, [MUG], 1.0, is_metric=False)) == 1
