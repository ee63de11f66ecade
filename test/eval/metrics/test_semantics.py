import math

import numpy as np
import pytest
import torch

from pan3d_eval.metrics.semantics import per_image_semantic_scores, pooled_semantic_scores, semantic_confusion
from pan3d_eval.protocols.eps3d import LABELS, eps3d_class, eps3d_maps, eps3d_panoptic_quality


def confusion(predicted: list[int], truth: list[int], classes: int = 4) -> np.ndarray:
    return semantic_confusion(torch.tensor(predicted), torch.tensor(truth), classes)


def test_both_forms_by_hand():
    images = [
        confusion([0, 0, 0, 1], [0, 0, 1, 1]),  # IoU 2/3, 1/2
        confusion([0, 1, 2, -1], [0, 0, 0, 0]),  # IoU 1/4, and 0 for the classes that were only predicted
    ]
    pooled, per_image = pooled_semantic_scores(images), per_image_semantic_scores(images)
    np.testing.assert_allclose(pooled.per_class, [3 / 7, 1 / 3, 0, np.nan])
    assert pooled.miou == pytest.approx((3 / 7 + 1 / 3 + 0) / 3)
    np.testing.assert_allclose(per_image.per_class, [(2 / 3 + 1 / 4) / 2, (1 / 2 + 0) / 2, 0, np.nan])
    assert per_image.miou == pytest.approx(((2 / 3 + 1 / 4) / 2 + 1 / 4) / 4)  # four classes, one never occurs: 0
    assert pooled.accuracy == per_image.accuracy == pytest.approx(4 / 8)
    assert (pooled.form, per_image.form) == ("pooled", "per image")


def test_pixels_without_true_class_are_left_out():
    assert pooled_semantic_scores([confusion([0, 3, 1], [0, -1, 1])]).miou == 1.0
    assert per_image_semantic_scores([confusion([0, 3, 1, 2, 3], [0, -1, 1, 2, 3])]).miou == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_order_of_images_and_names_of_classes_have_no_influence(seed):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(-1, 5, (4, 60), generator=generator)
    predicted = torch.where(
        torch.rand(4, 60, generator=generator) < 0.7, truth, torch.randint(-1, 5, (4, 60), generator=generator)
    )
    names = torch.cat([torch.randperm(5, generator=generator), torch.tensor([-1])])  # -1 picks the last
    for form in (pooled_semantic_scores, per_image_semantic_scores):
        expected = form([semantic_confusion(p, t, 5) for p, t in zip(predicted, truth, strict=True)])
        turned = form([semantic_confusion(names[p], names[t], 5) for p, t in zip(predicted.flip(0), truth.flip(0), strict=True)])
        assert turned.miou == pytest.approx(expected.miou) and turned.accuracy == pytest.approx(expected.accuracy)
        perfect = form([semantic_confusion(t, t, 5) for t in truth])
        assert perfect.miou == perfect.accuracy == 1.0


def test_empty_prediction_and_empty_truth():
    for form in (pooled_semantic_scores, per_image_semantic_scores):
        assert form([confusion([-1, -1], [0, 1])]).miou == 0.0
        assert math.isnan(form([confusion([0, 1], [-1, -1])]).miou) and math.isnan(form([confusion([0], [-1])]).accuracy)
        assert math.isnan(form([]).miou)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="predicted: expected the truth's shape"):
        confusion([0], [0, 1])
    with pytest.raises(ValueError, match=r"truth: expected classes -1..3, got 0..4"):
        confusion([0, 0], [0, 4])


def test_eps3d_classes_and_size():
    assert [LABELS.names[eps3d_class(name)] for name in ("wall", "sofa", "toilet", "background")] == [
        "wall",
        "sofa",
        "other",
        "other",
    ]
    rows = torch.arange(512)[None, :, None].expand(1, 512, 300)
    small = eps3d_maps(rows)
    assert small.shape == (1, 206, 206) and small[0, 0, 0] == 50 and small[0, -1, 0] == 460
    with pytest.raises(ValueError, match="values: expected shape"):
        eps3d_maps(rows[0])


def test_eps3d_scene_quality():
    semantic, instance = torch.full((1, 256, 256), 1), torch.zeros(1, 256, 256, dtype=torch.int64)
    semantic[0, 100:200, 100:200], instance[0, 100:200, 100:200] = 4, 7
    assert eps3d_panoptic_quality((semantic, instance), (semantic, instance)).pq == 1.0
    at_border = semantic.clone()
    at_border[0, :25] = 0  # cut off
    assert eps3d_panoptic_quality((at_border, instance), (semantic, instance)).pq == 1.0
    lost = torch.where(semantic == 4, 0, semantic)  # background: a mistake of its own class
    result = eps3d_panoptic_quality((lost, instance), (semantic, instance))
    assert result.per_class == {0: (0.0, 0.0, 0.0), 1: (1.0, 1.0, 1.0), 4: (0.0, 0.0, 0.0)}
    assert eps3d_panoptic_quality((semantic, instance), (semantic * 0, instance)).pq == 0.0
