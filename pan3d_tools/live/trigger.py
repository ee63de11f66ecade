"""One question to a running node that needs no words."""

from __future__ import annotations

from contextlib import closing

from std_srvs.srv import Trigger

from pan3d_tools.live.connection import NodeConnection, NodeUnavailable

TIMEOUT_S = 60.0  # that the node may take


def ask_trigger(node_name: str, service: str) -> tuple[bool, str]:
    """Call a service of the type std_srvs/Trigger.

    Args:
        node_name: Fully qualified, such as /pan3d.
        service: Its name below the node's.

    Returns:
        Whether it succeeded, and its message.

    Raises:
        ValueError: There is no such node, it has no such service, or gives no answer.
    """
    with closing(NodeConnection(node_name)) as connection:
        try:
            answer = connection.ask(Trigger, service, Trigger.Request(), TIMEOUT_S)
        except NodeUnavailable as error:
            raise ValueError(f"--node: {error}") from error
    return answer.success, answer.message
