"""How an arm moves among what is seen: reach, ways, times, whole motions with an object; knows no simulator and no network."""

from pan3d_core.motion.arm import Arm, ArmNames
from pan3d_core.motion.collisions import Checker, Held, Rules, in_the_arm, off_the_arm
from pan3d_core.motion.inverse import Reach, reach
from pan3d_core.motion.paths import free_path, straight_path
from pan3d_core.motion.picks import REASONS, Motion, MotionPlan, MotionPlanner, Task
from pan3d_core.motion.places import free_places, motion_to, place_on
from pan3d_core.motion.reachable import ArmPlace, ReachedGrasp, ReachReport, reachable_grasps, without_meshes
from pan3d_core.motion.scene import MotionScene, Obstacle, motion_scene
from pan3d_core.motion.timing import Trajectory, timed

__all__ = [
    "REASONS",
    "Arm",
    "ArmNames",
    "ArmPlace",
    "Checker",
    "Held",
    "Motion",
    "MotionPlan",
    "MotionPlanner",
    "MotionScene",
    "Obstacle",
    "Reach",
    "ReachReport",
    "ReachedGrasp",
    "Rules",
    "Task",
    "Trajectory",
    "free_path",
    "free_places",
    "in_the_arm",
    "motion_scene",
    "motion_to",
    "off_the_arm",
    "place_on",
    "reach",
    "reachable_grasps",
    "straight_path",
    "timed",
    "without_meshes",
]
