"""What settings dataclasses are made of: fields with descriptions and limits, validation, and plain values to settings and back.

Every field carries `metadata`: `description`, where they apply `range`, `choices`, and `read_only` while a pipeline runs.
`read_settings` is the one reader of YAML files, checkpoints, command lines and ROS parameters.
"""

from __future__ import annotations

import functools
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import yaml

C = TypeVar("C")
MAX_NODES = 200_000  # values in a YAML file

SHARE = (0.0, 1.0)  # range of probabilities and of shares of a whole
ANGLE_DEG = (0.0, 180.0)  # range of what lies between two directions or orientations


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


@dataclass(frozen=True)
class Checked:
    """Base of settings groups: every field is validated against its annotation and metadata when an instance is made."""

    MOVED: ClassVar[Mapping[str, str]] = {}  # names that were here once -> dotted place of what holds instead

    def __post_init__(self) -> None:
        hints = _type_hints(type(self))  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
        for item in fields(self):
            name = f"{type(self).__name__}.{item.name}"
            value = _converted(name, getattr(self, item.name), hints[item.name])
            object.__setattr__(self, item.name, value)
            _check_limits(name, value, item)


@functools.cache
def _type_hints(cls: type) -> Mapping[str, Any]:
    """Annotations of a settings class, evaluated once: a node that starts makes thousands of instances."""
    return get_type_hints(cls)


def _converted(name: str, value: Any, hint: Any) -> Any:
    """`value` as the annotated type; integers pass as floats, lists as tuples and texts as paths, nothing else is converted."""
    if hint is Any:
        return value
    if is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]  # a class here, never an instance
            raise ValueError(f"{name}: expected {_name_of(hint)}, got {type(value).__name__}")
        return value
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(name, value, inner)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{name}: expected one of {', '.join(map(str, inner))}, got {value!r}")
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return _entries(name, value, inner)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number, got {value}")
        return float(value)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint in (int, bool, str) and type(value) is hint:
        return value
    if origin is None and isinstance(hint, type) and hint not in (int, float, bool, str) and isinstance(value, hint):
        return value  # what is no plain value, such as a tensor of a checkpoint
    raise ValueError(f"{name}: expected {_name_of(hint)}, got {value!r}")


def _one_of(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    """`value` as the kind that it is of; where one kind only is no None, errors are those of that kind."""
    if value is None and types.NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not types.NoneType]
    if len(rest) == 1:
        return _converted(name, value, rest[0])
    for kind in rest:
        try:
            return _converted(name, value, kind)
        except ValueError:
            continue
    raise ValueError(f"{name}: expected {' or '.join(map(_name_of, rest))}, got {value!r}")


def _entries(name: str, value: list[Any] | tuple[Any, ...], kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_converted(name, entry, kinds[0]) for entry in value)
    if len(value) != len(kinds):
        raise ValueError(f"{name}: expected {len(kinds)} values, got {value!r}")
    return tuple(_converted(name, entry, kind) for entry, kind in zip(value, kinds, strict=True))


def _name_of(hint: Any) -> str:
    plain = isinstance(hint, type) and get_origin(hint) is None
    return hint.__name__ if plain else re.sub(r"tuple\[(\w+), \.\.\.\]", r"a list of \1", str(hint))


def _check_limits(name: str, value: Any, item: Field[Any]) -> None:
    limits, choices = item.metadata.get("range"), item.metadata.get("choices")
    if limits is not None and value is not None and not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name}: expected {limits[0]} to {limits[1]}, got {value}")
    if choices is not None and value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}{did_you_mean(str(value), choices)}")


def walk_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Field[Any]]]:
    """Every setting below `config` as (dotted name, value, dataclass field)."""
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            yield from walk_settings(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value, item


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that a wrong one is nearest to.

    Args:
        name: As it was written; dots are levels.
        known: Names that there are.

    Returns:
        "; did you mean X?" to be put behind an error, empty where no name is near. A name at the wrong level is near, too.
    """
    names = {str(item).lower(): str(item) for item in known}
    lasts = {item.rsplit(".", 1)[-1]: item for item in reversed(names)}
    wrong = str(name).lower()
    near = get_close_matches(wrong, names, 1, 0.7)
    near = near or [lasts[last] for last in get_close_matches(wrong.rsplit(".", 1)[-1], lasts, 1, 0.7)]
    return f"; did you mean {names[near[0]]}?" if near else ""


def unknown_name(place: str, known: Iterable[str], meant: Mapping[str, str] | None = None) -> ValueError:
    """Make the error for a name that there is not.

    Args:
        place: Dotted place of the name, which is its last part.
        known: Names that there are at this place.
        meant: What people write elsewhere -> what they mean here.

    Returns:
        The error, with a suggestion where one is near.
    """
    known, name = list(known), place.rsplit(": ", 1)[-1].rsplit(".", 1)[-1]
    hint = f"; did you mean {meant[name]}?" if meant and name in meant else did_you_mean(name, known)
    return ValueError(f"{place}: expected one of {', '.join(map(str, known))}, got an unknown name{hint}")


def refuse_unknown(values: Iterable[Any], known: Iterable[str], where: str = "", meant: Mapping[str, str] | None = None) -> None:
    """Refuse names of a file that nobody would read: raises the `unknown_name` of the first.

    Args:
        values: The names that the file has.
        known: Names that there are.
        where: What stands before the name in the error, with its separator.
        meant: As for `unknown_name`.
    """
    known = list(known)
    for name in values:
        if name not in known:
            raise unknown_name(f"{where}{name}", known, meant)


def moved_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting that was below `config` once as (dotted name, dotted place of what holds instead)."""
    yield from ((f"{prefix}{name}", place) for name, place in config.MOVED.items())
    for item in fields(config):
        if is_dataclass(getattr(config, item.name)):
            yield from moved_settings(getattr(config, item.name), f"{prefix}{item.name}.")


@overload
def read_settings(like: type[C], values: Any, where: str = "") -> C: ...
@overload
def read_settings(like: C, values: Any, where: str = "") -> C: ...
def read_settings(like: C | type[C], values: Any, where: str = "") -> C:
    """Read settings from plain values, strictly by name and type.

    Args:
        like: A settings dataclass, or an instance whose values stand for those that `values` leaves out.
        values: Names with values, groups nested, as YAML and JSON hold them.
        where: Dotted place of `values`, for errors; empty at the top.

    Returns:
        A new instance. Integers are taken for floats, lists for tuples and texts for paths.

    Raises:
        ValueError: A name is unknown, a value is missing that has no default, or one is of another type or out of its limits.
    """
    cls: type[C] = like if isinstance(like, type) else type(like)
    if not isinstance(values, Mapping):
        raise ValueError(f"{where or cls.__name__}: expected names with values, got {values!r}")
    hints = _type_hints(cls)  # type: ignore[arg-type]  # as above
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]  # every settings class is a dataclass
    lacking = [name for name, item in known.items() if name not in values and _has_no_default(item)]
    if lacking and isinstance(like, type):
        raise ValueError(f"{where or cls.__name__}: expected {', '.join(known)}, got no {lacking[0]}")
    made: dict[str, Any] = {}
    for name, value in values.items():
        place = f"{where}.{name}" if where else str(name)
        if issubclass(cls, Checked) and name in cls.MOVED:
            raise ValueError(f"{place}: expected {cls.MOVED[name]} instead, which holds here too")
        if name not in known:
            raise unknown_name(place, known)
        hint = hints[name]
        if is_dataclass(hint) and not is_dataclass(value):
            made[name] = read_settings(_default(like, known[name], hint), value, place)
        else:  # `Checked` classes say what is wrong themselves, with their limits
            made[name] = value if issubclass(cls, Checked) else _converted(place, value, hint)
    if not isinstance(like, type):
        return replace(like, **made)  # type: ignore[type-var]  # a dataclass, as above
    return cls(**made)


def _has_no_default(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _default(like: Any, item: Field[Any], hint: Any) -> Any:
    """What a group starts from: the instance's own, the class's default, or the group's class."""
    if not isinstance(like, type):
        return getattr(like, item.name)
    if item.default is not MISSING:
        return item.default
    return hint if item.default_factory is MISSING else item.default_factory()


class _OnceEach(yaml.SafeLoader):
    """Refuses a name that stands twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in names:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value}: expected once, got it twice", key.start_mark)
            names.add(str(key.value))
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 1e-3 for a text; the node's own reader, and people, for a number.
_OnceEach.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: str | Path, what: str) -> dict[str, Any]:
    """Read a YAML file of names with values; an empty one has none.

    Args:
        path: The file, in UTF-8.
        what: It is, for the error: `"settings"`.

    Returns:
        Name -> value, nested.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no YAML, or YAML of another kind; names the file.
    """
    if (Path(path).is_fifo() or Path(path).is_char_device()) and not str(path).startswith("/dev/fd/"):
        raise ValueError(f"{what}: expected a file of YAML, got {path}, which is a pipe or a device")
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8-sig"), _OnceEach)
        _check_tree(content, MAX_NODES)
    except FileNotFoundError:
        raise FileNotFoundError(f"{what}: expected a file {Path(path).absolute()}, which does not exist") from None
    except IsADirectoryError:
        raise ValueError(f"{what}: expected a file of YAML, got {path}, which is a folder") from None
    # Beside what YAML itself refuses: dates that there are not, numbers that are none, endless nesting.
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: expected {what} as YAML, got something else: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"{path}: expected {what} as names with values, got a {type(content).__name__}")
    return content or {}


def _check_tree(value: Any, budget: int) -> int:
    """What is left of `budget` after all values; `ValueError` for names that are no texts, and for more values than a file of
    settings has: a few references to references are billions of values, and one to itself is endless."""
    if budget <= 0:
        raise ValueError(f"more than {MAX_NODES} values")
    if isinstance(value, dict):
        if wrong := [name for name in value if not isinstance(name, str)]:
            raise ValueError(f"{wrong[0]!r}: a name must be a text")
        value = list(value.values())
    for entry in value if isinstance(value, list) else ():
        budget = _check_tree(entry, budget - 1)
    return budget


def nested_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names ("merge.min_points") with values -> groups within groups, as `read_settings` takes them."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{name}: expected {part} to be a group or a value, got both")
        if isinstance(inner.get(last), dict):
            raise ValueError(f"{name}: expected {last} to be a group or a value, got both")
        inner[last] = value
    return nested


def to_plain(value: Any) -> Any:
    """`value` with dataclasses and mappings as dicts, tuples as lists and paths as texts, as JSON and YAML hold them."""
    if is_dataclass(value):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(entry) for name, entry in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [to_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value
