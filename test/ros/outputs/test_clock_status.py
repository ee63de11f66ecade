"""Simulated time that nobody publishes, or that is there and not used, is told in /diagnostics."""

from __future__ import annotations

from types import SimpleNamespace

import ros_support
from rosgraph_msgs.msg import Clock

from pan3d_ros.outputs.clock_status import clock_status
from pan3d_ros.outputs.diagnostics import ERROR, OK, WARN


def node(*, simulated: bool, publishers: int, now_ns: int = 1):
    return SimpleNamespace(
        get_parameter=lambda name: SimpleNamespace(value={"use_sim_time": simulated}[name]),
        count_publishers=lambda topic: {"/clock": publishers}[topic],
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=now_ns)),
    )


def test_each_way_in_which_time_can_be_wrong_has_a_line_of_its_own():
    found = [
        (line.level, line.message)
        for line in (
            clock_status(node(simulated=False, publishers=0)),
            clock_status(node(simulated=False, publishers=1)),
            clock_status(node(simulated=True, publishers=0, now_ns=0)),
            clock_status(node(simulated=True, publishers=1, now_ns=0)),
            clock_status(node(simulated=True, publishers=1)),
        )
    ]
    assert [level for level, _ in found] == [OK, WARN, ERROR, ERROR, OK]
    assert "use_sim_time is false" in found[1][1] and "no publisher" in found[2][1] and "paused" in found[3][1]


def test_a_node_that_is_told_to_wait_for_a_clock_says_so_while_there_is_none(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, use_sim_time=True).start()
    bench.until(lambda: bench.listener.shows("clock", ERROR, "/clock has no publisher"), "the line")
    clock = bench.rig.create_publisher(Clock, "/clock", 10)
    bench.until(lambda: bench.listener.shows("clock", ERROR, "no time has come"), "a publisher that is silent")
    message = Clock()
    message.clock.sec = 100
    clock.publish(message)
    bench.until(lambda: clock.publish(message) or bench.listener.shows("clock", OK, "the time of /clock"), "time")
