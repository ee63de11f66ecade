"""From pictures to placed objects; knows any robot that follows trajectories and has calibrated cameras."""

from pan3d_core.picking.building import PickerConfig, build_picker
from pan3d_core.picking.journey import Picker
from pan3d_core.picking.reports import Attempt, Outcome, PickReport, Seen
from pan3d_core.picking.robot import PickingRobot
from pan3d_core.picking.wishes import Wish, read_wish

__all__ = [
    "Attempt",
    "Outcome",
    "PickReport",
    "Picker",
    "PickerConfig",
    "PickingRobot",
    "Seen",
    "Wish",
    "build_picker",
    "read_wish",
]
