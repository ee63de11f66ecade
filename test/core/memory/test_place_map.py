"""A refined scene's objects are recognised where they stand, with ids and names that survive a restart."""

from dataclasses import replace

import pytest
import torch
from gaussian_boxes import BOXES, boxes_scene
from panoptic_results import ids_of, panoptic_of

from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.transforms import rigid
from pan3d_core.labels import LabelSpace
from pan3d_core.memory import WorldMemory
from pan3d_core.memory.place_map import MapMatching, RefinedMap, ids_in_common, map_of_scene, read_map, renumbered
from pan3d_core.structures import Panoptic3D, Segment

LABELS = LabelSpace.things(("red box", "blue box", "mug"))


def seen(instance_id: int, box: int, offset=(0.0, 0.0, 0.0), class_id: int = 2, rgb=None) -> Segment:
    """What perception says of one of the boxes, `offset` metres beside its place."""
    _, center, size, color, _ = BOXES[box]
    place = torch.tensor(center) + torch.tensor(offset)
    oriented = OrientedBox(rigid(torch.eye(3), place), torch.tensor(size))
    return Segment(instance_id, class_id, 0.6, 0.9, 100, 2, place, oriented, torch.tensor(rgb or color))


def panoptic(*segments: Segment, stamp_s: float = 0.0, labels: LabelSpace = LABELS) -> Panoptic3D:
    return panoptic_of(segments, labels, stamp_s)


@pytest.fixture(scope="module")
def refined() -> RefinedMap:
    return map_of_scene(renumbered(boxes_scene(), {1: 41, 2: 7, 3: 12}))


def test_objects_have_the_boxes_and_colours_of_their_gaussians():
    objects = map_of_scene(boxes_scene(harmonics=1)).objects
    assert [(item.instance_id, item.name) for item in objects] == [(1, "red box"), (2, "blue box"), (3, "green box")]
    for item, (_, center, size, rgb, _) in zip(objects, BOXES):
        assert torch.allclose(item.center_m, torch.tensor(center), atol=3e-3)
        assert torch.allclose(item.extent_m.sort().values, torch.tensor(size).sort().values, atol=6e-3)
        assert torch.allclose(item.color_rgb, torch.tensor(rgb), atol=1e-3)


def test_seen_objects_are_matched_whatever_their_order_and_however_inexactly_they_are_placed(refined):
    segments = [seen(1, 2, (0.008, 0.0, 0.004)), seen(2, 0, (-0.01, 0.005, 0.0)), seen(3, 1)]
    assert refined.match(segments) == {0: 12, 1: 41, 2: 7}


def test_what_stands_elsewhere_is_no_object_of_the_map(refined):
    assert refined.match([seen(1, 0, (0.06, 0.0, 0.0))]) == {}
    assert refined.match([seen(1, 0)], taken={41}) == {}
    assert refined.match([]) == {}


def test_another_colour_and_another_place_together_are_another_object(refined):
    aside = (0.025, 0.0, 0.0)
    assert refined.match([seen(1, 0, aside)]) == {0: 41}
    assert refined.match([seen(1, 0, aside, rgb=(0.1, 0.3, 0.8))]) == {}


def test_of_two_that_could_be_one_object_the_likelier_is(refined):
    assert refined.match([seen(1, 0, (0.02, 0.0, 0.0)), seen(2, 0, (0.002, 0.0, 0.0))]) == {1: 41}


def test_a_restarted_tracker_gives_the_same_ids_and_names_again(refined):
    for _ in range(2):
        memory = WorldMemory()
        memory.use_map(refined)
        made = memory.update(panoptic(seen(1, 1, (0.005, 0.0, 0.0)), seen(2, 0)))
        assert ids_of(made) == [7, 41]
        assert [LABELS.name(item.class_id) for item in made.segments] == ["blue box", "red box"]
        assert [item.class_score for item in made.segments] == [1.0, 1.0]
        assert made.instance_id.tolist() == [[[0, 7, 41]]]
        assert made.semantic_id.tolist() == [[[-1, 1, 0]]]


def test_names_that_are_no_class_of_the_scene_leave_the_class_as_it_was(refined):
    memory = WorldMemory()
    memory.use_map(refined)
    (item,) = memory.update(panoptic(seen(1, 2))).segments
    assert (item.instance_id, item.class_id, item.class_score) == (12, 2, 0.6)


def test_new_objects_get_ids_beyond_the_map_and_tracks_keep_theirs_when_objects_move(refined):
    memory = WorldMemory()
    memory.use_map(refined)
    assert ids_of(memory.update(panoptic(seen(1, 0), seen(2, 1, (0.2, 0.0, 0.0))))) == [41, 42]
    assert ids_of(memory.update(panoptic(seen(1, 0, (0.04, 0.0, 0.0)), stamp_s=1.0))) == [41]
    assert ids_of(memory.update(panoptic(seen(1, 0, (0.08, 0.0, 0.0)), seen(2, 0), stamp_s=2.0))) == [41, 43]


def test_a_map_that_comes_later_replaces_the_ids_and_none_is_given_to_two_objects(refined):
    memory = WorldMemory()
    given = [ids_of(memory.update(panoptic(seen(1, 0), seen(2, 2), stamp_s=float(k)))) for k in range(2)]
    assert given == [[1, 2], [1, 2]]
    memory.use_map(refined)
    assert ids_of(memory.update(panoptic(seen(1, 0), seen(2, 2), seen(3, 1, (0.2, 0.0, 0.0)), stamp_s=3.0))) == [41, 12, 42]
    memory.use_map(None)
    assert ids_of(memory.update(panoptic(seen(1, 0), stamp_s=4.0))) == [43]


def test_a_map_is_read_only_where_metres_and_frame_are_the_robots(tmp_path):
    path = tmp_path / "scene.safetensors"
    write_scene_file(path, boxes_scene())
    assert read_map(path, "world").ids() == (1, 2, 3)
    with pytest.raises(ValueError, match="world_frame_id: expected 'base_link', got 'world'"):
        read_map(path, "base_link")
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        read_map(tmp_path / "nothing.safetensors", "world")
    write_scene_file(path, replace(boxes_scene(), is_metric=False))
    with pytest.raises(ValueError, match="is_metric: expected a scene in metres"):
        read_map(path, "world")


def test_impossible_maps_are_refused(refined):
    with pytest.raises(ValueError, match="expected different ids"):
        RefinedMap((refined.objects[0], refined.objects[0]))
    with pytest.raises(ValueError, match="MapMatching"):
        MapMatching(max_distance_m=0.0)


def test_ids_of_a_refinement_become_those_under_which_most_of_its_pixels_were_seen():
    made = torch.tensor([[[1, 1, 1, 2, 2, 0, 5, 5]], [[1, 1, 0, 2, 2, 0, 0, 5]]])
    shown = torch.tensor([[[9, 9, 9, 3, 3, 0, 0, 0]], [[9, 9, 0, 4, 3, 0, 0, 0]]])
    assert ids_in_common(made, shown) == {1: 9, 2: 3, 5: 10}
    assert ids_in_common(torch.zeros_like(made), shown) == {}
    twice = torch.where(made == 1, torch.tensor([[1, 1, 6, 0, 0, 0, 0, 0]]), made)
    assert ids_in_common(twice, shown) == {1: 9, 2: 3, 5: 10, 6: 0}  # 6 is a splinter of what 1 shows
    with pytest.raises(ValueError, match="seen: expected the shape"):
        ids_in_common(made, shown[:1])


def test_renumbering_moves_ids_with_their_gaussians_and_names():
    scene = boxes_scene()
    made = renumbered(scene, {1: 3, 3: 1})
    assert made.names == {3: "red box", 4: "blue box", 1: "green box"}
    assert torch.equal(made.instance_id == 3, scene.instance_id == 1)
    assert torch.equal(made.instance_id == 0, scene.instance_id == 0)
    fewer = renumbered(scene, {1: 0, 2: 0})
    assert fewer.names == {4: "green box"} and fewer.ids() == (4,)
    with pytest.raises(ValueError, match="expected different ids"):
        renumbered(scene, {1: 5, 2: 5})
