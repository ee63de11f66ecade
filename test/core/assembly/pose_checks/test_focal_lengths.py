"""Focal lengths that are off in all cameras alike are told: no movement of a camera mends them."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from pan3d_core.assembly.pose_checks.focal_lengths import focal_doubts
from pan3d_core.assembly.pose_checks.view_matches import ViewMatches
from pan3d_core.geometry.transforms import look_at

EYES = ((-0.6, -0.25, 0.55), (0.5, -0.4, 0.5), (0.1, 0.6, 0.45))
LENS = np.array([[330.0, 0.0, 159.5], [0.0, 330.0, 119.5], [0.0, 0.0, 1.0]])
POSES = np.stack([look_at(torch.tensor(eye), torch.zeros(3)).double().numpy() for eye in EYES])
TOLERANCE = np.radians(0.25)


def seen(count=40):
    """Right matches of places about the table, in every two of three cameras that stand around it."""
    places = np.random.default_rng(0).uniform((-0.2, -0.2, 0.0, 1.0), (0.2, 0.2, 0.15, 1.0), (count, 4))
    places[:, 3] = 1.0
    pixels = (places @ POSES.transpose(0, 2, 1))[..., :3] @ LENS.T
    pixels = pixels / pixels[..., 2:]
    pairs = list(combinations(range(3), 2))
    first, second = (np.repeat([pair[side] for pair in pairs], count) for side in (0, 1))
    sides = (np.concatenate([pixels[pair[side]] for pair in pairs]) for side in (0, 1))
    return ViewMatches(first, second, *sides, np.repeat(LENS[None], 3, 0))


@pytest.mark.parametrize(("factor", "mending"), [(0.9, "1.1"), (1.25, "0.8"), (0.77, "1.3")])
def test_lengths_that_are_off_everywhere_are_told_with_what_mends_them(factor, mending):
    given = np.repeat(LENS[None], 3, 0)
    given[:, [0, 1], [0, 1]] *= factor
    (words,) = focal_doubts(replace(seen(), intrinsics=given), POSES, TOLERANCE)
    assert f"focal lengths {mending} times as long in all cameras" in words


def test_right_lengths_and_few_places_say_nothing():
    assert focal_doubts(seen(), POSES, TOLERANCE) == ()
    few = replace(seen(3), intrinsics=seen(3).intrinsics * np.array([[1.1, 1, 1], [1, 1.1, 1], [1, 1, 1]]))
    assert focal_doubts(few, POSES, TOLERANCE) == ()
    assert focal_doubts(seen(0), POSES, TOLERANCE) == ()


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_lengths_that_are_off_are_told_by_neighbours_too(factor):
    eyes = ((-0.6, -0.25, 0.55), (-0.65, 0.05, 0.6))
    poses = np.stack([look_at(torch.tensor(eye), torch.zeros(3)).double().numpy() for eye in eyes])
    places = np.random.default_rng(0).uniform((-0.25, -0.25, 0.0), (0.25, 0.25, 0.15), (60, 3))
    pixels = (places @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]) @ LENS.T
    pixels = pixels / pixels[..., 2:]
    sides = np.zeros(60, np.int64), np.ones(60, np.int64)
    matches = ViewMatches(*sides, *pixels, np.repeat(LENS[None], 2, 0))
    assert focal_doubts(matches, poses, TOLERANCE) == ()
    given = matches.intrinsics * np.array([[factor, 1, 1], [1, factor, 1], [1, 1, 1]])
    (words,) = focal_doubts(replace(matches, intrinsics=given), poses, TOLERANCE)
    assert f"focal lengths {1.1 if factor < 1 else 0.9} times as long" in words
