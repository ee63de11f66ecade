"""The questions of `tools` as tools of an agent: a server of the Model Context Protocol, by its official SDK."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from pan3d_core import __version__
from pan3d_tools.live.connection import NodeConnection
from pan3d_tools.live.tools import NodeTools, Refused
from pan3d_tools.viewer.serving import PageAddress, require_free

if TYPE_CHECKING:
    import mcp.server

INSTRUCTIONS = (
    "Objects that a robot's cameras see, in metres in the robot's own frame, with ids that stay. These tools look and ask; none"
    " of them moves anything. NOT_FOUND means that the node looked and nothing fits; every other code that it could not look."
)
LOOPBACK = "127.0.0.1"


def build_server(connection: NodeConnection) -> mcp.server.MCPServer:
    """Make the server; it answers as long as the connection is open.

    Args:
        connection: To the node that is asked.

    Returns:
        A server with the tools `list_objects`, `find_objects`, `get_grasps` and `get_picture`.

    Raises:
        ModuleNotFoundError: The SDK is not installed.
    """
    import mcp.server
    import mcp.server.mcpserver
    import mcp.server.mcpserver.exceptions
    import mcp.types

    tools = NodeTools(connection)

    def answering(question: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(question)
        def answer(*given: Any, **named: Any) -> Any:
            try:
                return question(*given, **named)
            except Refused as refused:
                raise mcp.server.mcpserver.exceptions.ToolError(str(refused)) from refused

        return answer

    def get_picture() -> Any:
        return mcp.server.mcpserver.Image(data=tools.get_picture(), format="jpeg")

    get_picture.__doc__ = tools.get_picture.__doc__
    server = mcp.server.MCPServer("pan3d", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    only_looks = mcp.types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
    for question in (tools.list_objects, tools.find_objects, tools.get_grasps):
        server.add_tool(answering(question), annotations=only_looks, structured_output=True)
    server.add_tool(answering(get_picture), annotations=only_looks, structured_output=False)
    return server


def serve_agent(node_name: str, port: int | None = None) -> None:
    """Serve the tools until the agent goes, over standard input and output, or until Ctrl-C over HTTP.

    Args:
        node_name: Of the node that is asked; it need not be there yet.
        port: Of this machine, for HTTP instead, reached from this machine alone.

    Raises:
        ValueError: The name is none of a node, or the port is taken.
        ModuleNotFoundError: The SDK is not installed.
    """
    if port is not None:
        require_free(PageAddress(LOOPBACK, port))
    connection = NodeConnection(node_name, "pan3d_mcp")
    try:
        server = build_server(connection)
        if port is None:
            server.run()
        else:
            server.run("streamable-http", host=LOOPBACK, port=port)
    finally:
        connection.close()
