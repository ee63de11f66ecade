"""The kinds of hands that a cell may have, by what describes them."""

from __future__ import annotations

import mujoco

from pan3d_core.config import GripperConfig
from pan3d_sim.cell.hand import Hand, HandSpec, add_hand
from pan3d_sim.cell.suction_hand import SuctionHand, SuctionSpec, add_suction_hand, add_vacuum

GripperSpec = HandSpec | SuctionSpec
Gripper = Hand | SuctionHand


def add_gripper(spec: mujoco.MjSpec, gripper: GripperSpec) -> None:
    """Add a hand to a model.

    Args:
        spec: Of the model.
        gripper: Geometry and strength.
    """
    if isinstance(gripper, SuctionSpec):
        add_suction_hand(spec, gripper)
    else:
        add_hand(spec, gripper)


def add_grip(spec: mujoco.MjSpec, gripper: GripperSpec, count: int) -> None:
    """Add what a hand needs to hold objects, once they are in the model.

    Args:
        spec: Of the model, with bodies `object_0`, `object_1`, ...
        gripper: Geometry and strength.
        count: Of the objects.
    """
    if isinstance(gripper, SuctionSpec):
        add_vacuum(spec, count)


def gripper_of(model: mujoco.MjModel, gripper: GripperSpec) -> Gripper:
    """Take the hand of a compiled model.

    Args:
        model: With one.
        gripper: The same as when it was added.

    Returns:
        Its handles.
    """
    return SuctionHand(model, gripper) if isinstance(gripper, SuctionSpec) else Hand(model, gripper)


def hand_of(gripper: GripperConfig) -> GripperSpec:
    """The simulated hand with the shape of a gripper."""
    cup = gripper.suction
    if gripper.kind == "suction":
        return SuctionSpec(
            radius_m=cup.radius_m,
            give_m=cup.give_m,
            body_radius_m=cup.body_radius_m,
            body_length_m=cup.body_length_m,
            pressure_pa=1e3 * cup.pressure_kpa,
            friction=cup.friction,
        )
    return HandSpec(
        opening_m=gripper.max_width_m,
        palm_size_m=(gripper.palm_width_m, gripper.palm_breadth_m, gripper.palm_length_m),
        finger_thickness_m=gripper.finger_thickness_m,
        finger_width_m=gripper.finger_breadth_m,
        finger_length_m=gripper.finger_length_m,
        tip_beyond_tcp_m=gripper.tip_beyond_tcp_m,
    )
