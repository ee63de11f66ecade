"""A behaviour tree that looks for an object in words and asks again while more pictures may help (pip install py_trees).

perception_node --ros-args -p "cameras:=[front, wrist]" -p autostart:=true &
python examples/manipulation/behaviour_tree.py "the red mug"
"""

from __future__ import annotations

import sys

import py_trees
import rclpy
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject
from py_trees.common import Status
from rclpy.node import Node

AGAIN = (ErrorCode.NOT_FOUND, ErrorCode.BUSY, ErrorCode.TIMEOUT, ErrorCode.NO_IMAGES, ErrorCode.STALE_IMAGES)


class FindObject(py_trees.behaviour.Behaviour):
    """Asks /pan3d/segment_object: RUNNING until the answer is there, FAILURE where asking again may help, SUCCESS at the end."""

    def __init__(self, node: Node, prompt: str) -> None:
        super().__init__(f"find {prompt}")
        self._client, self._prompt = node.create_client(SegmentObject, "/pan3d/segment_object"), prompt
        self._asked, self.answer = None, SegmentObject.Response()

    def update(self) -> Status:
        """Ask, or look whether the answer has come."""
        if self._asked is None and self._client.service_is_ready():
            self._asked = self._client.call_async(SegmentObject.Request(prompt=self._prompt, max_grasps=3))
        if self._asked is None or not self._asked.done():
            return Status.RUNNING
        self.answer, self._asked = self._asked.result(), None
        self.feedback_message = self.answer.message or self.answer.explanation
        return Status.FAILURE if self.answer.error_code in AGAIN else Status.SUCCESS

    def terminate(self, new_status: Status) -> None:
        """What is answered after an interruption is nobody's."""
        self._asked = None if new_status == Status.INVALID else self._asked


def main() -> None:
    """Tick the tree until it ends, and print what was found."""
    rclpy.init()
    node = Node("behaviour_tree")
    find = FindObject(node, sys.argv[1] if len(sys.argv) > 1 else "the mug")
    tree = py_trees.decorators.Retry("again", find, num_failures=5)
    tree.tick_once()
    while tree.status == Status.RUNNING:
        rclpy.spin_once(node, timeout_sec=0.1)
        tree.tick_once()
    answer = find.answer
    print(f"object {answer.instances.instances[0].id}, {len(answer.grasps)} grasps" if answer.success else answer.message)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
