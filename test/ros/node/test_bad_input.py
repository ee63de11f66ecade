"""Everything that can be wrong with what the node gets: the right code and diagnostic, nothing published as if it
were current, the node alive and working again once the input is mended."""

import math

import pytest
import ros_support
import torch
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import GetInstances, SegmentObject

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.perception_node import FAILURE, SUCCESS

WARN, ERROR = b"\x01", b"\x02"
ALL = SegmentObject.Request.PROMPT_ALL


def make_wrong(rig, name):
    if name == "encoding":
        rig.encoding = "rgb9"
    elif name == "size":
        rig.info_size = (480, 640)
    elif name == "zero intrinsics":
        rig.intrinsics = torch.zeros(3, 3)
    elif name == "nan pose":
        rig.world_from_cam = torch.full((4, 4), math.nan)
    elif name == "no pose":
        rig.world_from_cam = None
    elif name == "no camera_info":
        rig.with_info = False


@pytest.mark.parametrize(
    ("what", "code", "text", "line"),
    [
        ("encoding", ErrorCode.NO_IMAGES, "Image.encoding: expected one of", "camera front"),
        ("size", ErrorCode.NO_CAMERA_INFO, "CameraInfo: expected the image size 72 x 56, got 640 x 480", "camera front"),
        ("zero intrinsics", ErrorCode.NO_CAMERA_INFO, "the camera is not calibrated", "camera front"),
        ("nan pose", ErrorCode.TF_FAILURE, "front/pose: expected 3 + 4 finite numbers", "transforms"),
        ("no pose", ErrorCode.TF_FAILURE, "front/pose: no pose has been received", "transforms"),
        ("no camera_info", ErrorCode.NO_CAMERA_INFO, "no camera_info on", "camera front"),
    ],
)
def test_bad_camera_messages(spinner, monkeypatch, what, code, text, line):
    bench = ros_support.Bench(spinner, monkeypatch)
    make_wrong(bench.rig, what)
    bench.start()

    def reported():
        status = bench.listener.status(line)
        return status is not None and status.level in (WARN, ERROR) and text in status.message

    bench.until(reported, f"a diagnostic about {what}")
    answer = bench.what_is_there()
    assert (answer.success, answer.error_code) == (False, code), answer.message
    assert text in answer.message
    assert not bench.instances() and not bench.listener.received["points"]
    # Mended, it works at once.
    bench.rig.mend()
    bench.until(bench.instances, "results after mending")
    bench.until(lambda: bench.listener.shows(line, b"\x00", ""), "healthy again")


def test_a_result_is_not_repeated_when_input_turns_bad(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, service__max_age_s=1.0).start()
    bench.until(bench.instances, "results")
    make_wrong(bench.rig, "encoding")
    bench.until(lambda: bench.listener.shows("camera front", ERROR, "rgb9"), "the diagnostic")
    count = len(bench.instances())
    newest_ns = stamp_to_ns(bench.instances()[-1].newest_stamp)
    bench.until(lambda: bench.node.now_ns() - newest_ns > 1_000_000_000, "the last result is old")
    answer = bench.what_is_there(use_latest=True)
    assert (answer.success, answer.error_code) == (False, ErrorCode.NO_IMAGES)
    old = bench.call(GetInstances, "get_instances", publish=True)
    assert not old.success
    assert "old" in old.message
    assert len(bench.instances()) == count


def test_no_images_and_stale_images(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, input__max_image_age_s=5.0).start()
    bench.until(
        lambda: bench.listener.shows("camera front", WARN, "no image on /front/image_raw"),
        "the diagnostic",
        publish=False,
    )
    answer = bench.call(SegmentObject, "segment_object", prompt_type=ALL, timeout=0.2)
    assert (answer.success, answer.error_code) == (False, ErrorCode.NO_IMAGES)
    bench.rig.clock_offset_ns = -20_000_000_000
    bench.until(lambda: bench.listener.shows("pipeline", WARN, "s old, input.max_image_age_s is 5"), "stale images are reported")
    assert bench.what_is_there().error_code == ErrorCode.STALE_IMAGES
    assert not bench.instances()


def test_stamps_that_never_match(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "wrist"), sync__camera_timeout_s=30.0)
    bench.rig.offsets_ns["wrist"] = -7_000_000_000
    bench.start()
    bench.until(lambda: bench.listener.shows("synchronization", WARN, "stamps never match"), "the diagnostic")
    message = bench.listener.status("synchronization").message
    measured = float(message.split("wrist ")[1].split(" s")[0])
    assert measured == pytest.approx(-7.0, abs=1.5), message
    answer = bench.what_is_there()
    assert (answer.success, answer.error_code) == (False, ErrorCode.TIMEOUT)
    assert "stamps never match" in answer.message
    assert not bench.instances()
    bench.rig.offsets_ns["wrist"] = 0
    bench.until(bench.instances, "results with mended clocks")
    assert set(bench.instances()[-1].cameras) == {"front", "wrist"}


def test_one_dead_camera(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "wrist"), sync__camera_timeout_s=1.0).start()
    bench.until(bench.instances, "results")
    assert list(bench.instances()[-1].cameras) == ["front", "wrist"]
    bench.rig.silent = {"wrist"}
    bench.until(lambda: list(bench.instances()[-1].cameras) == ["front"], "results without it")
    bench.until(lambda: bench.listener.shows("camera wrist", WARN, "sets are formed without it"), "the diagnostic")
    assert bench.what_is_there(timeout=60.0).success
    bench.rig.silent = set()
    bench.until(lambda: len(bench.instances()[-1].cameras) == 2, "results with it again")


def test_each_bad_camera_has_a_diagnostic_of_its_own_and_the_good_one_goes_on(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "left", "wrist"))
    skewed, away = ros_support.INTRINSICS.clone(), ros_support.looking_down()
    skewed[0, 2], away[0, 3] = -3.0, 1e30
    bench.rig.intrinsics_of, bench.rig.poses_of = {"left": skewed}, {"wrist": away}
    bench.start()
    bench.until(bench.instances, "results of the good camera")
    assert list(bench.instances()[-1].cameras) == ["front"]
    bench.until(lambda: bench.listener.shows("camera left", ERROR, "expected a principal point inside the 72 x 56"), "one")
    bench.until(lambda: bench.listener.shows("camera wrist", ERROR, "wrist/pose: expected a translation within"), "the other")
    assert bench.listener.shows("camera front", b"\x00", "images arrive")
    bench.rig.intrinsics_of.clear()
    bench.until(lambda: bench.listener.shows("camera left", b"\x00", "images arrive"), "green while the other is bad")
    assert bench.listener.status("camera wrist").level == ERROR
    bench.rig.poses_of.clear()
    bench.until(lambda: bench.listener.shows("camera wrist", b"\x00", "images arrive"), "green after a refused pose")
    bench.until(lambda: len(bench.instances()[-1].cameras) == 3, "results of all")


def test_min_cameras_is_kept_when_a_camera_cannot_be_used(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "wrist"), sync__min_cameras=2, sync__camera_timeout_s=0.5)
    bench.rig.silent = {"wrist"}
    bench.start()
    bench.until(lambda: bench.listener.shows("synchronization", WARN, "without wrist"), "the diagnostic")
    assert not bench.what_is_there().success
    assert not bench.instances()


def test_clock_jumping_back(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    bench.rig.clock_offset_ns = 100_000_000_000
    bench.start()
    bench.until(lambda: len(bench.instances()) > 2, "results")
    before = {i.id for i in bench.instances()[-1].instances}
    jump_ns = stamp_to_ns(bench.instances()[-1].newest_stamp)
    bench.rig.clock_offset_ns = 0
    bench.until(lambda: stamp_to_ns(bench.instances()[-1].newest_stamp) < jump_ns - 50_000_000_000, "results of the new time")
    bench.until(lambda: len(bench.instances()[-1].instances) == 2, "both blocks")
    assert not before & {i.id for i in bench.instances()[-1].instances}, "old tracks are forgotten"

    def counted():
        return {v.key: v.value for v in bench.listener.status("synchronization").values}["clock_jumps"]

    bench.until(lambda: counted() == "1", "the counter")


def test_configure_fails_with_a_reason(spinner, monkeypatch, tmp_path):
    bench = ros_support.Bench(spinner, monkeypatch, merge__min_points=0)
    node = bench.node

    def refused(text):
        assert node.trigger_configure() == FAILURE
        assert text in node.problem
        bench.until(lambda: bench.listener.shows("model", ERROR, text), f"a diagnostic with {text}", publish=False)
        answer = bench.call(SegmentObject, "segment_object", prompt_type=ALL)
        assert answer.error_code == ErrorCode.NOT_ACTIVE
        assert text in answer.message

    def change(name, value):
        result = node.set_parameters([ros_support.Parameter(name, value=value)])[0]
        assert result.successful, result.reason

    refused("merge.min_points")
    change("merge.min_points", 30)
    change("model.name", "segvgtt")
    refused("expected one of")
    change("model.name", "colors")
    change("input.use_depth", False)
    refused("input.use_depth: expected true")
    change("input.use_depth", True)
    change("transforms.source", "static")
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == FAILURE
    assert "transforms.static_file" in node.problem
    assert node.trigger_cleanup() == SUCCESS
    change("transforms.source", "auto")
    bench.start()
    bench.until(bench.instances, "results")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "which does not exist"),
        (b"", "truncated.safetensors"),
        (b"\xff" * 100, "truncated.safetensors"),
        ("truncated", "truncated.safetensors"),
        ("another model", "truncated.safetensors"),
    ],
)
def test_bad_checkpoints(spinner, monkeypatch, tmp_path, content, text):
    from safetensors.torch import save

    path = tmp_path / "truncated.safetensors"
    whole = save({"some.other.layer": torch.zeros(64, 64)})
    if content is not None:
        path.write_bytes({"truncated": whole[:2000], "another model": whole}.get(content, content))
    bench = ros_support.Bench(spinner, monkeypatch, model__name="pan3d-mini", model__weights=str(path), input__use_depth=False)
    assert bench.node.trigger_configure() == FAILURE
    assert text.lower() in bench.node.problem.lower()
    bench.until(lambda: bench.listener.shows("model", ERROR, "configure failed"), "the diagnostic", publish=False)
    assert bench.call(SegmentObject, "segment_object", prompt_type=ALL).error_code == ErrorCode.NOT_ACTIVE


def test_start_values_that_nobody_reads_are_on_diagnostics(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, workspace__support_hight_m=0.2, sync__slop=0.5)
    said = "workspace.support_hight_m: no such parameter; did you mean workspace.support_height_m?; sync.slop: "
    bench.until(lambda: bench.listener.shows("parameters", WARN, said), "the diagnostic", publish=False)
