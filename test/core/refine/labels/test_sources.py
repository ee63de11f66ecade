from dataclasses import replace

import pytest
import torch

from pan3d_core.config import PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels import sources
from pan3d_core.refine.labels.sources import FoundSegments, labels_of_maps, maps_of_labels, view_labels
from pan3d_core.structures import CameraView, InstanceSet, Reconstruction

LABELS = LabelSpace(("mug", "box", "table"), (True, True, False))
IMAGE = torch.zeros(3, 4, 6)
NOTHING = FoundSegments(torch.zeros(0, 4, 6), torch.zeros(0, dtype=torch.int64))


def mask(*columns: int, height: int = 4, width: int = 6) -> torch.Tensor:
    found = torch.zeros(height, width, dtype=torch.bool)
    found[:, list(columns)] = True
    return found


def test_of_overlapping_masks_the_better_scored_one_keeps_the_pixels():
    found = FoundSegments(torch.stack([mask(0, 1, 2), mask(2, 3)]), torch.tensor([0, 1]), torch.tensor([0.4, 0.9]))
    made = view_labels(IMAGE, found, LABELS)
    assert made.class_id.tolist() == [1, 0] and made.masks.dtype == torch.bool  # best first
    assert made.masks[:, 0].int().tolist() == [[0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]
    earlier = view_labels(IMAGE, FoundSegments(found.masks, found.class_id), LABELS)
    assert earlier.class_id.tolist() == [0, 1] and earlier.masks[0, 0].int().tolist() == [1, 1, 1, 0, 0, 0]


def test_classes_of_masks_replace_those_of_pixels_unless_they_are_unknown():
    semantics = torch.full((4, 6), 2)
    found = FoundSegments(torch.stack([mask(0), mask(1)]), torch.tensor([1, -1]), semantics=semantics)
    made = view_labels(IMAGE, found, LABELS)
    assert made.semantics[0].tolist() == [1, 2, 2, 2, 2, 2] and made.class_id.tolist() == [1, -1]


def test_a_view_without_any_label_is_void_and_has_no_masks():
    made = view_labels(IMAGE, NOTHING, LABELS)
    assert made.masks.shape == (0, 4, 6) and made.class_id.shape == (0,) and bool((made.semantics == -1).all())
    assert [item.tolist() for item in maps_of_labels(made)] == [made.semantics.tolist(), [[0] * 6] * 4]


def test_a_mask_that_others_hide_completely_is_left_out():
    hidden = FoundSegments(torch.stack([mask(1), mask(0, 1)]), torch.tensor([0, 1]), torch.tensor([0.1, 0.2]))
    assert view_labels(IMAGE, hidden, LABELS).class_id.tolist() == [1]


def test_maps_become_labels_and_labels_become_the_same_maps():
    semantics = torch.tensor([[0, 0, 1, 2, 2, -1]] * 4)
    ids = torch.tensor([[7, 7, 3, 9, 0, 5]] * 4)  # table and void belong to no instance, whatever the map of ids says
    made = labels_of_maps(IMAGE, semantics, ids, LABELS)
    assert made.class_id.tolist() == [1, 0]
    again, rows = maps_of_labels(made)
    assert torch.equal(again, semantics) and rows[0].tolist() == [2, 2, 1, 0, 0, 0]


def test_an_instance_of_several_classes_gets_that_of_most_of_its_pixels():
    made = labels_of_maps(IMAGE, torch.tensor([[0, 0, 1, 2, 2, 2]] * 4), torch.tensor([[4, 4, 4, 0, 0, 0]] * 4), LABELS)
    assert made.class_id.tolist() == [0] and made.semantics[0].tolist() == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize(
    "found, message",
    [
        (
            FoundSegments(torch.ones(1, 4, 5), torch.zeros(1).long()),
            r"view 0 \(a\): masks: expected shape \(any, 4, 6\), got \(1, 4",
        ),
        (FoundSegments(torch.ones(1, 4, 6), torch.zeros(2).long()), r"class_id: expected shape \(1\), got \(2,\)"),
        (
            FoundSegments(torch.full((1, 4, 6), 0.3), torch.zeros(1).long()),
            r"masks: expected 0 and 1 only, got values from 0.3 to",
        ),
        (FoundSegments(torch.ones(1, 4, 6), torch.tensor([2])), r"class_id: expected -1..1, got 2..2"),
        (FoundSegments(torch.ones(1, 4, 6), torch.zeros(1)), r"class_id: expected whole numbers, got torch.float32"),
        (FoundSegments(torch.ones(1, 4, 6), torch.tensor([0]), torch.tensor([torch.nan])), r"scores: expected finite"),
        (FoundSegments(torch.ones(1, 4, 6), torch.tensor([0]), semantics=torch.full((4, 6), 3)), r"semantics: expected -1..2"),
        (torch.ones(1, 4, 6), r"view 0 \(a\): expected FoundSegments of the labeller, got Tensor"),
    ],
)
def test_what_a_labeller_gets_wrong_is_refused_by_name(found, message):
    with pytest.raises(ValueError, match=message):
        sources.labels_from_callable(lambda image: found, [CameraView(IMAGE, camera="a")], LABELS)


def test_a_labeller_sees_every_image_once_in_0_to_1():
    seen = []

    def labeller(image: torch.Tensor) -> FoundSegments:
        seen.append(float(image.max()))
        return NOTHING

    views = [CameraView(torch.full((3, 4, 6), 255, dtype=torch.uint8)), CameraView(IMAGE)]
    made = sources.labels_from_callable(labeller, views, LABELS)
    assert seen == [1.0, 0.0] and len(made.views) == 2 and float(made.views[0].image.max()) == 1.0


def test_stuff_before_things_is_refused_and_can_be_reordered():
    mixed = LabelSpace(("table", "mug"), (False, True))
    with pytest.raises(ValueError, match="SceneLabels.labels: expected things before stuff, got table, mug"):
        sources.SceneLabels(mixed, ())
    assert sources.things_first(mixed) == LabelSpace(("mug", "table"), (True, False))


def test_labels_move_to_another_label_space_by_name():
    scene = sources.SceneLabels(
        LABELS, (labels_of_maps(IMAGE, torch.tensor([[0, 1, 2, -1, 2, 1]] * 4), torch.eye(4, 6).long(), LABELS),)
    )
    wider = LabelSpace(("box", "pan", "mug", "floor", "table"), (True, True, True, False, False))
    moved = sources.in_label_space(scene, wider)
    assert moved.views[0].semantics[0].tolist() == [2, 0, 4, -1, 4, 0]
    assert [wider.names[k] for k in moved.views[0].class_id.tolist()] == [
        LABELS.names[k] for k in scene.views[0].class_id.tolist()
    ]
    with pytest.raises(ValueError, match="labels: expected box, table among the classes, of the same kind, got mug, table"):
        sources.in_label_space(scene, LabelSpace(("mug", "table"), (True, True)))


class StripesEngine:
    """Finds columns 0..3 and, in every view but the first of a call, 6..7; its picture is half the image's size."""

    facts = EngineFacts(
        PreprocessConfig(height=32, width=32, mode="cover"), LabelSpace(("wall", "mug", "box"), (False, True, True))
    )

    def __init__(self, is_metric: bool = True) -> None:
        self.is_metric, self.calls = is_metric, []

    @torch.inference_mode()
    def __call__(self, views):
        self.calls.append(views.num_views)
        masks = torch.full((3, views.num_views, 32, 32), -9.0)
        masks[0, :, :, :16], masks[1, 1:, :, 24:], masks[2, :, :2] = 9.0, 9.0, 9.0
        logits = torch.tensor([[0.0, 5.0, 0.0, -1.0], [0.0, 0.0, 5.0, -1.0], [5.0, 0.0, 0.0, -1.0]])
        depth = torch.ones(views.num_views, 32, 32)
        depth[:, 16:] = 0.2  # the lower half is nearer to a camera that looks down
        cameras = torch.eye(4).repeat(views.num_views, 1, 1)
        lens = torch.eye(3).repeat(views.num_views, 1, 1)
        scores = torch.tensor([0.9, 0.8, 0.95])
        return Reconstruction(depth, depth, lens, cameras, self.is_metric), InstanceSet(masks, logits, scores, self.facts.labels)


def downward_view(name: str) -> CameraView:
    """From 0.3 m above the ground, 96x64 pixels, of which the engine's square picture shows the middle 64x64."""
    pose = torch.tensor([[1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, -1.0, 0.3], [0, 0, 0, 1.0]])
    lens = torch.tensor([[64.0, 0, 47.5], [0, 64.0, 31.5], [0, 0, 1.0]])
    return CameraView(torch.rand(3, 64, 96), lens, pose, camera=name)


def test_an_engine_labels_each_view_alone_at_the_size_of_its_image():
    engine = StripesEngine()
    made = sources.labels_from_engine(
        engine, [downward_view(name) for name in "abc"], 0.0, sources.EngineLabelSettings(views_at_once=1)
    )
    assert engine.calls == [1, 1, 1] and made.labels.names == ("mug", "box", "wall", "table", "floor")
    view = made.views[0]
    assert view.masks.shape == (1, 64, 96) and view.class_id.tolist() == [0] and not view.masks.is_inference()
    columns = view.masks[0, 20].nonzero()[:, 0].tolist()
    assert columns == list(range(16, 48))  # the left half of the 64 columns that the engine saw
    names = [
        made.labels.name(int(view.semantics[row, column])) for row, column in ((0, 20), (20, 20), (10, 60), (50, 60), (50, 0))
    ]
    # The class that is no thing has no mask; what is cut off is void; depth 1 m is under the ground, 0.2 m above it.
    assert names == ["wall", "mug", "floor", "table", ""]


def test_masks_have_the_best_of_the_classes_that_are_wanted():
    wanted = sources.EngineLabelSettings(views_at_once=1, classes=("box", "table", "spoon"))
    made = sources.labels_from_engine(StripesEngine(), [downward_view("a")], 0.0, wanted)
    assert made.labels.names == ("box", "table", "floor")
    assert {made.labels.name(row) for row in made.views[0].class_id.tolist()} == {"box"}
    unknown = sources.EngineLabelSettings(classes=("spoon", "fork"))
    with pytest.raises(ValueError, match=r"settings.classes: expected some of .* mug, .*, got spoon, fork"):
        sources.labels_from_engine(StripesEngine(), [downward_view("a")], 0.0, unknown)


def test_an_engine_may_see_neighbours_together_and_masks_stay_of_one_view():
    engine = StripesEngine()
    made = sources.labels_from_engine(
        engine, [downward_view(n) for n in "abc"], 0.0, sources.EngineLabelSettings(views_at_once=2)
    )
    assert engine.calls == [2, 1]
    assert [view.class_id.tolist() for view in made.views] == [[0], [0, 1], [0]]


def test_table_and_floor_are_void_where_nothing_is_metric():
    view = sources.labels_from_engine(StripesEngine(is_metric=False), [downward_view("a")], 0.0).views[0]
    assert int(view.semantics[50, 60]) == -1
    assert int(sources.labels_from_engine(StripesEngine(), [downward_view("a")]).views[0].semantics[50, 60]) == -1


def test_an_engine_that_looks_for_no_objects_is_refused():
    engine = StripesEngine()
    engine.facts = replace(engine.facts, finds_objects=False)
    with pytest.raises(ValueError, match="engine: expected one that finds objects, got StripesEngine"):
        sources.labels_from_engine(engine, [downward_view("a")])
    with pytest.raises(ValueError, match="views: expected at least one view, got none"):
        sources.labels_from_engine(StripesEngine(), [])


def test_an_engine_without_names_finds_objects_of_one_class():
    class Nameless(StripesEngine):
        facts = replace(StripesEngine.facts, labels=LabelSpace.things(()))

        def __call__(self, views):
            reconstruction, found = super().__call__(views)
            return reconstruction, InstanceSet(found.mask_logits, None, found.scores, self.facts.labels)

    made = sources.labels_from_engine(Nameless(), [downward_view("a")], 0.0)
    assert made.labels.names == ("object", "table", "floor") and made.views[0].class_id.tolist() == [0, 0]


def test_masks_of_few_pixels_are_left_out():
    view = sources.labels_from_engine(
        StripesEngine(), [downward_view("a")], 0.0, sources.EngineLabelSettings(min_pixels=2000)
    ).views[0]
    assert len(view.masks) == 0
