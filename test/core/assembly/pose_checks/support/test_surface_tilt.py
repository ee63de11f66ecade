"""Surfaces that are not level: told from small angles on, refused where no wall explains them."""

import numpy as np
import pytest

from pan3d_core.assembly.pose_checks.pose_fit import small_motion
from pan3d_core.assembly.pose_checks.support.height import SeenPlaces
from pan3d_core.assembly.pose_checks.support.surface_tilt import scatter_doubt, tilt_doubt


def table(degrees, height=0.0, wall=0):
    """A plane of places with noise, tilted about the level axis y; and places of a wall behind it."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.3, 0.3, (120, 3))
    points[:, 2] = rng.normal(0, 0.001, 120)
    points = points @ small_motion(np.array([0.0, np.radians(degrees), 0.0, 0, 0, 0]))[:3, :3].T
    behind = rng.uniform(-0.3, 0.3, (wall, 3))
    behind[:, 0], behind[:, 2] = 0.4, behind[:, 2] + 0.32
    return SeenPlaces(np.concatenate([points, behind]) + [0, 0, height], 0.8, by_depth=False)


@pytest.mark.parametrize(
    ("degrees", "told", "refused"),
    [(0, False, False), (3, False, False), (10, True, False), (30, True, True), (60, True, True), (90, True, True)],
)
@pytest.mark.parametrize("height", [0.0, 0.7])
def test_how_far_it_is_tilted_decides(degrees, told, refused, height):
    words, refuted = tilt_doubt(table(degrees, height), height)
    assert (bool(words), refuted) == (told, refused)
    assert not told or f"tilted by {degrees} degrees" in words
    assert tilt_doubt(table(degrees, height), None) == (words, False), "without a height there is nothing to refute"


def test_a_wall_behind_a_plain_table_is_told_and_not_refused():
    places = SeenPlaces(table(0, wall=200).points[120:], 0.8, by_depth=False)
    words, refuted = tilt_doubt(places, 0.0)
    assert "tilted by 90 degrees" in words and not refuted
    assert tilt_doubt(table(0, wall=60), 0.0) == ("", False), "a level surface of half as many places is the support"


def places(heights):
    rng = np.random.default_rng(0)
    return SeenPlaces(np.column_stack([rng.uniform(-0.3, 0.3, (len(heights), 2)), heights]), 0.8, by_depth=False)


def test_a_few_places_at_all_heights_and_below_the_support_speak_of_a_world_that_is_not_level():
    scattered = places(0.74 + np.linspace(-0.2, 0.2, 14))
    assert "36% of what cameras have in common lies below the support at 0.740 m" in scatter_doubt(scattered, 0.74)
    assert scatter_doubt(places(scattered.points[:11, 2]), 0.74) == "", "too few"
    assert scatter_doubt(SeenPlaces(scattered.points, 0.8, by_depth=True), 0.74) == "", "sensors show whole planes"


@pytest.mark.parametrize(
    "heights",
    [
        np.linspace(-0.03, 0.3, 20),
        np.r_[np.full(10, -0.7), np.linspace(-0.2, 0.3, 10)],
        np.r_[np.full(4, 0.0), np.linspace(-0.3, 0.3, 20)],
    ],
    ids=["things on the support", "a floor beside a table", "some of the support itself"],
)
def test_places_that_a_level_world_explains_are_no_doubt(heights):
    assert scatter_doubt(places(heights), 0.0) == ""
