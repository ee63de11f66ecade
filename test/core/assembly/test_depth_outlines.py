"""Outlines from depth with what a good or a bad network would say of the same blocks."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.assembly.depth_outlines import can_fuse, fuse_outlines
from pan3d_core.config import OutlineConfig, PreprocessConfig
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import InstanceSet
from pan3d_core.views.preprocessing import preprocess

LABELS = LabelSpace.things(("red", "blue", "green"))
SIZE = PreprocessConfig(height=120, width=160)
CONFIG = OutlineConfig(min_points=30)


def network(masks, scores=None) -> InstanceSet:
    """(Q, S, h, w) bool -> instances, the k-th of class k."""
    count = len(masks)
    logits = torch.full((count, len(LABELS) + 1), -8.0)
    logits[range(count), [row % len(LABELS) for row in range(count)]] = 8.0
    return InstanceSet(
        mask_logits=torch.where(masks, 6.0, -6.0),
        class_logits=logits,
        scores=torch.tensor(scores or [0.9 - 0.1 * row for row in range(count)]),
        labels=LABELS,
        text_embeddings=torch.nn.functional.normalize(torch.rand(count, 8, generator=torch.Generator().manual_seed(0)), dim=1),
    )


def masks_of(cell, *names):
    """One mask over all views for each group of block numbers."""
    return torch.stack([torch.isin(cell.ids, torch.tensor(group)) for group in names])


def fused(cell, instances, views=None, config=CONFIG):
    batch = preprocess(views or cell.views, SIZE, 0.0)
    return fuse_outlines(instances, batch, batch, 0.5, config).instances


def ious(found: InstanceSet, cell) -> list[float]:
    """Of each block, with the mask that is most like it."""
    masks = found.mask_logits > 0
    best = []
    for number in range(1, len(cell.blocks) + 1):
        true = cell.ids == number
        best.append(max(float((mask & true).sum() / (mask | true).sum()) for mask in masks))
    return best


def test_sloppy_masks_get_the_outlines_of_depth_and_keep_names_and_scores(cell):
    said = network(masks_of(cell, [1], [2], [3]).roll(shifts=(3, 3), dims=(2, 3)))
    found = fused(cell, said)
    assert len(found.scores) == 3 and min(ious(said, cell)) < 0.75
    assert min(ious(found, cell)) > 0.93
    assert torch.equal(found.scores, said.scores) and torch.equal(found.class_logits, said.class_logits)
    assert torch.equal(found.text_embeddings, said.text_embeddings)
    assert int((found.mask_logits > 0).sum(0).max()) == 1  # no pixel is claimed twice


def test_a_print_that_is_taken_for_an_object_joins_the_box_that_it_is_on(cell):
    upper = cell.ids.clone()
    upper[:, : cell.ids.shape[1] // 2] = 0
    parts = torch.stack([(cell.ids == 1) & (upper == 0), (cell.ids == 1) & (upper == 1)])
    assert len(fused(cell, network(parts)).scores) == 3  # and the two that it did not find
    assert ious(fused(cell, network(parts)), cell)[0] > 0.93


def test_blocks_that_touch_are_kept_apart_where_the_network_tells_them_apart(make_cell):
    render_cell, Block = make_cell
    low = Block((0.0, 0.04, 0.02), (0.10, 0.08, 0.04), (0.8, 0.1, 0.1))
    high = Block((0.0, -0.03, 0.05), (0.06, 0.06, 0.10), (0.8, 0.1, 0.1))
    both = render_cell([low, high])
    found = fused(both, network(masks_of(both, [1], [2])))
    assert len(found.scores) == 2 and min(ious(found, both)) > 0.85
    assert len(fused(both, network(masks_of(both, [1, 2]))).scores) == 1


def test_blocks_flush_with_each_other_are_two_where_the_network_is_certain_of_both(make_cell):
    render_cell, Block = make_cell
    flush = [Block((0.0, y, 0.03), (0.06, 0.06, 0.06), (0.8, 0.1, 0.1)) for y in (-0.03, 0.03)]
    both = render_cell(flush)
    masks = masks_of(both, [1], [2])
    assert len(fused(both, network(masks, [0.95, 0.6])).scores) == 1
    found = fused(both, network(masks, [0.95, 0.9]))
    assert len(found.scores) == 2 and min(ious(found, both)) > 0.85


def test_what_the_network_did_not_find_has_neither_class_nor_meaning(cell):
    said = network(masks_of(cell, [1], [3]))
    found = fused(cell, said)
    assert len(found.scores) == 3 and min(ious(found, cell)) > 0.93
    assert torch.equal(found.class_logits[:2], said.class_logits)
    assert float(found.class_logits[2].softmax(-1)[:-1].sum()) < 1e-6 and not bool(found.text_embeddings[2].any())
    assert 0.0 < float(found.scores[2]) < 1.0


def test_a_mask_over_two_blocks_with_the_table_between_them_is_two_objects(cell):
    found = fused(cell, network(masks_of(cell, [1, 2], [3])))
    assert len(found.scores) == 3 and min(ious(found, cell)) > 0.93


def test_where_nothing_was_measured_the_networks_mask_stands(cell):
    blind = [replace(view, depth=torch.where(ids == 2, 0.0, view.depth)) for view, ids in zip(cell.views, cell.ids)]
    found = fused(cell, network(masks_of(cell, [1], [2], [3])), blind)
    assert len(found.scores) == 3 and min(ious(found, cell)) > 0.93


def test_pieces_of_a_dark_object_between_holes_are_one(cell):
    views = []
    for view, ids in zip(cell.views, cell.ids):
        depth = view.depth.clone()
        rows = torch.nonzero((ids == 3).any(1))[:, 0]
        low, high = int(rows.min()), int(rows.max())
        band = torch.zeros_like(ids, dtype=torch.bool)
        band[low + (high - low) // 4 : high - (high - low) // 4] = True
        depth[(ids == 3) & band] = 0.0
        views.append(replace(view, depth=depth))
    found = fused(cell, network(masks_of(cell, [1], [2], [3])), views)
    assert len(found.scores) == 3 and min(ious(found, cell)) > 0.9


def test_views_without_depth_keep_the_networks_masks(cell):
    views = [replace(view, depth=None) if index == 1 else view for index, view in enumerate(cell.views)]
    said = network(masks_of(cell, [1], [2], [3]))
    found = fused(cell, said, views)
    assert torch.equal(found.mask_logits[:, 1] > 0, said.mask_logits[:, 1] > 0)


def test_outlines_need_depth_lenses_and_poses(cell):
    batch = preprocess(cell.views, SIZE, 0.0)
    assert can_fuse(batch, OutlineConfig())
    assert not can_fuse(batch, OutlineConfig(from_depth=False))
    for name in ("depth", "intrinsics", "cam_from_world"):
        assert not can_fuse(replace(batch, **{name: None}), OutlineConfig())
    with pytest.raises(ValueError, match="depth"):
        fuse_outlines(network(masks_of(cell, [1])), batch, replace(batch, depth=None), 0.5, CONFIG)


def test_nothing_found_by_either_is_no_instance(make_cell):
    render_cell, _ = make_cell
    empty = render_cell([])
    found = fused(empty, network(torch.zeros(0, *empty.ids.shape, dtype=torch.bool)))
    assert found.mask_logits.shape == (0, *empty.ids.shape) and found.class_logits.shape == (0, len(LABELS) + 1)


def displaced(views, metres):
    """Views whose cameras are said to stand elsewhere, each in another direction of the support."""
    angles = [2.4 * number for number in range(len(views))]
    moved = []
    for view, angle in zip(views, angles):
        pose = view.cam_from_world.clone()
        pose[:3, 3] -= pose[:3, :3] @ (metres * torch.tensor([math.cos(angle), math.sin(angle), 0.0]))
        moved.append(replace(view, cam_from_world=pose))
    return moved


def test_masks_stand_where_views_contradict_each_other(cell):
    said = network(masks_of(cell, [1], [2], [3]))
    batch = preprocess(displaced(cell.views, 0.02), SIZE, 0.0)
    found = fuse_outlines(said, batch, batch, 0.5, CONFIG)
    assert found.contradicted and torch.equal(found.instances.mask_logits, said.mask_logits)
    assert len(found.warnings) == 1 and "measured depth: " in found.warnings[0] and "camera poses" in found.warnings[0]
    right = preprocess(cell.views, SIZE, 0.0)
    assert not (agreeing := fuse_outlines(said, right, right, 0.5, CONFIG)).contradicted and agreeing.warnings == ()


def test_what_the_network_did_not_find_ranks_below_all_that_it_did(cell):
    found = fused(cell, network(masks_of(cell, [1]), [0.35]))
    assert len(found.scores) == 3 and float(found.scores[1:].max()) < 0.3
