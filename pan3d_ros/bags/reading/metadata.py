"""metadata.yaml of a rosbag2: what is wrong in it is told by file and field before libraries stumble over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pan3d_core.runtime.files import inside
from pan3d_core.settings import read_yaml

METADATA = "metadata.yaml"
TOP = "rosbag2_bagfile_information"
STORAGES = ("mcap", "sqlite3")
COMPRESSIONS = ("", "none", "file", "message")  # in any case


class _Field(NamedTuple):
    """What a field of the metadata must be."""

    kinds: tuple[type, ...]
    words: str  # for the error
    needed: bool = True


_COUNT = _Field((int,), "a whole number of 0 to 2^63 - 1")
_TEXT = _Field((str,), "a text")
_NAMES = _Field((dict,), "names with values")
_LIST = _Field((list,), "a list")
_OPTIONAL_TEXT = _TEXT._replace(needed=False)

_BAG = {
    "version": _COUNT,
    "storage_identifier": _TEXT,
    "relative_file_paths": _LIST,
    "duration": _NAMES,
    "starting_time": _NAMES,
    "message_count": _COUNT,
    "topics_with_message_count": _LIST,
    "compression_format": _Field((str, type(None)), "a text", needed=False),
    "compression_mode": _OPTIONAL_TEXT,
    "files": _LIST._replace(needed=False),
}
_TOPIC = {
    "name": _TEXT,
    "type": _TEXT,
    "serialization_format": _TEXT,
    "offered_qos_profiles": _Field((str, list), "a text or a list", needed=False),
    "type_description_hash": _OPTIONAL_TEXT,
}


def check_metadata(folder: Path) -> None:
    """Check the metadata of a bag for what its readers rely on; what they do not use may be anything.

    Args:
        folder: Of the bag, with a file `metadata.yaml`.

    Raises:
        ValueError: A field is missing, of another type or beyond its limits, or a path leads out of the folder; names file
            and field.
    """
    where = str(folder / METADATA)
    content = read_yaml(where, "metadata of a bag")
    if not isinstance(content.get(TOP), dict):
        raise ValueError(f"{where}: {TOP}: expected names with values, got {_shown(content, TOP)}")
    facts = content[TOP]
    _check(facts, _BAG, where)
    _check(facts["duration"], {"nanoseconds": _COUNT}, where, "duration.")
    _check(facts["starting_time"], {"nanoseconds_since_epoch": _COUNT}, where, "starting_time.")
    for index, topic in enumerate(facts["topics_with_message_count"]):
        place = f"topics_with_message_count[{index}]"
        if not isinstance(topic, dict):
            raise ValueError(f"{where}: {place}: expected names with values, got {topic!r}")
        _check(topic, {"message_count": _COUNT, "topic_metadata": _NAMES}, where, f"{place}.")
        _check(topic["topic_metadata"], _TOPIC, where, f"{place}.topic_metadata.")
    _check_storage(facts, folder, where)


def _check(values: Mapping[str, Any], fields: Mapping[str, _Field], where: str, prefix: str = "") -> None:
    for name, field in fields.items():
        value = values.get(name)
        right = isinstance(value, field.kinds) and not isinstance(value, bool) if name in values else not field.needed
        if field is _COUNT:
            right = right and 0 <= values[name] < 2**63
        if not right:
            raise ValueError(f"{where}: {prefix}{name}: expected {field.words}, got {_shown(values, name)}")


def _check_storage(facts: Mapping[str, Any], folder: Path, where: str) -> None:
    """Where the messages are and how they are stored."""
    if facts["storage_identifier"] not in STORAGES:
        raise ValueError(f"{where}: storage_identifier: expected mcap or sqlite3, got {facts['storage_identifier']!r}")
    mode = facts.get("compression_mode", "")
    if mode.lower() not in COMPRESSIONS:
        raise ValueError(f"{where}: compression_mode: expected none, file or message, got {mode!r}")
    if mode.lower() in ("file", "message") and facts.get("compression_format") != "zstd":
        raise ValueError(f"{where}: compression_format: expected zstd, got {_shown(facts, 'compression_format')}")
    if not facts["relative_file_paths"]:
        raise ValueError(f"{where}: relative_file_paths: expected names of files, got none")
    for index, name in enumerate(facts["relative_file_paths"]):
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where}: relative_file_paths[{index}]: expected the name of a file, got {name!r}")
        inside(folder, name, f"{where}: relative_file_paths[{index}]")


def _shown(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "none"
