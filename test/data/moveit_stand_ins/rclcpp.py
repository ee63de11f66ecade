"""Of py_binding_tools."""

from told import kind

Node = kind("Node")


def init():
    """As the real one."""
