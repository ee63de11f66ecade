"""Tests of where the objects of training scenes lie."""

import numpy as np
import pytest

from pan3d_sim.data.placing import (
    MAX_HEAPED,
    WORKSPACE_HALF_M,
    _cells,
    _outline,
    _place_heaped,
    _place_touching,
    _separated,
    _surface_points,
    place,
)
from pan3d_sim.data.scene_records import MAX_OBJECTS
from pan3d_sim.objects.kinds import KINDS, sample_object
from pan3d_sim.objects.meshes import matrix_from_quat


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(0)
    return [sample_object(rng, KINDS[i % len(KINDS)]) for i in range(45)]


def _world(placed, points):
    quat = placed.quat_wxyz / np.linalg.norm(placed.quat_wxyz)
    return points @ matrix_from_quat(quat).T + placed.position


def test_a_heap_has_up_to_25_objects_that_stand_on_the_table_or_on_each_other(objects):
    placed = _place_heaped(np.random.default_rng(1), objects, MAX_HEAPED)
    assert 15 <= len(placed) <= MAX_HEAPED == 25 < MAX_OBJECTS
    lowest = np.array([_world(item, item.spec.vertices)[:, 2].min() for item in placed.values()])
    assert lowest.min() > -1e-3 and (lowest < 0.005).sum() >= 3 and (lowest > 0.02).sum() >= 5
    assert max(_world(item, item.spec.vertices)[:, 2].max() for item in placed.values()) < 0.32


def test_nothing_in_a_heap_is_inside_another_thing(objects):
    placed = _place_heaped(np.random.default_rng(2), objects, 12)
    tops: dict[int, float] = {}
    for index, item in placed.items():  # in the order in which they were let down
        points = _world(item, _surface_points(item.spec, index))
        below = [tops.get(int(cell), 0.0) for cell in _cells(points)]
        assert (points[:, 2] >= np.array(below) - 1e-6).all(), item.spec.kind
        for cell, height in zip(_cells(points), points[:, 2]):
            tops[int(cell)] = max(tops.get(int(cell), 0.0), float(height))


def test_touching_objects_are_millimetres_apart_and_do_not_overlap(objects):
    placed = list(_place_touching(np.random.default_rng(3), objects, 8).values())
    assert len(placed) >= 4
    outlines = [_outline(_world(item, item.spec.vertices)[:, :2], 0.0) for item in placed]
    for k, own in enumerate(outlines[1:], start=1):
        others = outlines[:k]
        assert all(_separated(own - 0.004, other) for other in others)
        assert any(not _separated(own + 0.009, other) for other in others), "reaches none of those before it"
    assert max(np.abs(_world(item, item.spec.vertices)[:, :2]).max() for item in placed) < WORKSPACE_HALF_M + 0.04


def test_mixed_arrangements_are_of_all_sorts_and_follow_from_the_seed(objects):
    counts = []
    for seed in range(12):
        first, again = (place(np.random.default_rng(seed), objects, "mixed") for _ in range(2))
        assert list(first) == list(again)
        assert all(np.array_equal(first[k].position, again[k].position) for k in first)
        counts.append(len(first))
    assert min(counts) <= 6 and max(counts) >= 12
