"""Rendering a data set: which shards are to do, one or several processes, safe against being stopped at any moment.

A shard is rendered inside the hidden folder `.NAME.part` and moved to its name when it is complete. The folder is locked while a
process works on it, so any number of processes and machines may work in the same folder; the lock of a killed one is gone.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import multiprocessing
import os
import queue
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pan3d_core.runtime.files import read_json_object, written_whole
from pan3d_sim.data.bank import SceneStream
from pan3d_sim.data.scene_records import IMAGE_FORMATS, INDEX_FILE, VOCABULARY_FILE, SceneRecord, ShardRange
from pan3d_sim.data.shards import (
    SHARD_FORMATS,
    SceneSettings,
    record_scene,
    shard_ranges,
    write_array_shard,
    write_tar_shard,
)

_log = logging.getLogger("pan3d.sim.shards")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RenderingStopped(ValueError):
    """A data set cannot be finished now; the text says why and that the same call continues it."""


@dataclass(frozen=True)
class RenderPlan:
    """Which scenes go where. Two plans that differ only in `part` share the work."""

    out: Path
    first_seed: int
    count: int
    settings: SceneSettings = field(default_factory=SceneSettings)
    shard_size: int = 200
    shard_format: str = "arrays"
    image_format: str = "png"  # of tar shards
    part: tuple[int, int] = (1, 1)  # part k of n: every n-th shard

    def __post_init__(self) -> None:
        if self.shard_format not in SHARD_FORMATS:
            raise ValueError(f"format: expected one of {', '.join(SHARD_FORMATS)}, got {self.shard_format!r}")
        if self.image_format not in IMAGE_FORMATS:
            raise ValueError(f"image format: expected one of {', '.join(IMAGE_FORMATS)}, got {self.image_format!r}")
        if not 1 <= self.part[0] <= self.part[1]:
            raise ValueError(f"part: expected k/n with 1 <= k <= n, got {self.part[0]}/{self.part[1]}")

    def shards(self) -> list[ShardRange]:
        """The shards of this part, done or not."""
        k, n = self.part
        return shard_ranges(self.first_seed, self.count, self.shard_size)[k - 1 :: n]

    def path(self, shard: ShardRange) -> Path:
        """Where a complete shard lies."""
        return self.out / (f"{shard.name}.tar" if self.shard_format == "tar" else shard.name)

    def is_done(self, shard: ShardRange) -> bool:
        """Whether the shard is complete: it gets its name last."""
        return self.path(shard).exists()


@dataclass(frozen=True)
class RenderProgress:
    """How far a run is."""

    done: int  # scenes of this part that are on disk or being rendered, those of earlier runs included
    total: int
    scenes_per_s: float  # of this run

    @property
    def seconds_left(self) -> float:
        """At the present rate."""
        return (self.total - self.done) / max(self.scenes_per_s, 1e-9)


Report = Callable[[RenderProgress], None]


def render_data_set(plan: RenderPlan, workers: int = 1, report: Report | None = None) -> list[ShardRange]:
    """Render all shards of the plan's part that are not there yet.

    Args:
        plan: Seeds, folder, format and which part of all shards this machine makes.
        workers: Processes that render.
        report: Called with the progress about once a second.

    Returns:
        The shards that other processes were rendering when this one had nothing else left to do.

    Raises:
        ValueError: The folder holds other data.
        RenderingStopped: It cannot be written. In both cases complete shards stay as they are and partial ones are removed.
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, got {workers}")
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
        _check_folder(plan)
    except OSError as error:
        raise _stopped(plan, error) from error
    missing = [shard for shard in plan.shards() if not plan.is_done(shard)]
    counter = _Counter(plan, missing, report)
    try:
        if workers == 1 or len(missing) <= 1:
            _render_missing(plan, counter.add)
        else:
            _run_workers(plan, min(workers, len(missing)), counter)
        if plan.shard_format == "tar":
            _write_whole(plan.out / INDEX_FILE, {"shards": sorted(path.name for path in plan.out.glob("scenes_*.tar"))})
    except OSError as error:
        raise _stopped(plan, error) from error
    finally:
        _remove_partial(plan)
    counter.show()
    return [shard for shard in plan.shards() if not plan.is_done(shard)]


class _Counter:
    """Counts rendered scenes and reports at most once a second."""

    def __init__(self, plan: RenderPlan, missing: list[ShardRange], report: Report | None) -> None:
        self.total = sum(len(shard.seeds) for shard in plan.shards())
        self.before = self.total - sum(len(shard.seeds) for shard in missing)
        self.rendered, self.report = 0, report
        self.begin = self.shown = time.monotonic()

    def add(self) -> None:
        """One more scene."""
        self.rendered += 1
        if time.monotonic() - self.shown >= 1.0:
            self.show()

    def show(self) -> None:
        """Report now."""
        self.shown = time.monotonic()
        if self.report is not None:
            rate = self.rendered / max(self.shown - self.begin, 1e-9)
            self.report(RenderProgress(min(self.before + self.rendered, self.total), self.total, rate))


def _render_missing(plan: RenderPlan, on_scene: Callable[[], None]) -> None:
    """Render one shard after the other, leaving out those that are done or that another process has taken."""
    with plan.settings.stream() as stream:
        for shard in plan.shards():
            if plan.is_done(shard):
                continue
            with _claimed(plan, shard) as folder:
                if folder is None:
                    _log.info("%s is being rendered by another process", shard.name)
                    continue
                records = _records(plan, shard, stream, on_scene)
                if plan.shard_format == "tar":
                    write_tar_shard(folder / "shard.tar", records, plan.image_format)
                    os.replace(folder / "shard.tar", plan.path(shard))
                    folder.rmdir()
                else:
                    write_array_shard(folder, records, plan.settings.facts())
                    os.rename(folder, plan.path(shard))


def _records(plan: RenderPlan, shard: ShardRange, stream: SceneStream, on_scene: Callable[[], None]) -> Iterator[SceneRecord]:
    for seed in shard.seeds:
        yield record_scene(seed, stream.render(seed), plan.settings.kinds)
        on_scene()


def _partial(plan: RenderPlan, shard: ShardRange) -> Path:
    return plan.out / f".{shard.name}.part"


@contextmanager
def _claimed(plan: RenderPlan, shard: ShardRange) -> Iterator[Path | None]:
    """The empty, locked folder to render a shard in; None when another process holds it or has just finished it."""
    folder = _partial(plan, shard)
    folder.mkdir(exist_ok=True)
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # finished by another process since
        yield None
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The lock may be that of a folder which its last owner has moved to the shard's name.
            mine = folder.exists() and os.path.samestat(os.fstat(handle), os.stat(folder)) and not plan.is_done(shard)
        except BlockingIOError:
            mine = False
        if mine:
            for leftover in folder.iterdir():
                leftover.unlink()
        yield folder if mine else None
    finally:
        os.close(handle)


def _remove_partial(plan: RenderPlan) -> None:
    """Remove the folders of shards that nobody works on."""
    for shard in plan.shards():
        folder = _partial(plan, shard)
        if folder.exists():
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            except BlockingIOError:
                pass
            finally:
                os.close(handle)


def _check_folder(plan: RenderPlan) -> None:
    """Refuse a folder with data of other settings or with shards that overlap the plan's; write its vocabulary if new."""
    planned = {plan.path(shard).name for shard in shard_ranges(plan.first_seed, plan.count, plan.shard_size)}
    last_seed = plan.first_seed + plan.count - 1
    for path in plan.out.iterdir():
        held = ShardRange.parse(path.name)
        if held and path.name not in planned and plan.first_seed <= held.last and held.first <= last_seed:
            raise ValueError(f"out: expected no other scenes with seeds {plan.first_seed} to {last_seed}, got {path}")
    marker, facts = plan.out / VOCABULARY_FILE, plan.settings.facts()
    if not marker.exists():
        _write_whole(marker, facts)
    held_facts = read_json_object(marker, "the words of a data set")
    for name in ("format", "settings", "kinds", "colors"):
        if held_facts.get(name) != facts[name]:
            raise ValueError(f"out: expected data with {name} {facts[name]}, got {marker} with {held_facts.get(name)}")


def _write_whole(path: Path, content: dict) -> None:
    """Completely or not at all."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _stopped(plan: RenderPlan, error: OSError) -> RenderingStopped:
    reason = "no room left" if error.errno in _NO_ROOM else f"{error.strerror or error}"
    done = sum(plan.is_done(shard) for shard in plan.shards())
    return RenderingStopped(
        f"{plan.out}: {reason}; {done} of {len(plan.shards())} shards are complete, partial ones are removed. "
        "The same command goes on from here."
    )


def _run_workers(plan: RenderPlan, workers: int, counter: _Counter) -> None:
    """Several processes that take shards by their locks. The first failure ends all."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    processes = [context.Process(target=_work, args=(plan, messages), daemon=True) for _ in range(workers)]
    threads = os.environ.get("LP_NUM_THREADS")
    os.environ.setdefault("LP_NUM_THREADS", "1")  # Mesa's software renderer; each process has a core already
    try:
        for process in processes:
            process.start()
        while True:
            alive = any(process.is_alive() for process in processes)  # asked first: what they said is in the queue then
            try:
                message = messages.get(timeout=0.5)
            except queue.Empty:
                if not alive:
                    break
            else:
                if isinstance(message, OSError):
                    raise message
                counter.add()
            if any(process.exitcode not in (None, 0) for process in processes):
                codes = ", ".join(str(process.exitcode) for process in processes)
                raise RenderingStopped(f"{plan.out}: a rendering process ended early (exit codes {codes}); its output says why")
    finally:
        for process in processes:
            process.kill()
            process.join()
        if threads is None:
            os.environ.pop("LP_NUM_THREADS", None)


def _work(plan: RenderPlan, messages: multiprocessing.Queue) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    parent = os.getppid()

    def on_scene() -> None:
        messages.put(True)
        if os.getppid() != parent:
            raise SystemExit("the process that started this one is gone")

    try:
        _render_missing(plan, on_scene)
    except OSError as error:
        messages.put(OSError(error.errno, error.strerror))
        messages.close()
        messages.join_thread()
