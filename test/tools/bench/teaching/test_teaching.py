"""How the benchmark of taught objects counts, and how it finds the weights of the cues."""

from dataclasses import replace

import numpy as np
import pytest

from pan3d_core.teaching import LEARNT_LOOK, Looks
from pan3d_core.teaching.looks import COLOR_BINS, TEXTURE_BINS
from pan3d_core.teaching.matching import CUES
from pan3d_tools.bench.teaching import command
from pan3d_tools.bench.teaching.fitting import NAMES, fitted, pairs_of
from pan3d_tools.bench.teaching.tables import FIRST_FITTED, FITTED, NOBODY, Candidate, Group, Source

COLORS = int(np.prod(COLOR_BINS))
SIZES = (0.05, 0.08, 0.12, 0.18, 0.27, 0.4)


def looks(index, rng):
    """An object of its own size and colour, a little different every time."""
    colors = np.full((2, COLORS), 0.1 / COLORS, np.float32)
    colors[:, 40 * index + rng.integers(2)] += 0.9
    size = SIZES[index] * np.array([1.0, 0.7, 0.5]) * rng.lognormal(0, 0.05, 3)
    textures = rng.dirichlet(np.ones(TEXTURE_BINS), 2)
    tone = np.array([0.5, 0.05 * index, 0.0, 0.1, 0.02, 0.02]) + rng.normal(0, 0.01, 6)
    return Looks(
        colors, np.array([200, 200], np.float32), textures.astype(np.float32), tone.astype(np.float32),
        size_m=np.sort(size)[::-1].astype(np.float32), spread_m=(size / 4).astype(np.float32),
    )  # fmt: skip


def group(indices, seed):
    rng = np.random.default_rng(seed)
    found = tuple(Candidate(looks(index, rng), index % 3, 0.9, 100) for index in indices)
    return Group(3, {index % 3: looks(index, rng) for index in indices}, (found,))


def with_crops(group, spread, seed):
    """With a learnt look: of each object its own, a little different every time."""
    rng = np.random.default_rng(seed)

    def of(item):
        own = np.eye(6)[int(np.argmin(np.abs(np.log(item.size_m[0] / SIZES))))]
        rows = own + spread * rng.normal(size=(2, 6))
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return replace(item, crops=unit.astype(np.float32), space="one")

    rounds = tuple(tuple(replace(item, looks=of(item.looks)) for item in found) for found in group.rounds)
    return replace(group, taught={index: of(item) for index, item in group.taught.items()}, rounds=rounds)


GROUPS = [group((0, 1, 2), 1), group((3, 4, 5), 2)]


def test_pairs_are_of_one_group_and_of_the_next_and_parts_are_in_none_with_their_object():
    distances, same = pairs_of(GROUPS)
    assert distances.shape == (2 * (9 + 9), len(CUES)) and same.sum() == 6
    assert np.isnan(distances[:, NAMES.index("network features")]).all()
    part = replace(GROUPS[0].rounds[0][0], iou=0.3)
    cut = replace(GROUPS[0], rounds=((part, *GROUPS[0].rounds[0][1:]),))
    assert pairs_of([cut, GROUPS[1]])[1].sum() == 5


def test_the_threshold_is_also_right_where_no_network_says_anything():
    groups = [with_crops(item, 0.3, seed) for seed, item in enumerate(GROUPS)]
    weights = command.fitted_weights(groups, groups)
    assert weights.cues[LEARNT_LOOK].weight < 0 and LEARNT_LOOK not in weights.blind.cues
    assert weights.blind == command.rare_alarms(GROUPS, fitted(*pairs_of(GROUPS)))  # GROUPS are these without that
    assert command.figures_of(GROUPS, weights) == command.figures_of(GROUPS, weights.blind)
    assert command.figures_of(groups, weights) == command.figures_of(groups, replace(weights, blind=None))


def test_nothing_that_is_judged_is_fitted_to_and_looks_are_learnt_from_neither(monkeypatch):
    made = []

    def make_group(source, looker, number, size, on_table, rounds):
        made.append((source.split, number, rounds))
        return with_crops(GROUPS[number % 2], 0.3, number)

    monkeypatch.setattr(command, "make_group", make_group)
    monkeypatch.setattr(command, "looker_of", lambda options: None)
    told = command.run(["--fit", "3"])
    assert made == [
        *(("train", number, 2) for number in range(FIRST_FITTED, FIRST_FITTED + FITTED)),
        *(("held-out", number, 4) for number in (0, 1)),
        *(("held-out", number, 2) for number in (2, 3)),
    ]
    assert told["named right"] == 1.0 and told["weights"]["blind"]["cues"]["length"]["weight"] <= 0


def test_fitted_weights_tell_the_objects_apart_and_leave_out_what_is_not_known():
    weights = fitted(*pairs_of(GROUPS))
    assert "network features" not in weights.cues and "meaning" not in weights.cues
    assert all(cue.weight <= 0 for cue in weights.cues.values()) and weights.cues["length"].weight < 0
    figures = command.figures_of(GROUPS, command.rare_alarms(GROUPS, weights))
    assert figures["named right"] == figures["named right, whole"] == figures["likeliest is right"] == 1.0
    assert figures["false alarms"] <= 0.17 and figures["objects asked for"] == figures["objects asked for in vain"] == 6
    with pytest.raises(ValueError, match="some of the same object and some of others"):
        fitted(np.ones((4, len(NAMES))), np.zeros(4))


def test_what_was_not_taught_or_not_found_or_taken_for_another_is_not_named_right():
    weights = fitted(*pairs_of(GROUPS))
    untaught = replace(GROUPS[0], taught={index: item for index, item in GROUPS[0].taught.items() if index})
    assert command.figures_of([untaught, GROUPS[1]], weights)["named right"] == pytest.approx(5 / 6)
    assert command.figures_of([untaught, GROUPS[1]], weights)["taught"] == pytest.approx(5 / 6)
    gone = replace(GROUPS[0], rounds=(GROUPS[0].rounds[0][1:],))
    figures = command.figures_of([gone, GROUPS[1]], weights)
    assert figures["found by the engine"] == pytest.approx(5 / 6) and figures["named right"] <= 5 / 6
    table = replace(GROUPS[0], rounds=(tuple(replace(item, index=NOBODY) for item in GROUPS[0].rounds[0]),))
    assert command.figures_of([table, GROUPS[1]], weights)["another one named"] == pytest.approx(0.5)


def test_the_bias_is_moved_to_the_share_of_false_alarms_that_is_allowed():
    weights = fitted(*pairs_of(GROUPS))
    moved = command.rare_alarms(GROUPS, replace(weights, bias=weights.bias + 3))
    assert moved.bias == pytest.approx(command.rare_alarms(GROUPS, weights).bias, abs=2e-2)
    absent = np.sort(command.absent_probabilities(GROUPS, moved))
    assert absent[-2] < command.THRESHOLD < absent[-1]  # of six, 4 % lie between the two largest


def test_options_that_cannot_be_measured_are_refused():
    with pytest.raises(ValueError, match="--groups, --distractors, --fit"):
        command.run(["--groups", "1"])


def test_procedural_objects_are_drawn_anew_for_each_group_and_known_by_their_number():
    source = Source(None, None, "held-out")
    first, second, again = source.draw(0, 5), source.draw(1, 5), source.draw(0, 5)
    assert [item.kind for item in first] == [item.kind for item in again]
    assert [item.extents_m for item in first] == [item.extents_m for item in again] != [item.extents_m for item in second]
    assert {item.kind for item in first}.isdisjoint({item.kind for item in Source(None, None, "train").draw(0, 9)})
