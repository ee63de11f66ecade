"""The simulated robot cell as a node: calibrated cameras, truth, and a hand that executes grasps.

Publishes for each camera `<name>/image_raw`, `<name>/camera_info`, `<name>/pose` and, with `publish_depth`,
`<name>/depth`. With `wrist_camera` a camera named wrist travels over the table too. With `arm` a robot arm moves over it,
carries that camera, and tells of itself in `joint_states` and `robot_description`; with `arm_commands` it goes where the topic
`joint_trajectory` or the action `follow_joint_trajectory` has it, under physics. The scene rests between requests, so the fixed
cameras are rendered again only when something moved; each publication has a new stamp. Services:
`~/execute_grasp`, `~/get_truth`, `~/reset`. Everything runs in one thread, because the renderer belongs to the thread
that made it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import rclpy
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import ExecuteGrasp, GetCellTruth, ResetCell
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from pan3d_core.config import GripperConfig
from pan3d_ros.cell.messages import truth_response
from pan3d_ros.cell.streams import CellStreams, StreamOptions
from pan3d_ros.messages.manipulation.grasps import grasp_from_message
from pan3d_ros.messages.parts import header, image_message
from pan3d_ros.parameters.unknown import unknown_parameters
from pan3d_ros.platform.log_bridge import LogBridge
from pan3d_ros.platform.rclpy_private import parameter_values, undeclared_overrides
from pan3d_ros.platform.start import ros_program
from pan3d_sim.arm import ARM
from pan3d_sim.cameras.depth_sensors import DEPTH_SENSORS
from pan3d_sim.cell.arrangement import ARRANGEMENTS
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.grippers import hand_of
from pan3d_sim.cell.robot_cell import WORLD_FRAME_ID, CellConfig, RobotCell

log = logging.getLogger("pan3d.ros.sim")


class SimNode(Node):
    """See the module."""

    def __init__(self, **options: Any) -> None:
        """`options` are those of `Node`."""
        super().__init__("pan3d_cell", **options)
        self._bridge = LogBridge(self.get_logger()).attach()
        seed = self._integer("seed", 0, 0, 2**31 - 1, "what is on the table and where the cameras stand")
        arrangement = self._parameter("arrangement", "separated", f"one of {', '.join(ARRANGEMENTS)}")
        num_objects = self._integer("num_objects", 6, 1, 15, "objects on the table")
        num_cameras = self._integer("num_cameras", 4, 1, 16, "fixed cameras around the table")
        width = self._integer("width", 640, 64, 4096, "image width in pixels")
        height = self._integer("height", 480, 64, 4096, "image height in pixels")
        rate_hz = self._number("rate_hz", 2.0, 0.05, 60.0, "view sets per second")
        streams = StreamOptions(
            depth=self._parameter("publish_depth", False, "publish a depth image per camera"),
            sensor=self._sensor(),
            wrist=self._parameter("wrist_camera", False, "a moving camera on the wrist too"),
            compressed=self._parameter("publish_compressed", False, "publish JPEG images beside the raw ones"),
            transforms=self._parameter("publish_tf", False, "publish /tf and /tf_static beside the pose topics"),
            commanded=self._parameter("arm_commands", False, "the arm follows trajectories under physics, instead of its path"),
        )
        arm = ARM if self._parameter("arm", False, "a robot arm that moves over the table") else None
        gripper = self._parameter("gripper", "parallel", "of the floating hand: parallel or suction")
        for sentence in unknown_parameters(undeclared_overrides(self), parameter_values(self)):
            log.warning(sentence)
        self._config = CellConfig(
            num_objects=num_objects, arrangement=arrangement, num_cameras=num_cameras, width=width, height=height, arm=arm,
            hand=hand_of(GripperConfig(kind=gripper)),
        )  # fmt: skip
        self._cell = RobotCell(seed, self._config)
        self._trials = GraspTrials(self._cell)
        self._streams = CellStreams(self, self._cell, streams)
        self.create_service(ExecuteGrasp, "~/execute_grasp", self._execute)
        self.create_service(GetCellTruth, "~/get_truth", self._get_truth)
        self.create_service(ResetCell, "~/reset", self._reset)
        self._timer = self.create_timer(1.0 / rate_hz, self._publish)
        log.info("cell %d ready: %s", seed, ", ".join(obj.name for obj in self._cell.objects))

    def close(self) -> None:
        """Free the renderer."""
        self._cell.close()
        self._bridge.detach()

    # --- parameters --------------------------------------------------------------------------------------------

    def _parameter(self, name: str, default: Any, description: str, **limits: Any) -> Any:
        descriptor = ParameterDescriptor(description=description, read_only=True, **limits)
        return self.declare_parameter(name, default, descriptor).value

    def _sensor(self) -> str:
        names = f"exact, {', '.join(DEPTH_SENSORS)}"
        name: str = self._parameter("depth_sensor", "structured_light", f"errors of depth images: one of {names}")
        return name if self._parameter("depth_noise", True, "false: exact depth images") else "exact"

    def _integer(self, name: str, default: int, low: int, high: int, description: str) -> int:
        limits = [IntegerRange(from_value=low, to_value=high, step=0)]
        return self._parameter(name, default, description, integer_range=limits)

    def _number(self, name: str, default: float, low: float, high: float, description: str) -> float:
        limits = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
        return self._parameter(name, default, description, floating_point_range=limits)

    def _publish(self) -> None:
        self._streams.publish(self.get_clock().now().nanoseconds)

    # --- services ----------------------------------------------------------------------------------------------

    def _get_truth(self, request: GetCellTruth.Request, response: GetCellTruth.Response) -> GetCellTruth.Response:
        return truth_response(self._cell, self._streams.seen(), response, with_images=request.return_images)

    def _reset(self, request: ResetCell.Request, response: ResetCell.Response) -> ResetCell.Response:
        arrangement = request.arrangement or self._cell.config.arrangement
        try:
            cell = RobotCell(request.seed, self._config, arrangement=arrangement)
        except (ValueError, RuntimeError) as error:
            response.message = str(error)
            return response
        self._cell.close()
        self._cell, self._trials = cell, GraspTrials(cell)
        self._streams.use(cell)
        response.success = True
        response.message = ", ".join(obj.name for obj in cell.objects)
        return response

    def _execute(self, request: ExecuteGrasp.Request, response: ExecuteGrasp.Response) -> ExecuteGrasp.Response:
        try:
            if request.grasp.header.frame_id != WORLD_FRAME_ID:
                raise ValueError(f"grasp.header.frame_id: expected {WORLD_FRAME_ID}, got '{request.grasp.header.frame_id}'")
            grasp = grasp_from_message(request.grasp)
            self._trials.require_fitting(grasp)
            target = self._target_index(request.object_name)
        except ValueError as error:
            response.error_code, response.message = ErrorCode.INVALID_REQUEST, str(error)
            return response
        if self._cell.arm is not None:
            self._cell.pose_arm(dict(zip([joint.name for joint in ARM.arm_joints], ARM.away)))
        watcher = self._cell.overview_camera()

        def observe(phase: str) -> None:
            if request.return_images:
                response.phases.append(phase)
                picture = self._cell.picture(watcher)
                response.images.append(image_message(picture.copy(), "rgb8", header(watcher.name, 0)))

        result = self._trials.execute(grasp, target=target, restore=request.restore, observe=observe)
        if not request.restore:
            self._streams.forget()
        response.success = True
        response.lifted, response.failure = result.lifted, result.failure
        response.detail_names = list(result.details)
        response.details = [float(value) for value in result.details.values()]
        response.message = "lifted" if result.lifted else f"not lifted: {result.failure}"
        return response

    def _target_index(self, name: str) -> int | None:
        """Index of the object that should be lifted; None when any may be."""
        if not name:
            return None
        names = [obj.name for obj in self._cell.objects]
        if name not in names:
            raise ValueError(f"object_name: expected one of {', '.join(names)}, got '{name}'")
        return names.index(name)


@ros_program("sim_node")
def main(arguments: list[str] | None = None) -> int:
    """Console script `sim_node`."""
    node = None
    try:
        node = SimNode()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        if node is None:
            raise
    except (ValueError, RuntimeError) as error:
        if not rclpy.ok():
            raise
        rclpy.logging.get_logger("pan3d_cell").fatal(f"the cell cannot start: {error}")
        return 1
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
