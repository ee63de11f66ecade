"""What /diagnostics says at the beginning, when nothing has happened yet."""

import math

import ros_support
from pan3d_interfaces.srv import SegmentObject
from rclpy.parameter import Parameter

from pan3d_ros.services import grasp_memory


def test_nothing_is_ok_before_it_has_happened(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "wrist"), sync__camera_timeout_s=1.0)
    bench.rig.silent.add("wrist")
    bench.start()
    listener = bench.listener
    bench.until(lambda: listener.status("pipeline"), "diagnostics", publish=False)
    assert listener.shows("synchronization", b"\x01", "no view set yet: no camera has sent what makes a view")
    assert listener.shows("transforms", b"\x01", "no camera pose has been looked up yet")
    assert listener.shows("pipeline", b"\x01", "no result yet")
    assert listener.shows("camera front", b"\x01", "no image on")
    bench.until(bench.instances, "a result without the wrist")
    told = [(s.name, s.level, s.message) for a in listener.received["diagnostics"] for s in a.status]
    before = told[: next((n for n, (_, _, text) in enumerate(told) if text.startswith("without wrist")), len(told))]
    assert [text for name, level, text in before if name.endswith("synchronization") and level == b"\x00"] == []
    bench.until(lambda: listener.shows("transforms", b"\x00", "camera poses are known"), "poses")
    bench.rig.silent.clear()
    bench.until(lambda: listener.shows("synchronization", b"\x00", "view sets are formed"), "sets of both")


def test_unposed_cameras_have_no_known_poses(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, transforms__source="none").start()
    bench.until(lambda: bench.listener.shows("transforms", b"\x00", "cameras are unposed"), "the diagnostic", publish=False)


def test_a_support_height_that_nobody_gave_is_found_shown_and_used_for_grasps(spinner, monkeypatch):
    used = []

    def select_grasps(panoptic, instance_id, config, support_height_m):
        used.append(support_height_m)
        return real(panoptic, instance_id, config, support_height_m)

    real = grasp_memory.select_grasps
    monkeypatch.setattr(grasp_memory, "select_grasps", select_grasps)
    bench = ros_support.Bench(spinner, monkeypatch, workspace__support_height_m=math.nan).start()
    said = "results are published; workspace.support_height_m is not given, 0.000 m was found"
    bench.until(lambda: bench.listener.shows("pipeline", b"\x00", said), "the height is shown")
    shown = {value.key: float(value.value) for value in bench.listener.status("pipeline").values if "support_height" in value.key}
    assert abs(shown["support_height_m"]) < 0.002 and 0 < shown["support_height_sigma_m"] < 0.01
    assert bench.instances()[-1].metric
    answer = bench.call(SegmentObject, "segment_object", use_latest=True, prompt="the red block", max_grasps=1)
    assert answer.success and len(used) == 1 and abs(used[0]) < 0.002
    bench.node.set_parameters([Parameter("workspace.find_support", value=False)])
    said = "the support's height is neither given nor found, so nothing keeps grasps off it: set workspace.support_height_m"
    bench.until(lambda: bench.listener.shows("pipeline", b"\x01", said), "what to set")
