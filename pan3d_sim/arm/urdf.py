"""The arm as URDF, as a robot's `robot_description` has it."""

from __future__ import annotations

from collections.abc import Sequence

from pan3d_sim.arm.links import ArmJoint, ArmLink, ArmSpec, Shape


def urdf_text(arm: ArmSpec, name: str = "pan3d_arm") -> str:
    """Write the arm down.

    Args:
        arm: The table of its links.
        name: Of the robot.

    Returns:
        XML.
    """
    lines = ['<?xml version="1.0"?>', f'<robot name="{name}">', f'  <link name="{arm.root}"/>']
    for link in arm.links:
        lines += [*_link(link), *_joint(link)]
    return "\n".join([*lines, "</robot>", ""])


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def _link(link: ArmLink) -> list[str]:
    lines = [f'  <link name="{link.name}">']
    for shape in link.shapes:
        for use in ("visual", "collision"):
            lines += [f"    <{use}>", f'      <origin xyz="{_numbers(shape.xyz)}" rpy="{_numbers(shape.rpy)}"/>']
            lines += [f"      <geometry>{_geometry(shape)}</geometry>", f"    </{use}>"]
    return [*lines, "  </link>"]


def _geometry(shape: Shape) -> str:
    if shape.kind == "box":
        return f'<box size="{_numbers(shape.size)}"/>'
    if shape.kind == "sphere":
        return f'<sphere radius="{shape.size[0]:.10g}"/>'
    return f'<cylinder radius="{shape.size[0]:.10g}" length="{shape.size[1]:.10g}"/>'


def _joint(link: ArmLink) -> list[str]:
    joint: ArmJoint = link.joint
    lines = [
        f'  <joint name="{joint.name}" type="{joint.kind}">',
        f'    <parent link="{link.parent}"/>',
        f'    <child link="{link.name}"/>',
        f'    <origin xyz="{_numbers(link.xyz)}" rpy="{_numbers(link.rpy)}"/>',
    ]
    if joint.kind != "fixed":
        lines.append(f'    <axis xyz="{_numbers(joint.axis)}"/>')
        limits = f'lower="{joint.low:.10g}" upper="{joint.high:.10g}" effort="{joint.force:g}" velocity="{joint.speed:.10g}"'
        lines.append(f"    <limit {limits}/>")
    if joint.mimics:
        lines.append(f'    <mimic joint="{joint.mimics}"/>')
    return [*lines, "  </joint>"]
