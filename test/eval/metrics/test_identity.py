import math

import numpy as np
import pytest
import torch

from pan3d_eval.metrics.identity import FrameOverlap, frame_overlap, identity_errors


def frame(true_ids, reported_ids, ious) -> FrameOverlap:
    return FrameOverlap(np.array(true_ids), np.array(reported_ids), np.array(ious, dtype=float).reshape(len(true_ids), -1))


def test_overlap_of_two_maps():
    truth = torch.tensor([[1, 1, 1, 2], [0, 0, 2, 2]])
    reported = torch.tensor([[5, 5, 0, 9], [5, 0, 9, 9]])
    overlap = frame_overlap(reported, truth)
    assert overlap.true_ids.tolist() == [1, 2] and overlap.reported_ids.tolist() == [5, 9]
    np.testing.assert_allclose(overlap.ious, [[2 / 4, 0], [0, 1]])
    assert frame_overlap(torch.zeros(3).long(), torch.zeros(3).long()).ious.shape == (0, 0)
    with pytest.raises(ValueError, match="reported_ids: expected the truth's shape"):
        frame_overlap(torch.zeros(3).long(), torch.zeros(4).long())


def test_counts_by_hand():
    frames = [
        frame([1, 2], [10, 20], [[0.9, 0.0], [0.0, 0.8]]),
        frame([1, 2], [10, 30], [[0.9, 0.0], [0.0, 0.8]]),  # object 2 takes another id: one switch
        frame([1, 2], [30], [[0.0], [0.7]]),  # object 1 is missed
        frame(
            [1, 2], [10, 30, 40], [[0.6, 0, 0], [0, 0.6, 0]]
        ),  # it comes back under its id: a fragment, no switch; 40 is spurious
        frame([1], [50], [[0.9]]),  # another id for object 1: second switch
    ]
    errors = identity_errors(frames)
    assert (errors.switches, errors.fragments, errors.missed, errors.spurious) == (2, 1, 1, 1)
    assert (errors.matches, errors.truths) == (8, 9)
    assert errors.mota == pytest.approx(1 - (1 + 1 + 2) / 9)
    assert errors.motp == pytest.approx((0.9 + 0.8 + 0.9 + 0.8 + 0.7 + 0.6 + 0.6 + 0.9) / 8)
    assert errors.mostly_tracked == 1.0  # 4 of 5 and 4 of 4


def test_a_switch_counts_after_a_long_gap_too():
    gap = [frame([1], [], [])] * 5
    assert identity_errors([frame([1], [7], [[0.9]]), *gap, frame([1], [8], [[0.9]])]).switches == 1
    assert identity_errors([frame([1], [7], [[0.9]]), *gap, frame([1], [7], [[0.9]])]).switches == 0


def test_two_objects_that_swap_ids_are_two_switches():
    frames = [frame([1, 2], [7, 8], [[0.9, 0], [0, 0.9]]), frame([1, 2], [7, 8], [[0, 0.9], [0.9, 0]])]
    assert identity_errors(frames).switches == 2


def test_a_held_match_goes_before_a_better_one():
    frames = [frame([1], [7], [[0.9]]), frame([1], [7, 8], [[0.6, 0.8]])]
    errors = identity_errors(frames, min_iou=0.3)
    assert (errors.switches, errors.spurious) == (0, 1)
    lost = [frame([1], [7], [[0.9]]), frame([1], [7, 8], [[0.3, 0.8]])]  # not over the limit any more
    assert identity_errors(lost, min_iou=0.3).switches == 1


def test_overlap_must_be_more_than_the_limit():
    assert identity_errors([frame([1], [7], [[0.5]])]).missed == 1


@pytest.mark.parametrize("seed", range(5))
def test_what_ids_are_called_has_no_influence(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(0, 4, (6, 3, 3), generator=generator)
    reported = torch.where(
        torch.rand(6, 3, 3, generator=generator) < 0.8, truth, torch.randint(0, 6, (6, 3, 3), generator=generator)
    )
    names_t, names_p = torch.randperm(30, generator=generator)[:4] + 1, torch.randperm(30, generator=generator)[:6] + 1
    names_t[0] = names_p[0] = 0
    expected = identity_errors(frame_overlap(p, t) for p, t in zip(reported, truth))
    renamed = identity_errors(frame_overlap(names_p[p], names_t[t]) for p, t in zip(reported, truth))
    for name, value in vars(expected).items():
        assert getattr(renamed, name) == pytest.approx(value), name


def test_perfect_and_empty_streams():
    perfect = identity_errors([frame_overlap(torch.tensor([3, 0, 4]), torch.tensor([1, 0, 2]))] * 3)
    assert (perfect.mota, perfect.motp, perfect.mostly_tracked, perfect.switches) == (1.0, 1.0, 1.0, 0)
    nothing = identity_errors([])
    assert nothing.truths == 0 and math.isnan(nothing.mota) and math.isnan(nothing.mostly_tracked)
    unseen = identity_errors([frame([1], [], [])])
    assert unseen.mota == 0.0 and math.isnan(unseen.motp)
    spurious = identity_errors([FrameOverlap(np.zeros(0, int), np.array([5]), np.zeros((0, 1)))])
    assert spurious.spurious == 1 and math.isnan(spurious.mota)
