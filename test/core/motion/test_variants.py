"""Grasps are taken level and lower, and neither where that is not meant."""

import numpy as np
import pytest
from arms_among_boxes import grasp

from pan3d_core.motion.variants import levelled, variants


def aslant(closing_deg: float, approach_deg: float) -> np.ndarray:
    """Rotation of a hand that comes from a side and closes aslant."""
    a, b = np.radians(closing_deg), np.radians(approach_deg)
    across = np.array([0.0, np.cos(b), np.sin(b)])
    closing = np.array([np.cos(a), 0.0, np.sin(a)])
    approach = np.cross(across, closing)
    approach /= np.linalg.norm(approach)
    return np.stack([closing, np.cross(approach, closing), approach], axis=1)


def test_a_hand_that_closes_aslant_closes_level_from_nearly_the_same_side():
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = aslant(20.0, 30.0), [0.1, 0.2, 0.05]
    level = levelled(pose)
    np.testing.assert_allclose(level[:3, :3].T @ level[:3, :3], np.eye(3), atol=1e-9)
    assert np.linalg.det(level[:3, :3]) > 0 and level[2, 0] == pytest.approx(0.0, abs=1e-9)
    assert level[:3, 0] @ pose[:3, 0] == pytest.approx(np.cos(np.radians(20.0)))
    assert level[:3, 2] @ pose[:3, 2] > np.cos(np.radians(20.0)) - 1e-9
    np.testing.assert_allclose(level[:3, 3], pose[:3, 3])


@pytest.mark.parametrize("closing_deg", [0.5, 40.0])
def test_what_is_level_or_meant_to_be_steep_stays(closing_deg):
    pose = np.eye(4)
    pose[:3, :3] = aslant(closing_deg, 20.0)
    assert levelled(pose) is pose


def test_a_hand_from_the_side_goes_straight_down_and_not_past_what_it_holds():
    offered = grasp(1, (0.1, 0.2, 0.09), aslant(0.0, 50.0))
    lower, same = variants(offered, 0.05, 0.012)
    np.testing.assert_allclose((lower.world_from_grasp - offered.world_from_grasp)[:3, 3], [0.0, 0.0, -0.012], atol=1e-6)
    assert same is offered
    assert [item.world_from_grasp[2, 3].item() for item in variants(offered, 0.088, 0.012)] == pytest.approx([0.084, 0.09])
    for middle_m, lower_m in ((0.095, 0.012), (0.05, 0.0)):
        assert list(variants(offered, middle_m, lower_m)) == [offered]


def test_the_grasp_as_it_was_offered_is_tried_last():
    offered = grasp(1, (0.1, 0.2, 0.09), aslant(20.0, 0.0))
    found = list(variants(offered, 0.05, 0.012))
    assert [abs(item.world_from_grasp[2, 0].item()) < 1e-6 for item in found] == [True, True, False, False]
    assert [item.world_from_grasp[2, 3].item() for item in found] == pytest.approx([0.078, 0.09, 0.078, 0.09])
    assert found[-1] is offered
