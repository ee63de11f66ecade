"""The cell's node with its moving camera: what it publishes fits together and to the truth."""

import time

import cv2
import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped
from pan3d_interfaces.msg import ErrorCode, GraspTarget
from pan3d_interfaces.srv import ExecuteGrasp, GetCellTruth, ResetCell
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header, String

from pan3d_core.body import BodySurface, parse_urdf, see_body
from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_ros.inputs.joint_history import JointHistory
from pan3d_ros.inputs.robot_places import RobotPlaces
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.images import compressed_to_rgb, depth_to_metres, image_array, image_to_rgb
from pan3d_ros.messages.poses import matrix_from_pose, pose_numbers
from pan3d_ros.platform.stand_ins import tf2_msgs

SimNode = pytest.importorskip("pan3d_ros.sim_node", reason="needs the extra [sim]").SimNode

KINDS = {
    "image_raw": Image,
    "image_raw/compressed": CompressedImage,
    "camera_info": CameraInfo,
    "depth": Image,
    "pose": PoseStamped,
}
SETTINGS = {
    "seed": 3, "num_objects": 4, "num_cameras": 1, "width": 160, "height": 120, "rate_hz": 5.0, "publish_depth": True,
    "depth_noise": False, "wrist_camera": True, "publish_compressed": True,
}  # fmt: skip


class Cell:
    """The node and a listener, both in this thread, which owns the renderer."""

    def __init__(self, settings):
        self.node = SimNode(parameter_overrides=[Parameter(name, value=value) for name, value in settings.items()])
        self.listener, self.received = Node("listener"), {}
        self.executor = SingleThreadedExecutor()
        for node in (self.node, self.listener):
            self.executor.add_node(node)
        for camera in ("camera_0", "wrist"):
            for name, kind in KINDS.items():
                self.listen(kind, f"{camera}/{name}")

    def listen(self, kind, topic, qos=10):
        self.received[topic] = []
        self.listener.create_subscription(kind, topic, self.received[topic].append, qos)

    def until(self, done, seconds=60.0):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, {topic: len(found) for topic, found in self.received.items()}
            self.executor.spin_once(timeout_sec=0.1)

    def call(self, kind, name, **fields):
        client = self.listener.create_client(kind, name)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        return future.result()

    def close(self):
        self.executor.shutdown()
        self.node.close()
        for node in (self.node, self.listener):
            node.destroy_node()


@pytest.fixture
def cell(ros_context):
    cell = Cell(SETTINGS)
    yield cell
    cell.close()


def world_from_cam(message):
    return matrix_from_pose("pose", *pose_numbers(message.pose))


def test_the_wrist_camera_moves_and_its_poses_fit_its_pictures(cell):
    cell.until(lambda: all(len(found) >= 3 for found in cell.received.values()))
    poses = {stamp_to_ns(m.header.stamp): world_from_cam(m) for m in cell.received["wrist/pose"]}
    images = {stamp_to_ns(m.header.stamp): m for m in cell.received["wrist/depth"]}
    infos = {stamp_to_ns(m.header.stamp): m for m in cell.received["wrist/camera_info"]}
    stamps = sorted(poses.keys() & images.keys() & infos.keys())
    assert len(stamps) >= 2, "pose, image and calibration of one moment have one stamp"
    first, last = (poses[stamps[i]][:3, 3] for i in (0, -1))
    assert 0.002 < float(torch.linalg.vector_norm(last - first)) < 0.5
    assert images[stamps[0]].header.frame_id == "wrist_optical_frame"
    fixed = cell.received["camera_0/pose"][-1]
    assert stamp_to_ns(fixed.header.stamp) == 0
    there = torch.from_numpy(depth_to_metres(cell.received["camera_0/depth"][-1]))
    k = torch.tensor(cell.received["camera_0/camera_info"][-1].k.reshape(3, 3), dtype=torch.float32)
    for stamp in stamps[:2]:
        depth = torch.from_numpy(depth_to_metres(images[stamp]))
        points = points_of(depth, torch.tensor(infos[stamp].k.reshape(3, 3), dtype=torch.float32), poses[stamp])
        pixels, z = project(transform_points(invert_rigid(world_from_cam(fixed)), points), k)
        x, y = pixels.round().long().unbind(-1)
        inside = (x >= 0) & (x < 160) & (y >= 0) & (y < 120)
        agree = (there[y[inside], x[inside]] - z[inside]).abs() < 0.004
        assert agree.float().mean() > 0.6  # the rest is hidden from the fixed camera


def points_of(depth, intrinsics, pose):
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in depth.shape), indexing="ij")
    rays = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1) @ torch.linalg.inv(intrinsics).T
    return transform_points(pose, (rays * depth[..., None])[depth > 0])


def test_compressed_images_show_the_same(cell):
    cell.until(lambda: all(cell.received[f"camera_0/{name}"] for name in ("image_raw", "image_raw/compressed")))
    message = cell.received["camera_0/image_raw/compressed"][0]
    assert message.format == "rgb8; jpeg compressed bgr8" and message.header.frame_id == "camera_0_optical_frame"
    raw = image_to_rgb(cell.received["camera_0/image_raw"][0]).astype(int)
    assert np.abs(compressed_to_rgb(message) - raw).mean() < 4
    assert cv2.PSNR(compressed_to_rgb(message), raw.astype(np.uint8)) > 30


def test_another_scene_keeps_the_streams(cell):
    cell.until(lambda: cell.received["camera_0/image_raw"])
    before = image_array(cell.received["camera_0/image_raw"][0])
    assert cell.call(ResetCell, "pan3d_cell/reset", seed=4).success
    assert cell.call(GetCellTruth, "pan3d_cell/get_truth").cameras == ["camera_0"]
    for found in cell.received.values():
        found.clear()
    cell.until(lambda: cell.received["camera_0/image_raw"] and cell.received["wrist/image_raw"])
    assert not np.array_equal(image_array(cell.received["camera_0/image_raw"][-1]), before)


def test_transforms_need_tf2_msgs(ros_context):
    if tf2_msgs is None:
        with pytest.raises(ValueError, match="publish_tf: expected tf2_msgs"):
            Cell(SETTINGS | {"publish_tf": True})
        return
    cell = Cell(SETTINGS | {"publish_tf": True})
    try:
        cell.listen(tf2_msgs.TFMessage, "/tf")
        cell.until(lambda: len(cell.received["/tf"]) >= 3 and len(cell.received["wrist/pose"]) >= 3)
        moving = {stamp_to_ns(t.header.stamp) for m in cell.received["/tf"] for t in m.transforms}
        assert moving & {stamp_to_ns(m.header.stamp) for m in cell.received["wrist/pose"]}
        assert {t.child_frame_id for m in cell.received["/tf"] for t in m.transforms} == {"tool0"}
    finally:
        cell.close()


def test_an_arm_tells_where_it_is_when_cameras_see_it(ros_context):
    """Over DDS: the joints at an image's own stamp place the links where the picture shows them."""
    cell = Cell({**SETTINGS, "arm": True, "num_objects": 2})
    try:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        cell.listen(JointState, "joint_states", 500)
        cell.listen(String, "robot_description", latched)

        def told():
            parts = (cell.received[name] for name in ("joint_states", depth_topic))
            joints, depths = ({stamp_to_ns(message.header.stamp) for message in part} for part in parts)
            return sorted(joints & depths)

        depth_topic = "camera_0/depth"
        cell.until(lambda: len(told()) > 2 and cell.received["robot_description"])
        robot = parse_urdf(cell.received["robot_description"][0].data)
        history = JointHistory(200_000_000)
        for message in cell.received["joint_states"]:
            history.add(message)
        depths = {stamp_to_ns(message.header.stamp): message for message in cell.received[depth_topic]}
        places = set()
        for stamp_ns in told()[-2:]:
            positions = history.at(stamp_ns, robot.told_joints)
            places.add(round(positions["shoulder_pan_joint"], 6))
            links = RobotPlaces(robot, history, "base_link", None).links_at(stamp_ns)
            info = cell.received["camera_0/camera_info"][-1]
            intrinsics = torch.tensor(info.k, dtype=torch.float32).reshape(1, 3, 3)
            pose = matrix_from_pose("pose", *pose_numbers(cell.received["camera_0/pose"][-1].pose))
            surface = BodySurface.of(robot, robot.shapes)
            depth = torch.from_numpy(depth_to_metres(depths[stamp_ns])).float()
            seen = see_body(surface, [links], invert_rigid(pose)[None], intrinsics, (120, 160), 0.01)
            arm = (seen.front[0] > 0) & (depth > 0)
            assert arm.sum() > 300
            assert (depth - seen.front[0]).abs()[arm].quantile(0.9) < 0.003
        assert len(places) == 2  # it moves
    finally:
        cell.close()


def test_a_cell_with_a_cup_takes_grasps_for_a_cup_alone(ros_context):
    still = {"wrist_camera": False, "publish_compressed": False, "publish_depth": False, "num_objects": 1, "gripper": "suction"}
    cell = Cell(SETTINGS | still)
    try:
        above = GraspTarget(header=Header(frame_id="base_link"), approach_distance=0.1, quality=1.0)
        above.grasp_pose.position.z, above.grasp_pose.orientation.x, above.grasp_pose.orientation.w = 0.3, 1.0, 0.0
        above.object_pose.orientation.w, above.method = 1.0, GraspTarget.METHOD_SUCTION
        missed = cell.call(ExecuteGrasp, "pan3d_cell/execute_grasp", grasp=above, object_name="", restore=True)
        assert missed.error_code == ErrorCode.OK and missed.failure in ("missed", "no_target")
        above.method, above.width = GraspTarget.METHOD_TOP_DOWN, 0.05
        refused = cell.call(ExecuteGrasp, "pan3d_cell/execute_grasp", grasp=above)
        assert refused.error_code == ErrorCode.INVALID_REQUEST
        assert refused.message == "grasp.kind: expected suction, as the hand is, got parallel"
    finally:
        cell.close()
    with pytest.raises(ValueError, match="GripperConfig.kind: expected one of parallel, suction, got 'magnet'"):
        Cell(SETTINGS | still | {"gripper": "magnet"})
