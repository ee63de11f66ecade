"""Queries to instances: the published rule, its cost, and suppression of duplicates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from places import DATA

from pan3d_core.engines.parts.decoding import (
    DecodingThresholds,
    decode_queries,
    greedy_nms,
    instance_set,
    mask_iou,
    mask_statistics,
)
from pan3d_core.labels import LabelSpace

PUBLISHED = DecodingThresholds()


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA / "segvggt" / "postprocess.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def decode(golden, thresholds):
    return decode_queries(golden["class_logits"], lambda rows: golden["mask_logits"][rows], thresholds)


@pytest.mark.parametrize(
    ("result", "thresholds"),
    [
        ("aware_thr0", PUBLISHED),
        ("aware_thr025", replace(PUBLISHED, min_score=0.25)),
        ("agnostic_thr0", replace(PUBLISHED, class_agnostic=True)),
    ],
)
def test_published_rule(golden, result, thresholds):
    decoded = decode(golden, thresholds)
    labels = golden[f"{result}.label"] if not thresholds.class_agnostic else torch.full_like(golden[f"{result}.label"], -1)
    stored = {pair: row for row, pair in enumerate(zip(golden[f"{result}.query"].tolist(), labels.tolist(), strict=True))}
    found = list(zip(decoded.query_index.tolist(), decoded.class_id.tolist(), strict=True))
    assert set(found) == set(stored)
    order = torch.tensor([stored[pair] for pair in found])
    for name in ("score", "class_prob", "mask_score"):
        torch.testing.assert_close(getattr(decoded, name), golden[f"{result}.{name}"][order], atol=1e-6, rtol=0)
    assert torch.equal(decoded.pixels, golden[f"{result}.pixels"][order])
    assert (decoded.score.diff() <= 0).all()
    assert torch.equal(decoded.mask_logits[decoded.mask_row], golden["mask_logits"][decoded.query_index])


def test_mask_statistics(golden):
    score, pixels = mask_statistics(golden["mask_logits"], 0.4)
    torch.testing.assert_close(score, golden["query_mask_score"], atol=1e-6, rtol=0)
    assert torch.equal(pixels, golden["query_pixels_over_0.4"])


def test_rejected_queries_get_no_mask(golden):
    asked = []

    def mask_logits_of(rows):
        asked.extend(rows.tolist())
        return golden["mask_logits"][rows]

    decoded = decode_queries(golden["class_logits"], mask_logits_of, replace(PUBLISHED, min_score=0.6))
    possible = golden["class_logits"].softmax(-1)[:, :-1].amax(1) > 0.6
    assert sorted(asked) == possible.nonzero()[:, 0].tolist()
    assert len(decoded.mask_logits) <= len(asked) < 40


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_nothing_to_find_gives_empty_tensors_of_the_right_shape(golden, class_agnostic):
    decoded = decode(golden, replace(PUBLISHED, min_score=1.0, class_agnostic=class_agnostic, nms_iou=0.5))
    assert decoded.score.shape == (0,)
    assert decoded.mask_logits.shape == (0, 2, 28, 35)


def test_nms_keeps_the_better_of_duplicates_with_all_its_classes():
    masks = torch.full((3, 1, 20, 20), -6.0)
    masks[0, 0, :12] = 2.0
    masks[1, 0, :13] = 6.0
    masks[2, 0, 14:] = 6.0
    class_logits = torch.tensor([[3.0, 2.5, 0.0], [3.0, 2.5, 0.0], [0.0, 3.0, 0.0]])
    thresholds = DecodingThresholds(min_pixels=10, min_score=0.1, nms_iou=0.5)
    decoded = decode_queries(class_logits, lambda rows: masks[rows], thresholds)
    assert set(zip(decoded.query_index.tolist(), decoded.class_id.tolist(), strict=True)) == {(2, 1), (1, 0), (1, 1)}
    assert torch.equal(decoded.mask_logits[decoded.mask_row], masks[decoded.query_index])
    found = instance_set(decoded, class_logits, LabelSpace.things(["a", "b"]), thresholds.mask_prob)
    assert found.mask_logits.shape == (2, 1, 20, 20)
    best = {query: decoded.score[decoded.query_index == query].max().item() for query in (1, 2)}
    order = sorted(best, key=best.get, reverse=True)
    assert torch.equal(found.class_logits, class_logits[order])
    assert found.scores.tolist() == pytest.approx([best[query] for query in order])


def test_instance_set_counts_pixels_above_zero(golden):
    decoded = decode(golden, replace(PUBLISHED, class_agnostic=True))
    found = instance_set(decoded, golden["class_logits"], LabelSpace.things([str(i) for i in range(18)]), 0.4)
    assert torch.equal((found.mask_logits > 0).flatten(1).sum(1), decoded.pixels)
    few = instance_set(decoded, golden["class_logits"], found.labels, 0.4, limit=3)
    assert torch.equal(few.scores, decoded.score[:3])
    assert torch.equal(few.mask_logits, found.mask_logits[:3])


def test_iou_and_greedy_order():
    masks = torch.zeros(3, 4, dtype=torch.bool)
    masks[0, :2], masks[1, 1:3] = True, True
    iou = mask_iou(masks)
    assert iou[0, 1] == pytest.approx(1 / 3)
    assert iou[2, 2] == 0
    chain = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.6], [0.0, 0.6, 1.0]])
    assert greedy_nms(chain, torch.tensor([0.5, 0.4, 0.3]), 0.5).tolist() == [0, 2]
    assert greedy_nms(chain, torch.tensor([0.3, 0.4, 0.5]), 0.5).tolist() == [2, 0]
    assert greedy_nms(chain, torch.tensor([0.3, 0.5, 0.4]), 0.5).tolist() == [1]
