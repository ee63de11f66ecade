"""Grasps as isaac_grasp files (format version 1.0): of one object and one gripper, relative to the object.

The file's pose is that of the gripper's frame in the object's. The object's frame is that of its box here: centre, and axes along
its sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import yaml
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.structures import GraspTarget

FORMAT, VERSION = "isaac_grasp", "1.0"


@dataclass(frozen=True)
class IsaacGripper:
    """What an isaac_grasp file says of the gripper, and how its frame and its joints follow from a grasp."""

    frame: str = "grasp_frame"  # name of its frame, for readers
    joints: tuple[str, ...] = ()  # of the fingers
    kind: str = "parallel"  # parallel or suction
    travel_per_opening: float = 0.5  # position of each joint for an opening, metres a metre; 0.5 = both fingers move
    grasp_from_gripper: tuple[tuple[float, float, float, float], ...] = (  # where its frame is in the grasp frame
        (1.0, 0.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (0.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )


FRANKA = IsaacGripper(
    frame="panda_hand",
    joints=("panda_finger_joint1",),
    # It closes along its y axis, and its origin is 103.4 mm behind the middle between the finger tips.
    grasp_from_gripper=((0.0, 1.0, 0.0, 0.0), (-1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, -0.1034), (0.0, 0.0, 0.0, 1.0)),
)


SUCTION_CUP = IsaacGripper(frame="suction_cup", kind="suction")  # the middle of its lip, +z approaches; it has no joints


def isaac_grasp_text(targets: Sequence[GraspTarget], gripper: IsaacGripper, object_frame: str = "object") -> str:
    """Write grasps of one object as an isaac_grasp file.

    Args:
        targets: Of one object, best first.
        gripper: Whose frame and joints are written.
        object_frame: Name of the object's frame, for readers.

    Returns:
        The file's content; `cspace_position` is the object's width, or the grasp's where that is unknown, and
        `pregrasp_cspace_position` the opening to approach with.

    Raises:
        ValueError: There is no grasp, or they are of several objects, or for another kind of gripper.
    """
    if wrong := sorted({target.kind for target in targets} - {gripper.kind}):
        raise ValueError(f"targets: expected grasps for a gripper of kind {gripper.kind}, got {', '.join(wrong)}")
    if len({target.instance_id for target in targets}) != 1:
        raise ValueError(f"targets: expected grasps of one object, got {sorted({target.instance_id for target in targets})}")
    grasp_from_gripper = torch.tensor(gripper.grasp_from_gripper, dtype=torch.float64)
    grasps = {}
    for number, target in enumerate(targets):
        object_from_world = torch.linalg.inv(target.box.world_from_box.double().cpu())
        object_from_gripper = object_from_world @ target.world_from_grasp.double().cpu() @ grasp_from_gripper
        x, y, z, w = quat_xyzw_from_matrix(object_from_gripper[:3, :3]).tolist()
        closed = target.object_width_m or target.width_m
        grasps[f"grasp_{number}"] = {
            "confidence": round(float(target.score), 6),
            "position": [round(value, 6) for value in object_from_gripper[:3, 3].tolist()],
            "orientation": {"w": round(w, 6), "xyz": [round(x, 6), round(y, 6), round(z, 6)]},
            "cspace_position": _joints(gripper, closed),
            "pregrasp_cspace_position": _joints(gripper, target.opening_m or target.width_m),
        }
    content = {
        "format": FORMAT,
        "format_version": float(VERSION),
        "object_frame": object_frame,
        "gripper_frame": gripper.frame,
        "grasps": grasps,
    }
    text: str = yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
    return text


def read_isaac_grasps(text: str, box: OrientedBox, instance_id: int, gripper: IsaacGripper) -> list[GraspTarget]:
    """Read an isaac_grasp file as grasps of an object that is seen.

    Args:
        text: Content of the file.
        box: The object's frame, for which the grasps were made, where it is now.
        instance_id: The object's.
        gripper: Whose frame and joints the file is about.

    Returns:
        Grasps, most confident first, with a pre-grasp distance of 0: whether the way is free is not known.

    Raises:
        ValueError: Names the entry, what was expected and what came.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"expected an isaac_grasp file in YAML: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or str(content.get("format_version")) != VERSION:
        raise ValueError(f"expected format: {FORMAT} and format_version: {VERSION}")
    grasps = content.get("grasps")
    if not isinstance(grasps, dict) or not grasps:
        raise ValueError(f"grasps: expected grasps by name, got {grasps!r}")
    gripper_from_grasp = torch.linalg.inv(torch.tensor(gripper.grasp_from_gripper, dtype=torch.float64))
    found = [
        _read_grasp(f"grasps.{name}", entry, box, instance_id, gripper, gripper_from_grasp) for name, entry in grasps.items()
    ]
    return sorted(found, key=lambda target: -target.score)


def _read_grasp(
    name: str, entry: Any, box: OrientedBox, instance_id: int, gripper: IsaacGripper, gripper_from_grasp: Tensor
) -> GraspTarget:
    if not isinstance(entry, dict) or not isinstance(entry.get("orientation"), dict):
        raise ValueError(f"{name}: expected position and orientation {{w, xyz}}, got {entry!r}")
    confidence = _numbers(f"{name}.confidence", [entry.get("confidence")], 1)[0]
    if not 0.0 <= confidence <= 1.0:
        raise ValueError(f"{name}.confidence: expected 0 to 1, got {confidence}")
    position = _numbers(f"{name}.position", entry.get("position"), 3)
    xyz = _numbers(f"{name}.orientation.xyz", entry["orientation"].get("xyz"), 3)
    (w,) = _numbers(f"{name}.orientation.w", [entry["orientation"].get("w")], 1)
    if abs(math.hypot(w, *xyz) - 1.0) > 0.01:
        raise ValueError(f"{name}.orientation: expected a quaternion of length 1, got {[w, *xyz]}")
    object_from_gripper = torch.eye(4, dtype=torch.float64)
    object_from_gripper[:3, :3] = matrix_from_quat_xyzw(torch.tensor([*xyz, w], dtype=torch.float64))
    object_from_gripper[:3, 3] = torch.tensor(position, dtype=torch.float64)
    world_from_grasp = box.world_from_box.double().cpu() @ object_from_gripper @ gripper_from_grasp
    closed, opened = (
        _opening(f"{name}.{key}", entry.get(key), gripper) for key in ("cspace_position", "pregrasp_cspace_position")
    )
    return GraspTarget(
        instance_id=instance_id,
        class_id=-1,
        score=confidence,
        world_from_grasp=world_from_grasp.float(),
        width_m=closed,
        pregrasp_distance_m=0.0,
        box=box,
        opening_m=opened,
        object_width_m=closed,
        kind=gripper.kind,
    )


def _joints(gripper: IsaacGripper, opening_m: float) -> dict[str, float]:
    return {joint: round(gripper.travel_per_opening * opening_m, 6) for joint in gripper.joints}


def _opening(name: str, entry: Any, gripper: IsaacGripper) -> float:
    """Of the fingers, metres; 0 where the file tells no joint."""
    if not gripper.joints or not entry:
        return 0.0
    if not isinstance(entry, dict) or gripper.joints[0] not in entry:
        raise ValueError(f"{name}: expected the joint {gripper.joints[0]}, got {entry!r}")
    return _numbers(f"{name}.{gripper.joints[0]}", [entry[gripper.joints[0]]], 1)[0] / gripper.travel_per_opening


def _numbers(name: str, values: Any, count: int) -> list[float]:
    good = isinstance(values, list) and len(values) == count
    if not good or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values):
        raise ValueError(f"{name}: expected {count} finite number{'s' if count > 1 else ''}, got {values!r}")
    return [float(value) for value in values]
