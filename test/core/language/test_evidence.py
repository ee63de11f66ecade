"""Relations between things, and that what a prompt excludes has no part in an answer."""

from __future__ import annotations

import pytest
import torch

from pan3d_core.config import NamingConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.language import Namer, resolve_prompt
from pan3d_core.language.relations import relation_factors, relation_holds
from pan3d_core.structures import Panoptic3D, Segment

RED, GREY, BLACK = (0.8, 0.08, 0.08), (0.3, 0.3, 0.3), (0.07, 0.07, 0.08)


def block(index, place, color=RED, size=(0.05, 0.05, 0.05)) -> Segment:
    box = torch.eye(4)
    box[:3, 3] = torch.tensor(place)
    return Segment(
        instance_id=index, class_id=-1, class_score=0.0, score=0.9, num_points=100, num_views=3, centroid=torch.tensor(place),
        box=OrientedBox(box, torch.tensor(size)), color_rgb=torch.tensor(color), text_embedding=None,
    )  # fmt: skip


def scene(*segments) -> Panoptic3D:
    empty, grid = torch.zeros(0, 3), torch.zeros(1, 4, 4, dtype=torch.int64)
    return Panoptic3D(grid - 1, grid, segments, empty, empty, empty[:, 0].long(), empty, LabelSpace.things([]))


@pytest.mark.parametrize(
    ("kind", "place", "size"),
    [
        ("on", (0.4, 0.0, 0.075), (0.05, 0.05, 0.05)), ("above", (0.4, 0.0, 0.4), (0.05, 0.05, 0.05)),
        ("under", (0.4, 0.0, -0.06), (0.05, 0.05, 0.05)), ("in", (0.4, 0.0, 0.02), (0.02, 0.02, 0.02)),
        ("touching", (0.4, 0.055, 0.025), (0.05, 0.05, 0.05)), ("holding", (0.4, 0.0, 0.025), (0.2, 0.2, 0.05)),
        ("left", (0.4, 0.3, 0.025), (0.05, 0.05, 0.05)), ("right", (0.4, -0.3, 0.025), (0.05, 0.05, 0.05)),
        ("front", (0.2, 0.0, 0.025), (0.05, 0.05, 0.05)), ("behind", (0.7, 0.0, 0.025), (0.05, 0.05, 0.05)),
    ],
)  # fmt: skip
def test_a_relation_holds_where_it_is_so_and_not_far_away(kind, place, size):
    there = block(2, place, size=size)
    elsewhere = block(3, (0.4 - 2 * (place[0] - 0.4), -3 * place[1] or 0.9, 0.025))
    segments = [block(1, (0.4, 0.0, 0.025)), there, elsewhere]
    assert relation_holds(segments, kind, (0,)).tolist() == [False, True, False]
    factors = relation_factors(segments, kind, (0,), torch.ones(3).numpy())
    assert factors[0] == 0 and factors[1] > 0.15 > factors[2]


@pytest.mark.parametrize("min_score", [0.0, 0.15])
def test_an_excluded_object_is_never_handed_out_not_even_without_a_threshold(min_score):
    namer = Namer(config=NamingConfig(min_score=min_score))
    both_black = scene(block(1, (0.4, 0.1, 0.0), BLACK), block(2, (0.4, -0.1, 0.0), BLACK))
    nothing = resolve_prompt("an object that is not black", both_black, namer)
    assert (nothing.status, nothing.best, nothing.fitting) == ("not_found", None, ())
    assert all(match.is_excluded and match.score == 0 and match.probability == 0 for match in nothing.matches)
    one = resolve_prompt("an object that is not black", scene(block(1, (0.4, 0.1, 0.0), BLACK), block(2, (0.4, 0.0, 0.0))), namer)
    assert one.best.instance_id == 2 and [match.instance_id for match in one.fitting] == [2]


def test_in_doubt_an_object_is_excluded():
    doubtful = scene(block(1, (0.4, 0.1, 0.0), GREY), block(2, (0.4, -0.1, 0.0), BLACK))
    assert resolve_prompt("an object that is not black", doubtful).best is None
    level = scene(block(1, (0.4, 0.1, 0.0)), block(2, (0.6, 0.1, 0.0)), block(3, (0.5, -0.3, 0.0)))
    assert {match.instance_id for match in resolve_prompt("everything but the left one", level).fitting} == {3}


def test_what_fits_nothing_excludes_nothing():
    reds = scene(block(1, (0.4, 0.1, 0.0)), block(2, (0.4, -0.1, 0.0)))
    assert {match.instance_id for match in resolve_prompt("anything but the blue one", reds).fitting} == {1, 2}


def test_a_prompt_that_is_not_understood_looks_for_nothing():
    refused = resolve_prompt("an object unless red", scene())
    assert (refused.status, refused.matches, refused.p_none) == ("not_understood", (), 1.0)
    assert ("unless", "not understood") in refused.words and "'unless'" in refused.message
