"""Each limit does by the truth what it says, and nothing else."""

import pytest
import torch

from pan3d_core.engines.mini import DEFAULT_WEIGHTS
from pan3d_eval.metrics.average_precision import instance_ap
from training.data.targets.mini import SceneTargets
from training.judge.limits import LIMITS, SceneAnswer, limit_table
from training.judge.objects import MIN_TRUE_CELLS, TrueCells
from training.judge.worlds import Judged

CELLS = 100


def cells(*ranges):
    mask = torch.zeros(CELLS, dtype=torch.bool)
    for first, last in ranges:
        mask[first:last] = True
    return mask


def answer_of(kept, scores, every, foreground):
    """Three objects: cells 0 to 29, 30 to 59, and 60 to 79."""
    inside = torch.stack([cells((0, 30)), cells((30, 60)), cells((60, 80))])
    ids = (inside * torch.arange(1, 4)[:, None]).sum(0)
    nothing = SceneTargets(torch.zeros(0), torch.zeros(0), torch.zeros(3, dtype=torch.int64))
    true = TrueCells(nothing, inside, ids, torch.zeros(CELLS, dtype=torch.bool))
    return SceneAnswer(torch.stack(kept), torch.tensor(scores), torch.stack(every), foreground, true)


@pytest.fixture
def answer():
    """The first object in two pieces, the other two as one, a mask of the table that is sure, and a right mask that was no
    instance."""
    kept = [cells((80, 100)), cells((0, 15)), cells((15, 30)), cells((30, 80))]
    return answer_of(kept, [0.9, 0.8, 0.7, 0.6], [*kept, cells((60, 80))], cells((0, 50)))


def ap50(answer, name):
    return instance_ap([answer.true.overlaps(*LIMITS[name](answer))], min_points=MIN_TRUE_CELLS).ap50


def test_pieces_are_joined_and_nothing_else(answer):
    masks, scores = LIMITS["pieces joined"](answer)
    found = {tuple(mask.nonzero()[:, 0].tolist()): score for mask, score in zip(masks, scores.tolist())}
    expected = {range(80, 100): 0.9, range(30): 0.8, range(30, 80): 0.6}
    assert found == {tuple(own): pytest.approx(score) for own, score in expected.items()}
    assert ap50(answer, "pieces joined") > ap50(answer, "as answered")


def test_a_rank_by_truth_puts_what_is_no_object_last(answer):
    masks, scores = LIMITS["ranked by truth"](answer)
    assert torch.equal(masks, answer.kept)
    assert scores.tolist() == pytest.approx([0.0, 0.5, 0.5, 0.6])


def test_the_best_query_of_each_object_counts_though_it_was_no_instance(answer):
    masks, scores = LIMITS["best of all queries"](answer)
    assert torch.equal(masks[2], cells((60, 80))) and scores[2] == 1
    assert torch.equal(masks[1], cells((30, 80))) and scores[1] == pytest.approx(0.6)


def test_cuts_lose_only_what_nothing_covers(answer):
    assert ap50(answer, "cut by truth") == 1
    masks, scores = LIMITS["foreground cut by truth"](answer)
    assert masks.sum(1).tolist() == [30, 20, 0] and scores.tolist() == [1, 1, 1]
    assert ap50(answer, "foreground cut by truth") == pytest.approx(2 / 3)


def test_a_scene_without_objects_limits_nothing(answer):
    nobody = torch.zeros(0, CELLS, dtype=torch.bool)
    empty = TrueCells(answer.true.targets, nobody, torch.zeros(CELLS, dtype=torch.int64), answer.true.void)
    scene = SceneAnswer(answer.kept, answer.scores, answer.every, answer.foreground, empty)
    for name, limit in LIMITS.items():
        masks, scores = limit(scene)
        assert len(masks) == len(scores) and masks.shape[1] == CELLS, name


def test_the_table_has_a_row_for_each_world_and_network(data_folder):
    network = Judged.read(DEFAULT_WEIGHTS)
    lines = list(limit_table({"own": data_folder}, [network], 1))
    assert len(lines) == 3 and lines[2].startswith(f"| own | {DEFAULT_WEIGHTS.name} |")
    values = dict(zip(LIMITS, (float(cell) for cell in lines[2].split("|")[3:-1]), strict=True))
    assert all(0 <= value <= 1 for value in values.values())
    assert values["cut by truth"] >= values["as answered"]
