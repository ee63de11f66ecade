"""The table of faults, and the scene that the cameras show: what can be judged without a node."""

import re

import numpy as np
import pytest
import torch
from ros_presence import require_ros

require_ros()

from pan3d_interfaces.msg import ErrorCode  # noqa: E402

from pan3d_core.geometry.cameras import unproject_depth  # noqa: E402
from pan3d_tools.cli.stress import chosen_rows  # noqa: E402
from pan3d_tools.stress.faults import InputFault, ParameterFault, RequestFault  # noqa: E402
from pan3d_tools.stress.rows import ROWS  # noqa: E402
from pan3d_tools.stress.scene import BOXES, EYES, intrinsics, render, world_from_cam  # noqa: E402


def test_there_are_at_least_200_rows_of_every_family_and_each_has_a_name_of_its_own():
    assert len(ROWS) >= 200
    assert len({row.name for row in ROWS}) == len(ROWS)
    families = {row.fault.family for row in ROWS}
    assert families == {"pictures", "depth", "calibrations", "poses", "times", "requests", "parameters", "lifecycle", "load"}


def test_codes_are_those_of_the_message_and_words_are_regular_expressions():
    for row in ROWS:
        fault = row.fault
        if isinstance(fault, InputFault):
            codes, words = fault.expected.code, fault.expected.words
        elif isinstance(fault, RequestFault):
            codes, words = fault.code, fault.words
        elif isinstance(fault, ParameterFault):
            codes, words = "OK", fault.words
        else:
            continue
        assert all(isinstance(getattr(ErrorCode, code), int) for code in codes.split("|")), row.name
        re.compile(words)


def test_rows_are_chosen_by_name_and_spread_evenly():
    assert all("one camera" in row.name for row in chosen_rows("One Camera"))
    some = chosen_rows(count=40)
    assert len(some) == len({row.name for row in some}) == 40
    assert len({row.fault.family for row in some}) >= 6
    with pytest.raises(ValueError, match="--only: expected a part of a row's name"):
        chosen_rows("no such row")
    with pytest.raises(ValueError, match="--rows: expected at least 1, got 0"):
        chosen_rows(count=0)


@pytest.mark.parametrize("camera", EYES)
def test_pictures_and_depth_show_the_boxes_where_they_are(camera):
    rgb, depth = render(camera)
    pose = torch.from_numpy(np.linalg.inv(world_from_cam(camera)))[None].float()
    points = unproject_depth(torch.from_numpy(depth)[None], torch.from_numpy(intrinsics())[None].float(), pose)[0].numpy()
    for box in BOXES:
        shown = (np.abs(rgb.astype(int) - np.array(box.rgb)).max(-1) <= 0) & (depth > 0)  # the faces above are lit fully
        assert shown.sum() > 40
        assert np.allclose(points[shown, 2], box.high[2], atol=1e-4)
        assert (points[shown, :2] > np.array(box.low[:2]) - 1e-4).all() and (
            points[shown, :2] < np.array(box.high[:2]) + 1e-4
        ).all()
