"""The frames of the cell as a robot's TF tree, and its truth as JSON; plain values, no messages.

base_link - camera_0_link - camera_0_optical_frame      fixed
base_link ~ tool0                                       moving with the hand
tool0 - wrist_link - wrist_optical_frame                fixed
base_link ~ arm_base ~ shoulder ~ ... ~ tool0           instead, in a cell with an arm
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pan3d_core.geometry.rotations import quat_xyzw_from_matrix
from pan3d_sim.cameras.rig import RigCamera, hand_from_wrist_cam
from pan3d_sim.cell.robot_cell import WORLD_FRAME_ID, RobotCell

TOOL_FRAME_ID = "tool0"
WRIST = "wrist"
# Body axes (x forward, y left, z up) of a camera in its optical axes (x right, y down, z forward).
OPTICAL_FROM_LINK = np.array([[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class FrameLink:
    """One edge of the tree."""

    parent: str
    child: str
    parent_from_child: np.ndarray  # (4, 4) metres

    @property
    def position(self) -> tuple[float, float, float]:
        x, y, z = (float(v) for v in self.parent_from_child[:3, 3])
        return x, y, z

    @property
    def orientation_xyzw(self) -> tuple[float, float, float, float]:
        return quat_xyzw(self.parent_from_child)


def quat_xyzw(parent_from_child: np.ndarray) -> tuple[float, float, float, float]:
    """Unit quaternion of a (4, 4) pose."""
    x, y, z, w = quat_xyzw_from_matrix(torch.from_numpy(np.asarray(parent_from_child, np.float64)[:3, :3])).tolist()
    return x, y, z, w


def optical_frame_id(camera: str) -> str:
    """Frame of a camera's images."""
    return f"{camera}_optical_frame"


def mountings(fixed: Sequence[RigCamera], *, wrist: bool) -> list[FrameLink]:
    """Everything that never moves: the fixed cameras in the world and, with `wrist`, its camera on the hand."""
    places = [(WORLD_FRAME_ID, camera.name, camera.world_from_cam) for camera in fixed]
    if wrist:
        places.append((TOOL_FRAME_ID, WRIST, hand_from_wrist_cam()))
    links = []
    for parent, camera, parent_from_cam in places:
        links.append(FrameLink(parent, f"{camera}_link", parent_from_cam @ OPTICAL_FROM_LINK))
        links.append(FrameLink(f"{camera}_link", optical_frame_id(camera), OPTICAL_FROM_LINK.T))
    return links


def tool_link(world_from_hand: np.ndarray) -> FrameLink:
    """Where the hand is now."""
    return FrameLink(WORLD_FRAME_ID, TOOL_FRAME_ID, world_from_hand)


def arm_links(cell: RobotCell) -> list[FrameLink]:
    """Where the links of the cell's arm are now, each on the one before it; nothing without an arm."""
    if cell.arm is None:
        return []
    world = {link.name: cell.arm.world_from_link(cell.data, link.name) for link in cell.arm.spec.links}
    world[cell.arm.spec.root] = np.eye(4)
    links = cell.arm.spec.links
    return [FrameLink(link.parent, link.name, np.linalg.inv(world[link.parent]) @ world[link.name]) for link in links]


def objects_json(cell: RobotCell, stamp_ns: int) -> str:
    """The objects on the table as /ground_truth/objects carries them; docs/bags.md has the fields."""
    objects = []
    for item in cell.truth():
        box = item.box.world_from_box.double().numpy()
        entry = {"id": item.instance_id, "name": item.name, "kind": item.kind, "color": item.color_name}
        entry["pose"] = _pose(item.world_from_object)
        entry["box"] = {**_pose(box), "size": item.box.size_m.double().tolist()}
        objects.append(entry)
    content = {
        "stamp_ns": stamp_ns,
        "frame_id": WORLD_FRAME_ID,
        "support_height_m": cell.config.support_height_m,
        "seed": cell.seed,
        "arrangement": cell.config.arrangement,
        "objects": objects,
    }
    return json.dumps(content)


def _pose(world_from_item: np.ndarray) -> dict[str, list[float]]:
    return {"position": [float(v) for v in world_from_item[:3, 3]], "orientation_xyzw": list(quat_xyzw(world_from_item))}
