"""What settings dataclasses are made of: fields with descriptions and limits, validation, and nested names to values.

Every field carries `metadata` with `description`, and where they apply `range` (lowest, highest), `choices` and `read_only`
(fixed while a pipeline runs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, field, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

C = TypeVar("C")


def setting(
    default: Any,
    description: str,
    *,
    range: tuple[float, float] | None = None,
    choices: tuple[str, ...] | None = None,
    read_only: bool = False,
) -> Any:
    """A dataclass field with the metadata that validation and ROS parameters are made from."""
    metadata = {"description": description, "range": range, "choices": choices, "read_only": read_only}
    return field(default=default, metadata=metadata)


def group(cls: type[C], description: str) -> Any:
    """A dataclass field that holds another settings group."""
    return field(default_factory=cls, metadata={"description": description})


class Checked:
    """Base of settings groups: every field is validated against its annotation and metadata when an instance is made."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):  # type: ignore[arg-type]
            name = f"{type(self).__name__}.{item.name}"
            value = _converted(name, getattr(self, item.name), hints[item.name])
            object.__setattr__(self, item.name, value)
            _check_limits(name, value, item)


def _converted(name: str, value: Any, hint: Any) -> Any:
    """`value` as the annotated type; integers pass as floats and lists as tuples, nothing else is converted."""
    if is_dataclass(hint):
        if not isinstance(value, hint):
            raise ValueError(f"{name}: expected {hint.__name__}, got {type(value).__name__}")
        return value
    if hint == float | None and value is None:
        return None
    if hint in (float, float | None) and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
        return float(value)
    if hint == tuple[float, ...] and isinstance(value, (list, tuple)):
        return tuple(_converted(name, entry, float) for entry in value)
    if hint == tuple[str, ...] and isinstance(value, (list, tuple)):
        return tuple(_converted(name, entry, str) for entry in value)
    if hint in (int, bool, str) and type(value) is hint:
        return value
    wanted = hint.__name__ if isinstance(hint, type) and hint in (int, float, bool, str) else str(hint)
    raise ValueError(f"{name}: expected {wanted}, got {value!r}")


def _check_limits(name: str, value: Any, item: Field) -> None:
    limits, choices = item.metadata.get("range"), item.metadata.get("choices")
    if limits is not None and value is not None and not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name}: expected {limits[0]} to {limits[1]}, got {value}")
    if choices is not None and value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


def walk_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Field]]:
    """Every setting below `config` as (dotted name, value, dataclass field)."""
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            yield from walk_settings(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value, item


def from_nested(cls: type[C], values: Any, prefix: str) -> C:
    """`cls` from nested names to values; errors begin with `prefix` and the dotted name."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{prefix.rstrip('.') or cls.__name__}: expected names with values, got {values!r}")
    hints = get_type_hints(cls)
    known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ValueError(f"{prefix}{name}: expected one of {', '.join(known)}, got an unknown name")
    made = {
        name: from_nested(hints[name], value, f"{prefix}{name}.") if is_dataclass(hints[name]) else value
        for name, value in values.items()
    }
    return cls(**made)
