"""Covariances of places: their axes, and what makes them larger."""

from dataclasses import replace

import torch

from pan3d_core.assembly.uncertainty import (
    MEASURED,
    MEASURED_SIDES,
    PREDICTED,
    PREDICTED_SIDES,
    position_covariance,
    size_deviations,
    with_uncertainty,
)
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.transforms import rigid
from pan3d_core.structures import Segment

QUARTER = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # box x lies along world y


def segment(score=1.0, views=4, turn=None) -> Segment:
    world_from_box = rigid(torch.eye(3) if turn is None else turn, torch.tensor([0.4, 0.1, 0.05]))
    box = OrientedBox(world_from_box, torch.tensor([0.2, 0.1, 0.0]))
    return Segment(1, -1, 0.0, score, 500, views, box.world_from_box[:3, 3], box, torch.zeros(3))


def test_errors_grow_with_the_extent_along_their_axis():
    for errors, measured in ((PREDICTED, False), (MEASURED, True)):
        deviations = position_covariance(segment(), measured=measured).diagonal().sqrt()
        long = (errors.of_all_m**2 + (0.2 * errors.of_extent) ** 2) ** 0.5
        torch.testing.assert_close(deviations[0], torch.tensor(long))
        torch.testing.assert_close(deviations[2], torch.tensor(errors.of_all_m))
        assert deviations[0] > deviations[1] > deviations[2]


def test_axes_turn_with_the_box():
    straight, turned = (position_covariance(segment(turn=turn), measured=True) for turn in (None, QUARTER))
    torch.testing.assert_close(turned, QUARTER @ straight @ QUARTER.T)
    assert turned[1, 1] > turned[0, 0]


def test_fewer_views_doubt_and_predicted_depth_make_it_larger():
    sure = position_covariance(segment(), measured=True).trace()
    assert position_covariance(segment(views=1), measured=True).trace() > 1.9 * sure
    assert position_covariance(segment(score=0.5), measured=True).trace() > 4 * sure
    assert position_covariance(segment(), measured=False).trace() > sure
    unseen = replace(segment(), num_views=0)  # as merged segments never are, but others may make one
    assert bool(position_covariance(unseen, measured=True).isfinite().all())


def test_sides_have_deviations_of_their_own():
    for errors, measured in ((PREDICTED_SIDES, False), (MEASURED_SIDES, True)):
        long, _, thin = size_deviations(segment(), measured=measured)
        torch.testing.assert_close(thin, torch.tensor(errors.of_all_m))
        torch.testing.assert_close(long, torch.tensor((errors.of_all_m**2 + (0.2 * errors.of_extent) ** 2) ** 0.5))
        assert (size_deviations(segment(score=0.5), measured=measured) > size_deviations(segment(), measured=measured)).all()
    told = with_uncertainty(segment(), measured=True)
    torch.testing.assert_close(told.size_sigma_m, size_deviations(segment(), measured=True))
    torch.testing.assert_close(told.position_covariance, position_covariance(segment(), measured=True))
