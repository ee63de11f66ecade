"""The two signs of a quaternion are one rotation, and between two poses the short way is taken."""

import numpy as np
import pytest

from pan3d_ros.inputs.pose_history import PoseHistory
from pan3d_ros.messages.poses import matrix_from_pose

S = 1_000_000_000


def about_z(degrees):
    half = np.radians(degrees) / 2
    return np.array([0.0, 0.0, np.sin(half), np.cos(half)])


def angle_deg(quaternion_xyzw):
    """Of a rotation about z, -180 to 180, whichever sign the quaternion has."""
    rotation = matrix_from_pose("pose", np.zeros(3), quaternion_xyzw)
    return float(np.degrees(np.arctan2(float(rotation[1, 0]), float(rotation[0, 0]))))


@pytest.mark.parametrize("quaternion", [about_z(70.0), np.array([0.5, -0.5, 0.5, 0.5]), np.array([1.0, 0.0, 0.0, 0.0])])
def test_a_quaternion_and_its_negative_are_one_pose(quaternion):
    first, second = (matrix_from_pose("pose", np.ones(3), sign * quaternion) for sign in (1, -1))
    assert np.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize(("start", "end", "quarter"), [(10.0, 50.0, 20.0), (170.0, -170.0, 175.0), (-80.0, 80.0, -40.0)])
def test_interpolation_takes_the_short_way_whatever_the_signs(signs, start, end, quarter):
    history = PoseHistory()
    history.add(1 * S, np.zeros(3), signs[0] * about_z(start))
    history.add(1 * S + 400_000_000, np.array([4.0, 0.0, 0.0]), signs[1] * about_z(end))
    translation, quaternion = history.at(1 * S + 100_000_000)
    assert translation == pytest.approx([1.0, 0.0, 0.0])
    assert angle_deg(quaternion) == pytest.approx(quarter, abs=1e-3)
    assert np.linalg.norm(quaternion) == pytest.approx(1.0)


def test_one_pose_under_both_signs_stands_still():
    history = PoseHistory()
    history.add(1 * S, np.ones(3), about_z(30.0))
    history.add(1 * S + 200_000_000, np.ones(3), -about_z(30.0))
    assert angle_deg(history.at(1 * S + 100_000_000)[1]) == pytest.approx(30.0, abs=1e-4)
