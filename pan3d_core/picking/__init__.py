"""From pictures to placed objects; knows any robot that follows trajectories and has calibrated cameras."""

from pan3d_core.picking.journey import Attempt, Outcome, Picker, PickReport, Seen
from pan3d_core.picking.robot import PickingRobot

__all__ = ["Attempt", "Outcome", "PickReport", "Picker", "PickingRobot", "Seen"]
