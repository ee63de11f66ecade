"""A running perception node looked at and asked from beside it: a page in the browser, tools of an agent; it knows the node's
topics and services, and nothing of its inside."""

from pan3d_tools.live.connection import NodeConnection, NodeUnavailable
from pan3d_tools.live.sight import Look, Sight

__all__ = ["Look", "NodeConnection", "NodeUnavailable", "Sight"]
