"""How things stand to others, in numbers."""

import math

import numpy as np
import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.language.relations import comparison_factors, distances, relation_factors, relation_holds
from pan3d_core.structures import Segment


def thing(x: float, y: float, side: float = 0.04) -> Segment:
    pose = torch.eye(4)
    pose[:3, 3] = torch.tensor([x, y, side / 2])
    return Segment(1, -1, 0.0, 1.0, 100, 2, pose[:3, 3], OrientedBox(pose, torch.full((3,), side)), torch.zeros(3))


ROW = [thing(-0.3, 0.0), thing(0.3, 0.0), thing(0.15, 0.0), thing(-0.1, 0.0)]


def test_what_is_opposite_lies_beyond_the_middle_and_the_farthest_is_meant():
    factors = relation_factors(ROW, "opposite", [0], np.ones(4))
    assert factors[:2].tolist() == [0.0, 1.0]
    assert factors[2] == pytest.approx(math.exp(-0.15 / 0.15))  # 15 cm less far beyond the middle
    assert factors[3] == pytest.approx(0.05)  # on the same side: hardly
    assert relation_holds(ROW, "opposite", [0]).tolist() == [False, True, True, False]


def test_near_and_far_fall_with_the_distance_to_the_best_candidate():
    assert distances(ROW, 0).tolist() == pytest.approx([0.0, 0.6, 0.45, 0.2])
    near = relation_factors(ROW, "near", [0], np.ones(4))
    assert near.tolist() == pytest.approx([0.0, math.exp(-0.4 / 0.15), math.exp(-0.25 / 0.15), 1.0])
    far = relation_factors(ROW, "far", [0], np.ones(4))
    assert far.tolist() == pytest.approx([0.0, 1.0, math.exp(-0.15 / 0.15), math.exp(-0.4 / 0.15)])
    unlikely = relation_factors(ROW, "near", [0], np.array([1.0, 1.0, 1.0, 0.0]))  # the nearest is no candidate
    assert unlikely[2] == pytest.approx(1.0)


def test_larger_and_smaller_than_another_thing_is_told_of_each():
    sizes = [thing(0.0, 0.0, 0.04), thing(0.2, 0.0, 0.08), thing(0.4, 0.0, 0.02)]
    assert comparison_factors(sizes, "size", 1, 0).tolist() == [0.0, 1.0, 0.0]
    assert comparison_factors(sizes, "size", -1, 0).tolist() == [0.0, 0.0, 1.0]
