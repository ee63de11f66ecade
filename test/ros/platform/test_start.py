"""A process with nodes begins as one that works for hours."""

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
