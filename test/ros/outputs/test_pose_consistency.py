"""What statistics and diagnostics say of poses that the pictures doubt or refute; no node is needed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import ros_support  # noqa: F401  # skips where ROS 2 is not there
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header

from pan3d_core.structures import PoseConsistency, SupportHeight
from pan3d_ros.outputs.diagnostics import pipeline_status
from pan3d_ros.outputs.publishers import stats_message
from pan3d_ros.outputs.result_store import Latencies
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.processing.problem_log import ProblemLog

SUPPORT = SupportHeight(0.742, 0.001, 40, by_depth=False, wide=True)
AGREEING = PoseConsistency(("a", "b", "c"), (0.97, None, 0.9), support=SUPPORT)
KNOCKED = PoseConsistency(("a", "b", "c"), (0.97, 0.95, 0.2), ("c",), ("its pose looks like a body or *_link frame",))
REFUTED = PoseConsistency(("a", "b", "c"), (0.1, 0.0, 0.1), contradiction="the camera poses look like OpenGL axes")
HEIGHT = PoseConsistency(
    ("a", "b", "c"), (0.9, 0.9, 0.9), contradiction="the support is at 0.742 m, workspace.support_height_m says 0.842"
)


def scene(found, metric=True):
    result = SimpleNamespace(
        consistency=found,
        finds_objects=True,
        reconstruction=SimpleNamespace(is_metric=metric),
        panoptic=SimpleNamespace(segments=(), points=()),
        views=SimpleNamespace(cameras=("a", "b", "c"), support_height_m=0.742, cam_from_world=True),
        found_support=None,
    )
    stamp = Header().stamp
    instances = SimpleNamespace(header=Header(), newest_stamp=stamp)
    return SimpleNamespace(result=result, stages_s={"engine": 0.1}, instances=instances, sequence=1)


def stats(found):
    return stats_message(scene(found), {"wait": 0.0, "engine": 0.1}, "pan3d-mini", "cpu", 0.2, Latencies())


def diagnostic(found, metric=True):
    return pipeline_status(scene(found, metric), 0.0, Latencies(), ProblemLog(), 0.0, NodeConfig(), {})


def test_statistics_have_a_figure_per_camera_and_minus_one_where_it_is_unknown():
    message = stats(AGREEING)
    assert list(message.cameras) == ["a", "b", "c"]
    assert list(message.camera_consistency) == pytest.approx([0.97, -1.0, 0.9])
    assert list(message.cameras_left_out) == []
    assert list(stats(None).camera_consistency) == [-1.0, -1.0, -1.0]


def test_statistics_name_the_camera_that_is_left_out_and_why():
    message = stats(KNOCKED)
    assert list(message.cameras) == ["a", "b", "c"] and list(message.cameras_left_out) == ["c"]
    assert "*_link" in message.left_out_reasons[0]
    assert message.camera_consistency[2] == pytest.approx(0.2)


def test_diagnostics_have_the_figures_and_where_the_support_was_seen():
    found = diagnostic(AGREEING)
    values = {item.key: item.value for item in found.values}
    assert found.level == DiagnosticStatus.OK
    assert float(values["consistency_a"]) == pytest.approx(0.97) and "consistency_b" not in values
    assert float(values["support_seen_at_m"]) == pytest.approx(0.742)


def test_diagnostics_say_what_was_not_checked_without_a_warning():
    found = diagnostic(replace(AGREEING, unchecked=("the poses of b were not checked",)))
    assert found.level == DiagnosticStatus.OK and found.message.endswith("; the poses of b were not checked")
    assert {item.key: item.value for item in found.values}["not_checked"] == "the poses of b were not checked"
    assert "not_checked" not in {item.key for item in diagnostic(AGREEING).values}


@pytest.mark.parametrize(
    "found, metric, words",
    [(KNOCKED, True, "c is left out"), (REFUTED, False, "OpenGL axes"), (HEIGHT, False, "support_height_m says 0.842")],
)
def test_diagnostics_warn_with_the_likely_fault(found, metric, words):
    message = diagnostic(found, metric)
    assert message.level == DiagnosticStatus.WARN and words in message.message
