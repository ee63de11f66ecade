"""The player over DDS: every message once, in order, with recorded quality of service and a clock of its own."""

import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (make setup)")
pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

import rclpy  # noqa: E402
from bag_scene import MAKE, START, BlockBag, from_base  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from pan3d_ros.bags.player import BagPlayer, PlayOptions, recorded_qos  # noqa: E402
from pan3d_ros.bags.reading.reader import BagError, BagReader  # noqa: E402
from pan3d_ros.messages.buffers import stamp_to_ns  # noqa: E402
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers  # noqa: E402


@pytest.fixture
def nodes(own_domain):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=own_domain)
    player, listener = Node("player", context=context), Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield player, listener
    executor.shutdown()
    thread.join(10)
    player.destroy_node()
    listener.destroy_node()
    context.try_shutdown()


def listening(listener, *wanted):
    """Topic -> list that fills with its messages."""
    received = {}
    for kind, topic in wanted:
        received[topic] = []
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT if topic == "/clock" else ReliabilityPolicy.RELIABLE)
        listener.create_subscription(kind, topic, received[topic].append, qos)
    return received


def until(condition, found, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, {topic: len(messages) for topic, messages in found().items()}
        time.sleep(0.05)


def test_messages_clock_and_poses(nodes, tmp_path):
    player_node, listener = nodes
    bag = BlockBag(cameras=("front",), sets=3, period_s=0.2)
    clock = MAKE.typestore.types["rosgraph_msgs/msg/Clock"](MAKE.typestore.types["builtin_interfaces/msg/Time"](5, 0))
    recorded_clock = bytes(MAKE.typestore.serialize_cdr(clock, "rosgraph_msgs/msg/Clock"))
    bag.extra = ((START + 1, "/clock", "rosgraph_msgs/msg/Clock", recorded_clock),)
    wanted = [(Image, "/front/color/image_raw"), (CameraInfo, "/front/color/camera_info")]
    received = listening(listener, *wanted, (PoseStamped, "/front/pose"), (Clock, "/clock"))
    with BagReader(bag.write(tmp_path / "bag")) as reader:
        played = BagPlayer(reader, player_node, PlayOptions(start_s=0.5, wait_s=60.0, poses=True)).play()
        images = [message.content for message in reader.messages(["/front/color/image_raw"])]
    until(lambda: all(len(received[topic]) == 3 for topic in received if topic != "/clock"), lambda: received)
    assert [stamp_to_ns(item.header.stamp) for item in received["/front/color/image_raw"]] == [bag.stamp(i) for i in range(3)]
    assert bytes(received["/front/color/image_raw"][1].data) == images[1].data.tobytes()
    for index, pose in enumerate(received["/front/pose"]):
        assert stamp_to_ns(pose.header.stamp) == bag.stamp(index)
        assert matrix_from_pose("pose", *pose_numbers(pose.pose)).numpy() == pytest.approx(from_base(), abs=1e-6)
    times = [stamp_to_ns(item.clock) for item in received["/clock"]]
    assert times == sorted(times) and times[0] > START  # not the recorded one, and never back
    assert played.counts["/front/color/image_raw"] == 3 and "/clock" in played.left_out
    assert played.rounds == 1


def test_a_part_and_some_topics(nodes, tmp_path):
    player_node, _ = nodes
    with BagReader(BlockBag(sets=4, period_s=0.2).write(tmp_path / "bag")) as reader:
        options = PlayOptions(topics=("/side/color/image_raw",), start_s=1.1, duration_s=0.25, rate=4.0, wait_s=0.0, poses=False)
        played = BagPlayer(reader, player_node, options).play()
        assert played.counts == {"/side/color/image_raw": 1}  # that of 1.21 s; the next is of 1.41 s
        with pytest.raises(BagError, match="/nothing: expected one of the topics"):
            BagPlayer(reader, player_node, PlayOptions(topics=("/nothing",)))
    with pytest.raises(ValueError, match="rate: expected more than 0"):
        PlayOptions(rate=0.0)


def test_a_loop_ends_when_asked(nodes, tmp_path):
    player_node, _ = nodes
    with BagReader(BlockBag(sets=1).write(tmp_path / "bag")) as reader:
        player = BagPlayer(reader, player_node, PlayOptions(loop=True, rate=50.0, wait_s=0.0))
        assert player.play(lambda: player.played.rounds < 3).rounds >= 3


def offered(reliability="RELIABLE", durability="VOLATILE", depth=5):
    return SimpleNamespace(
        reliability=SimpleNamespace(name=reliability), durability=SimpleNamespace(name=durability), depth=depth
    )


def test_recorded_quality_of_service():
    assert recorded_qos([]).reliability == ReliabilityPolicy.RELIABLE
    found = recorded_qos([offered(), offered("BEST_EFFORT", depth=7)])
    assert (found.reliability, found.durability, found.depth) == (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 7)
    assert recorded_qos([offered("BEST_EFFORT")]).reliability == ReliabilityPolicy.BEST_EFFORT
    assert recorded_qos([offered(durability="TRANSIENT_LOCAL")]).durability == DurabilityPolicy.TRANSIENT_LOCAL
    latched = recorded_qos([offered("BEST_EFFORT")], latched=True)
    assert (latched.reliability, latched.durability) == (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
    assert recorded_qos([], latched=True).durability == DurabilityPolicy.TRANSIENT_LOCAL
