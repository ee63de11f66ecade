"""Figures before and after: what is more than chance, what is not, and what nobody can say."""

import numpy as np
import pytest
import torch

from pan3d_eval.metrics.average_precision import measure_overlaps
from training.teaching.gain import gain_of


def sample(found):
    """A scene of four objects of which some are found."""
    ids = torch.arange(1, 5).repeat_interleave(50)
    masks = torch.stack([ids == number for number in range(1, found + 1)]) if found else torch.zeros(0, 200, dtype=torch.bool)
    return measure_overlaps(masks, torch.linspace(0.9, 0.5, found), ids, min_points=8)


def test_what_is_better_in_all_scenes_is_better():
    gain = gain_of([sample(2)] * 6, [sample(4)] * 6, [2, 2, 2])
    assert gain.before == pytest.approx(0.5, abs=0.1) and gain.after == pytest.approx(1.0)
    assert gain.low > 0.3 and "better" in gain.verdict and "over 3 scenes" in gain.verdict
    worse = gain_of([sample(4)] * 6, [sample(2)] * 6, [2, 2, 2])
    assert worse.high < 0 and "worse" in worse.verdict


def test_what_goes_up_in_one_scene_and_down_in_another_is_within_what_the_data_can_show():
    before, after = [sample(n) for n in (2, 3, 2, 3)], [sample(n) for n in (3, 2, 3, 2)]
    gain = gain_of(before, after, [1, 1, 1, 1])
    assert gain.low <= 0 <= gain.high and "within what the data can show" in gain.verdict


def test_of_one_scene_nothing_is_said_however_many_samples_it_has():
    gain = gain_of([sample(1)] * 8, [sample(4)] * 8, [8])
    assert np.isnan(gain.low) and "too few to say" in gain.verdict and "better" not in gain.verdict


def test_samples_must_be_those_of_the_scenes():
    with pytest.raises(ValueError, match="expected 3 samples"):
        gain_of([sample(1)] * 2, [sample(1)] * 2, [3])
