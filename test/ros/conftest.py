"""Without ROS only the tests of bags are collected in this folder."""

from pathlib import Path

from ros_presence import ros_is_here

if not ros_is_here():
    collect_ignore = [path.name for path in Path(__file__).parent.iterdir() if path.name not in ("bags", "conftest.py")]
