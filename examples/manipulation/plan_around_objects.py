"""A client of a motion planner of one's own, with pan3d's messages alone: boxes to keep out of, and grasps to try in their order.

perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true &
python examples/manipulation/plan_around_objects.py "the red mug"
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import rclpy
from pan3d_interfaces.msg import Instance
from pan3d_interfaces.srv import GetGraspTargets, GetInstances

SIGMAS = 2.0  # boxes are larger than what was seen by so many standard deviations of the place, on each side
UNKNOWN_M = 0.03  # where the place's covariance is not known


def ask(kind: type, name: str, **fields: object) -> Any:
    """The answer of a service of the node, or the end of the program with its reason."""
    rclpy.init()
    node = rclpy.create_node("plan_around_objects")
    try:
        client = node.create_client(kind, name)
        if not client.wait_for_service(60.0):
            raise SystemExit(f"{name} is not there")
        asked = client.call_async(kind.Request(**fields))
        rclpy.spin_until_future_complete(node, asked)
        if not getattr(asked.result(), "success", True):
            raise SystemExit(f"{name}: {asked.result().message}")
        return asked.result()
    finally:
        node.destroy_node()
        rclpy.shutdown()


def padded_size(item: Instance) -> np.ndarray:
    """(3,) metres: sides of the box to keep out of, along its axes."""
    covariance = np.array(item.position_covariance).reshape(3, 3)
    padding_m = UNKNOWN_M if covariance[0, 0] < 0 else SIGMAS * np.sqrt(np.linalg.eigvalsh(covariance).max())
    return np.array([item.size.x, item.size.y, item.size.z]) + 2 * padding_m


def main() -> None:
    """Print what to keep out of, and for each grasp where its straight ways begin and end."""
    known = ask(GetInstances, "/pan3d/get_instances").instances
    if not known.metric:
        raise SystemExit("the result is not metric: nothing may be planned by it")
    for item in known.instances:  # those that are remembered and not seen now stand in the way, too
        state = "remembered" if item.state == Instance.LOST else "seen"
        sides = " x ".join(f"{side:.3f}" for side in padded_size(item))
        print(f"keep out: pan3d/{item.id} {item.class_name or 'unnamed'}, {state}, {sides} m")
    for target in ask(GetGraspTargets, "/pan3d/get_grasp_targets", prompt=" ".join(sys.argv[1:]) or "the mug").targets:
        poses = {"from": target.pre_grasp_pose, "to": target.grasp_pose, "up": target.retreat_pose}
        places = {name: np.array([pose.position.x, pose.position.y, pose.position.z]) for name, pose in poses.items()}
        ways = {**places, "open": target.opening}
        print(f"quality {target.quality:.2f}: " + ", ".join(f"{name} {np.round(value, 3)}" for name, value in ways.items()))


if __name__ == "__main__":
    main()
