"""A ROS 2 node that listens to the objects of the perception node and asks it for one in words.

    perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true &
    python examples/ask_the_node.py "the red mug"
"""

from __future__ import annotations

import argparse

import rclpy
from pan3d_interfaces.msg import InstanceArray
from pan3d_interfaces.srv import SegmentObject
from rclpy.node import Node


class Listener(Node):
    """Keeps the newest objects."""

    def __init__(self) -> None:
        super().__init__("ask_the_node")
        self.newest: InstanceArray | None = None
        self.create_subscription(InstanceArray, "/pan3d/instances", self._keep, 1)
        self.client = self.create_client(SegmentObject, "/pan3d/segment_object")

    def _keep(self, message: InstanceArray) -> None:
        self.newest = message


def main(arguments: list[str] | None = None, timeout_s: float = 60.0) -> None:
    """Print the objects, the answer, and where to grasp it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="the mug", help="default: %(default)s")
    prompt = parser.parse_args(arguments).prompt
    rclpy.init()
    node = Listener()
    try:
        if not node.client.wait_for_service(timeout_s):
            raise SystemExit("no /pan3d/segment_object: is the perception node there, and active?")
        future = node.client.call_async(SegmentObject.Request(prompt=prompt, max_grasps=3))  # a new view set answers it
        rclpy.spin_until_future_complete(node, future, timeout_sec=timeout_s)
        if not future.done():
            raise SystemExit(f"no answer within {timeout_s:.0f} s")
        answer = future.result()
        for item in node.newest.instances if node.newest else ():
            print(f"{item.id} {item.class_name or 'unnamed'} at {item.centroid.x:+.2f} {item.centroid.y:+.2f} m")
        print(f"{prompt}: {answer.explanation}" if answer.success else f"{prompt}: error {answer.error_code}, {answer.message}")
        for grasp in answer.grasps:
            print(f"  quality {grasp.quality:.2f}, opened {1000 * grasp.width:.0f} mm")
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    main()
