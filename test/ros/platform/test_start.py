"""A process with nodes begins as one that works for hours."""

import subprocess
import sys

from heap_work import kept_mb

START = """
import gc
import rclpy
from pan3d_ros.platform.start import start_ros
start_ros([])
rclpy.shutdown()
assert len(gc.get_objects()) < 0.05 * gc.get_freeze_count(), "what was imported is looked through"
"""


def test_nodes_give_back_what_they_have_freed_and_do_not_look_through_what_they_imported():
    assert kept_mb(START) < 20


def test_a_parameter_file_that_ros_cannot_read_ends_the_process_in_one_sentence(tmp_path):
    (tmp_path / "tabs.yaml").write_text("/**:\n\tros__parameters: {}\n")
    words = ["--ros-args", "--params-file", str(tmp_path / "tabs.yaml")]
    program = f"from pan3d_ros.platform.start import start_ros\nstart_ros({words!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "pan3d: ROS cannot start: " in ended.stderr and "tabs.yaml" in ended.stderr.splitlines()[-1]
