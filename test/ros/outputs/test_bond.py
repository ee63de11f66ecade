"""The heartbeat for managers that want a bond, as nav2_lifecycle_manager does, and what such a manager asks of the node."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import ros_support
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from pan3d_ros.outputs import BondHeartbeat
from pan3d_ros.platform.stand_ins import bond_msgs


class FakeNode:
    """What the heartbeat takes of a node, and what it sent."""

    def __init__(self) -> None:
        self.state, self.listeners, self.sent, self.timers = "inactive", 1, [], []
        self._state_machine = self

    @property
    def current_state(self):
        return (0, self.state)

    def get_name(self):
        return "pan3d"

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(to_msg=lambda: "now"))

    def create_publisher(self, kind, topic, depth):
        self.topic = topic
        return SimpleNamespace(publish=self.sent.append, get_subscription_count=lambda: self.listeners)

    def create_timer(self, period_s, callback, clock):
        self.timers.append(period_s)


MESSAGES = SimpleNamespace(Status=lambda **fields: SimpleNamespace(header=SimpleNamespace(), **fields))


def test_it_beats_while_the_node_is_active_and_says_once_that_it_ends():
    node = FakeNode()
    heartbeat = BondHeartbeat(node, MESSAGES)
    for state in ("inactive", "active", "active", "inactive", "inactive"):
        node.state = state
        heartbeat.beat()
    assert [message.active for message in node.sent] == [True, True, False]
    assert {(message.id, node.topic) for message in node.sent} == {("pan3d", "bond")}
    assert len({message.instance_id for message in node.sent}) == 1
    assert all(message.heartbeat_timeout > message.heartbeat_period == node.timers[0] for message in node.sent)


def test_nobody_who_listens_costs_no_message():
    node = FakeNode()
    node.state, node.listeners = "active", 0
    BondHeartbeat(node, MESSAGES).beat()
    assert node.sent == []


def test_where_bonds_are_not_installed_nothing_is_made():
    node = FakeNode()
    BondHeartbeat(node, None)
    assert node.timers == [] and not hasattr(node, "topic")


class Manager(Node):
    """The requests of nav2_lifecycle_manager: it changes a state and then asks whether that state is there."""

    def __init__(self, **options) -> None:
        super().__init__("lifecycle_manager", **options)
        self.change = self.create_client(ChangeState, "/pan3d/change_state")
        self.ask = self.create_client(GetState, "/pan3d/get_state")


def test_a_manager_of_nav2_brings_the_node_up_and_down(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch)
    manager = spinner.add(Manager(context=bench.node.context))
    transitions = (
        (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
        (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
        (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, State.PRIMARY_STATE_FINALIZED),
    )
    assert manager.change.wait_for_service(10.0) and manager.ask.wait_for_service(10.0)
    for transition, state in transitions:
        changed = manager.change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        bench.until(changed.done, "an answer")
        assert changed.result().success
        asked = manager.ask.call_async(GetState.Request())
        bench.until(asked.done, "a state")
        assert asked.result().current_state.id == state


@pytest.mark.skipif(bond_msgs is None, reason="needs the package bond (apt: ros-jazzy-bond)")
def test_the_other_side_of_a_real_bond_is_formed_and_broken(spinner, monkeypatch):
    bondpy = pytest.importorskip("bondpy.bondpy")
    bench = ros_support.Bench(spinner, monkeypatch)
    manager = spinner.add(Node("lifecycle_manager", context=bench.node.context))
    bond = bondpy.Bond(manager, "bond", "pan3d")
    bond.set_heartbeat_timeout(4.0)
    bond.start()
    bench.start()
    bench.until(lambda: bond.sister_instance_id is not None, "a bond", timeout_s=10.0)
    time.sleep(1.0)
    assert not bond.is_broken()
    bench.node.trigger_deactivate()
    bench.until(bond.is_broken, "its end", timeout_s=10.0)
