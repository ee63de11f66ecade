"""Settings dataclasses from and to plain values, as they stand in checkpoints and YAML files: strict, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

T = TypeVar("T")


def from_plain(like: T, values: Any, where: str) -> T:
    """The dataclass `like` with some of its fields replaced by plain values of the same types; groups may be nested."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected names with values, got {values!r}")
    known = {item.name: getattr(like, item.name) for item in fields(like)}
    for name in values:
        if name not in known:
            raise ValueError(f"{where}.{name}: expected one of {', '.join(known)}, got an unknown name")
    return replace(like, **{name: _read(known[name], value, f"{where}.{name}") for name, value in values.items()})


def _read(like: Any, value: Any, where: str) -> Any:
    """`value` if it is of the type of `like`; integers pass as floats and lists as tuples of equal length."""
    if is_dataclass(like):
        return from_plain(like, value, where)
    if isinstance(like, tuple) and isinstance(value, (list, tuple)) and len(value) == len(like):
        return tuple(_read(first, entry, where) for first, entry in zip(like, value, strict=True))
    if isinstance(like, float) and type(value) is int:
        return float(value)
    if like is None and (value is None or type(value) is int):  # optional sizes
        return value
    if type(value) is not type(like):
        wanted = f"{len(like)} values" if isinstance(like, tuple) else type(like).__name__
        raise ValueError(f"{where}: expected {wanted}, got {value!r}")
    return value


def to_plain(value: Any) -> Any:
    """`value` with dataclasses and mappings as dicts and tuples as lists, as JSON and YAML hold them."""
    if is_dataclass(value):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(entry) for name, entry in value.items()}
    return [to_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value
