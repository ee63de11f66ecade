"""A topic that nobody publishes under its expected name is looked for under others."""

import pytest
import ros_support
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from rclpy.parameter import Parameter

from pan3d_ros.inputs.elsewhere import hint, topics_elsewhere
from pan3d_ros.perception_node import SUCCESS, PerceptionNode


@pytest.mark.parametrize(
    ("name", "topics", "expected"),
    [
        ("front/image_raw", ["/x/front/image_raw", "/front/image_raw", "/a"], (("/front/image_raw", "/x/front/image_raw"), True)),
        ("/front/image_raw", ["/robot/front/image_raw"], (("/robot/front/image_raw",), True)),
        ("front/image_raw", ["/b/color", "/cam/color/image_raw"], (("/cam/color/image_raw", "/b/color"), False)),
        ("front/image_raw", ["/d", "/c", "/b", "/a"], (("/a", "/b", "/c"), False)),
        ("front/image_raw", [], ((), False)),
    ],
)  # fmt: skip
def test_the_same_name_in_another_namespace_comes_before_other_names(name, topics, expected):
    assert topics_elsewhere(name, topics) == expected


def test_what_is_said_names_the_parameter():
    assert hint("front/depth", ["/front/depth"], "Image", "camera.front.depth_topic") == (
        "; /front/depth has a publisher: remap, start the node in that namespace, or set camera.front.depth_topic"
    )
    assert hint("front/depth", ["/cam/z"], "Image", "p") == "; Image is published on /cam/z: remap, or set p"
    assert hint("front/depth", [], "Image", "p") == ""
    assert hint("front/depth", ["/wrist/depth"], "Image", "p", {"/wrist/depth"}) == ""


def test_a_node_in_another_namespace_than_its_cameras_says_where_they_are(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    names = ("cameras", "model.name", "watchdog.period_s", "input.info_timeout_s", "input.use_depth")
    given = [Parameter(name, value=bench.node.get_parameter(name).value) for name in names]
    renamed = [Parameter("cameras", value=["front", "hand"]), Parameter("camera.hand.image_topic", value="/front/image_raw")]
    node = spinner.add(PerceptionNode(namespace="perception", parameter_overrides=[*given[1:], *renamed]))
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    said = "no image on /perception/front/image_raw: it has no publisher; /front/image_raw has a publisher: remap,"
    bench.until(lambda: bench.listener.shows("/perception/pan3d: camera front", b"\x01", said), "the diagnostic")
    assert "set camera.front.image_topic" in bench.listener.status("camera front").message
    bench.until(
        lambda: bench.listener.shows(
            "/perception/pan3d: camera hand",
            b"\x02",
            "images, but no camera_info on /perception/hand/camera_info; sensor_msgs/msg/CameraInfo is published on "
            "/front/camera_info: remap, or set camera.hand.info_topic; or set camera.hand.calibration_file",
        ),
        "the diagnostic of calibration",
    )


def test_an_answer_says_where_the_images_are(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, camera__front__image_topic="elsewhere/image_raw").start()
    answer = bench.call(SegmentObject, "segment_object", timeout=0.2, prompt_type=SegmentObject.Request.PROMPT_ALL)
    assert answer.error_code == ErrorCode.NO_IMAGES
    assert "on /elsewhere/image_raw; sensor_msgs/msg/Image is published on /front/image_raw:" in answer.message
