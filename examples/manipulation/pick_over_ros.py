"""Pick over ROS alone: objects and grasps of the perception node, a motion among them, trajectories for the arm's driver.

sim_node --ros-args -p arm:=true -p arm_commands:=true -p publish_depth:=true &
perception_node --ros-args -p "cameras:=[camera_0, camera_1, camera_2, camera_3]" -p input.use_depth:=true -p autostart:=true &
python examples/manipulation/pick_over_ros.py "the can"
"""

from __future__ import annotations

import sys

import numpy as np
import rclpy
from command_an_arm import follow, joints
from pan3d_interfaces.srv import GetGraspTargets, GetInstances
from plan_around_objects import ask
from rclpy.wait_for_message import wait_for_message
from std_msgs.msg import String

from pan3d_core.motion import Arm, MotionPlanner, MotionScene, Obstacle, Task, Trajectory, free_places
from pan3d_ros.messages.manipulation.grasps import box_from_message, grasp_from_message
from pan3d_ros.messages.poses import box_corners
from pan3d_ros.outputs import profile

TABLE_M = np.array([-0.2, -0.22]), np.array([0.2, 0.22])  # where things may be put, at height 0
STEPS = ("open", "approach", "enter", "close", "lift", "carry", "lower", "open", "leave", "retire")


def main() -> None:
    """Bring what words mean to a free place."""
    items = ask(GetInstances, "/pan3d/get_instances").instances.instances
    grasps = ask(GetGraspTargets, "/pan3d/get_grasp_targets", prompt=" ".join(sys.argv[1:]) or "the can").targets
    corners = {item.id: box_corners(box_from_message("box", item.pose, item.size)).double().numpy() for item in items}
    scene = MotionScene(tuple(Obstacle(key, box) for key, box in corners.items()), np.zeros((0, 3)), 0.0)
    rclpy.init()
    node, latched = rclpy.create_node("pick_over_ros"), profile(1, latched=True)
    described = wait_for_message(String, node, "robot_description", qos_profile=latched, time_to_wait=60)[1]
    planner = MotionPlanner(Arm(described.data))
    here, chosen = joints(node, planner.arm.joints), grasps[0].instance_id
    places = free_places(scene, chosen, TABLE_M, planner.config)
    plan = planner.plan(Task(chosen, list(map(grasp_from_message, grasps)), places), scene, here, here)
    for step in STEPS if plan.motion else ():
        fingers, half_m = ("finger_left_joint",), 0.0 if step == "close" else plan.motion.grasp.opening_m / 2
        grip = Trajectory(fingers, np.array([0.0, 1.0]), np.array([joints(node, fingers), [half_m]]))
        follow(node, grip if step in ("open", "close") else getattr(plan.motion, step))
    print(plan.message)


if __name__ == "__main__":
    main()
