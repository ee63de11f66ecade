"""Where a page is served, and that it is served there and nowhere else."""

from __future__ import annotations

import contextlib
import html
import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pan3d_core.pictures.palette import Color

if TYPE_CHECKING:
    import viser


@dataclass(frozen=True)
class PageAddress:
    """Where a page is served."""

    host: str = "127.0.0.1"  # this machine only
    port: int = 8080  # 0 = a free one

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: expected 0 to 65535, got {self.port}")


def serve(place: PageAddress) -> tuple[viser.ViserServer, str]:
    """Serve an empty page.

    Args:
        place: Where.

    Returns:
        Its server, and its address for a browser.

    Raises:
        ValueError: The port is taken, or the host is not one of this machine.
        ModuleNotFoundError: viser is not installed.
    """
    import viser

    host, port = place.host, place.port
    # viser itself would take the next free port without a word, and try for ever where the host cannot be served.
    require_free(place)
    with contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host=host, port=port, label="pan3d", verbose=False)
    if port and server.get_port() != port:
        server.stop()
        raise ValueError(f"port, host: expected a free port of this machine, got {port} of {host}")
    # viser's button for a public address would carry what is shown out of this machine.
    server.gui.configure_theme(show_share_button=False, show_logo=False)
    return server, f"http://{host}:{server.get_port()}"


def require_free(place: PageAddress) -> None:
    """Check that something can be served at a place; `ValueError` where the port is taken or the host is none of this machine."""
    host, port = place.host, place.port
    try:
        family, kind, protocol, _, at = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(at)
    except OSError as error:
        raise ValueError(f"port, host: expected a free port of this machine, got {port} of {host} ({error.strerror})") from error


def stop_quietly(server: viser.ViserServer) -> None:
    """Close a page's connections and free its port."""
    with contextlib.redirect_stdout(io.StringIO()):
        server.stop()


def why_refused(action: Callable[[], None], refusals: tuple[type[Exception], ...]) -> str:
    """Do what a person asked a page for.

    Args:
        action: What it is.
        refusals: Errors that the page shows instead of losing it; others are raised.

    Returns:
        Why it was refused; empty when it was done.
    """
    try:
        action()
    except refusals as error:
        return str(error)
    return ""


def paragraph(text: str, color: Color | None = None) -> str:
    """Make a line of a panel.

    Args:
        text: Whatever it looks like, it is shown as text: names come out of files and messages.
        color: Of a square before it; None = no square.

    Returns:
        HTML.
    """
    swatch = ""
    if color is not None:
        swatch = f'<span style="color: rgb{color}">&#9632;</span> '
    return f'<div style="margin: 0.2em 1em; font-size: 0.875em; overflow-wrap: anywhere">{swatch}{html.escape(text)}</div>'
