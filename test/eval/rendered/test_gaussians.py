"""Rendered Gaussians against truth: hand-made scenes whose figures are known."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.labels import LabelSpace
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.readout import READOUTS
from pan3d_core.structures import Gaussians
from pan3d_eval.rendered.gaussians import (
    TextClasses,
    TrueViews,
    gaussian_view_scores,
    predict_views,
    psnr_db,
    view_figures,
)

LABELS = LabelSpace(("mug", "box", "can", "table", "floor"), (True, True, True, False, False))
# A wall of 24 x 40 pixels at 1 m; the second camera is half a wall's height of objects further right and sees other columns.
HEIGHT, WIDTH, SHIFT, FOCAL = 24, 32, 8, 32.0
# Region: columns of the wall, class, colour. Each is 24 rows high; context sees columns 0..31, novel 8..39.
REGIONS = ((0, 8, 3), (8, 16, 0), (16, 24, 1), (24, 32, 2), (32, 40, 4))


def wall_maps():
    """(24, 40) region numbers 1.. and classes."""
    ids, classes = torch.zeros(2, HEIGHT, WIDTH + SHIFT, dtype=torch.int64)
    for number, (first, last, class_id) in enumerate(REGIONS, start=1):
        ids[:, first:last], classes[:, first:last] = number, class_id
    return ids, classes


def wall_gaussians(instance_of_region, class_of_region):
    """One small Gaussian per pixel of the wall with one-hot features."""
    ids, _ = wall_maps()
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH + SHIFT), indexing="ij")
    means = torch.stack([columns / FOCAL, rows / FOCAL, torch.ones(rows.shape)], dim=-1).reshape(-1, 3)
    count, place = len(means), ids.flatten() - 1
    return Gaussians(
        means=means,
        scales=torch.full((count, 3), 1e-3),
        quats_wxyz=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4),
        opacities=torch.full((count,), 0.99),
        colors=torch.full((count, 3), 0.5),
        semantic_features=torch.eye(5)[torch.tensor(class_of_region)[place]],
        instance_features=torch.eye(5)[torch.tensor(instance_of_region)[place]],
    )


def true_views():
    """A context view and a novel one, `SHIFT` pixels to its right."""
    ids, classes = wall_maps()
    windows = (slice(0, WIDTH), slice(SHIFT, SHIFT + WIDTH))
    moved = torch.eye(4).repeat(2, 1, 1)
    moved[1, 0, 3] = -SHIFT / FOCAL
    return TrueViews(
        cam_from_world=moved,
        intrinsics=torch.tensor([[FOCAL, 0.0, 0.0], [0.0, FOCAL, 0.0], [0.0, 0.0, 1.0]]).repeat(2, 1, 1),
        images=torch.full((2, 3, HEIGHT, WIDTH), 0.5),
        semantic_id=torch.stack([classes[:, window] for window in windows]),
        instance_id=torch.stack([ids[:, window] for window in windows]),
        is_novel=torch.tensor([False, True]),
    )


def text_classes(temperature=0.07):
    """Texts of any length along the axes of the features."""
    return TextClasses(LABELS, 3 * torch.eye(5), TextSpace(torch.eye(5), torch.zeros(5), "made up", temperature))


def figures_of(instance_of_region=range(5), class_of_region=None, readout="cells", views=None):
    classes = class_of_region or [class_id for *_, class_id in REGIONS]
    gaussians = wall_gaussians(list(instance_of_region), classes)
    scores = gaussian_view_scores(gaussians, text_classes(), views or true_views(), readout)
    return {kind: view_figures([own]) for kind, own in scores.items()}


def test_perfect_features_are_perfect():
    found = figures_of()
    assert set(found) == {"context", "novel"}
    for figures in found.values():
        values = (figures.semantic_miou, figures.semantic_accuracy, figures.instance_miou, figures.pq, figures.sq, figures.rq)
        assert values == (1.0,) * 6 and figures.instance_f == pytest.approx(1.0, abs=1e-5)
        assert figures.images == 1 and figures.psnr_db > 20
    # The published form divides by all five classes, of which one view shows four.
    assert found["context"].semantic_miou_per_image == pytest.approx(0.8)


def test_the_published_readout_is_measured_by_its_name():
    """Fewer pixels of each object than its smallest cluster: it finds one object, ours finds all."""
    pixels = figures_of(readout="pixels")["context"]
    assert pixels.instance_miou == pytest.approx((1 / 4) / 4) and pixels.rq == 0.0 and pixels.semantic_miou == 1.0
    with pytest.raises(ValueError, match=f"readout: expected one of {', '.join(READOUTS)}, got 'points'"):
        figures_of(readout="points")


def test_two_objects_with_one_feature_cost_what_they_should():
    """Mug and box, equally large, are read as one segment, whose mean semantics are nearest to one of the two."""
    figures = figures_of(instance_of_region=(0, 1, 1, 3, 4))["context"]
    assert figures.semantic_miou == 1.0  # a pixel's own semantics know no segments
    assert figures.instance_miou == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    precision, recall = 2 / 3, 2 / 4
    assert figures.instance_f == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-5)
    # Of the classes mug, box, can and table two are whole; an IoU of one half is no match.
    assert (figures.pq, figures.sq, figures.rq) == pytest.approx((0.5, 0.5, 0.5))


def test_one_object_as_two_is_no_hit_but_stuff_in_pieces_is():
    views = true_views()
    ids, classes = views.instance_id.clone(), views.semantic_id.clone()
    ids[ids == 3], classes[classes == 1] = 2, 0  # truth: one mug of double size, read as two
    kinds = [class_id for *_, class_id in REGIONS]
    kinds[2] = 0
    figures = figures_of(class_of_region=kinds, views=replace(views, instance_id=ids, semantic_id=classes))["context"]
    assert figures.instance_miou == pytest.approx((1 + 0.5 + 1) / 3) and figures.pq == pytest.approx(2 / 3)
    ids[ids == 2], classes[classes == 0] = 1, 3  # truth: it is table as well
    kinds[1] = kinds[2] = 3
    figures = figures_of(class_of_region=kinds, views=replace(views, instance_id=ids, semantic_id=classes))["context"]
    assert figures.pq == 1.0 and figures.instance_miou == pytest.approx((1 / 3 + 1) / 2)


def test_a_class_that_is_taken_for_another():
    """The can is called a box: boxes have an IoU of one half, cans of 0, mug and table of 1."""
    kinds = [class_id for *_, class_id in REGIONS]
    kinds[3] = 1
    figures = figures_of(class_of_region=kinds)["context"]
    assert figures.semantic_miou == pytest.approx((1 + 1 + 0.5 + 0) / 4) and figures.semantic_accuracy == pytest.approx(3 / 4)
    assert figures.instance_miou == 1.0
    # The second box is spurious: PQ of boxes 1 / (1 + 1/2), of cans 0.
    assert figures.pq == pytest.approx((1 + 1 + 2 / 3 + 0) / 4) and figures.sq == pytest.approx(3 / 4)


def test_an_object_that_is_called_table_is_no_object():
    kinds = [class_id for *_, class_id in REGIONS]
    kinds[3] = 3
    figures = figures_of(class_of_region=kinds)["context"]
    assert figures.pq == pytest.approx((1 + 1 + 0 + 0) / 4)  # half of what is called table is one


def test_an_object_must_keep_its_number_through_all_views():
    """Two context views: the same wall twice, with truth that renumbers the second one."""
    views = replace(true_views(), is_novel=torch.tensor([False, False]))
    assert figures_of(views=views)["context"].instance_f == pytest.approx(1.0, abs=1e-5)
    renumbered = views.instance_id.clone()
    renumbered[1][views.instance_id[1] == 2] = 3
    renumbered[1][views.instance_id[1] == 3] = 2
    figures = figures_of(views=replace(views, instance_id=renumbered))["context"]
    assert figures.instance_miou == pytest.approx((3 + 2 * 0.5) / 5)


def test_void_is_not_measured():
    kinds = [class_id for *_, class_id in REGIONS]
    kinds[3] = 1
    views = true_views()
    hidden = views.semantic_id == 2
    views = replace(
        views,
        semantic_id=torch.where(hidden, -1, views.semantic_id),
        instance_id=torch.where(hidden, 0, views.instance_id),
    )
    figures = figures_of(class_of_region=kinds, views=views)["context"]
    assert figures.semantic_miou == figures.pq == figures.instance_miou == 1.0
    precision = 3 / 4  # a segment on void alone is a prediction all the same, as in the released program
    assert figures.instance_f == pytest.approx(2 * precision / (precision + 1), abs=1e-5)


def test_what_was_not_rendered_is_a_mistake():
    """The novel view looks past the end of the wall: 8 columns of can, 8 of floor, and 16 of a table that was never seen."""
    views = true_views()
    moved, classes, ids = views.cam_from_world.clone(), views.semantic_id.clone(), views.instance_id.clone()
    moved[1, 0, 3] = -(SHIFT + WIDTH / 2) / FOCAL
    for columns, number, class_id in ((slice(0, 8), 4, 2), (slice(8, 16), 5, 4), (slice(16, 32), 6, 3)):
        classes[1, :, columns], ids[1, :, columns] = class_id, number
    figures = figures_of(views=replace(views, cam_from_world=moved, semantic_id=classes, instance_id=ids))["novel"]
    assert figures.semantic_accuracy == pytest.approx(0.5) and figures.pq <= 2 / 3 and figures.psnr_db < 10


def test_one_kind_of_views_is_enough():
    assert set(figures_of(views=replace(true_views(), is_novel=torch.tensor([True, True])))) == {"novel"}


@pytest.mark.parametrize("readout", READOUTS)
def test_no_gaussians_at_all(readout):
    few = wall_gaussians(list(range(5)), list(range(5)))
    none = Gaussians(*(value[:0] for value in vars(few).values()))
    scores = gaussian_view_scores(none, text_classes(), true_views(), readout)
    figures = view_figures([scores["context"]])
    assert figures.instance_miou <= 1 / 4 and figures.pq < 0.2
    assert figures.psnr_db == pytest.approx(-10 * math.log10(0.25))


def test_colour():
    truth = torch.full((2, 3, 4, 4), 0.5)
    shown = truth.clone()
    shown[1] += 0.1
    assert psnr_db(shown, truth).tolist() == pytest.approx([100.0, 20.0])
    assert psnr_db(truth + 7, torch.ones_like(truth)).tolist() == [100.0, 100.0]


def test_figures_over_scenes():
    good, poor = (
        gaussian_view_scores(wall_gaussians(list(range(5)), kinds), text_classes(), true_views())
        for kinds in ([3, 0, 1, 2, 4], [3, 0, 1, 1, 4])
    )
    figures = view_figures([good["context"], poor["context"]])
    assert figures.images == 2 and figures.semantic_accuracy == pytest.approx(7 / 8)
    assert figures.semantic_miou == pytest.approx((1 + 1 + 2 / 3 + 1 / 2) / 4)  # boxes 2 of 3 windows, cans 1 of 2
    assert figures.pq == pytest.approx((1 + (1 + 1 + 2 / 3) / 4) / 2)
    nothing = view_figures([])
    assert nothing.images == 0 and all(math.isnan(value) for value in (nothing.semantic_miou, nothing.pq, nothing.psnr_db))


def test_segments_have_the_class_of_their_mean():
    prediction = predict_views(wall_gaussians(list(range(5)), [3, 0, 1, 2, 4]), text_classes(), true_views())
    assert prediction.segment_class.sort().values.tolist() == [0, 1, 2, 3, 4]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"TextClasses.texts: expected shape \(5, 5\), got \(4, 5\)"):
        TextClasses(LABELS, torch.eye(5)[:4], TextSpace(torch.eye(5), torch.zeros(5), "made up"))
    for name in ("cam_from_world", "intrinsics", "semantic_id", "instance_id", "is_novel"):
        with pytest.raises(ValueError, match=f"TrueViews.{name}: expected shape"):
            replace(true_views(), **{name: getattr(true_views(), name)[:1]})
