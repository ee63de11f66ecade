"""The robot cell under physics: arrangements, hand, frames and judged grasps; knows objects and cameras."""

from pan3d_sim.cell.frame_tree import FrameLink
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.model import CellConfig
from pan3d_sim.cell.robot_cell import RobotCell, TrueObject
from pan3d_sim.cell.stage import Stage, StageState

__all__ = ["CellConfig", "FrameLink", "GraspTrials", "RobotCell", "Stage", "StageState", "TrueObject"]
