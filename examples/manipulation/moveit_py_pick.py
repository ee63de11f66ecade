"""MoveIt from Python (moveit_py): the world as the node knows it, and a way to the first of several grasps that has one.

perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true -p arm.tip_link:=panda_hand &
python examples/manipulation/moveit_py_pick.py "the red mug" panda_arm panda_hand
"""

from __future__ import annotations

import sys

from geometry_msgs.msg import PoseStamped
from moveit.planning import MoveItPy
from moveit_msgs.msg import Grasp
from moveit_requests import grasps_of, scene_now


def before(grasp: Grasp) -> PoseStamped:
    """Where the straight approach begins."""
    approach, pose = grasp.pre_grasp_approach, grasp.grasp_pose
    for axis in "xyz":
        way = approach.desired_distance * getattr(approach.direction.vector, axis)
        setattr(pose.pose.position, axis, getattr(pose.pose.position, axis) - way)
    return pose


def main() -> None:
    """Go before the first grasp that a plan leads to."""
    prompt, group, tip = sys.argv[1:4]
    scene, grasps = scene_now(), grasps_of(prompt)
    robot = MoveItPy(node_name="moveit_py_pick")
    arm = robot.get_planning_component(group)
    with robot.get_planning_scene_monitor().read_write() as world:
        world.process_planning_scene_world(scene.world)
        for held in scene.robot_state.attached_collision_objects:
            world.process_attached_collision_object(held)
    for grasp in grasps:
        arm.set_start_state_to_current_state()
        arm.set_goal_state(pose_stamped_msg=before(grasp), pose_link=tip)
        if plan := arm.plan():
            robot.execute(plan.trajectory, controllers=[])
            print(f"before {grasp.id}")
            return
    print(f"no way to any of {len(grasps)} grasps")


if __name__ == "__main__":
    main()
