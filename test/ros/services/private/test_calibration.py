"""A node is asked whether its cameras are where they are said to be, by service and from the command line."""

from dataclasses import replace

import numpy as np
import pytest
import ros_support
import torch
from std_srvs.srv import Trigger
from table_rig import rig

from pan3d_core.assembly.pose_checks.pose_fit import small_motion
from pan3d_ros.services.private.calibration import CalibrationServices
from pan3d_tools import cli

KNOCK = small_motion(np.array([0.0, 0.017, 0.0, 0.02, 0.0, 0.0]))  # a degree, and 2 cm to the side
OK, WARN = b"\x00", b"\x01"


@pytest.fixture
def bench(spinner, monkeypatch, process_domain):
    return ros_support.Bench(spinner, monkeypatch, service__max_age_s=600.0).start()


def looks_at(bench, views, age_s=0.0):
    """The node's service after a result with these views."""
    (service,) = (item for item in bench.node.onlookers if isinstance(item, CalibrationServices))
    stamp_ns = bench.node.now_ns() - int(age_s * 1e9)
    service.saw(bench.node.parameters.node(), [replace(view, stamp_ns=stamp_ns) for view in views], None)


def test_a_knocked_camera_is_named_to_who_asks_and_in_diagnostics(bench, capsys):
    views = rig()[:3]
    pose = torch.from_numpy(KNOCK @ views[2].cam_from_world.double().numpy()).float()
    looks_at(bench, [*views[:2], replace(views[2], cam_from_world=pose)])
    answer = bench.call(Trigger, "check_calibration")
    assert not answer.success and "camera_2: OFF by" in answer.message and "\n  camera_2: xyz [" in answer.message
    words = "not where they are said to be: camera_2; ~/check_calibration says what mends it"
    bench.until(lambda: bench.listener.shows("calibration", WARN, words), "the knocked camera in /diagnostics", publish=False)
    looks_at(bench, views)
    assert cli.main(["calibrate", "check", "--node", "/pan3d"]) == 0
    assert capsys.readouterr().out.count(": right (+-") == 3
    bench.until(lambda: bench.listener.shows("calibration", OK, "where they are said to be"), "all is right", publish=False)
    assert bench.node.trigger_deactivate() == bench.node.trigger_activate() == ros_support.SUCCESS
    assert all(onlooker.status(bench.node.parameters.node()) == [] for onlooker in bench.node.onlookers)


def test_what_cannot_be_looked_at_is_no_answer_on_cameras(bench, capsys):
    def told():
        answer = bench.call(Trigger, "check_calibration")
        assert not answer.success
        return answer.message

    assert told() == "could not look: there is no result yet whose pictures could be compared"
    words = "could not look: views: expected at least two of one scene with intrinsics and cam_from_world"
    bench.until(lambda: told().startswith(words), "a result of one camera")
    looks_at(bench, rig()[:2], age_s=700)
    assert "pictures are 700" in told() and "service.max_age_s is 600" in told()
    looks_at(bench, [])
    assert cli.main(["calibrate", "check", "--node", "/pan3d"]) == 1
    assert "could not look" in capsys.readouterr().out
    assert not bench.listener.shows("calibration", WARN, "") and not bench.listener.shows("calibration", OK, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "PATH: expected a recording, or --node with the name of a running one, got neither"),
        (("--node", "/pan3d", "scene"), "PATH: expected none beside --node"),
        (("--node", "/pan3d", "-o", "mended.yaml"), "--out: expected none beside --node"),
        (("--node", "pan3d"), "node: expected a full name such as /pan3d"),
        (("--node", "/nobody"), "--node: no perception node /nobody is there"),
    ],
)
def test_a_question_that_cannot_be_asked(process_domain, capsys, arguments, words):
    assert cli.main(["calibrate", "check", *arguments]) == 2
    assert words in capsys.readouterr().err
