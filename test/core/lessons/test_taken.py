"""The object that was taken is found by what changed; what is not one object, or cannot be compared, is said to be that."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from picked_boxes import AFTER, APART, BEFORE, BOX, TAKEN, TOUCHING, box_of, look_at_boxes

from pan3d_core.config import LessonConfig
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.lessons import Look, Shown, object_taken

ELSEWHERE = replace(TAKEN, center=(0.12, -0.1, 0.03))


@pytest.fixture(scope="module")
def before():
    return look_at_boxes(BEFORE)


def overlap(masks, true):
    found = np.stack(masks)
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize("depth", [False, True])
@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_one_of_two_that_touch_is_taken_whatever_the_light(depth, gain):
    look, ids = look_at_boxes(BEFORE, depth=depth)
    after, _ = look_at_boxes((*AFTER, ELSEWHERE), depth=depth, gain=gain, seed=1)
    found = object_taken(look, after, BOX, box_of(ELSEWHERE))
    assert found.shown is Shown.ONE_OBJECT, found.message
    assert overlap(found.masks, ids == 1) > 0.85
    sure = np.stack(found.masks) & ~np.stack(found.doubt)
    assert (sure & (ids == 1)).sum() > 0.99 * sure.sum() and sure.sum() > 0.6 * (ids == 1).sum()
    assert np.abs(found.points.mean(0) - BOX.world_from_box[:3, 3].numpy()).max() < 0.02


def test_a_box_of_both_gives_the_one_that_was_taken(before):
    look, ids = before
    both = box_of(replace(TAKEN, center=(0.0, 0.025, 0.03), size=(0.06, 0.11, 0.06)))
    found = object_taken(look, look_at_boxes(AFTER, seed=1)[0], both)
    assert found.shown is Shown.ONE_OBJECT and overlap(found.masks, ids == 1) > 0.85


def test_no_change_and_not_to_be_compared_are_different_answers(before):
    look, _ = before
    same = object_taken(look, look_at_boxes(BEFORE, seed=1)[0], BOX)
    assert same.shown is Shown.NO_CHANGE and same.masks == () and "0 pixels changed elsewhere" in same.message
    other = object_taken(look, look_at_boxes((TAKEN, TOUCHING), seed=1)[0], BOX)
    assert other.shown is Shown.NO_CHANGE and " pixels changed elsewhere" in other.message


def test_a_neighbour_that_moved_too_makes_it_no_lesson_and_one_farther_away_is_void(before):
    look, _ = before
    pushed = replace(TOUCHING, center=(0.02, 0.075, 0.025))
    colour = object_taken(look, look_at_boxes((pushed, APART), seed=1)[0], BOX)
    assert colour.shown is Shown.SEVERAL_MOVED, colour.message
    fallen = replace(APART, center=(-0.12, 0.1, 0.03))
    far = object_taken(look, look_at_boxes((TOUCHING, fallen), seed=1)[0], BOX)
    assert far.shown is Shown.ONE_OBJECT and overlap(far.masks, before[1] == 1) > 0.85
    moved = before[1] == 3
    assert np.stack(far.doubt)[moved].mean() > 0.95 and np.stack(far.masks)[moved].mean() < 0.05


def test_shadows_that_went_elsewhere_all_over_the_table_make_it_no_lesson(before):
    look, ids = before
    after, _ = look_at_boxes(AFTER, seed=1)
    height, width = look.views[0].hw
    dark = torch.ones(height, width)
    dark[: height // 4] = 0.4  # a lamp was moved: what is there is no object, and more than one
    lit = replace(after, views=tuple(replace(view, image=view.image * dark) for view in after.views))
    assert dark[: height // 4].numel() > 2.5 * (ids == 1).sum(axis=(1, 2)).max()
    found = object_taken(look, lit, BOX)
    assert found.shown is Shown.SEVERAL_MOVED and "times as many pixels changed as show the object" in found.message


def test_another_light_on_everything(before):
    look, _ = before
    after, _ = look_at_boxes(AFTER, seed=1)
    stripes = torch.linspace(0, 20, look.views[0].hw[1]).sin() * 0.3
    lit = tuple(replace(view, image=(view.image + stripes).clamp(0, 1)) for view in after.views)
    found = object_taken(look, replace(after, views=lit), BOX)
    assert found.shown is Shown.LIGHT_CHANGED and "another light" in found.message


def changed_look(look, change, row=1):
    views = list(look.views)
    views[row] = change(views[row])
    return replace(look, views=tuple(views))


def turned(view):
    pose = view.cam_from_world.clone()
    pose[:3, 3] += torch.tensor([0.01, 0.0, 0.0])
    return replace(view, cam_from_world=pose)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (turned, "moved by 10 mm"),
        (lambda view: replace(view, camera="other"), "same cameras in the same order"),
        (lambda view: replace(view, cam_from_world=None), "cam_from_world: expected it before and after, got none"),
        (
            lambda view: replace(view, intrinsics=view.intrinsics * torch.tensor([[1.1], [1.1], [1.0]])),
            "intrinsics: expected those",
        ),
    ],
)
def test_cameras_that_are_not_the_same_cannot_be_compared(before, change, words):
    look, _ = before
    found = object_taken(look, changed_look(look_at_boxes(AFTER, seed=1)[0], change), BOX)
    assert found.shown is Shown.COULD_NOT_LOOK and words in found.message


def test_other_numbers_and_sizes_of_views_cannot_be_compared(before):
    look, _ = before
    after, _ = look_at_boxes(AFTER, seed=1)
    fewer = Look(*(getattr(after, name)[:3] for name in ("views", "surface_m", "claimed", "robot")), 0.0)
    found = object_taken(look, fewer, BOX)
    assert found.shown is Shown.COULD_NOT_LOOK and "expected as many after as before, 4, got 3" in found.message
    small = [replace(view, image=view.image[:, ::2, ::2]) for view in after.views]
    halved = Look(tuple(small), (None,) * 4, (None,) * 4, (None,) * 4)
    found = object_taken(look, halved, BOX)
    assert found.shown is Shown.COULD_NOT_LOOK and "expected the size that it had before, 144 x 112, got 72 x 56" in found.message
    with pytest.raises(ValueError, match="Look.surface_m of .*: expected"):
        Look(tuple(small), after.surface_m, (None,) * 4, (None,) * 4)
    with pytest.raises(ValueError, match="Look.robot: expected 4"):
        Look(after.views, after.surface_m, after.claimed, ())


def test_a_place_behind_the_robot_or_outside_was_not_looked_at(before):
    look, _ = before
    after, _ = look_at_boxes(AFTER, seed=1)
    hidden = replace(after, robot=(np.ones(look.views[0].hw, bool),) * 3 + (None,))
    found = object_taken(look, hidden, BOX)
    assert found.shown is Shown.COULD_NOT_LOOK and "in sight of 1 views, of at least 2" in found.message
    outside = box_of(replace(TAKEN, center=(0.0, 3.0, 0.03)))
    assert object_taken(look, after, outside).shown is Shown.COULD_NOT_LOOK


def test_the_robot_in_a_picture_is_no_change(before):
    look, ids = before
    after, _ = look_at_boxes(AFTER, seed=1)
    arm = np.zeros(look.views[0].hw, bool)
    arm[:, :30] = True
    painted = tuple(replace(view, image=torch.where(torch.from_numpy(arm), 0.0, view.image)) for view in after.views)
    found = object_taken(look, replace(after, views=painted, robot=(arm,) * 4), BOX)
    assert found.shown is Shown.ONE_OBJECT and not (np.stack(found.masks) & arm).any()
    assert overlap(found.masks, (ids == 1) & ~arm) > 0.8


def on_table(view, surface):
    """Where a view shows a piece of the table beside the box."""
    points = unproject_depth(torch.from_numpy(surface).float(), view.intrinsics, view.cam_from_world)
    x, y = points[..., 0], points[..., 1]
    return ((x > 0.03) & (x < 0.09) & (y.abs() < 0.03)).numpy()


def test_a_shadow_that_goes_with_the_object_is_not_called_the_object():
    look, ids = look_at_boxes(BEFORE)
    after, _ = look_at_boxes(AFTER, seed=1)
    shade = np.stack([on_table(view, surface) for view, surface in zip(look.views, look.surface_m)]) & (ids == 0)
    dark = tuple(
        replace(view, image=torch.where(torch.from_numpy(shade[k]), 0.6, 1.0) * view.image) for k, view in enumerate(look.views)
    )
    found = object_taken(replace(look, views=dark), after, BOX)
    sure = np.stack(found.masks) & ~np.stack(found.doubt)
    assert found.shown is Shown.ONE_OBJECT and (sure & shade).sum() < 0.05 * shade.sum() and shade.sum() > 400


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="LessonConfig.changed_share: expected 0.0 to 1.0, got 2"):
        LessonConfig(changed_share=2.0)
