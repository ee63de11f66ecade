"""Ids stay with objects, lost ones are forgotten, and no id is ever 0 or used twice."""

from dataclasses import replace

import pytest
import torch
from panoptic_results import ids_of, panoptic_of

from pan3d_core.config import TrackingConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.transforms import rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.memory import WorldMemory
from pan3d_core.memory.likeness import similarity
from pan3d_core.structures import Panoptic3D, Segment

RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)


def segment(instance_id: int, center, rgb=RED, embedding=None) -> Segment:
    box = OrientedBox(rigid(torch.eye(3), torch.tensor(center)), torch.full((3,), 0.06))
    return Segment(instance_id, 0, 1.0, 0.9, 100, 2, torch.tensor(center), box, torch.tensor(rgb), embedding)


def scene(segments, stamp_s: float = 0.0) -> Panoptic3D:
    return panoptic_of(segments, LabelSpace.things(("thing",)), stamp_s)


def test_ids_follow_objects_whatever_their_order():
    memory = WorldMemory()
    first = memory.update(scene([segment(1, (0.0, 0.0, 0.03)), segment(2, (0.2, 0.0, 0.03), BLUE)]))
    second = memory.update(scene([segment(1, (0.21, 0.01, 0.03), BLUE), segment(2, (0.01, 0.0, 0.03))], 0.5))
    assert ids_of(second) == ids_of(first)[::-1]
    assert second.instance_id.tolist() == [[[0, *ids_of(second)]]]
    assert second.point_instance_id.tolist() == [0, *ids_of(second)]


def test_colour_decides_between_neighbours():
    memory = WorldMemory()
    first = memory.update(scene([segment(1, (0.0, 0.0, 0.03)), segment(2, (0.05, 0.0, 0.03), BLUE)]))
    moved = memory.update(scene([segment(1, (0.03, 0.0, 0.03)), segment(2, (0.08, 0.0, 0.03), BLUE)], 0.5))
    assert ids_of(moved) == ids_of(first)


def test_far_objects_are_new_and_ids_are_not_reused():
    memory = WorldMemory()
    first = memory.update(scene([segment(1, (0.0, 0.0, 0.03))]))
    second = memory.update(scene([segment(1, (0.3, 0.0, 0.03))], 0.5))
    assert ids_of(second) != ids_of(first)
    memory.reset()
    third = memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 1.0))
    assert len({*ids_of(first), *ids_of(second), *ids_of(third)}) == 3
    assert 0 not in ids_of(third)


def test_an_object_comes_back_within_the_lost_time_only():
    memory = WorldMemory(TrackingConfig(max_lost_s=2.0))
    first = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))])))
    memory.update(scene([], 1.0))
    assert ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 1.9))) == first
    assert ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 4.5))) != first


def test_clock_that_jumps_back_forgets(caplog):
    memory = WorldMemory()
    first = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 10.0)))
    assert ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 9.0))) != first
    assert "time went back" in caplog.text


def test_unmetric_scenes_get_new_ids_and_leave_no_trace():
    memory = WorldMemory()
    first = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))])))
    unmetric = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 0.1), comparable=False))
    assert unmetric != first
    assert ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 0.2))) == first


def test_ids_of_results_that_are_not_metric_are_never_used_again():
    memory, seen = WorldMemory(), []
    for step in range(6):
        given = scene([segment(1, (0.0, 0.0, 0.03)), segment(2, (0.3, 0.0, 0.03), BLUE)], float(step))
        result = memory.update(given, comparable=False)
        assert result.instance_id.tolist() == [[[0, *ids_of(result)]]]
        assert [item.instance_id for item in result.segments] == ids_of(result)
        seen += ids_of(result)
    metric = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 6.0)))
    assert len({*seen, *metric}) == 13
    assert 0 not in seen


def test_a_clock_that_stands_still_is_no_clock_that_jumped_back():
    memory = WorldMemory()
    first = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 10.0)))
    assert ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], 10.0))) == first


def test_an_object_is_lost_only_after_the_lost_time_has_passed():
    for after_s, stays in ((2.0, True), (2.001, False)):
        memory = WorldMemory(TrackingConfig(max_lost_s=2.0))
        first = ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))])))
        assert (ids_of(memory.update(scene([segment(1, (0.0, 0.0, 0.03))], after_s))) == first) == stays


def test_each_likeness_counts_by_its_weight():
    meaning = torch.tensor([1.0, 0.0])
    item = segment(1, (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), meaning)
    assert similarity(item, replace(item, color_rgb=torch.tensor([0.5, 0.5, 0.25])), 0.1) == pytest.approx(
        1 - 0.2 * 0.5, abs=1e-5
    )
    assert similarity(item, replace(item, color_rgb=torch.tensor([0.5, 0.5, 1.0])), 0.1) == pytest.approx(0.8, abs=1e-5)
    assert similarity(item, replace(item, text_embedding=torch.tensor([0.0, 1.0])), 0.1) == pytest.approx(0.85, abs=1e-5)
    assert similarity(item, replace(item, text_embedding=torch.tensor([-1.0, 0.0])), 0.1) == pytest.approx(0.85, abs=1e-5)
    half_away = segment(1, (0.05, 0.0, 0.0), (0.5, 0.5, 0.5), meaning)  # boxes of 6 cm share 1 of 11 parts
    assert similarity(item, half_away, 0.1) == pytest.approx(0.4 * 0.5 + 0.25 / 11 + 0.2 + 0.15, abs=1e-4)
    bare = replace(item, text_embedding=None)  # the weight of what is unknown goes to the others
    red = replace(item, color_rgb=torch.tensor([1.0, 0.5, 0.5]))
    assert similarity(bare, red, 0.1) == pytest.approx(1 - 0.2 / 0.85, abs=1e-5)


def test_disabled_tracking_changes_nothing():
    panoptic = scene([segment(7, (0.0, 0.0, 0.03))])
    assert WorldMemory(TrackingConfig(enabled=False)).update(panoptic) is panoptic


def test_similarity_is_1_for_the_same_and_0_for_the_far():
    embedding = torch.nn.functional.normalize(torch.ones(8), dim=0)
    item = segment(1, (0.0, 0.0, 0.0), embedding=embedding)
    assert similarity(item, item, 0.1) == pytest.approx(1.0, abs=1e-4)
    other = replace(item, text_embedding=-embedding)
    assert similarity(item, other, 0.1) < 0.9
    assert similarity(item, segment(2, (0.2, 0.0, 0.0)), 0.1) == 0.0
