"""Selecting objects of a result by words, pixels, a box, a point and an id, with no ROS around."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core import Selection, select_by_box, select_by_id, select_by_pixels, select_by_point, select_by_prompt
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.language.selection import limit_selection, select_all
from pan3d_core.structures import Panoptic3D, PerceptionResult, Reconstruction, Segment, ViewBatch

RED, BLUE = 3, 8


def segment(instance_id, color, place, score=0.9):
    world_from_box = torch.eye(4)
    world_from_box[:3, :3] = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # a quarter turn
    world_from_box[:3, 3] = torch.tensor(place)
    return Segment(
        instance_id, 0, 0.9, score, num_points=100, num_views=2, centroid=torch.tensor(place),
        box=OrientedBox(world_from_box, torch.tensor([0.2, 0.1, 0.1])), color_rgb=torch.tensor(color),
    )  # fmt: skip


def scene(*segments) -> PerceptionResult:
    """Two cameras; the first one's pictures are twice the network's size with a border of one network pixel at the left."""
    ids = torch.zeros(2, 6, 8, dtype=torch.int64)
    ids[0, 1:3, 1:5] = RED
    ids[0, 4:6, 5:8] = BLUE
    ids[1, :, :2] = BLUE
    to_network = torch.eye(3).repeat(2, 1, 1)
    to_network[0] = torch.tensor([[0.5, 0.0, 0.75], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]])
    empty, depth = torch.zeros(0, 3), torch.ones(2, 6, 8)
    panoptic = Panoptic3D(
        ids.clamp_max(1) - 1, ids, segments, empty, empty, empty[:, 0].long(), empty, LabelSpace.things(["mug"])
    )
    views = ViewBatch(
        images=torch.zeros(2, 3, 6, 8), intrinsics=None, cam_from_world=None, depth=None, stamps_ns=(0, 0),
        cameras=("front", "wrist"), original_hw=((12, 14), (6, 8)), network_from_original=to_network,
    )  # fmt: skip
    geometry = Reconstruction(depth, depth, torch.eye(3).repeat(2, 1, 1), torch.eye(4).repeat(2, 1, 1), is_metric=True)
    return PerceptionResult(geometry, panoptic, views, {})


@pytest.fixture
def table() -> PerceptionResult:
    return scene(segment(RED, (0.8, 0.1, 0.1), (0.4, 0.2, 0.0), 0.7), segment(BLUE, (0.1, 0.1, 0.8), (0.4, -0.2, 0.0)))


def test_a_click_finds_the_object_under_it_in_the_original_picture(table):
    clicked = select_by_pixels(table, [(1.0, 3.0)])  # column 1.25, row 1.25 of the network
    assert clicked == Selection((RED,), (1.0,), 0.0, "objects under the points in front", "")
    assert clicked.best == RED
    assert select_by_pixels(table, [(12.0, 10.0)], camera="front").best == BLUE
    assert select_by_pixels(table, [(1, 3)], camera="wrist").best == BLUE


def test_a_click_on_nothing_says_so(table):
    for place in ((1.0, 11.0), (-40.0, 3.0), (1.0, 400.0)):  # between the objects; left of and below the picture
        nothing = select_by_pixels(table, [place])
        assert nothing.best is None and nothing.instance_ids == nothing.probabilities == ()
        assert (nothing.none_probability, nothing.message) == (1.0, "no object is under the points")


def test_several_pixels_vote_and_pixels_off_the_object_exclude(table):
    on_red, on_blue, beside = (1.0, 3.0), (12.0, 10.0), (1.0, 11.0)
    both = select_by_pixels(table, [on_red, on_blue, on_red, beside])
    assert both.instance_ids == (RED, BLUE) and both.probabilities == (0.5, 0.25)
    assert select_by_pixels(table, [on_red, on_blue], off=[on_red]).instance_ids == (BLUE,)
    assert select_by_pixels(table, [on_red], off=[on_red]).best is None
    assert select_by_pixels(table, [on_red], off=[beside]).best == RED


def test_a_box_holds_the_objects_that_are_mostly_inside(table):
    # Red fills rows 1 to 2 and columns 1 to 4 of the network: 1 to 7 and 3 to 5 in the original picture, about.
    exact = select_by_box(table, (0.0, 2.0, 7.0, 5.0))
    assert exact == Selection((RED,), (1.0,), 0.0, "objects in the box in front", "")
    loose = select_by_box(table, (-2.0, 0.0, 14.0, 12.0))
    assert loose.instance_ids == (RED, BLUE)
    assert loose.probabilities == pytest.approx((8 / 48, 6 / 48))
    assert select_by_box(table, (0.0, 2.0, 5.0, 5.0)).best == RED  # 3 of its 4 columns
    half = select_by_box(table, (0.0, 2.0, 4.0, 5.0))  # 2 of 4 are not most
    assert (half.best, half.message) == (None, "no object is inside the box")
    assert select_by_box(table, (0, 0, 1, 5), camera="wrist").best == BLUE


def test_a_point_finds_the_nearest_box(table):
    inside = select_by_point(table, (0.44, 0.25, 0.04))  # the box is turned: 0.1 along x, 0.2 along y
    assert inside == Selection((RED,), (1.0,), 0.0, "nearest object, 0 mm from its box", "")
    beside = select_by_point(table, torch.tensor([0.4, -0.2, 0.1]).tolist())
    assert beside.best == BLUE
    assert beside.probabilities[0] == pytest.approx(math.exp(-1))
    assert beside.explanation == "nearest object, 50 mm from its box"
    assert select_by_point(table, (5.0, 5.0, 5.0)).best == RED


def test_ids_and_all(table):
    assert select_by_id(table, BLUE) == Selection((BLUE,), (1.0,), 0.0, "instance 8", "")
    gone = select_by_id(table, 9)
    assert gone == Selection((), (), 1.0, "instance 9", "instance 9 is not visible now")
    assert select_all(table).instance_ids == (BLUE, RED)  # by score


def test_words_select_as_prompts_do(table):
    found = select_by_prompt(table, "the red mug")
    assert found.instance_ids[0] == RED and found.probabilities[0] > found.none_probability
    assert "red" in found.explanation and "'the red mug': instance 3" in found.message
    nothing = select_by_prompt(table, "the green one")
    assert nothing.best is None and nothing.none_probability > 0.5
    assert nothing.message.startswith("nothing here fits 'the green one'") and nothing.explanation == nothing.message
    assert set(select_by_prompt(table, "mug").instance_ids) == {RED, BLUE}
    assert select_by_prompt(table, "mug", min_probability=0.999).instance_ids == ()


def test_limits_on_score_and_number(table):
    everything = select_all(table)
    assert limit_selection(everything, table) == everything
    assert limit_selection(everything, table, max_results=1).instance_ids == (BLUE,)
    assert limit_selection(select_by_id(table, RED), table, min_score=0.7) == select_by_id(table, RED)
    weak = limit_selection(everything, table, min_score=0.95)
    assert (weak.best, weak.none_probability) == (None, 1.0)
    assert weak.message == "2 objects fit, but the best score is 0.90, below min_score 0.95"
    missed = select_by_id(table, 9)
    assert limit_selection(missed, table, min_score=0.95) == missed


def test_an_empty_scene_answers():
    empty = scene()
    empty = replace(empty, panoptic=replace(empty.panoptic, instance_id=torch.zeros_like(empty.panoptic.instance_id)))
    for answer in (
        select_all(empty), select_by_point(empty, (0, 0, 0)), select_by_pixels(empty, [(1, 3)]), select_by_id(empty, 1),
        select_by_box(empty, (0, 0, 9, 9)), select_by_prompt(empty, "mug"),
    ):  # fmt: skip
        assert answer.best is None and answer.none_probability == 1.0 and answer.message


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: select_by_pixels(r, []), "on: expected at least one pixel on the object, got none"),
        (lambda r: select_by_pixels(r, [(math.nan, 1)]), "on: expected finite numbers"),
        (lambda r: select_by_pixels(r, [(1, 1)], off=[(1, math.inf)]), "off: expected finite numbers"),
        (lambda r: select_by_pixels(r, [(1, 1)], camera="rear"), "camera: expected one of front, wrist, got 'rear'"),
        (lambda r: select_by_box(r, (0, 0, 1, 1), camera="rear"), "camera: expected one of front, wrist, got 'rear'"),
        (lambda r: select_by_box(r, (5, 0, 5, 9)), "box: expected right > left and bottom > top, got 5, 0, 5, 9"),
        (lambda r: select_by_box(r, (0, 0, math.nan, 9)), "box: expected finite numbers"),
        (lambda r: select_by_point(r, (0.0, 0.0)), "point_m: expected 3 coordinates, got 2"),
        (lambda r: select_by_point(r, (0.0, 0.0, math.nan)), "point_m: expected finite numbers"),
        (lambda r: select_by_id(r, 0), "instance_id: expected more than 0, got 0"),
        (lambda r: select_by_prompt(r, " "), "prompt: expected a description of an object, got an empty text"),
    ],
)
def test_what_cannot_be_asked_names_the_argument(table, ask, message):
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        ask(table)
