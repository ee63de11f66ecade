"""One camera's topics: QoS that fits the publishers, pairing, and what is said when nothing comes."""

import logging
import time

import numpy as np
import pytest
import torch
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from pan3d_core.config import PreprocessConfig
from pan3d_core.runtime.failures import FailureLog
from pan3d_ros.inputs.camera_inputs import CameraInput, CameraTopics
from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.messages.parts import header, image_message, info_message
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig
from pan3d_ros.processing.problem_log import Problem
from pan3d_ros.processing.set_views import ViewRules, usable_views

PIXELS = np.zeros((4, 6, 3), np.uint8)


def qos(reliable: bool) -> QoSProfile:
    return QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT)


class Setup:
    def __init__(self, spinner, input_config=None, camera_config=None):
        self.node, self.driver = spinner.add(Node("camera_under_test")), spinner.add(Node("driver"))
        self.frames = []
        self.camera = CameraInput(
            self.node,
            "front",
            input_config or InputConfig(),
            camera_config or CameraConfig(),
            self.frames.append,
            None,
            MutuallyExclusiveCallbackGroup(),
        )

    def publishers(self, reliable=True):
        topics = ((Image, "image_raw"), (CameraInfo, "camera_info"))
        return [self.driver.create_publisher(kind, f"front/{name}", qos(reliable)) for kind, name in topics]

    def until(self, condition, publish, timeout_s=30.0):
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline
            publish()
            time.sleep(0.05)


def send(publishers, node):
    stamp = header("front_optical", node.get_clock().now().nanoseconds)
    image, info = publishers
    info.publish(info_message(torch.eye(3), 4, 6, stamp))
    image.publish(image_message(PIXELS, "rgb8", stamp))


@pytest.mark.parametrize("reliable", [True, False])
def test_auto_qos_follows_publishers_that_come_later(spinner, reliable):
    setup = Setup(spinner)
    assert setup.camera.publishers() == 0
    publishers = setup.publishers(reliable)

    def publish():
        setup.camera.refresh_qos()
        send(publishers, setup.driver)

    setup.until(lambda: setup.frames and setup.camera._chosen["image"][0] == reliable, publish)
    assert setup.frames[0].frame_id == "front_optical"
    assert setup.camera.rate_hz(time.monotonic()) >= 0


def test_a_latched_camera_info_is_heard_by_who_comes_later(spinner):
    driver = spinner.add(Node("latching_driver"))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = driver.create_publisher(CameraInfo, "front/camera_info", latched)
    image = driver.create_publisher(Image, "front/image_raw", 5)
    info.publish(info_message(torch.eye(3), 4, 6, header("front_optical", 1)))
    setup = Setup(spinner)

    def publish():
        setup.camera.refresh_qos()
        image.publish(image_message(PIXELS, "rgb8", header("front_optical", driver.get_clock().now().nanoseconds)))

    setup.until(lambda: len(setup.frames) > 2, publish)
    assert setup.camera.counts["info"] >= 1
    assert not setup.camera.lacks_info(time.monotonic() + 3600.0)


def test_incompatible_qos_is_noticed(spinner):
    setup = Setup(spinner, InputConfig(qos="reliable"))
    publishers = setup.publishers(reliable=False)
    setup.until(lambda: "QoS does not fit" in setup.camera.problem, lambda: send(publishers, setup.driver))
    assert not setup.frames


def test_missing_camera_info_is_noticed(spinner):
    setup = Setup(spinner, InputConfig(info_timeout_s=0.1))
    image, _ = setup.publishers()
    message = image_message(PIXELS, "rgb8", Header())
    setup.until(lambda: setup.camera.lacks_info(time.monotonic()), lambda: image.publish(message))
    assert not setup.frames


def test_depth_is_waited_for_and_noticed(spinner):
    setup = Setup(spinner, InputConfig(use_depth=True, info_timeout_s=0.1))
    publishers = setup.publishers()
    setup.until(lambda: setup.camera.lacks_depth(time.monotonic()), lambda: send(publishers, setup.driver))
    assert not setup.frames


def test_a_calibration_file_replaces_camera_info(spinner, tmp_path):
    path = tmp_path / "front.yaml"
    path.write_text(
        "{image_width: 6, image_height: 4, distortion_model: plumb_bob, distortion_coefficients: {data: [0, 0, 0, 0]},"
        " camera_matrix: {data: [5, 0, 2.5, 0, 5, 1.5, 0, 0, 1]}}",
        encoding="utf-8",
    )
    setup = Setup(spinner, camera_config=CameraConfig(calibration_file=str(path), frame_id="mine"))
    image, _ = setup.publishers()
    setup.until(lambda: setup.frames, lambda: image.publish(image_message(PIXELS, "rgb8", Header())))
    assert setup.frames[0].info.k[0] == 5
    assert setup.frames[0].frame_id == "mine"


@pytest.mark.parametrize("text", [None, "{image_width: 6}", "- 1"])
def test_a_calibration_file_that_is_none_takes_its_camera_alone(spinner, text, tmp_path):
    path = tmp_path / "front.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    setup = Setup(spinner, camera_config=CameraConfig(calibration_file=str(path)))
    image, _ = setup.publishers()
    setup.until(lambda: setup.frames, lambda: image.publish(image_message(PIXELS, "rgb8", Header())))
    assert "camera.front.calibration_file" in setup.camera.info_problem and "front.yaml" in setup.camera.info_problem
    views, faults = usable_views(
        setup.frames, lambda frame: None, ViewRules("map", PreprocessConfig(), 30.0), FailureLog(logging.getLogger())
    )
    assert views == [] and faults["front"].problem == Problem.NO_CAMERA_INFO and "front.yaml" in faults["front"].message


def test_compressed_images(spinner):
    import cv2

    setup = Setup(spinner, InputConfig(image_transport="compressed", use_camera_info=False))
    publisher = setup.driver.create_publisher(CompressedImage, "front/image_raw/compressed", 5)
    message = CompressedImage(format="png")
    assign_bytes(message, cv2.imencode(".png", PIXELS)[1])
    setup.until(lambda: setup.frames, lambda: publisher.publish(message))
    assert setup.frames[0].info is None


def test_a_topic_that_is_called_compressed_is_one_whatever_the_others_are(spinner):
    import cv2

    topic = "/front/color/image_raw/compressed"
    setup = Setup(spinner, InputConfig(use_camera_info=False), CameraConfig(image_topic=topic))
    publisher = setup.driver.create_publisher(CompressedImage, topic, 5)
    message = CompressedImage(format="jpeg")
    assign_bytes(message, cv2.imencode(".jpg", PIXELS)[1])
    setup.until(lambda: setup.frames, lambda: publisher.publish(message))


def test_pairing_survives_a_clock_that_jumps_back(spinner):
    setup = Setup(spinner)
    for start_ns in (100_000_000_000, 1_000_000_000):
        for step in range(15):
            stamp = header("front", start_ns + step * 100_000_000)
            setup.camera._take_info(info_message(torch.eye(3), 4, 6, stamp))
            setup.camera._take_image(image_message(PIXELS, "rgb8", stamp))
    assert len(setup.frames) >= 29


def test_topic_names():
    assert CameraTopics.of("front", CameraConfig(), "compressed").image == "front/image_raw/compressed"
    assert CameraTopics.of("front", CameraConfig(image_topic="rgb"), "raw").image == "rgb"
    assert CameraTopics.of("front", CameraConfig(), "raw").depth == "front/depth"
