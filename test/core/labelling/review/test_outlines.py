"""Clicks and boxes on pictures: an object is outlined in all views, and what contradicts itself is refused."""

import numpy as np
import pytest
import torch
from labelled_boxes import cell
from scipy.ndimage import distance_transform_edt

from pan3d_core.labelling.review import Click, Frame, ScenePixels, Shown, outlined
from pan3d_core.labelling.review.pixels import world_points
from pan3d_core.labels import LabelSpace
from pan3d_core.views.scene_folder import Scene, SceneTruth

GREY = 4
SOLID = (1, 2, 3)


@pytest.fixture(scope="module")
def scene():
    made = cell(160, 120)
    truth = SceneTruth(tuple(made.ids), tuple(view.depth for view in made.views), (), LabelSpace.things(()))
    return Scene("bench", tuple(made.views), truth, 0.0)


def pixels_of(scene, ids):
    return ScenePixels(tuple(ids), world_points(scene))


def without_grey(scene):
    return pixels_of(scene, [ids.masked_fill(ids == GREY, 0) for ids in scene.known_truth().instance_ids])


def middle_of(mask):
    rows, columns = mask.nonzero().T
    nearest = ((rows - rows.float().mean()) ** 2 + (columns - columns.float().mean()) ** 2).argmin()
    return int(rows[nearest]), int(columns[nearest])


def overlaps(masks, scene, number=GREY):
    pairs = [(mask, ids == number) for mask, ids in zip(masks, scene.known_truth().instance_ids) if (ids == number).any()]
    return [float((mask & true).sum() / (mask | true).sum()) for mask, true in pairs]


def test_one_click_finds_an_object_in_all_views(scene):
    row, column = middle_of(scene.known_truth().instance_ids[0] == GREY)
    masks = outlined(scene.views, without_grey(scene), Shown((Click(0, row, column),)), 0, SOLID, 0.0)
    assert min(overlaps(masks, scene)) > 0.9


def test_a_box_finds_an_object_whatever_is_known_of_the_support(scene):
    true = scene.known_truth().instance_ids[0] == GREY
    rows, columns = true.nonzero().T
    frame = Frame(0, int(rows.min()) - 2, int(columns.min()) - 2, int(rows.max()) + 2, int(columns.max()) + 2)
    masks = outlined(scene.views, without_grey(scene), Shown((), (frame,)), 0, SOLID)
    found = overlaps(masks, scene)
    assert found[0] > 0.95 and min(found) > 0.5  # hidden sides are told from the table by colours alone
    assert not masks[0][: frame.top].any() and not masks[0][:, frame.right + 1 :].any()


def test_an_outline_that_leaks_is_mended_in_all_views_by_a_click_outside(scene):
    true = scene.known_truth().instance_ids
    leaky = []
    for ids in true:
        grown = torch.nn.functional.max_pool2d((ids == GREY).float()[None], 5, 1, 2)[0] > 0
        leaky.append(torch.where(grown & (ids == 0), GREY, ids))
    before = [ids == GREY for ids in leaky]
    rows, columns = (before[0] & (true[0] == 0)).nonzero().T
    mended = outlined(
        scene.views, pixels_of(scene, leaky), Shown((Click(0, int(rows[0]), int(columns[0]), inside=False),)), GREY, SOLID, 0.0
    )
    assert not mended[0][rows[0], columns[0]]
    assert min(overlaps(mended, scene)) > 0.93 > 0.8 > max(overlaps(before, scene))


def test_a_patch_of_table_that_one_click_takes_back_goes_in_all_views(scene):
    centre = torch.tensor(cell(160, 120).blocks[GREY - 1].center)
    true, leaky = scene.known_truth().instance_ids, []
    for ids, points in zip(true, world_points(scene)):
        patch = ((points[..., :2] - centre[:2]).abs() < 0.08).all(-1) & (ids == 0)
        leaky.append(torch.where(patch, GREY, ids))
    before = overlaps([ids == GREY for ids in leaky], scene)
    depth = distance_transform_edt(((leaky[0] == GREY) & (true[0] == 0)).numpy())
    click = Click(0, *(int(place) for place in np.unravel_index(depth.argmax(), depth.shape)), inside=False)
    mended = outlined(scene.views, pixels_of(scene, leaky), Shown((click,)), GREY, SOLID, 0.0)
    after = overlaps(mended, scene)
    assert not mended[0][click.row, click.column] and all(new > old for new, old in zip(after, before))


def test_other_objects_keep_their_pixels_unless_they_are_clicked_on(scene):
    row, column = middle_of(scene.known_truth().instance_ids[0] == GREY)
    frame = Frame(0, 0, 0, scene.views[0].hw[0] - 1, scene.views[0].hw[1] - 1)
    shown = Shown((Click(0, row, column),), (frame,))
    masks = outlined(scene.views, without_grey(scene), shown, 0, SOLID, 0.0)
    assert not any(bool((mask & torch.isin(ids, torch.tensor(SOLID))).any())
                   for mask, ids in zip(masks, scene.known_truth().instance_ids))  # fmt: skip
    with pytest.raises(ValueError, match="expected something of object 1 to stay, got all of it; merge the two instead"):
        outlined(
            scene.views,
            without_grey(scene),
            Shown((Click(0, *middle_of(scene.known_truth().instance_ids[0] == 1)),)),
            0,
            SOLID,
            0.0,
        )


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (Shown(), "expected a click on the object or a box around it, got none"),
        (Shown((Click(0, 5, 5, inside=False),)), "expected a click on the object or a box around it, got none"),
        (Shown((Click(9, 5, 5),)), "view: expected 0 to 3, got 9"),
        (Shown((Click(0, 500, 5),)), "expected places in a picture of 160x120, got column 5, row 500"),
        (Shown((), (Frame(0, 5, 5, 6, 40),)), "expected a box of at least 3x3 pixels"),
        (
            Shown((Click(0, 5, 7), Click(0, 5, 7, inside=False))),
            "clicks contradict each other: column 7, row 5 of view 0 is said to be the object and not to be it",
        ),
    ],
)
def test_what_shows_nothing_or_contradicts_itself_is_refused(scene, shown, told):
    with pytest.raises(ValueError, match=told):
        outlined(scene.views, without_grey(scene), shown, 0, SOLID, 0.0)


def test_an_object_of_which_nothing_stays_is_refused(scene):
    ids = torch.zeros_like(scene.known_truth().instance_ids[0])
    ids[60:62, 80:82] = 9
    lone = pixels_of(scene, [ids, *(torch.zeros_like(item) for item in scene.known_truth().instance_ids[1:])])
    clicks = tuple(Click(0, row, column, inside=False) for row in (60, 61) for column in (80, 81))
    with pytest.raises(ValueError, match="expected something of object 9 to stay, got nothing; reject it instead"):
        outlined(scene.views, lone, Shown(clicks), 9)
