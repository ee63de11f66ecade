"""A ROS 2 node that listens to the objects of the perception node and asks it for one in words.

perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true &
python examples/ask_the_node.py "the red mug"
"""

from __future__ import annotations

import argparse
from typing import Any

import rclpy
from pan3d_interfaces.msg import InstanceArray
from pan3d_interfaces.srv import SegmentObject
from rclpy.node import Node
from rclpy.task import Future


class Asker(Node):
    """Listens to objects, and asks for one."""

    def __init__(self) -> None:
        super().__init__("ask_the_node")
        self.objects = Future()  # the first result that arrives
        self.create_subscription(InstanceArray, "/pan3d/instances", self._seen, 1)
        self.client = self.create_client(SegmentObject, "/pan3d/segment_object")

    def _seen(self, message: InstanceArray) -> None:
        if not self.objects.done():
            self.objects.set_result(message)

    def wait(self, future: Future, what: str, timeout_s: float = 120.0) -> Any:
        """What a future brings, or the end of the program."""
        rclpy.spin_until_future_complete(self, future, timeout_sec=timeout_s)
        if not future.done():
            raise SystemExit(f"{what}: nothing came within {timeout_s:.0f} s; is the perception node there, and active?")
        return future.result()


def main(arguments: list[str] | None = None) -> int:
    """Print the objects, the answer, and how to grasp it; 1 where the node refused or found nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="the mug", help="default: %(default)s")
    prompt = parser.parse_args(arguments).prompt
    rclpy.init()
    node = Asker()
    try:
        for item in node.wait(node.objects, "objects").instances:
            print(f"{item.id} {item.class_name or 'unnamed'} at {item.centroid.x:+.2f} {item.centroid.y:+.2f} m")
        request = SegmentObject.Request(prompt=prompt, max_grasps=3)  # answered from views that are taken from now on
        answer = node.wait(node.client.call_async(request), "an answer")
        print(f"{prompt}: {answer.explanation}" if answer.success else f"{prompt}: error {answer.error_code}, {answer.message}")
        for grasp in answer.grasps:
            print(f"  quality {grasp.quality:.2f}, opened {1000 * grasp.opening:.0f} mm")
        if answer.success and not answer.grasps:
            print(f"  no grasp: {answer.grasp_message}")
        return 0 if answer.success else 1
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    raise SystemExit(main())
