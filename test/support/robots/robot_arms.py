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
