"""Trajectories of messages are checked before anything moves by them."""

from types import SimpleNamespace

import numpy as np
import pytest

from pan3d_ros.messages.manipulation.trajectories import TrajectoryError, trajectory_from_message

HERE = {"a": 0.5, "b": 0.0}
LIMITS = {"a": (-1.0, 1.0), "b": (0.0, 0.04)}
SPEEDS = {"a": 1.0}


def message(names, *points):
    made = [
        SimpleNamespace(positions=list(values), time_from_start=SimpleNamespace(sec=int(time), nanosec=round((time % 1) * 1e9)))
        for time, *values in points
    ]
    return SimpleNamespace(header=None, joint_names=list(names), points=made)


def read(names, *points):
    return trajectory_from_message(message(names, *points), HERE, LIMITS, SPEEDS)


def test_it_begins_where_the_joints_are():
    way = read("ab", (1.5, 0.9, 0.03), (2.0, 1.0, 0.04))
    assert way.joints == ("a", "b") and way.duration_s == 2.0
    np.testing.assert_allclose(way.at(0.0), [0.5, 0.0])
    np.testing.assert_allclose(way.at(0.75), [0.7, 0.015])
    np.testing.assert_allclose(read("a", (0.0, 0.45), (1.0, 0.2)).at(0.0), [0.45])  # said by itself, near enough
    np.testing.assert_allclose(read("ba", (1.0, 0.02, 0.6)).at(1.0), [0.02, 0.6])


@pytest.mark.parametrize(
    ("names", "points", "code", "words"),
    [
        ("", [(1.0,)], "INVALID_JOINTS", "joint_names: expected different ones of a, b, got []"),
        ("ac", [(1.0, 0.5, 0.0)], "INVALID_JOINTS", "got ['a', 'c']"),
        ("aa", [(1.0, 0.5, 0.5)], "INVALID_JOINTS", "expected different ones"),
        ("a", [], "INVALID_GOAL", "points: expected one or more, got none"),
        ("ab", [(1.0, 0.5)], "INVALID_GOAL", "points[0].positions: expected 2 finite numbers, got 1"),
        ("a", [(1.0, float("nan"))], "INVALID_GOAL", "points[0].positions: expected 1 finite numbers"),
        ("a", [(1.0, 1.2)], "INVALID_GOAL", "points[0].positions: expected a within -1.000 and 1.000, got 1.200"),
        ("a", [(1.0, 0.6), (1.0, 0.7)], "INVALID_GOAL", "time_from_start: expected increasing times from 0 on"),
        ("a", [(0.0, 0.0), (1.0, 0.1)], "INVALID_GOAL", "points[0].positions: expected a near 0.500, where it is, got 0.000"),
        ("a", [(0.2, 0.9)], "INVALID_GOAL", "points: expected a to move at 1.00 per second at most, got 2.00"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(names, points, code, words):
    with pytest.raises(TrajectoryError) as error:
        read(names, *points)
    assert error.value.code == code and words in str(error.value)
