"""A promise holds on average over draws of sites, is heard from twenty confirmations, and refuses where it cannot be made."""

import numpy as np
import pytest

from pan3d_core.warranty import KINDS, Confirmation, answers_of_worlds, guarantee
from pan3d_core.warranty.guarantee import NOTHING


def drawn(rng, count, shift=0.0):
    """Answers whose scores say a little too much or too little."""
    scores = rng.uniform(0.02, 0.98, count)
    chance = 1 / (1 + np.exp(-(np.log(scores / (1 - scores)) + shift)))
    return [Confirmation(float(score), bool(rng.random() < right)) for score, right in zip(scores, chance)]


def wrong_and_given(found, answers):
    shown = [item for item in answers if found.gives(item.score)]
    return sum(not item.right for item in shown), len(shown)


@pytest.mark.parametrize(("share", "shift"), [(0.05, 3.0), (0.1, 1.5), (0.2, 1.5)])
def test_on_average_no_more_answers_are_wrong_than_was_promised(share, shift):
    rng = np.random.default_rng(0)
    worlds, rows = drawn(rng, 400, shift=shift), []
    for _ in range(60):
        found = guarantee(share, drawn(rng, 40, shift=shift), worlds)
        rows.append(wrong_and_given(found, drawn(rng, 300, shift=shift)))
    wrong, given = np.sum(rows, axis=0)
    assert wrong / given <= share + 0.02 and given > 0.1 * 60 * 300


def test_twenty_confirmations_of_a_worse_place_are_heard():
    rng = np.random.default_rng(1)
    worlds = drawn(rng, 400, shift=2.0)
    told, untold = [], []
    for _ in range(60):
        site = drawn(rng, 320, shift=-1.0)
        told.append(wrong_and_given(guarantee(0.2, site[:20], worlds), site[20:]))
        untold.append(wrong_and_given(guarantee(0.2, [], worlds), site[20:]))
    (bad, given), (worse, more) = np.sum(told, axis=0), np.sum(untold, axis=0)
    assert bad / given < worse / more - 0.05 and given < more


def test_answers_of_one_score_are_given_or_refused_together():
    same = [Confirmation(0.8, row >= 5) for row in range(100)]
    found = guarantee(0.1, same, [])
    assert found.least == 0.8 and found.gives(0.8) and not found.gives(0.79) and found.answered == 1.0
    assert guarantee(0.04, same, []).least == NOTHING
    better = [*same, *(Confirmation(0.9, True) for _ in range(100))]
    assert guarantee(0.02, better, []).least == 0.9 and guarantee(0.02, better, []).answered == 0.5


def test_without_enough_that_is_known_everything_is_refused():
    few = [Confirmation(0.99, True)] * 8
    assert guarantee(0.1, few, []).least == NOTHING and guarantee(0.1, few + few[:1], []).least == 0.99
    assert guarantee(0.1, [], []).least == NOTHING
    assert "8 confirmations here are too few" in guarantee(0.1, few, []).refusal(0.99)
    assert "its score is 0.50, and only from 0.99 on" in guarantee(0.1, few * 2, []).refusal(0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_shares_that_cannot_be_promised_are_refused(share):
    with pytest.raises(ValueError, match="wrong_share: expected more than 0 and less than 1"):
        guarantee(share, [], [])


def test_weights_and_confirmations_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="worlds_weight: expected 0 or more"):
        guarantee(0.1, [], [], -1.0)
    with pytest.raises(ValueError, match="Confirmation.score: expected 0 to 1, got 1.5"):
        Confirmation(1.5, True)
    with pytest.raises(ValueError, match="Confirmation.right: expected true or false, got 1"):
        Confirmation(0.5, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_worlds_without_one_of_them(kind):
    every, fewer = answers_of_worlds(kind), answers_of_worlds(kind, without="cell")
    assert 0 < len(fewer) < len(every) and 0 < sum(item.right for item in every) < len(every)
