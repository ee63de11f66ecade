"""QoS of single topics by parameters, as every node of ROS 2 has them."""

import pytest
import ros_support
from rclpy.qos import ReliabilityPolicy

IMAGE = "qos_overrides./front/image_raw.subscription"
POINTS = "qos_overrides./pan3d/points.publisher"


def test_overrides_win_over_what_the_node_would_choose(spinner, monkeypatch):
    given = {f"{IMAGE}.reliability": "best_effort", f"{IMAGE}.depth": 1, f"{POINTS}.reliability": "best_effort"}
    bench = ros_support.Bench(spinner, monkeypatch, **given).start()
    bench.until(bench.instances, "a result")
    node = bench.node
    (image,) = node.get_subscriptions_info_by_topic("/front/image_raw")
    (depth,) = node.get_subscriptions_info_by_topic("/front/depth")
    assert image.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT, "although the camera offers more"
    assert depth.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    clouds = {name: node.get_publishers_info_by_topic(f"/pan3d/{name}")[0].qos_profile for name in ("points", "semantic_points")}
    assert clouds["points"].reliability == ReliabilityPolicy.BEST_EFFORT
    assert clouds["semantic_points"].reliability == ReliabilityPolicy.RELIABLE
    assert node.get_parameter(f"{IMAGE}.depth").value == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (f"{IMAGE}.reliability", "sure", "expected reliable or best_effort, got 'sure'"),
        (f"{IMAGE}.depth", "ten", "expected a number of messages, got 'ten'"),
        (f"{IMAGE}.deepth", 10, "expected one of history, depth, reliability, durability behind the topic, got deepth"),
    ],
)
def test_an_override_that_cannot_be_is_named(spinner, monkeypatch, name, value, message):
    bench = ros_support.Bench(spinner, monkeypatch, **{name: value})
    bench.node.trigger_configure()
    assert bench.node.trigger_activate() != ros_support.SUCCESS
    assert f"{name}: {message}" in bench.node.problem
