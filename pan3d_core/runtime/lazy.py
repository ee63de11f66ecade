"""Functions named by where they stand, so that a table of them costs nothing until one is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(place: str) -> Any:
    """Import what stands at `place`.

    Args:
        place: `"module:name"`, such as `"pan3d_core.engines.mini:build"`.

    Returns:
        The function, class or value of that name.

    Raises:
        ValueError: `place` is not of this form.
        ModuleNotFoundError: The module, or a library that it needs, is not installed.
    """
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise ValueError(f"place: expected module:name, got {place!r}")
    return getattr(import_module(module), name)
