"""The one place that knows what rclpy keeps to itself: what a node needs without a public way to it, and faults to live with.

Checked against rclpy 7.1 (Jazzy). Each function says what would make it superfluous, so that it can go when rclpy offers it. A
slot of generated messages, which is not rclpy's, is in `messages.buffers.assign_bytes`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.exceptions import InvalidHandle, ParameterNotDeclaredException
from rclpy.executors import Executor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

from pan3d_core.runtime.failures import FAILURES

log = logging.getLogger("pan3d.ros.rclpy")

RCLError = rclpy_implementation.RCLError
"""What the compiled part of rclpy raises. `rclpy.exceptions` does not offer it, so nobody could catch it otherwise."""

_QOS_VALUES: dict[str, tuple[str, ...]] = {
    "history": ("keep_last", "keep_all"),
    "depth": (),
    "reliability": ("reliable", "best_effort"),
    "durability": ("volatile", "transient_local"),
}

CALLBACK_FAILURE_PAUSE_S = 0.001
"""After a callback that failed, so that failures without end leave time for others."""

HANDLE_IS_GONE = (RCLError, InvalidHandle)
"""What using a publisher raises after the process was asked to end: either, by the moment at which its context went."""


GONE_WHILE_GATHERED = "to wait set"
"""In the message of an `RCLError` by which an executor says that it was about to wait for something just destroyed."""


def spin(executor: Executor, on_failure: Callable[[Exception], None]) -> None:
    """Spin for nodes that stay, whatever a callback raises, and that unsubscribe while they run.

    An exception of a callback comes out of `executor.spin()`, which would end the node by one odd message on any topic.
    A message that has been queued for a subscription which another thread destroys meanwhile raises `InvalidHandle` there; it
    concerns nobody any more. Likewise an action server or a client that is destroyed while an executor gathers what it will
    wait for, which raises `RCLError`. Superfluous when executors drop such callbacks and report such failures themselves.

    Args:
        executor: Whose nodes are spun, until it is shut down.
        on_failure: Is told what a callback raised, as far as it is of the listed families; the others pass.
    """
    while True:
        try:
            executor.spin()
            return
        except InvalidHandle as error:
            log.debug("a callback of a destroyed subscription was dropped: %s", error)
        except FAILURES as error:
            if isinstance(error, RCLError) and GONE_WHILE_GATHERED in str(error):
                log.debug("something destroyed is not waited for any more: %s", error)
            else:
                on_failure(error)
            time.sleep(CALLBACK_FAILURE_PAUSE_S)


def take_waiting(subscription: Subscription) -> list[Any]:
    """Take what waits in the middleware for a subscription, oldest first, without its callback.

    An executor takes one message each time it has gathered all that it could wait for, which costs milliseconds in a node with
    many services. Superfluous when executors take several.

    Args:
        subscription: Whose messages; none where another thread has destroyed it.

    Returns:
        Messages, serialized where the subscription is raw.
    """
    taken: list[Any] = []
    try:
        with subscription.handle:
            while (found := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None:
                taken.append(found[0])
    except InvalidHandle:
        pass
    return taken


def lifecycle_state(node: LifecycleNode) -> str:
    """Give the label of the node's present state, as "inactive".

    rclpy tells it to other processes by the service `~/get_state`, and to its own one not at all.
    """
    return node._state_machine.current_state[1]


def executor_threads(node: Node) -> int | None:
    """Give how many callbacks of a node can run at the same time; None while nobody spins it.

    An executor does not tell its number of threads. Superfluous when it does.
    """
    executor = node.executor
    if executor is None:
        return None
    pool = getattr(executor, "_executor", None)  # of a MultiThreadedExecutor
    return int(pool._max_workers) if pool is not None else 1


def parameter_values(node: Node) -> dict[str, Any]:
    """Give the values of all declared parameters by name.

    `get_parameters_by_prefix` says in its annotation that it gives values; what comes are `Parameter`s.
    """
    found: dict[str, Any] = dict(node.get_parameters_by_prefix(""))
    return {name: parameter.value for name, parameter in found.items()}


def qos_overrides(node: Node, topic: str, entity: str) -> QoSOverridingOptions:
    """Read which policies of an endpoint the node was started with, as `qos_overrides./front/image_raw.subscription.depth`.

    Declaring them all, as rclpy has it, would keep the values of the first subscription when a later one is to follow other
    publishers. Superfluous when rclpy declares only what was given.

    Args:
        node: That makes the endpoint.
        topic: As it is asked for; its full name is in the parameter.
        entity: "subscription" or "publisher".

    Returns:
        For `create_subscription` and `create_publisher`.

    Raises:
        ValueError: Names the parameter, what was expected and what came.
    """
    prefix = f"qos_overrides.{node.resolve_topic_name(topic)}.{entity}."
    given = [name for name in node._parameter_overrides if name.startswith(prefix)]
    policies = []
    for name in given:
        policy, value = name.removeprefix(prefix), node._parameter_overrides[name].value
        if policy not in _QOS_VALUES:
            raise ValueError(f"{name}: expected one of {', '.join(_QOS_VALUES)} behind the topic, got {policy}")
        allowed = _QOS_VALUES[policy]
        if not (value in allowed if allowed else type(value) is int and value > 0):
            raise ValueError(f"{name}: expected {' or '.join(allowed) or 'a number of messages'}, got {value!r}")
        policies.append(QoSPolicyKind[policy.upper()])
    return QoSOverridingOptions(policies)


def undeclared_overrides(node: Node) -> list[str]:
    """Give the names of parameters that the node was started with and has not declared.

    rclpy keeps what the command line and parameter files say until a parameter of that name is declared, and is silent about the
    rest. Superfluous when rclpy tells which overrides nobody took.
    """
    return [name for name in node._parameter_overrides if not node.has_parameter(name)]


def explain_undeclared(node: Node, explain: Callable[[list[str]], list[str]]) -> None:
    """Make the node say which parameter it does not have when somebody sets it; rclpy says "undeclared parameter(s): []".

    Superfluous when rclpy names them.

    Args:
        node: Whose parameters are set.
        explain: From names of parameters that the node does not have to a sentence each.
    """

    def check(parameters: Sequence[Parameter]) -> None:
        unknown = [parameter.name for parameter in parameters if not node.has_parameter(parameter.name)]
        if unknown:
            raise ParameterNotDeclaredException("; ".join(explain(unknown) or unknown))

    node._check_undeclared_parameters = check  # type: ignore[assignment, method-assign]


def guard_transitions(node: LifecycleNode) -> None:
    """Make `~/change_state` answer an impossible transition ("activate" while unconfigured) with false.

    rclpy raises `RCLError` out of the callback, which ends the executor's `spin` and with it the node. The callback belongs to a
    service that only rclpy holds. Superfluous when rclpy answers, as rclcpp does.

    Args:
        node: Must have been constructed; its service is changed in place.
    """
    change = node._service_change_state.callback

    def guarded(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RCLError as error:
            log.warning("transition refused: %s", error)
            response.success = False
            return response

    node._service_change_state.callback = guarded


def destroy_lifecycle_services(node: LifecycleNode) -> None:
    """Destroy what `destroy_node` leaves: the services of the node's lifecycle.

    rclpy lets go of them only when the node object itself is collected. Until then other processes see them, and wait for answers
    that nobody gives. Superfluous when `LifecycleNode` has a `destroy_node` of its own.

    Args:
        node: Just destroyed.
    """
    node._state_machine.destroy_when_not_in_use()
