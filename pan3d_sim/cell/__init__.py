"""The robot cell under physics: arrangements, hand, frames and judged grasps; knows objects and cameras."""

from pan3d_sim.cell.frame_tree import FrameLink
from pan3d_sim.cell.grasp_trial import GraspTrials
from pan3d_sim.cell.model import CellConfig
from pan3d_sim.cell.robot_cell import CellState, RobotCell, TrueObject

__all__ = ["CellConfig", "CellState", "FrameLink", "GraspTrials", "RobotCell", "TrueObject"]
