"""What is known of a mask becomes the probability that it is right, and instances follow it."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.models.mini.decode import EVIDENCE, ScoreCalibration, decode_scene, find_instances, mask_evidence
from pan3d_core.models.mini.network import MiniOutputs
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction

COLUMN = {name: index for index, name in enumerate(EVIDENCE)}


def outputs_of(mask_logits, objectness, quality, foreground=None):
    """Outputs of one scene of two views for masks (Q, 2, 4, 8)."""
    nothing = torch.zeros(0)
    layer = QueryPrediction(nothing, torch.tensor([objectness]))
    queries = QueryOutputs((layer,), mask_logits[None], torch.tensor([quality]), torch.zeros(1, len(quality), 3))
    foreground = torch.zeros(1, 2, 4, 8) if foreground is None else foreground
    return MiniOutputs(nothing, nothing, foreground, nothing, nothing, nothing, nothing, nothing, queries)


@pytest.fixture
def outputs():
    """A firm mask in both views, a vague one in one view, half of which is the first one's, and a small one within the first."""
    masks = torch.full((3, 2, 4, 8), -4.0)
    masks[0, :, :, :4] = 4.0
    masks[1, 0, :, 2:6] = 0.5
    masks[2, 0, 0, 0] = 4.0
    foreground = torch.full((1, 2, 4, 8), -4.0)
    foreground[:, :, :, :4] = 4.0
    return outputs_of(masks, [2.0, 1.0, 0.0], [2.0, 1.0, 0.0], foreground)


def test_evidence_is_what_the_masks_show(outputs):
    found = mask_evidence(outputs, 0, torch.tensor([0, 1, 2]))
    column = {name: found[:, index] for name, index in COLUMN.items()}
    assert column["objectness"].tolist() == column["quality"].tolist() == [2.0, 1.0, 0.0]
    torch.testing.assert_close(column["cells"].exp(), torch.tensor([32.0, 16.0, 1.0]))
    assert column["views"].tolist() == [1.0, 0.5, 0.5]
    torch.testing.assert_close(column["shared"], torch.tensor([0.25, 0.5, 1.0]))
    firm, vague = torch.tensor([0.99, 0.01]).logit()
    torch.testing.assert_close(column["stability"], torch.stack([firm, vague, firm]))
    torch.testing.assert_close(column["sharpness"], torch.tensor([4.0, 0.5, 4.0]))
    torch.testing.assert_close(column["foreground"], torch.tensor([4.0, 0.0, 4.0]), atol=1e-5, rtol=0)


def test_evidence_of_one_mask_and_of_none(outputs):
    assert mask_evidence(outputs, 0, torch.tensor([1]))[0, COLUMN["shared"]] == 0
    assert mask_evidence(outputs, 0, torch.zeros(0, dtype=torch.int64)).shape == (0, len(EVIDENCE))


def test_instances_are_ranked_and_dropped_by_the_calibrated_score(outputs):
    weights = dict.fromkeys(EVIDENCE, 0.0)
    by_size = ScoreCalibration.from_dict(weights | {"cells": -1.0, "bias": 2.0})  # the smaller, the likelier
    rows, scores = find_instances(outputs, 0, 0.1, calibration=by_size)
    sizes = torch.tensor([1.0, 16.0, 32.0])
    assert rows.tolist() == [2, 1, 0]
    torch.testing.assert_close(scores, (2.0 - sizes.log()).sigmoid())
    rows, _ = find_instances(outputs, 0, 0.3, calibration=by_size)
    assert rows.tolist() == [2, 1]
    assert torch.equal(find_instances(outputs, 0, 0.1)[0], decode_scene(outputs.queries, 0, 0.1)[0])


def test_a_mask_that_repeats_a_better_one_does_not_come_back(outputs):
    twice = replace(outputs.queries, mask_logits=outputs.queries.mask_logits[:, [0, 0, 2]])
    rows, _ = find_instances(
        replace(outputs, queries=twice), 0, 0.0, calibration=ScoreCalibration(torch.zeros(len(EVIDENCE)), 0.0)
    )
    assert sorted(rows.tolist()) == [0, 2]


def test_a_calibration_is_plain_numbers_with_known_names():
    values = {name: float(index) for index, name in enumerate((*EVIDENCE, "bias"))}
    assert ScoreCalibration.from_dict(values).to_dict() == values
    with pytest.raises(ValueError, match="scores: expected objectness, .*, bias, got objectness"):
        ScoreCalibration.from_dict({"objectness": 1.0})
