import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.transforms import rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_core.views.scene_folder import SceneObject
from pan3d_eval.metrics.objects import (
    ObjectErrors,
    box_center_error_mm,
    box_extent_error_mm,
    object_errors,
    place_nees,
    recall_of_small,
)


def box(center=(0.0, 0.0, 0.0), size=(0.1, 0.06, 0.04), yaw_deg=0.0) -> OrientedBox:
    cos, sin = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    turn = torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return OrientedBox(rigid(turn, torch.tensor(center)), torch.tensor(size))


def test_centres_and_sides_in_millimetres():
    assert box_center_error_mm(box((0.003, 0.0, 0.004)), box()) == pytest.approx(5.0)
    assert box_extent_error_mm(box(size=(0.103, 0.06, 0.046)), box()) == pytest.approx(3.0)
    assert box_extent_error_mm(box(), box()) == 0.0


def test_names_of_axes_have_no_influence_but_directions_have():
    renamed = box(size=(0.06, 0.1, 0.04), yaw_deg=90.0)  # the same body
    assert box_extent_error_mm(renamed, box()) == pytest.approx(0.0, abs=1e-4)
    across = box(yaw_deg=90.0)  # its long side lies across: two sides are wrong by 40 mm
    assert box_extent_error_mm(across, box()) == pytest.approx(80 / 3)


def segment(instance_id: int, body: OrientedBox, class_id: int = 0) -> Segment:
    return Segment(instance_id, class_id, 0.9, 0.8, 20, 2, body.world_from_box[:3, 3], body, torch.zeros(3))


def panoptic(ids: torch.Tensor, *segments: Segment) -> Panoptic3D:
    return Panoptic3D(
        semantic_id=torch.zeros_like(ids),
        instance_id=ids,
        segments=segments,
        points=torch.zeros(0, 3),
        point_colors=torch.zeros(0, 3),
        point_instance_id=torch.zeros(0, dtype=torch.int64),
        point_normals=torch.zeros(0, 3),
        labels=LabelSpace.things(("mug", "can")),
    )


@pytest.fixture
def true_ids() -> torch.Tensor:
    ids = torch.zeros(2, 10, 10, dtype=torch.int64)
    ids[:, :4, :5] = 1  # 20 pixels in both views
    ids[1, 8, :6] = 2  # 6 pixels in one view
    return ids


def test_found_missed_and_named(true_ids):
    seen = torch.where(true_ids == 1, 7, 0)
    objects = [SceneObject(1, "mug", 0, box()), SceneObject(2, "can", 1, box()), SceneObject(3, "hidden", 1, box())]
    result = panoptic(seen, segment(7, box((0.002, 0.0, 0.0), (0.1, 0.06, 0.046))))
    errors = object_errors(result, true_ids, objects, ("mug", "can"), is_metric=True)
    assert [item.instance_id for item in errors] == [1, 2]  # the third is not visible
    first, second = errors
    assert first.found and first.mask_iou == 1.0 and first.named_right
    assert first.center_mm == pytest.approx(2.0) and first.extent_mm == pytest.approx(2.0)
    assert not second.found and second.center_mm is None and second.extent_mm is None and second.named_right is None
    assert (first.pixels_per_view, second.pixels_per_view) == (20.0, 6.0)  # only views that see it count
    unscaled = object_errors(result, true_ids, objects, ("mug", "can"), is_metric=False)
    assert unscaled[0].found and unscaled[0].center_mm is None and unscaled[0].extent_mm is None


def test_what_ids_are_called_and_the_order_of_segments_have_no_influence(true_ids):
    bodies = {1: box((0.002, 0.0, 0.0)), 2: box((0.0, 0.004, 0.0), yaw_deg=10.0)}
    objects = [SceneObject(1, "mug", 0, box()), SceneObject(2, "can", 1, box())]
    expected = object_errors(
        panoptic(true_ids, segment(1, bodies[1]), segment(2, bodies[2], 1)), true_ids, objects, ("mug", "can"), is_metric=True
    )
    renamed = torch.where(true_ids > 0, 30 - true_ids, 0)
    turned = panoptic(renamed, segment(28, bodies[2], 1), segment(29, bodies[1]))
    other = object_errors(turned, true_ids, objects, ("mug", "can"), is_metric=True)
    for first, second in zip(expected, other, strict=True):
        assert {**vars(first), "segment_id": 0} == {**vars(second), "segment_id": 0}
    assert all(item.found and item.named_right for item in expected)


def test_nothing_reported_and_nothing_true(true_ids):
    nothing = panoptic(torch.zeros_like(true_ids))
    errors = object_errors(nothing, true_ids, [SceneObject(1, "mug", 0, box())], ("mug",), is_metric=True)
    assert [(item.mask_iou, item.found) for item in errors] == [(0.0, False)]
    assert object_errors(nothing, torch.zeros_like(true_ids), [SceneObject(1, "mug")], ("mug",), is_metric=True) == []


def test_errors_of_places_are_normalized_by_their_covariance():
    found = segment(1, box((0.003, 0.0, 0.004)))
    assert place_nees(found, box()) is None
    sure = replace(found, position_covariance=torch.diag(torch.tensor([0.001, 0.001, 0.002])) ** 2)
    assert place_nees(sure, box()) == pytest.approx(9.0 + 4.0, rel=1e-4)


def test_recall_of_small_objects():
    errors = [
        ObjectErrors(1, 0.9, None, None, None, None, 20.0),
        ObjectErrors(2, 0.6, None, None, None, None, 59.0),
        ObjectErrors(3, 0.5, None, None, None, None, 30.0),  # not more than half
        ObjectErrors(4, 0.0, None, None, None, None, 60.0),  # not small
    ]
    assert recall_of_small(errors, 60) == pytest.approx(2 / 3)
    assert math.isnan(recall_of_small(errors, 10)) and math.isnan(recall_of_small([], 60))
