import math

import pytest
import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.noise import NO_NOISE, noisy_labels
from pan3d_core.refine.labels.sources import SceneLabels, labels_of_maps
from pan3d_eval.rendered.refined import label_figures, maps_of_scene, mean_figures, refined_view_figures

LABELS = LabelSpace(("mug", "box", "table"), (True, True, False))
MUG, BOX, TABLE = range(3)


def maps(*views: list[tuple[int, int, int, int]], length: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """(V, 1, length) class and id of views in one row, of spans (start, stop, class, id); all else is table."""
    semantic = torch.full((len(views), 1, length), TABLE)
    instance = torch.zeros_like(semantic)
    for index, spans in enumerate(views):
        for start, stop, class_id, instance_id in spans:
            semantic[index, :, start:stop], instance[index, :, start:stop] = class_id, instance_id
    return semantic, instance


def figures(predicted, truth):
    return refined_view_figures(predicted, truth, LABELS, reduction=1)


TWO_VIEWS = maps([(0, 20, MUG, 1), (40, 50, BOX, 2)], [(10, 30, MUG, 1), (60, 70, BOX, 2)])


def test_the_truth_itself_has_full_marks_under_all_protocols_whatever_its_ids_are():
    semantic, instance = TWO_VIEWS
    result = figures((semantic, torch.tensor([0, 17, 5])[instance]), TWO_VIEWS)
    for name in ("pq", "sq", "rq", "per_view_pq", "miou", "accuracy", "mean_coverage", "loose_pq", "loose_mean_coverage"):
        assert getattr(result, name) == 1.0, name
    assert (result.views, result.identity_switches, result.identity_matches) == (2, 0, 4)


def test_an_id_that_changes_between_views_costs_the_strict_form_and_not_the_one_per_view():
    changed = maps([(0, 20, MUG, 1), (40, 50, BOX, 2)], [(10, 30, MUG, 3), (60, 70, BOX, 2)])
    result = figures(changed, TWO_VIEWS)
    # Each half of the mug has an IoU of 20 / 40, which is no match: two too many, one missed. Table and box are right.
    assert result.pq == pytest.approx(2 / 3) and result.per_view_pq == 1.0
    assert (result.identity_switches, result.identity_matches) == (1, 4)
    assert result.mean_coverage == pytest.approx((0.5 + 1) / 2)
    # Both halves match where 0.1 is enough: (0.5 + 0.5) / 2 for the mug.
    assert result.loose_pq == pytest.approx((0.5 + 1 + 1) / 3) and result.loose_rq == 1.0


def test_masks_that_are_half_right_have_the_expected_quality():
    shifted = maps([(5, 25, MUG, 1), (40, 50, BOX, 2)], [(15, 35, MUG, 1), (60, 70, BOX, 2)])
    result = figures(shifted, TWO_VIEWS)
    mug, table = 30 / 50, 130 / 150  # over both views: 2 x 15 shared of 2 x 25; table: 2 x 70 - 2 x 5 of 2 x 70 + 2 x 5
    assert result.pq == pytest.approx((mug + 1 + table) / 3) and result.rq == 1.0
    assert result.miou == pytest.approx((mug + 1 + table) / 3) and result.accuracy == pytest.approx(180 / 200)
    assert result.per_view_pq == pytest.approx((15 / 25 + 1 + 65 / 75) / 3)
    assert result.mean_coverage == pytest.approx((mug + 1) / 2)


def test_labels_of_single_views_are_as_many_objects_as_views():
    scene = SceneLabels(LABELS, tuple(labels_of_maps(torch.zeros(3, 1, 100), *pair, LABELS) for pair in zip(*TWO_VIEWS)))
    result = label_figures(scene, TWO_VIEWS, reduction=1)
    assert result.per_view_pq == 1.0 and result.miou == 1.0
    assert result.pq == pytest.approx(1 / 3)  # only the table is one and the same in both views
    assert (result.identity_switches, result.identity_matches) == (2, 4)
    semantic, instance = maps_of_scene(scene)
    assert torch.equal(semantic, TWO_VIEWS[0]) and instance[0].unique().tolist() == [0, 1, 2]
    assert instance[1].unique().tolist() == [0, 3, 4]


def test_the_order_of_the_masks_of_a_view_has_no_influence_on_its_figures():
    scene = SceneLabels(LABELS, tuple(labels_of_maps(torch.zeros(3, 1, 100), *pair, LABELS) for pair in zip(*TWO_VIEWS)))
    expected = label_figures(scene, TWO_VIEWS, reduction=1)
    for seed in range(4):
        shuffled = noisy_labels(scene, NO_NOISE, torch.Generator().manual_seed(seed))
        assert label_figures(shuffled, TWO_VIEWS, reduction=1) == expected


def test_ids_of_stuff_and_pixels_without_true_class_have_no_influence():
    semantic, instance = (item.clone() for item in TWO_VIEWS)
    instance[0, 0, 80:90] = 9
    assert figures((semantic, instance), TWO_VIEWS) == figures(TWO_VIEWS, TWO_VIEWS)
    void = TWO_VIEWS[0].clone()
    void[:, :, 90:] = -1
    semantic[:, :, 90:] = MUG
    result = figures((semantic, instance), (void, TWO_VIEWS[1]))
    assert (result.pq, result.per_view_pq, result.miou) == (1.0, 1.0, 1.0)


def test_no_prediction_is_zero_and_a_scene_without_things_has_no_coverage():
    nothing = torch.full((2, 1, 100), -1), torch.zeros(2, 1, 100, dtype=torch.int64)
    missed = figures(nothing, TWO_VIEWS)
    assert (missed.per_view_pq, missed.miou, missed.mean_coverage, missed.identity_matches) == (0.0, 0.0, 0.0, 0)
    assert (missed.labelled, figures(TWO_VIEWS, TWO_VIEWS).labelled) == (0.0, 1.0)
    bare = maps([], [])
    assert math.isnan(figures(bare, bare).mean_coverage) and figures(bare, bare).pq == 1.0


def test_what_is_left_void_is_forgiven_by_the_strict_form_and_counted_as_not_labelled():
    semantic, instance = (item.clone() for item in TWO_VIEWS)
    semantic[:, :, 35:95] = -1  # the box and half of the table
    result = figures((semantic, instance), TWO_VIEWS)
    assert result.labelled == pytest.approx(0.4)
    # Mug and what is left of the table are right, the box is neither matched nor missed and counts 0 as a class.
    assert result.pq == pytest.approx(2 / 3)
    assert result.miou == pytest.approx((1 + 40 / 140 + 0) / 3)


def test_means_over_scenes_add_counts_and_leave_out_what_was_not_measured():
    bare = maps([], [])
    mean = mean_figures([figures(TWO_VIEWS, TWO_VIEWS), figures(bare, bare)])
    assert (mean.views, mean.identity_matches, mean.mean_coverage, mean.pq) == (4, 4, 1.0, 1.0)


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(
        ValueError, match=r"expected one shape \(V, H, W\) for all four maps, got \[\(2, 1, 100\), \(3, 1, 100\)\]"
    ):
        figures(maps([], [], []), TWO_VIEWS)
    flat = tuple(item[0, 0] for item in TWO_VIEWS)
    with pytest.raises(ValueError, match=r"expected one shape \(V, H, W\)"):
        refined_view_figures(flat, flat, LABELS)
    with pytest.raises(ValueError, match="scene.views: expected views of one size, got none"):
        maps_of_scene(SceneLabels(LABELS, ()))
