"""Functions named by where they stand, so that a table of them costs nothing until one is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def attributes(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package whose public names are loaded on first use.

    Args:
        package: Its dotted name.
        names: Module below the package -> public names that stand in it.

    Returns:
        A function of a name, to be assigned to `__getattr__`; it raises `AttributeError` that lists what there is.
    """

    homes = {name: module for module, own in names.items() for name in own}

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"{package} has no {name!r}; it offers {', '.join(homes)}")
        return load(f"{package}.{homes[name]}:{name}")

    return attribute
