"""MoveIt Task Constructor: approach, close and lift as one task, with the grasps of the node as its alternatives.

perception_node --ros-args -p "cameras:=[front]" -p autostart:=true -p arm.tip_link:=panda_hand -p "arm.fingers:=[finger_1]" &
python examples/manipulation/mtc_pick.py "the red mug" panda_arm hand panda_hand
"""

from __future__ import annotations

import sys

import rclcpp
from geometry_msgs.msg import PoseStamped
from moveit.task_constructor import core, stages
from moveit_msgs.msg import Grasp, GripperTranslation
from moveit_requests import grasps_of
from std_msgs.msg import Header


def straight(name: str, motion: GripperTranslation, group: str, tip: str) -> stages.MoveRelative:
    """A straight way of the tip."""
    stage = stages.MoveRelative(name, core.CartesianPath())
    stage.group, stage.ik_frame = group, PoseStamped(header=Header(frame_id=tip))
    stage.min_distance, stage.max_distance = motion.min_distance, motion.desired_distance
    stage.setDirection(motion.direction)
    return stage


def pick(grasp: Grasp, current: core.Stage, group: str, hand: str, tip: str) -> core.SerialContainer:
    """One alternative. move_group knows the object, as ~/planning_scene is remapped to /planning_scene."""
    container, key = core.SerialContainer(grasp.id), grasp.allowed_touch_objects[0]
    touch, hold = stages.ModifyPlanningScene("may be touched"), stages.ModifyPlanningScene("is held")
    touch.allowCollisions(key, True)
    hold.attachObject(key, tip)
    pose = stages.GeneratePose("pose of the grasp")
    pose.pose = grasp.grasp_pose
    pose.setMonitoredStage(current)
    reach = stages.ComputeIK("reach", pose)
    reach.group, reach.ik_frame, reach.max_ik_solutions = group, PoseStamped(header=Header(frame_id=tip)), 4
    reach.properties.configureInitFrom(core.Stage.PropertyInitializerSource.INTERFACE, ["target_pose"])
    close, posture = stages.MoveTo("close", core.JointInterpolationPlanner()), grasp.grasp_posture
    close.group = hand
    close.setGoal(dict(zip(posture.joint_names, posture.points[0].positions)))
    approach = straight("approach", grasp.pre_grasp_approach, group, tip)
    for stage in (touch, approach, reach, close, hold, straight("lift", grasp.post_grasp_retreat, group, tip)):
        container.add(stage)
    return container


def main() -> None:
    """Plan the task and show its best solution."""
    prompt, group, hand, tip = sys.argv[1:5]
    grasps, task, ways = grasps_of(prompt), core.Task(), core.Alternatives("grasps")
    rclcpp.init()
    node = rclcpp.Node("mtc_pick")
    task.loadRobotModel(node)
    task.add(stages.CurrentState("current"), stages.Connect("to one", [(group, core.PipelinePlanner(node))]))
    for grasp in grasps:
        ways.add(pick(grasp, task["current"], group, hand, tip))
    task.add(ways)  # which is the task's from here on
    if task.plan():
        task.publish(task.solutions[0])


if __name__ == "__main__":
    main()
