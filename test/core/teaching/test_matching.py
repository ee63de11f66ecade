"""How likely two appearances are of one object."""

from dataclasses import replace

import numpy as np
import pytest

from pan3d_core.teaching import CUES, CueWeight, Looks, Weights, cue_distances, likeness
from pan3d_core.teaching.looks import COLOR_BINS, DISTANCE_BINS, TEXTURE_BINS
from pan3d_core.teaching.weights import WEIGHTS

COLORS = int(np.prod(COLOR_BINS))


def one_of(size, index, rows=2):
    shares = np.zeros((rows, size), np.float32)
    shares[:, index] = 1.0
    return shares


def looks(**changes):
    base = Looks(
        colors=one_of(COLORS, 5),
        pixels=np.array([100, 300], np.float32),
        textures=one_of(TEXTURE_BINS, 0),
        tone=np.array([0.5, 0.1, 0.0, 0.1, 0.02, 0.02], np.float32),
        size_m=np.array([0.12, 0.06, 0.04], np.float32),
        spread_m=np.array([0.03, 0.015, 0.01], np.float32),
        distances=np.full(DISTANCE_BINS, 1 / DISTANCE_BINS, np.float32),
        vectors=np.eye(4, dtype=np.float32)[:2],
        meaning=np.eye(4, dtype=np.float32)[0],
        crops=np.eye(4, dtype=np.float32)[:2],
        space="of looks",
        checkpoint="a",
    )
    return replace(base, **changes)


def test_an_object_is_like_itself_and_nothing_is_apart():
    distances = cue_distances(looks(), looks())
    assert list(distances) == [cue.name for cue in CUES]
    assert all(value == pytest.approx(0.0, abs=1e-6) for value in distances.values())
    assert likeness(looks(), looks(), WEIGHTS).probability > 0.95


@pytest.mark.parametrize(
    ("cue", "expected", "changes"),
    [
        ("length", np.log(2), {"size_m": np.array([0.24, 0.06, 0.04], np.float32)}),
        ("width", np.log(1.5), {"size_m": np.array([0.12, 0.09, 0.04], np.float32)}),
        ("spread of points", np.log(2), {"spread_m": np.array([0.06, 0.015, 0.01], np.float32)}),
        ("distances of points", 2 * (1 - 1 / DISTANCE_BINS), {"distances": np.eye(DISTANCE_BINS, dtype=np.float32)[0]}),
        ("all colours", -np.log(1e-3), {"colors": one_of(COLORS, 9)}),
        ("colours by view", -np.log(1e-3), {"colors": one_of(COLORS, 9)}),
        ("mean chroma", 0.5, {"tone": np.array([0.5, 0.4, 0.4, 0.1, 0.02, 0.02], np.float32)}),
        ("variety of colours", 0.3, {"tone": np.array([0.5, 0.1, 0.0, 0.2, 0.12, 0.12], np.float32)}),
        ("texture", -np.log(1e-3), {"textures": one_of(TEXTURE_BINS, 3)}),
        ("learnt look", 1.0, {"crops": np.eye(4, dtype=np.float32)[2:]}),
        ("network features", 1.0, {"vectors": np.eye(4, dtype=np.float32)[2:]}),
        ("meaning", 1.0, {"meaning": np.eye(4, dtype=np.float32)[1]}),
    ],
)  # fmt: skip
def test_each_cue_measures_what_it_says_and_makes_it_less_likely(cue, expected, changes):
    other = looks(**changes)
    assert cue_distances(looks(), other)[cue] == pytest.approx(expected, rel=1e-5)
    alone = Weights(4.0, {cue: CueWeight(-2.0, 0.1, -1.0)})
    assert likeness(looks(), other, alone).probability < likeness(looks(), looks(), alone).probability


def test_the_nearest_view_counts_not_the_mean_of_views():
    sides = looks(colors=np.concatenate([one_of(COLORS, 5, 1), one_of(COLORS, 9, 1)]))
    assert cue_distances(looks(), sides)["colours by view"] == pytest.approx(-np.log(1e-3) / 4)


def test_vectors_of_another_network_are_not_compared_and_count_as_neither():
    weights = Weights(1.0, {"network features": CueWeight(-2.0, 0.1, -0.7), "length": CueWeight(-1.0, 0.1, -0.5)})
    for foreign in ("b", ""):
        found = likeness(looks(), looks(checkpoint=foreign), weights)
        assert found.left_out == ("network features",)
        assert found.probability == pytest.approx(1 / (1 + np.exp(-0.3)))
    assert likeness(looks(checkpoint=""), looks(checkpoint=""), weights).left_out == ("network features",)


def test_without_a_learnt_look_the_weights_of_that_case_count():
    blind = Weights(0.5, {"length": CueWeight(-1.0, 0.1, -0.5)})
    weights = Weights(3.0, {"learnt look": CueWeight(-2.0, 0.1, -0.7)}, blind)
    for earlier in (looks(space="earlier"), looks(crops=None)):
        found = likeness(earlier, looks(), weights)
        assert found.probability == pytest.approx(1 / (1 + np.exp(-0.5))) and found.left_out == ("learnt look",)
    assert likeness(looks(), looks(), weights).probability == pytest.approx(1 / (1 + np.exp(-3)))
    assert WEIGHTS.blind is not None and "learnt look" not in WEIGHTS.blind.cues


def test_what_is_not_known_in_metres_counts_as_neither():
    found = likeness(looks(), looks(size_m=None, spread_m=None), WEIGHTS)
    assert set(found.left_out) == {"length", "width", "spread of points"}
    apart = likeness(looks(), looks(size_m=np.array([0.4, 0.3, 0.2], np.float32)), WEIGHTS)
    assert apart.probability < found.probability < likeness(looks(), looks(), WEIGHTS).probability


def test_one_cue_that_is_far_off_does_not_outweigh_all_others():
    single = Weights(0.0, {"length": CueWeight(-1.0, 0.05, -0.5)})
    near, far = (looks(size_m=np.array([0.12 * f, 0.06, 0.04], np.float32)) for f in (1.3, 8.0))
    shares = [likeness(looks(), other, single).shares[0][1] for other in (near, far)]
    assert shares[1] > 3 * shares[0] and shares[1] < shares[0] < 0  # eight times the distance, less than three times the share


def test_the_explanation_names_the_cue_that_speaks_most_against_it():
    other = looks(colors=one_of(COLORS, 9))
    assert "colours" in likeness(looks(), other, WEIGHTS).explanation
    assert set(WEIGHTS.cues) <= {cue.name for cue in CUES}
    assert all(cue.weight <= 0 and cue.scale > 0 and cue.unknown <= 0 for cue in WEIGHTS.cues.values())
