"""Where streamed scenes come from, and first of all tar shards in a folder or an object store.

A source is a list of chapters that are read in one go, each with named scenes, and can be handed to worker processes.
See also `rendered_shards` and `folder_shards`.
"""

from __future__ import annotations

import io
import json
import logging
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pan3d_core.runtime.files import named_file
from pan3d_sim.data.scene_records import (
    FIRST_HELD_OUT_SEED,
    INDEX_FILE,
    VOCABULARY_FILE,
    SceneRecord,
    ShardRange,
    decode_record,
    scene_key,
    shows_trained_things,
)

_log = logging.getLogger("pan3d.training")

ATTEMPTS = 4  # of fetching a shard from an object store
FIRST_WAIT_S = 0.5


class UnreadableChapter(ValueError):
    """The rest of a chapter cannot be read; the text says why."""


class SceneShards(Protocol):
    """A set of scenes in chapters."""

    @property
    def chapters(self) -> tuple[str, ...]:
        """What is read in one go, by name."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of objects."""

    @property
    def num_views(self) -> int:
        """That every scene has at least."""

    @property
    def worker_context(self) -> str | None:
        """How worker processes start; None = as the platform does."""

    @property
    def largest_buffer(self) -> int:
        """Scenes that it makes sense to hold for shuffling."""

    def keys(self, chapter: int) -> list[str]:
        """Names of the chapter's scenes, in the order in which `read` gives them; known without reading it."""

    def read(self, chapter: int, wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
        """(key, stored form) of the scenes in `wanted`; those that are not there are left out.

        Raises `UnreadableChapter` where nothing more can be read."""

    def decode(self, stored: Any) -> SceneRecord:
        """Stored form -> scene. Raises `DamagedScene`."""


@dataclass(frozen=True)
class TarShards:
    """Tar shards as `pan3d sim render --shards --format tar` writes them; see `open_tar_shards`."""

    location: str  # local folder or URL
    chapters: tuple[str, ...]
    kinds: tuple[str, ...]
    num_views: int
    worker_context = None
    largest_buffer = 10**7

    def keys(self, chapter: int) -> list[str]:
        """One per seed of the shard's name."""
        return [scene_key(seed) for seed in _range_of(self.chapters[chapter]).seeds]

    def read(self, chapter: int, wanted: Collection[str]) -> Iterator[tuple[str, Mapping[str, bytes]]]:
        """Members of the wanted scenes; a shard that ends early gives those before its end."""
        name = self.chapters[chapter]
        try:
            with open_file(self.location, name) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                yield from _scenes_of(tar, wanted)
        except (tarfile.TarError, EOFError) as error:
            raise UnreadableChapter(f"ends early or is damaged: {error}") from error
        except OSError as error:
            raise UnreadableChapter(f"cannot be read: {error}") from error

    def decode(self, stored: Mapping[str, bytes]) -> SceneRecord:
        """See `decode_record`."""
        return decode_record(stored)


def _scenes_of(tar: tarfile.TarFile, wanted: Collection[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Members that follow each other and share a key are one scene."""
    current = ""
    members: dict[str, bytes] = {}
    for member in tar:
        key, _, name = member.name.partition(".")
        if key != current:
            if members:
                yield current, members
            current, members = key, {}
        stored = tar.extractfile(member) if key in wanted else None  # None for what is no file
        if stored is not None:
            members[name] = stored.read()
    if members:
        yield current, members


def open_tar_shards(location: str | Path, *, held_out: bool = False) -> TarShards:
    """Open the shards below a local folder, or those that `index.json` at a URL lists (http, https, s3, gs, ... by fsspec).

    Args:
        location: Folder or URL.
        held_out: Take scenes that are for measuring only, too.

    Returns:
        The scenes as a source of training records.

    Raises:
        ValueError: There are no shards, or they are for measuring only and `held_out` is not set.
    """
    location = str(location).rstrip("/")
    if is_url(location):
        listed = _listed(_json_of(location, INDEX_FILE), location)
    else:
        listed = [path.name for path in Path(location).glob("*.tar")]
    names = tuple(sorted(name for name in listed if name.endswith(".tar") and ShardRange.parse(name)))
    if not names:
        raise ValueError(f"data: expected shards such as scenes_00000000-00000199.tar in {location}, got none")
    if not held_out and any(_range_of(name).last >= FIRST_HELD_OUT_SEED for name in names):
        raise ValueError(f"data: expected seeds below {FIRST_HELD_OUT_SEED} for training, got held-out scenes in {location}")
    facts = _json_of(location, VOCABULARY_FILE)
    with named_file(f"{location}/{VOCABULARY_FILE}", "the words of a data set"):
        shown, num_views = shows_trained_things(facts["settings"]), int(facts["settings"]["num_views"])
        kinds = tuple(map(str, facts["kinds"]))
    if not held_out and not shown:
        raise ValueError(f"data: expected kinds and objects of training, got held-out ones in {location}")
    return TarShards(location, names, kinds, num_views)


def _json_of(location: str, name: str) -> dict[str, Any]:
    with named_file(f"{location}/{name}", "names with values"):
        try:
            content = json.loads(_read_small(location, name))
        except RecursionError as error:
            raise ValueError(f"expected JSON, got something else: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"expected names with values, got a {type(content).__name__}")
        return content


def _listed(content: Mapping[str, Any], location: str) -> list[str]:
    """The shards of an index; `ShardRange.parse` takes plain names only, so that none of them leaves the location."""
    names = content.get("shards")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{location}/{INDEX_FILE}: shards: expected names of files, got {names!r}")
    return names


def is_url(location: str) -> bool:
    """Whether fsspec has to open it."""
    return "://" in location


def open_file(location: str, name: str) -> BinaryIO:
    """A file of a local folder, or of an object store as bytes in memory; fetching is tried again when it fails.

    Raises `OSError` after several attempts.
    """
    if not is_url(location):
        return (Path(location) / name).open("rb")
    import fsspec

    url = f"{location}/{name}"
    for attempt in range(ATTEMPTS):
        try:
            filesystem, path = fsspec.core.url_to_fs(url)
            return io.BytesIO(filesystem.cat_file(path))
        except FileNotFoundError:
            raise
        except Exception as error:  # every store has errors of its own
            if attempt == ATTEMPTS - 1:
                raise OSError(f"{url}: {type(error).__name__}: {error}") from error
            _log.warning("%s: %s; trying again", url, error)
            time.sleep(FIRST_WAIT_S * 2**attempt)
    raise AssertionError("unreachable")


def _read_small(location: str, name: str) -> bytes:
    try:
        with open_file(location, name) as stream:
            return stream.read()
    except FileNotFoundError:
        raise ValueError(f"data: expected {name} in {location}, got none") from None


def _range_of(name: str) -> ShardRange:
    found = ShardRange.parse(name)
    if found is None:
        raise ValueError(f"shard: expected a name such as scenes_00000000-00000199.tar, got {name!r}")
    return found
