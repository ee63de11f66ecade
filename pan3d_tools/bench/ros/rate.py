"""`pan3d bench ros rate`: the highest rate of view sets that the node turns into results, by `sustained`'s rules."""

from __future__ import annotations

import argparse
import platform
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pan3d_interfaces.msg import InstanceArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.parts import stamp_from_ns
from pan3d_ros.outputs.publishers import profile
from pan3d_tools.bench.ros.nodes import cell_and_perception
from pan3d_tools.bench.ros.refine import START_TIMEOUT_S
from pan3d_tools.bench.ros.sustained import RateSearch, Trial, highest_sustained, report_of
from pan3d_tools.cli.output import write_json
from pan3d_tools.demo.processes import ChildNode

BUFFERED = 4  # view sets that are recorded and played in turns
RECORD_HZ = 2.0
LAST_RESULT_S = 5.0  # results are waited for so long after the last frame
SAMPLE_S, IDLE_S = 0.1, 2.0
LOOPING = 1  # `BENCHMARK_MODE` of playing what was recorded again and again
# In the order of playing. Poses are not played: those of the cell hold for ever, and the node has heard them.
KINDS = {"camera_info": CameraInfo, "depth": Image, "image_raw": Image}


def add_rate_options(parser: argparse.ArgumentParser) -> None:
    """Options of where the rate is looked for."""
    usual = RateSearch()
    group = parser.add_argument_group("rate")
    group.add_argument("--lowest-hz", type=float, default=usual.lower_hz, help="rate to begin with (default: %(default)s)")
    group.add_argument("--highest-hz", type=float, default=usual.upper_hz, help="rate to end with (default: %(default)s)")
    group.add_argument("--trial-s", type=float, default=usual.duration_s, help="length of a trial (default: %(default)s)")
    group.add_argument("--trials", type=int, default=usual.trials, help="at the rate that was found (default: %(default)s)")
    group.add_argument("--kpi", type=Path, metavar="FILE", help="write the figures as ros2_benchmark does")


def measure_rate(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Record some view sets of the simulated cell, end it, and play them faster and slower.

    Raises:
        RuntimeError: A process fails or falls silent, or not even the lowest rate is sustained.
    """
    search = RateSearch(
        lower_hz=arguments.lowest_hz, upper_hz=arguments.highest_hz, duration_s=arguments.trial_s, trials=arguments.trials
    )
    with cell_and_perception(arguments, environment, RECORD_HZ, {"input.max_rate_hz": 0.0}) as (cell, perception):
        player = Player(node, perception, [f"camera_{index}" for index in range(arguments.cameras)], arguments.depth)
        try:
            player.record(cell)
            cell.stop()
            idle = player.rest(IDLE_S)
            rate_hz = highest_sustained(player.play, search)
            trials = [player.play(rate_hz, search.count(rate_hz)) for _ in range(search.trials)]
            resolution = player.resolution
        finally:
            player.close()
    custom = {"data_resolution": resolution, "cameras": arguments.cameras, "engine": arguments.engine, "depth": arguments.depth}
    report = report_of(trials, idle, custom, metadata(search, rate_hz, idle))
    if arguments.kpi is not None:
        write_json(arguments.kpi, report)
    return report


def metadata(search: RateSearch, rate_hz: float, idle: Trial) -> dict[str, object]:
    """Tell of the run and the machine what `ros2_benchmark` tells, but for its name.

    Args:
        search: Where the rate was looked for.
        rate_hz: That was found.
        idle: Samples of before.

    Returns:
        Names of `BenchmarkMetadata` -> values.
    """
    machine = platform.uname()
    return {
        "NAME": "pan3d perception graph",
        "TEST_DATETIME": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "DEVICE_ARCH": machine.machine,
        "DEVICE_OS": f"{machine.system} {machine.release}",
        "IDLE_CPU_UTIL": sum(idle.cpu_percent) / max(len(idle.cpu_percent), 1),
        "BENCHMARK_MODE": LOOPING,
        "PEAK_THROUGHPUT_PREDICTION": rate_hz,
        "CONFIG": yaml.safe_dump({"ros2_benchmark_config": search.named()}),
    }


class Player:
    """Records view sets, plays them with stamps of now, and notes whose results come.

    Args:
        node: That records and plays.
        perception: Process of the node that is measured.
        cameras: Names.
        depth: Whether they have depth.
    """

    def __init__(self, node: Node, perception: ChildNode, cameras: Sequence[str], depth: bool) -> None:
        self._node, self._perception, self._cameras = node, perception, cameras
        self._kinds = {name: kind for name, kind in KINDS.items() if depth or name != "depth"}
        self._sets: list[dict[tuple[str, str], Any]] = []  # (camera, kind) -> message
        self._received_ns: dict[int, int] = {}  # stamp of a set -> time.time_ns()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._results = node.create_subscription(InstanceArray, "/pan3d/instances", self._take, profile(100))
        self._out: dict[tuple[str, str], Any] = {}

    @property
    def resolution(self) -> str:
        """Size of the first camera's pictures."""
        picture = self._sets[0][self._cameras[0], "image_raw"]
        return f"({picture.width},{picture.height})"

    def close(self) -> None:
        """Leave the node as it was."""
        self._executor.remove_node(self._node)
        self._node.destroy_subscription(self._results)
        for publisher in self._out.values():
            self._node.destroy_publisher(publisher)

    def record(self, cell: ChildNode) -> None:
        """Take `BUFFERED` whole view sets of the cell, and a result of the node that shows that it is ready."""
        by_stamp: dict[int, dict[tuple[str, str], Any]] = {}

        def keep(place: tuple[str, str], message: Any) -> None:
            by_stamp.setdefault(stamp_to_ns(message.header.stamp), {})[place] = message

        places = [(camera, kind) for kind in self._kinds for camera in self._cameras]
        subscriptions = [
            self._node.create_subscription(self._kinds[place[1]], "/".join(place), partial(keep, place), profile(10))
            for place in places
        ]

        def whole() -> list[dict[tuple[str, str], Any]]:
            return [found for found in by_stamp.values() if len(found) == len(places)]

        deadline_s = time.monotonic() + START_TIMEOUT_S
        while len(whole()) < BUFFERED or not self._received_ns:
            self._executor.spin_once(timeout_sec=0.5)
            cell.check()
            self._perception.check()
            if time.monotonic() > deadline_s:
                said = self._perception.log_tail()
                raise RuntimeError(f"only {len(whole())} view sets and {len(self._received_ns)} results came:\n{said}")
        for subscription in subscriptions:
            self._node.destroy_subscription(subscription)
        self._sets = whole()[:BUFFERED]
        self._out = {(c, k): self._node.create_publisher(self._kinds[k], f"{c}/{k}", profile(5)) for c, k in places}

    def rest(self, seconds: float) -> Trial:
        """Samples of the machine while nothing is played."""
        with Load() as load:
            self._spin_until(time.monotonic() + seconds)
        return Trial({}, {}, load.cpu_percent, load.memory_percent)

    def play(self, rate_hz: float, count: int) -> Trial:
        """Play so many sets at a rate, and wait for results until none is missing or `LAST_RESULT_S` have passed."""
        sent_ns: dict[int, int] = {}
        self._received_ns = {}
        begin_s = time.monotonic()
        with Load() as load:
            for index in range(count):
                self._spin_until(begin_s + index / rate_hz)
                stamp_ns = time.time_ns()
                self._send(self._sets[index % len(self._sets)], stamp_ns)
                sent_ns[stamp_ns] = stamp_ns
        end_s = time.monotonic() + LAST_RESULT_S
        while not set(sent_ns) <= set(self._received_ns) and time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.1)
        self._perception.check()
        received_ns = {key: at for key, at in self._received_ns.items() if key in sent_ns}
        return Trial(sent_ns, received_ns, load.cpu_percent, load.memory_percent)

    def _send(self, messages: Mapping[tuple[str, str], Any], stamp_ns: int) -> None:
        for place, publisher in self._out.items():
            messages[place].header.stamp = stamp_from_ns(stamp_ns)
            publisher.publish(messages[place])

    def _spin_until(self, end_s: float) -> None:
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left_s)

    def _take(self, message: InstanceArray) -> None:
        self._received_ns.setdefault(stamp_to_ns(message.header.stamp), time.time_ns())


class Load:
    """Samples how busy the machine is, while the block runs."""

    def __init__(self) -> None:
        self.cpu_percent: list[float] = []
        self.memory_percent: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        with suppress(FileNotFoundError):  # no /proc: figures of load are left out
            before = cpu_ticks()
            while not self._over.wait(SAMPLE_S):
                now = cpu_ticks()
                if now[1] > before[1]:
                    self.cpu_percent.append(100.0 * (now[0] - before[0]) / (now[1] - before[1]))
                self.memory_percent.append(memory_in_use())
                before = now


def cpu_ticks() -> tuple[int, int]:
    """Ticks that the machine's processors were busy, and all of them, since it started; see proc(5)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # but for idle and waiting for a disk


def memory_in_use() -> float:
    """Per cent of the machine's memory that programs could not have; see proc(5)."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return 100.0 * (total - free) / total
