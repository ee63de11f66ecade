"""Counts point clouds on `points` in a process of its own; prints one JSON line when asked to end or after a silence."""

from __future__ import annotations

import argparse
import json
import sys
import time

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.outputs.publishers import profile


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expected", type=int, required=True, help="end when so many clouds have come")
    parser.add_argument("--silence-s", type=float, default=10.0, help="end when none has come for so long after the first")
    parser.add_argument("--best-effort", action="store_true", help="reliability of the subscription")
    arguments = parser.parse_args(argv)
    rclpy.init()
    node = Node("pan3d_bench_receiver")
    latencies_ms: list[float] = []
    last_s = [0.0]

    def take(message: PointCloud2) -> None:
        latencies_ms.append((time.time_ns() - stamp_to_ns(message.header.stamp)) * 1e-6)
        last_s[0] = time.monotonic()

    node.create_subscription(PointCloud2, "points", take, profile(1, reliable=not arguments.best_effort))
    while len(latencies_ms) < arguments.expected and (not latencies_ms or time.monotonic() - last_s[0] < arguments.silence_s):
        rclpy.spin_once(node, timeout_sec=0.5)
    sys.stdout.write(json.dumps({"received": len(latencies_ms), "latencies_ms": latencies_ms}) + "\n")
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
