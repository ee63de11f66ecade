"""Joints place links; a joint of which nothing is told is named."""

import numpy as np
import pytest
import torch
from robot_arms import TURNING_URDF

from pan3d_core.body import parse_urdf, root_from_links

ROBOT = parse_urdf(TURNING_URDF)


def test_links_are_where_the_joints_put_them():
    links = root_from_links(ROBOT, {"turn": np.pi / 2, "left_slide": 0.3, "other": 9.0})
    assert links.shape == (4, 4, 4) and links.dtype == torch.float64
    np.testing.assert_allclose(links[0], np.eye(4))
    # The arm stands 0.5 up, its z axis along -y; turned by 90 degrees about that axis its y axis points along -x.
    np.testing.assert_allclose(links[1, :3, 3], [0, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(links[1, :3, 1], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(links[2, :3, 3], [-1, 0, 0.8], atol=1e-6)
    np.testing.assert_allclose(links[3, :3, 3], [-1, 0, 0.5 - 2 * 0.3 + 0.1], atol=1e-6)


def test_missing_and_impossible_positions_are_named():
    with pytest.raises(ValueError, match="expected those of turn, left_slide, got none of left_slide"):
        root_from_links(ROBOT, {"turn": 0.0, "right_slide": 1.0})
    with pytest.raises(ValueError, match="expected finite numbers, got nan of turn"):
        root_from_links(ROBOT, {"turn": float("nan"), "left_slide": 0.0})


def test_an_unknown_link_is_named():
    with pytest.raises(ValueError, match="expected one of base, arm, left, right, got 'hand'"):
        ROBOT.index("hand")
