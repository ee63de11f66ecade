"""Colours and visibility of Gaussians in a viewer, and facts about objects, on the hand-made boxes."""

from dataclasses import replace

import pytest
import torch
from gaussian_boxes import BOXES, TABLE_RGB, boxes_scene, text_embeddings

from pan3d_core.pictures.palette import UNASSIGNED, class_colors, instance_color
from pan3d_tools.viewer.display import Display, class_ids, object_facts, shown_colors, visible_gaussians

SCENE = boxes_scene(spacing=0.02)


def of_object(values: torch.Tensor, instance_id: int) -> list[list[float]]:
    """Distinct rows of an object's Gaussians."""
    return values[SCENE.instance_id == instance_id].unique(dim=0).tolist()


@pytest.mark.parametrize("harmonics", [0, 2])
def test_colours_are_those_of_the_gaussians(harmonics):
    colors = shown_colors(boxes_scene(spacing=0.02, harmonics=harmonics), Display())
    for instance_id, rgb in [(0, TABLE_RGB), *((number, box[3]) for number, box in enumerate(BOXES, 1))]:
        assert torch.allclose(colors[SCENE.instance_id == instance_id], torch.tensor(rgb), atol=1e-5)


def test_instances_have_the_colours_of_the_palette():
    colors = shown_colors(SCENE, Display(mode="instances"))
    for instance_id, rgb in [(0, UNASSIGNED), (1, instance_color(1)), (3, instance_color(3))]:
        assert of_object(colors, instance_id) == [pytest.approx([channel / 255 for channel in rgb])]


def test_classes_have_the_colours_of_their_names_and_the_rest_is_grey():
    display = Display(mode="semantics", classes=("brick", "sea"))
    found = class_ids(SCENE, text_embeddings(0, 1))
    assert {number: set(found[SCENE.instance_id == number].tolist()) for number in range(4)} == {0: {-1}, 1: {0}, 2: {1}, 3: {0}}
    colors = shown_colors(SCENE, display, found)
    brick, sea = class_colors(display.classes)
    for instance_id, rgb in [(0, UNASSIGNED), (1, brick), (2, sea), (3, brick)]:
        assert of_object(colors, instance_id) == [pytest.approx([channel / 255 for channel in rgb])]
    assert of_object(shown_colors(SCENE, Display(mode="semantics")), 1) == [pytest.approx([c / 255 for c in UNASSIGNED])]


def test_only_the_selected_object_is_tinted():
    plain, tinted = shown_colors(SCENE, Display()), shown_colors(SCENE, Display(selected=2))
    changed = (plain - tinted).abs().amax(-1) > 0.05
    assert torch.equal(changed, SCENE.instance_id == 2)


def test_hidden_and_removed_objects_are_not_visible():
    visible = visible_gaussians(SCENE, Display(hidden=frozenset({1}), removed=frozenset({3})))
    assert torch.equal(visible, (SCENE.instance_id == 0) | (SCENE.instance_id == 2))
    assert bool(visible_gaussians(SCENE, Display()).all())


def test_facts_of_an_object():
    facts = object_facts(SCENE, 3)
    assert (facts.name, facts.num_gaussians) == ("green box", int((SCENE.instance_id == 3).sum()))
    assert facts.box.size_m.tolist() == pytest.approx([0.05, 0.05, 0.12], abs=1e-3)
    with pytest.raises(ValueError, match=r"expected one of 1 \(red box\), .* got 7"):
        object_facts(SCENE, 7)


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="mode: expected one of colour, instances, semantics, got 'x-ray'"):
        Display(mode="x-ray")
    with pytest.raises(ValueError, match="without text space"):
        class_ids(replace(SCENE, text_space=None), text_embeddings(0))
    bare = replace(SCENE, gaussians=replace(SCENE.gaussians, semantic_features=None))
    with pytest.raises(ValueError, match="without semantic features"):
        class_ids(bare, text_embeddings(0))
