"""SegVGGT matching and losses against stored results, and what must hold for any input."""

import pytest
import torch

from pan3d_core.models import losses, matching


@pytest.fixture(scope="module")
def golden(procedural):
    return procedural.load_case("segvggt/losses.npz")


@pytest.fixture(scope="module")
def targets(golden):
    return matching.targets_from_ids(golden["instance_ids_map"], golden["semantic_map"], (14, 18), dtype=torch.float64)


@pytest.fixture(scope="module")
def outputs(golden):
    return golden["mask_logits"], golden["class_logits"], golden["attn_frame_mean"]


def test_targets_from_label_images(golden, targets):
    assert targets.instance_id.tolist() == golden["kept_ids"].tolist()
    assert torch.equal(targets.masks.to(torch.uint8), golden["gt_masks"])
    assert torch.equal(targets.class_id, golden["gt_classes"])
    torch.testing.assert_close(targets.visibility, golden["visibility"])


def test_each_cost_and_the_total(golden, targets, outputs):
    logits, masks = golden["mask_logits"].flatten(1), targets.masks.flatten(1)
    close = torch.testing.assert_close
    close(losses.pairwise_mask_bce(logits, masks), golden["cost_bce"])
    close(losses.pairwise_mask_dice(logits, masks), golden["cost_dice"])
    close(matching.class_cost(golden["class_logits"], targets.class_id), golden["cost_cls"])
    close(losses.frame_distribution(golden["attn_frame_mean"]), golden["attn_frame_distribution"])
    close(losses.pairwise_frame_divergence(golden["attn_frame_mean"], targets.visibility), golden["cost_js"])
    close(matching.segvggt_cost(outputs, targets), golden["cost_total"])


def test_matching_and_losses(golden, targets, outputs):
    match = matching.match_queries(matching.segvggt_cost(outputs, targets))
    assert match[0].tolist() == golden["match_query"].tolist()
    assert match[1].tolist() == golden["match_gt"].tolist()
    found = losses.segvggt_losses(outputs, (targets.masks, targets.class_id, targets.visibility), match)
    for name, stored in {"classes": "cls", "bce": "bce", "dice": "dice", "frames": "js", "total": "total"}.items():
        torch.testing.assert_close(found[name], golden[f"loss_{stored}"])
    unweighted = losses.classification_loss(golden["class_logits"], targets.class_id[match[1]], match[0], no_match_weight=1.0)
    torch.testing.assert_close(unweighted, golden["loss_cls_unweighted"])
    torch.testing.assert_close(losses.objectness_loss(golden["class_logits"], match[0]), golden["loss_cls_objectness"])


def test_row_losses_are_the_diagonal_of_the_pairwise_ones(golden, targets):
    logits, masks = golden["mask_logits"].flatten(1)[:4], targets.masks.flatten(1)
    torch.testing.assert_close(losses.mask_bce(logits, masks), losses.pairwise_mask_bce(logits, masks).diagonal())
    torch.testing.assert_close(losses.mask_dice(logits, masks), losses.pairwise_mask_dice(logits, masks).diagonal())
    attention = golden["attn_frame_mean"]
    pairwise = losses.pairwise_frame_divergence(attention, targets.visibility)[:4].diagonal()
    torch.testing.assert_close(losses.frame_divergence(attention[:, :4], targets.visibility), pairwise)


def test_scene_without_instances_trains_the_classes_only(outputs):
    empty = matching.targets_from_ids(torch.zeros(3, 28, 36).long(), torch.full((3, 28, 36), -1), (14, 18), dtype=torch.float64)
    cost = matching.segvggt_cost(outputs, empty)
    assert cost.shape == (12, 0)
    logits = outputs[1].clone().requires_grad_()
    found = losses.segvggt_losses(
        (outputs[0], logits, outputs[2]), (empty.masks, empty.class_id, empty.visibility), matching.match_queries(cost)
    )
    assert found["bce"] == found["dice"] == found["frames"] == 0
    found["total"].backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_gradients_are_finite_for_saturated_masks_and_unseen_frames(targets):
    logits = torch.full((4, 3, 14, 18), -80.0, dtype=torch.float64, requires_grad=True)
    attention = torch.zeros(2, 4, 3, dtype=torch.float64)
    attention[..., 0] = 1.0
    attention.requires_grad_()
    classes = torch.zeros(4, 6, dtype=torch.float64, requires_grad=True)
    rows = torch.arange(4)
    found = losses.segvggt_losses(
        (logits, classes, attention), (targets.masks, targets.class_id, targets.visibility), (rows, rows)
    )
    found["total"].backward()
    for tensor in (logits, attention, classes):
        assert torch.isfinite(tensor.grad).all()


def test_unknown_class_is_no_class(targets):
    assert matching.majority_class(torch.ones(4, dtype=torch.bool), torch.tensor([-1, -1, 3, -1])) == 3
    assert matching.majority_class(torch.ones(4, dtype=torch.bool), torch.full((4,), -1)) == -1
    logits = torch.randn(5, 4, dtype=torch.float64)
    assert (matching.class_cost(logits, torch.tensor([-1, 2]))[:, 0] == 0).all()
    known = losses.classification_loss(logits, torch.tensor([2]), torch.tensor([1]))
    with_unknown = losses.classification_loss(logits[[0, 1, 2, 3, 4]], torch.tensor([2, -1]), torch.tensor([1, 4]))
    assert torch.isfinite(with_unknown) and known != with_unknown


def test_cost_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="cost: expected finite"):
        matching.match_queries(torch.tensor([[0.0, float("nan")]]))
    with pytest.raises(ValueError, match=r"cost: expected shape \(Q, G\)"):
        matching.match_queries(torch.zeros(3))
    with pytest.raises(ValueError, match="class_ids: expected the"):
        matching.targets_from_ids(torch.zeros(1, 2, 2).long(), torch.zeros(2, 2).long(), (1, 1))
