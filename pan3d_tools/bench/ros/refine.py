"""`pan3d bench ros refine`: how fast results come while the node refines a map of its place, and how fast without."""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pan3d_interfaces.action import RefineScene
from pan3d_interfaces.msg import PipelineStats
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from pan3d_ros.outputs.publishers import profile
from pan3d_tools.bench.ros.nodes import cell_and_perception, percentiles
from pan3d_tools.demo.processes import ChildNode

RESULT_TIMEOUT_S, START_TIMEOUT_S = 120.0, 300.0
WARM_UP = 3  # results that are not counted at the start
ENDLESS = 1_000_000  # steps


@dataclass(frozen=True)
class Phase:
    """Some results one after the other."""

    seconds: float  # from the result before the first one to the last one
    process_s: tuple[float, ...]  # the pipeline's time for each
    latency_s: tuple[float, ...]  # newest image stamp to publication
    cpu_s: float  # processor time of the node's process
    steps: int = 0  # that a refinement took meanwhile


def measure_beside_refinement(node: Node, arguments: argparse.Namespace, environment: Mapping[str, str]) -> dict:
    """Cameras that are faster than the node, so that it always works, but not so fast that their messages fill the machine.
    One refinement is halted and let go in turns, which takes no time, so that neighbouring phases find the machine alike.

    Raises `RuntimeError` when a process fails or falls silent, and when a refinement is refused.
    """
    alone: list[Phase] = []
    beside: list[Phase] = []
    with (
        tempfile.TemporaryDirectory() as maps,
        cell_and_perception(arguments, environment, arguments.busy_sets_per_second, {"refine.folder": maps}) as children,
    ):
        watcher = Watcher(node, children)
        try:
            watcher.results(WARM_UP, START_TIMEOUT_S)
            goal = watcher.start("bench")
            for _ in range(arguments.rounds):
                with watcher.halted():
                    alone.append(watcher.results(arguments.sets))
                beside.append(watcher.results(arguments.sets))
            watcher.cancel(goal)
            device = watcher.device
        finally:
            watcher.close()
    return comparison(alone, beside) | {
        "engine": arguments.engine,
        "device": device,
        "cameras": arguments.cameras,
        "sets": arguments.sets,
        "rounds": arguments.rounds,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
    }


def comparison(alone: Sequence[Phase], beside: Sequence[Phase]) -> dict:
    """Rates and times of both, and ratios of what is beside a refinement to what is alone: of the rate in the middle and in
    each round, of the pipeline's median time, and of processor time for each result."""
    ratios = [_rate([second]) / _rate([first]) for first, second in zip(alone, beside, strict=True)]
    return {
        "alone": _figures(alone),
        "beside": _figures(beside) | {"steps_per_s": sum(p.steps for p in beside) / sum(p.seconds for p in beside)},
        "rate_ratio": float(np.median(ratios)),
        "rate_ratio_of_rounds": ratios,
        "process_time_ratio": _median(beside) / _median(alone),
        "cpu_ratio": _cpu(beside) / _cpu(alone),
    }


def _figures(phases: Sequence[Phase]) -> dict:
    return {
        "results_per_s": _rate(phases),
        "cpu_ms_per_result": 1e3 * _cpu(phases),
        "process_ms": percentiles([1e3 * value for phase in phases for value in phase.process_s]),
        "stamp_to_published_ms": percentiles([1e3 * value for phase in phases for value in phase.latency_s]),
    }


def _rate(phases: Sequence[Phase]) -> float:
    return sum(len(phase.process_s) for phase in phases) / sum(phase.seconds for phase in phases)


def _median(phases: Sequence[Phase]) -> float:
    return float(np.median([value for phase in phases for value in phase.process_s]))


def _cpu(phases: Sequence[Phase]) -> float:
    """Seconds of a processor for each result."""
    return sum(phase.cpu_s for phase in phases) / sum(len(phase.process_s) for phase in phases)


def processor_seconds(pid: int) -> float:
    """That a process has used so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, see proc(5)


def children_of(pid: int, module: str) -> list[int]:
    """Processes that this one has started to run a Python module."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and module.encode() in (path / "cmdline").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found


class Watcher:
    """Hears results and feedback, and asks for refinements."""

    def __init__(self, node: Node, children: Sequence[ChildNode]) -> None:
        self._node, self._children = node, children
        self._stats: list[tuple[float, PipelineStats]] = []
        self._steps = 0
        self._subscription = node.create_subscription(
            PipelineStats, "/pan3d/stats", lambda message: self._stats.append((time.monotonic(), message)), profile(10)
        )
        self._client = ActionClient(node, RefineScene, "/pan3d/refine_scene")
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)

    @property
    def device(self) -> str:
        """Of perception."""
        return self._stats[-1][1].device

    def close(self) -> None:
        """Leave the node as it was."""
        self._client.destroy()
        self._executor.remove_node(self._node)
        self._node.destroy_subscription(self._subscription)

    def results(self, count: int, timeout_s: float = RESULT_TIMEOUT_S) -> Phase:
        """The next `count` of them after one more, where time begins; `timeout_s` for each."""
        begin = len(self._stats)
        self._until(lambda: len(self._stats) > begin, "a result", timeout_s)
        steps, cpu_s = self._steps, processor_seconds(self._children[1].pid)
        self._until(lambda: len(self._stats) > begin + count, f"{count} results", timeout_s * count)
        first, taken = self._stats[begin], self._stats[begin + 1 : begin + 1 + count]
        return Phase(
            seconds=taken[-1][0] - first[0],
            process_s=tuple(message.process_seconds for _, message in taken),
            latency_s=tuple(message.latency_seconds for _, message in taken),
            cpu_s=processor_seconds(self._children[1].pid) - cpu_s,
            steps=self._steps - steps,
        )

    def start(self, name: str) -> ClientGoalHandle:
        """A refinement that has no end; returns after the first step."""
        self._until(self._client.server_is_ready, "the action", START_TIMEOUT_S)
        self._steps = 0
        sent = self._client.send_goal_async(RefineScene.Goal(output=name, steps=ENDLESS), self._hear)
        self._until(sent.done, "an answer to the goal", START_TIMEOUT_S)
        goal: ClientGoalHandle = sent.result()
        ended = goal.get_result_async()
        self._until(lambda: self._steps > 0 or ended.done(), "the first step", START_TIMEOUT_S)
        if ended.done():
            raise RuntimeError(f"the refinement ended: {ended.result().result.message}")
        return goal

    @contextmanager
    def halted(self) -> Iterator[None]:
        """The refinement's process stands still meanwhile."""
        (child,) = children_of(self._children[1].pid, "pan3d_ros.refinement.process")
        os.kill(child, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(child, signal.SIGCONT)

    def cancel(self, goal: ClientGoalHandle) -> None:
        """End it, and wait until it has."""
        ended = goal.get_result_async()
        goal.cancel_goal_async()
        self._until(ended.done, "the end of a cancelled refinement", START_TIMEOUT_S)

    def _hear(self, message: RefineScene.Impl.FeedbackMessage) -> None:
        self._steps = max(self._steps, message.feedback.step)

    def _until(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            self._executor.spin_once(timeout_sec=0.5)
            for child in self._children:
                child.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come in {timeout_s:.0f} s:\n{self._children[1].log_tail()}")
