"""The table of faults, and the scene that the cameras show: what can be judged without a node."""

import copy
import re

import numpy as np
import pytest
import torch
from ros_presence import require_ros

require_ros()

from geometry_msgs.msg import PoseStamped  # noqa: E402
from pan3d_interfaces.msg import ErrorCode  # noqa: E402

from pan3d_core.geometry.cameras import unproject_depth  # noqa: E402
from pan3d_ros.inputs.transforms import PoseTopicTransforms  # noqa: E402
from pan3d_ros.messages.cameras import to_camera_view  # noqa: E402
from pan3d_ros.messages.parts import header, image_message, info_message, pose_message  # noqa: E402
from pan3d_tools.cli.checks.stress import chosen_rows  # noqa: E402
from pan3d_tools.stress.faults import InputFault, ParameterFault, RequestFault  # noqa: E402
from pan3d_tools.stress.rows import ROWS  # noqa: E402
from pan3d_tools.stress.scene import BOXES, EYES, HEIGHT, WIDTH, intrinsics, render, world_from_cam  # noqa: E402


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


def told_of(fault):
    """What the conversions say of a camera's messages with this fault; "" where it is none of single messages."""
    own, world_from_left = header("left_optical_frame", 10**18), torch.from_numpy(world_from_cam("left"))
    rgb, depth = render("left")
    messages = {
        "image": image_message(rgb, "rgb8", own),
        "info": info_message(torch.from_numpy(intrinsics()), HEIGHT, WIDTH, own),
        "depth": image_message(depth, "32FC1", own),
        "pose": PoseStamped(header=header("base_link", 10**18), pose=pose_message(world_from_left)),
    }
    for kind, edit in fault.edits.items():
        messages[kind] = edit(copy.deepcopy(messages[kind]))
    if any(message is None for message in messages.values()):
        return ""
    poses = PoseTopicTransforms(("left",), "base_link")
    try:
        poses.add("left", messages["pose"])
        to_camera_view(messages["image"], messages["info"], messages["depth"], None, camera="left", world_frame_id="base_link")
    except ValueError as error:
        return str(error)
    return ""


def test_the_words_of_a_row_are_those_that_are_said_of_its_fault_and_of_no_other():
    faults = {f"{row.fault.family}: {row.fault.name}": row.fault for row in ROWS if isinstance(row.fault, InputFault)}
    told = {name: words for name, fault in faults.items() if (words := told_of(fault))}
    assert len(told) > 50
    for name, fault in faults.items():
        said_of = [other for other, words in told.items() if re.search(fault.expected.words, words, re.IGNORECASE)]
        assert said_of == [name] if name in told else not said_of, f"{name}: {fault.expected.words!r}, {told.get(name)!r}"


def test_the_words_of_a_row_are_not_said_of_a_node_that_is_well():
    fine = ["images arrive", "view sets are formed", "camera poses are known", "results are published", "active", "no result yet"]
    for row in ROWS:
        if isinstance(row.fault, InputFault):
            assert not [words for words in fine if re.search(row.fault.expected.words, words, re.IGNORECASE)], row.name


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
