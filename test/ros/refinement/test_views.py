"""What is kept of perception's results for a refinement, and the labels that it has then; no node is needed."""

from dataclasses import replace

import pytest
import ros_support
import torch
from understood_views import CONFIG, camera_views, perception, understood_views

from pan3d_core.labels import LabelSpace
from pan3d_ros.parameters.node_config import RefineConfig
from pan3d_ros.refinement.labels import labels_for_refinement
from pan3d_ros.refinement.views import ViewCollector, restored, stored


@pytest.fixture(scope="module")
def views():
    return camera_views()


@pytest.fixture
def pipeline():
    return perception()


@pytest.fixture(scope="module")
def kept():
    return understood_views()


def test_views_from_new_places_are_kept_with_what_was_understood(kept, views):
    assert [view.stamp_ns for view in kept] == [view.stamp_ns for view in views]
    first = kept[0]
    assert first.image.dtype == torch.uint8 and tuple(first.image.shape) == (3, 56, 72)
    assert torch.equal(first.cam_from_world, views[0].cam_from_world)
    assert {tuple(view.instance_id.unique().tolist()) for view in kept} == {(0, 1, 2)}
    red, blue = (first.image[:, first.instance_id == value].float().mean(1) for value in (1, 2))
    assert red.argmax() == 0 and blue.argmax() == 2
    assert first.labels == ros_support.ColorEngine.facts.labels


def test_what_a_standing_camera_repeats_is_kept_once_and_the_oldest_go_first(views, pipeline):
    collector = ViewCollector(RefineConfig(max_views=3, min_views=1), CONFIG)
    for view in views[:4]:
        for later_ns in (0, 10**6):
            collector.add(pipeline.process([replace(view, stamp_ns=view.stamp_ns + later_ns)]))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [1, 2, 3]
    assert collector.refused is None


def test_views_that_a_window_of_keyframes_brings_again_are_not_taken_for_a_clock_that_jumped(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    for k in range(2, 6):
        collector.add(pipeline.process(views[k - 2 : k + 1]))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [0, 1, 2, 3, 4, 5]
    collector.clear()
    assert collector.views() == ()
    collector.add(pipeline.process(views[:1]))
    assert len(collector.views()) == 1


def test_results_without_metres_or_poses_are_refused_with_different_reasons(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    result = pipeline.process(views[:1])
    unposed = replace(result, views=replace(result.views, cam_from_world=None))
    collector.add(unposed)
    assert collector.refused == ("TF_FAILURE", "no camera's pose in the reference frame is known")
    collector.add(replace(result, reconstruction=replace(result.reconstruction, is_metric=False, alignment="no poses")))
    assert collector.refused == ("NOT_METRIC", "results are not metric: no poses")
    assert collector.views() == ()


def test_only_views_whose_pose_was_given_are_kept(views, pipeline):
    collector = ViewCollector(RefineConfig(), CONFIG)
    result = pipeline.process(views[:3])
    poses = tuple(result.views.cam_from_world)
    known = replace(result.views, cam_from_world=None, known_poses=(poses[0], None, poses[2]))
    collector.add(replace(result, views=known))
    assert [view.stamp_ns // 10**9 for view in collector.views()] == [0, 2]


def test_classes_are_those_of_all_views_and_objects_without_a_name_are_objects(kept):
    other = replace(kept[1], labels=LabelSpace(("wall", "toy"), (False, True)))
    nameless = replace(kept[2], semantic_id=torch.full_like(kept[2].semantic_id, -1))
    made = labels_for_refinement([kept[0], other, nameless])
    assert made.labels == LabelSpace(("block", "ball", "toy", "object", "wall", "table", "floor"), (True,) * 4 + (False,) * 3)
    assert [view.class_id.tolist() for view in made.views] == [[0, 0], [], [3, 3]]
    assert made.views[0].masks.sum() == (kept[0].instance_id > 0).sum()
    assert bool((made.views[1].semantics[other.instance_id > 0] == 4).all())  # class 0 of `other` is a wall


def test_a_class_that_is_a_thing_in_one_view_is_a_thing_in_all(kept):
    other = replace(kept[1], labels=LabelSpace(("block", "ball"), (False, True)))
    made = labels_for_refinement([kept[0], other])
    assert made.labels.names[:2] == ("block", "ball") and made.labels.is_thing[:2] == (True, True)
    assert made.views[1].class_id.tolist() == [0, 0]


def test_what_is_no_object_is_table_or_floor_by_its_height_and_void_where_depth_or_height_is_unknown(kept):
    names = ("block", "ball", "object", "table", "floor")

    def semantics(view):
        made = labels_for_refinement([view])
        assert made.labels.names == names
        return made.views[0].semantics

    first, free = kept[0], kept[0].instance_id == 0
    hole = torch.zeros_like(free)
    hole[:4] = True
    known = semantics(replace(first, depth=torch.where(hole, 0.0, first.depth)))
    assert set(known[free & hole].unique().tolist()) == {-1}
    measured = free & ~hole & (first.depth > 0)
    assert measured.sum() > 1000 and set(known[measured].unique().tolist()) == {names.index("table")}
    assert bool((known[~free & ~hole] == 0).all())  # blocks
    assert set(semantics(replace(first, support_height_m=1.0))[free & (first.depth > 0)].tolist()) == {names.index("floor")}
    assert set(semantics(replace(first, support_height_m=None)).unique().tolist()) == {-1, 0}


def test_views_come_back_from_a_file_as_they_were(kept, tmp_path):
    torch.save(stored(kept), tmp_path / "views.pt")
    again = restored(torch.load(tmp_path / "views.pt", weights_only=True))
    for first, second in zip(kept, again, strict=True):
        assert (first.camera, first.stamp_ns, first.labels) == (second.camera, second.stamp_ns, second.labels)
        assert first.support_height_m == second.support_height_m == 0.0
        for name in ("image", "depth", "cam_from_world", "intrinsics", "semantic_id", "instance_id"):
            assert torch.equal(getattr(first, name), getattr(second, name))
