"""MoveIt's own requests to the node: all that a planner must not touch, and grasps of what words mean (needs moveit_msgs).

perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true -p arm.tip_link:=panda_hand &
python examples/manipulation/moveit_requests.py "the red mug"
"""

from __future__ import annotations

import sys

from moveit_msgs.msg import CollisionObject, Grasp, MoveItErrorCodes, PlanningScene
from moveit_msgs.srv import GetPlanningScene, GraspPlanning
from plan_around_objects import ask


def scene_now() -> PlanningScene:
    """Everything that the node remembers; the end of the program where it cannot say what stands where."""
    scene = ask(GetPlanningScene, "/pan3d/get_planning_scene").scene
    if scene.name != "pan3d":
        raise SystemExit(scene.name)
    return scene


def grasps_of(prompt: str) -> list[Grasp]:
    """Grasps, best first; the end of the program with the reason where there are none."""
    target = CollisionObject()
    target.type.key = prompt
    answer = ask(GraspPlanning, "/pan3d/plan_grasps", target=target)
    if answer.error_code.val != MoveItErrorCodes.SUCCESS:
        raise SystemExit(answer.error_code.message)
    return answer.grasps


def main() -> None:
    """Print both."""
    scene = scene_now()
    for item in scene.world.collision_objects:
        print(f"{item.id}: {item.type.key or 'unnamed'}, {len(item.meshes)} meshes, {item.type.db}")
    for held in scene.robot_state.attached_collision_objects:
        print(f"{held.object.id}: held by {held.link_name}")
    for grasp in grasps_of(" ".join(sys.argv[1:]) or "the mug"):
        print(f"{grasp.id}: quality {grasp.grasp_quality:.2f}, approach {grasp.pre_grasp_approach.desired_distance:.2f} m")


if __name__ == "__main__":
    main()
