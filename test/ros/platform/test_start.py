"""A process with nodes begins as one that works for hours."""

from heap_work import kept_mb


def test_nodes_give_back_what_they_have_freed():
    assert kept_mb("import rclpy\nfrom pan3d_ros.platform.start import start_ros\nstart_ros([])\nrclpy.shutdown()") < 20
