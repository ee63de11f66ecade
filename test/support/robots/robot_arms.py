"""Robots of few links for tests, as URDF."""

from __future__ import annotations

BOX = '<visual><origin xyz="{xyz}"/><geometry><box size="{size}"/></geometry></visual>'


def gantry_urdf(size: str = "0.04 0.5 0.3", root: str = "base_link", parts: str = "") -> str:
    """A box, its middle 0.2 m above the place that the joint `slide` moves along x, and what `parts` adds."""
    box = BOX.format(xyz="0 0 0.2", size=size)
    return f"""<?xml version="1.0"?>
<robot name="gantry">
  <link name="{root}"/>
  <link name="carriage">{box}</link>
  <joint name="slide" type="prismatic">
    <parent link="{root}"/><child link="carriage"/><axis xyz="1 0 0"/>
    <limit lower="-1" upper="1" effort="10" velocity="1"/>
  </joint>
  {parts}
</robot>"""


TURNING_URDF = """<?xml version="1.0"?>
<robot name="turner">
  <link name="base"/>
  <link name="arm"><visual><geometry><cylinder radius="0.05" length="0.4"/></geometry></visual></link>
  <link name="left"><collision><geometry><sphere radius="0.02"/></geometry></collision></link>
  <link name="right"><collision><geometry><sphere radius="0.02"/></geometry></collision></link>
  <joint name="turn" type="revolute">
    <origin xyz="0 0 0.5" rpy="1.5707963 0 0"/><parent link="base"/><child link="arm"/><axis xyz="0 0 2"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/>
  </joint>
  <joint name="left_slide" type="prismatic">
    <origin xyz="0 1 0"/><parent link="arm"/><child link="left"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="right_slide" type="prismatic">
    <origin xyz="0 1 0"/><parent link="arm"/><child link="right"/><axis xyz="1 0 0"/>
    <limit lower="-1" upper="1" effort="1" velocity="1"/><mimic joint="left_slide" multiplier="-2" offset="0.1"/>
  </joint>
</robot>"""


PAD = '<geometry><box size="0.012 0.024 0.06"/></geometry>'
FINGERS = """
  <link name="left"><visual><origin xyz="{out} 0 {up}"/>{pad}</visual>{more_left}</link>
  <link name="right"><visual><origin xyz="-{out} 0 {up}"/>{pad}</visual>{more_right}</link>
  <joint name="left_joint" type="prismatic">
    <origin xyz="0 0 0.05"/><parent link="{hand}"/><child link="left"/><axis xyz="1 0 0"/>{left}
  </joint>
  <joint name="right_joint" type="prismatic">
    <origin xyz="0 0 0.05"/><parent link="{hand}"/><child link="right"/><axis xyz="{axis} 0 0"/>{right}
  </joint>"""
LIMIT = '<limit lower="{lower}" upper="{upper}" effort="10" velocity="1"/>'
MIMIC = '<mimic joint="left_joint"/>'


def gripper_urdf(
    pad: str = PAD, up: float = 0.03, more: str = "", left: str | None = None, right: str | None = None, axis: int = -1,
    parts: str = "",
) -> str:  # fmt: skip
    """A palm of 0.14 x 0.05 x 0.05 m on a wrist, with two fingers along x whose pads touch where their joints are at 0.

    Args:
        pad: What both fingers are, 0.012 m thick.
        up: Its middle is this far ahead of the palm.
        more: That both fingers have besides; `{sign}` is what turns a place of the left one into one of the right one.
        left: Limits and what it follows, of the left finger's joint; None = 0 to 0.05.
        right: The same of the right one's.
        axis: Of the right one's along x.
        parts: More links and joints.
    """
    free = LIMIT.format(lower=0, upper=0.05)
    both = {"more_left": more.format(sign=""), "more_right": more.format(sign="-")}
    given = {"left": free if left is None else left, "right": free if right is None else right}
    return f"""<?xml version="1.0"?>
<robot name="gripper">
  <link name="base"/>
  <link name="wrist"><visual><geometry><cylinder radius="0.04" length="0.1"/></geometry></visual></link>
  <joint name="turn" type="revolute"><parent link="base"/><child link="wrist"/><axis xyz="0 0 1"/>
    <limit lower="0.5" upper="2" effort="1" velocity="1"/></joint>
  <link name="hand">{BOX.format(xyz="0 0 0.025", size="0.14 0.05 0.05")}</link>
  <joint name="mount" type="fixed"><origin xyz="0 0 0.1" rpy="0 0.4 0"/><parent link="wrist"/><child link="hand"/></joint>
  {FINGERS.format(out=0.006, up=up, pad=pad, hand="hand", axis=axis, **given, **both)}
  {parts}
</robot>"""


def four_bar_urdf(length_m: float = 0.06, upper: float = 0.7) -> str:
    """A gripper whose fingers stay upright on turning arms that follow one joint, as common ones for robots have."""
    hand = '<link name="hand"><visual><geometry><box size="0.08 0.04 0.04"/></geometry></visual></link>'
    sides = ""
    for side, sign in (("left", 1), ("right", -1)):
        follows = dict.fromkeys(("arm", "tip"), '<mimic joint="left_arm_joint"/>') | ({"arm": ""} if sign > 0 else {})
        sides += f"""
  <link name="{side}_arm">{BOX.format(xyz=f"0 0 {length_m / 2}", size=f"0.01 0.02 {length_m}")}</link>
  <joint name="{side}_arm_joint" type="revolute"><origin xyz="{0.012 * sign} 0 0.02"/><parent link="hand"/>
    <child link="{side}_arm"/><axis xyz="0 {sign} 0"/>{LIMIT.format(lower=0, upper=upper)}{follows["arm"]}</joint>
  <link name="{side}_tip">{BOX.format(xyz=f"{-0.006 * sign} 0 0.02", size="0.012 0.02 0.04")}</link>
  <joint name="{side}_tip_joint" type="revolute"><origin xyz="0 0 {length_m}"/><parent link="{side}_arm"/>
    <child link="{side}_tip"/><axis xyz="0 {-sign} 0"/>{LIMIT.format(lower=0, upper=upper)}{follows["tip"]}</joint>"""
    return f'<robot name="four_bar">{hand}{sides}</robot>'
