"""What commands that serve a page have in common."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Page(Protocol):
    """Something that is served until it is stopped."""

    address: str

    def stop(self) -> None: ...


def add_page_options(parser: argparse._ActionsContainer) -> None:
    """Give a command the options that say where its page is served."""
    parser.add_argument("--port", type=int, help="where the page is served; 0 takes a free one")
    parser.add_argument("--host", help="address to serve at (default: for browsers of this machine only)")


def given_page_options(options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """Give the options of a page that were given.

    Args:
        options: Of the command.
        more: Names of further ones.

    Returns:
        Name -> value, without those that the settings' own defaults stand for.
    """
    values = {name: getattr(options, name) for name in ("port", "host", *more)}
    return {name: value for name, value in values.items() if value is not None}


def serve_until_interrupted(page: Page, what: str, begin: Callable[[], None] = lambda: None) -> int:
    """Say where a page is, and serve it until Ctrl-C.

    Args:
        page: The page.
        what: That it shows.
        begin: Called before the address is told.

    Returns:
        The exit code.
    """
    try:
        begin()
        print(f"{what} at {page.address} until Ctrl-C", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        print("stopping")
    finally:
        page.stop()
    return 0
