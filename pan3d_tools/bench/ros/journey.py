"""`pan3d bench ros`: what publishing a cloud costs and loses, how long a picture takes to become objects, what a
refinement beside that takes from it, what images cost that come faster than they are looked at,
what the time from a start to the first result is made of, and the highest rate of pictures that is sustained.

All parts use several processes over the real middleware with the shipped Fast DDS profile, on a ROS domain of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import rclpy
import torch
from pan3d_interfaces.msg import InstanceArray, PipelineStats
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import PointCloud2

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.clouds import cloud_message, cloud_records
from pan3d_ros.messages.parts import header
from pan3d_ros.outputs.publishers import profile
from pan3d_ros.platform.domains import claim_domain
from pan3d_tools.bench.options import add_engine_options, add_rig_options
from pan3d_tools.bench.ros.fast import measure_fast_cameras
from pan3d_tools.bench.ros.nodes import cell_and_perception, percentiles
from pan3d_tools.bench.ros.rate import add_rate_options, measure_rate
from pan3d_tools.bench.ros.refine import measure_beside_refinement
from pan3d_tools.bench.ros.start import measure_start

NETWORK_STAGES = ("engine",)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench ros", description=__doc__)
    parser.add_argument(
        "part",
        choices=(*MEASURES, "all"),
        nargs="?",
        default="all",
        help="what to measure (default all)",
    )
    parser.add_argument("--points", type=int, default=150_000, help="points of the cloud")
    parser.add_argument("--messages", type=int, default=100, help="clouds published")
    parser.add_argument("--rate", type=float, default=5.0, help="clouds per second")
    parser.add_argument("--best-effort", action="store_true", help="the receiver subscribes best effort")
    parser.add_argument("--no-profile", action="store_true", help="without the shipped Fast DDS profile, for comparison")
    add_engine_options(parser)
    add_rig_options(parser)
    parser.add_argument("--sets", type=int, default=50, help="view sets of the journey, and of a round of refine")
    parser.add_argument("--sets-per-second", type=float, default=0.5, help="rate of the cameras of the journey")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of refine, each beside a halted refinement and one that runs; of fast and start"
    )
    parser.add_argument("--busy-sets-per-second", type=float, default=10.0, help="rate of the cameras of refine")
    parser.add_argument("--results-per-second", type=float, default=1.0, help="limit of results of fast")
    parser.add_argument("--fast-sets-per-second", type=float, default=30.0, help="rate of the fast cameras of fast")
    add_rate_options(parser)
    parser.add_argument("--domain", type=int, help="ROS domain of the measurement (default: a free one)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Measure; the parts that were asked for are in the result by their names. `RuntimeError` when a process fails."""
    arguments = parse(argv)
    if arguments.domain is not None:
        return measure(arguments)
    with claim_domain() as claim:
        arguments.domain = claim.domain_id
        return measure(arguments)


def measure(arguments: argparse.Namespace) -> dict:
    """The parts that were asked for, in the domain of the arguments."""
    environment = child_environment(arguments)
    os.environ.update(environment)  # the profile is read when this process makes its first participant
    context = Context()
    rclpy.init(context=context, domain_id=arguments.domain)
    node = Node("pan3d_bench", context=context)
    try:
        asked = MEASURES if arguments.part == "all" else {arguments.part: MEASURES[arguments.part]}
        return {part: measure_part(node, arguments, environment) for part, measure_part in asked.items()}
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def child_environment(arguments: argparse.Namespace) -> dict[str, str]:
    """Environment of all processes of the measurement."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(arguments.domain)}
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        environment[name] = "" if arguments.no_profile else str(shipped_profile())
    return environment


def shipped_profile() -> Path:
    """The Fast DDS profile: in a checkout, or where colcon has installed it."""
    path = Path(__file__).parents[3] / "config" / "fastdds_large.xml"
    if not path.exists():
        from ament_index_python.packages import get_package_share_directory

        path = Path(get_package_share_directory("pan3d_ros")) / "config" / "fastdds_large.xml"
    return path


def made_up_scene(num_points: int, num_objects: int = 12) -> Panoptic3D:
    """Points of a table with objects; only their number matters."""
    generator = torch.Generator().manual_seed(0)
    box = OrientedBox(torch.eye(4), torch.full((3,), 0.05))
    segments = tuple(
        Segment(i + 1, 0, 0.9, 0.9, 100, 4, torch.zeros(3), box, torch.rand(3, generator=generator)) for i in range(num_objects)
    )
    ids = torch.zeros(1, 2, 2, dtype=torch.int64)
    return Panoptic3D(
        semantic_id=ids,
        instance_id=ids,
        segments=segments,
        points=torch.rand(num_points, 3, generator=generator),
        point_colors=torch.rand(num_points, 3, generator=generator),
        point_instance_id=torch.randint(0, num_objects + 1, (num_points,), generator=generator),
        point_normals=torch.zeros(num_points, 3),
        labels=LabelSpace.things(("object",)),
    )


def measure_cloud(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Publish clouds at a rate to another process. Times are per cloud: `wall` as it came, `cpu` of this thread alone."""
    publisher = node.create_publisher(PointCloud2, "points", profile(1))
    command = [sys.executable, "-m", "pan3d_tools.bench.ros.cloud_receiver", "--expected", str(arguments.messages)]
    command += ["--best-effort"] if arguments.best_effort else []
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environment))
    try:
        wait_for(lambda: publisher.get_subscription_count() > 0, 120.0, "the receiver did not appear")
        time.sleep(1.0)  # the receiver's side of the match
        scene = made_up_scene(arguments.points)
        wall_ms, cpu_ms = [], []
        next_s = time.monotonic()
        for _ in range(arguments.messages):
            next_s += 1.0 / arguments.rate
            time.sleep(max(0.0, next_s - time.monotonic()))
            wall_start, cpu_start = time.perf_counter(), time.thread_time()
            message = cloud_message(cloud_records(scene), header("base_link", time.time_ns()))
            publisher.publish(message)
            cpu_ms.append((time.thread_time() - cpu_start) * 1e3)
            wall_ms.append((time.perf_counter() - wall_start) * 1e3)
        output = receiver.communicate(timeout=60.0)[0]
    finally:
        receiver.kill()
        receiver.wait()
        node.destroy_publisher(publisher)
    received = json.loads(output.splitlines()[-1])
    return {
        "points": arguments.points,
        "megabytes": len(message.data) * 1e-6,
        "rate_hz": arguments.rate,
        "profile": not arguments.no_profile,
        "reliable": not arguments.best_effort,
        "python_cpu_ms": percentiles(cpu_ms),
        "python_wall_ms": percentiles(wall_ms),
        "sent": arguments.messages,
        "received": received["received"],
        "transport_ms": percentiles(received["latencies_ms"]),
    }


def measure_journey(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Simulated cameras and the node as processes; from the newest image stamp to the published instances."""
    stats: list[PipelineStats] = []
    received_ms: list[float] = []

    def take(message: InstanceArray) -> None:
        received_ms.append((time.time_ns() - stamp_to_ns(message.newest_stamp)) * 1e-6)

    subscriptions = [
        node.create_subscription(PipelineStats, "/pan3d/stats", stats.append, profile(10)),
        node.create_subscription(InstanceArray, "/pan3d/instances", take, profile(10)),
    ]
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    with cell_and_perception(arguments, environment, arguments.sets_per_second) as children:
        deadline = time.monotonic() + 180.0 + 4 * arguments.sets / arguments.sets_per_second
        while len(stats) < arguments.sets + 1:
            executor.spin_once(timeout_sec=0.5)
            for child in children:
                child.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {len(stats)} results of {arguments.sets}:\n{children[1].log_tail()}")
    executor.remove_node(node)
    for subscription in subscriptions:
        node.destroy_subscription(subscription)
    return journey_table(arguments, stats[1:], received_ms[1:])


def journey_table(arguments: argparse.Namespace, stats: list[PipelineStats], received_ms: list[float]) -> dict:
    """Latencies and the stage table; the first set, which pays for first-time work, has been left out."""
    stages = {
        name: percentiles([1e3 * dict(zip(s.stages, s.stage_seconds)).get(name, 0.0) for s in stats]) for name in stats[0].stages
    }
    latency_s = [s.latency_seconds for s in stats]
    network_s = [sum(v for n, v in zip(s.stages, s.stage_seconds) if n in NETWORK_STAGES) for s in stats]
    latency = percentiles([1e3 * v for v in latency_s])
    return {
        "engine": arguments.engine,
        "device": stats[0].device,
        "cameras": arguments.cameras,
        "sets": len(stats),
        "stamp_to_published_ms": latency,
        "stamp_to_received_ms": percentiles(received_ms),
        "p99_over_p50": latency["p99"] / latency["p50"],
        "share_outside_network": 1.0 - sum(network_s) / sum(latency_s),
        "stages_ms": stages,
        "instances": float(np.mean([s.num_instances for s in stats])),
        "points": float(np.mean([s.num_points for s in stats])),
        "sets_replaced": int(stats[-1].sets_replaced),
    }


def wait_for(condition, timeout_s: float, problem: str) -> None:
    """`RuntimeError` when the condition has not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(problem)
        time.sleep(0.05)


MEASURES: Mapping[str, Callable[[Node, argparse.Namespace, Mapping[str, str]], dict]] = {
    "cloud": measure_cloud,
    "journey": measure_journey,
    "refine": measure_beside_refinement,
    "fast": measure_fast_cameras,
    "start": measure_start,
    "rate": measure_rate,
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1:]), indent=2) + "\n")
