"""Trials as files: one for each seed, so that a stopped run goes on and equals one that was not stopped."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from pan3d_core.grasping.hand_views import HandViews
from pan3d_core.runtime.files import named_file, read_json_object, written_whole
from pan3d_sim.library.bank import ObjectLibrary
from training.grasps.scene import INPUTS, SceneMaker, SceneTrials

VERSION = 1
SETTINGS_FILE = "settings.json"
NORMAL_STEPS = 127
_maker: list[SceneMaker] = []  # of a worker process


@dataclass(frozen=True)
class TrialsRequest:
    """Which trials are to be made."""

    out: Path  # folder of shards
    trials: int  # at least so many
    seed: int  # of the first scene; the next ones follow
    workers: int = 1
    objects: Path | None = None  # folder of modelled objects; None = procedural ones alone
    inputs: tuple[str, ...] = INPUTS

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("seed", 0), ("workers", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected at least {least}, got {getattr(self, name)}")

    def settings(self) -> dict[str, object]:
        """What decides the trials of a seed."""
        models = "" if self.objects is None else ObjectLibrary(self.objects, "train").digest
        return {"version": VERSION, "inputs": list(self.inputs), "objects": models, "first_seed": self.seed}


def make_trials(request: TrialsRequest, say: object = None) -> int:
    """Make trials until there are enough, going on where an earlier run of the same request stopped.

    Args:
        request: How many, from which seed on, where.
        say: Called with the trials that there are, after every scene; None = nobody is told.

    Returns:
        Trials of the scenes from the first one on without a gap.

    Raises:
        ValueError: The folder holds trials of other settings.
        OSError: The disk is full; what was written is good.
    """
    _agree(request)
    done = 0
    seeds = iter(range(request.seed, 2**31))
    with get_context("spawn").Pool(request.workers, _start, (request.objects, request.inputs)) as pool:
        waiting = [pool.apply_async(_write, (request.out, next(seeds))) for _ in range(2 * request.workers)]
        while done < request.trials:
            done += waiting.pop(0).get()
            waiting.append(pool.apply_async(_write, (request.out, next(seeds))))
            if callable(say):
                say(done)
    return done


def shard_path(folder: Path, seed: int) -> Path:
    """Where the trials of a scene are."""
    return folder / f"{seed:010d}.npz"


def read_trials(folder: Path, at_most: int | None = None) -> tuple[SceneTrials, np.ndarray]:
    """Read shards from the first seed on, without a gap.

    Args:
        folder: As `make_trials` wrote it.
        at_most: No further shard once so many trials are read; None = all.

    Returns:
        The trials one after the other, and (T,) the seed of each.

    Raises:
        ValueError: There are none, or a file is damaged; names it.
    """
    seed = _first_seed(folder)
    parts, seeds, count = list[SceneTrials](), list[np.ndarray](), 0
    while shard_path(folder, seed).exists() and (at_most is None or count < at_most):
        part = read_shard(shard_path(folder, seed))
        if part is not None:
            parts.append(part)
            seeds.append(np.full(len(part.clean), seed))
            count += len(part.clean)
        seed += 1
    if not parts:
        raise ValueError(f"trials: expected shards in {folder}, got none")
    return joined(parts), np.concatenate(seeds)


def joined(parts: list[SceneTrials]) -> SceneTrials:
    """Trials one after the other."""
    views = HandViews(*(np.concatenate([getattr(part.views, item) for part in parts]) for item in _names(HandViews)))
    rest = [name for name in _names(SceneTrials) if name != "views"]
    return SceneTrials(views, *(np.concatenate([getattr(part, name) for part in parts]) for name in rest))


def write_shard(path: Path, trials: SceneTrials | None) -> None:
    """Write the trials of one scene, whole or not at all; a scene without any is an empty file of arrays."""
    columns: dict[str, np.ndarray] = {}
    if trials is not None:
        views = trials.views
        columns = {name: getattr(trials, name) for name in _names(SceneTrials) if name != "views"}
        columns |= {
            "own_place": views.own[:, :, :3].astype(np.float16),
            "own_normal": np.round(views.own[:, :, 3:6] * NORMAL_STEPS).astype(np.int8),
            "own_seen": views.own[:, :, 6] > 0,
            "other": views.other.astype(np.float16),
            "own_count": views.own_count.astype(np.uint8),
            "other_count": views.other_count.astype(np.uint8),
            "terms": views.terms.astype(np.float32),
        }
    with written_whole(path) as part:
        np.savez_compressed(part, allow_pickle=False, **columns)


def read_shard(path: Path) -> SceneTrials | None:
    """Read the trials of one scene; None where it has none. Raises `ValueError` for a damaged file, naming it."""
    with named_file(path, "trials of grasps"), np.load(path, allow_pickle=False) as stored:
        if not stored.files:
            return None
        normal, seen = stored["own_normal"] / np.float32(NORMAL_STEPS), stored["own_seen"][:, :, None]
        own = np.concatenate([stored["own_place"].astype(np.float32), normal, seen], axis=2).astype(np.float32)
        own_count, other_count = (stored[name].astype(np.int64) for name in ("own_count", "other_count"))
        views = HandViews(own, stored["other"].astype(np.float32), own_count, other_count, stored["terms"])
        return SceneTrials(views, *(stored[name] for name in _names(SceneTrials) if name != "views"))


def _names(of: type) -> list[str]:
    return [item.name for item in dataclasses.fields(of)]


def _agree(request: TrialsRequest) -> None:
    """Write the settings of a new folder, or compare those that are there."""
    path, settings = request.out / SETTINGS_FILE, request.settings()
    if path.exists():
        found = read_json_object(path, "settings of trials")
        if found != settings:
            raise ValueError(
                f"{path}: expected {json.dumps(settings)}, as is asked for, got {json.dumps(found)}: use another folder"
            )
        return
    with written_whole(path) as part:
        part.write_text(json.dumps(settings), encoding="utf-8")


def _first_seed(folder: Path) -> int:
    path = folder / SETTINGS_FILE
    if not path.is_file():
        raise ValueError(
            f"trials: expected a folder with {SETTINGS_FILE}, as `python -m training.grasps trials` makes it, got {folder}"
        )
    return int(read_json_object(path, "settings of trials")["first_seed"])


def _start(objects: Path | None, inputs: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    _maker.append(SceneMaker(None if objects is None else ObjectLibrary(objects, "train"), inputs))


def _write(folder: Path, seed: int) -> int:
    """Make the shard of a scene where it is not there; returns how many trials it has."""
    path = shard_path(folder, seed)
    if not path.exists():
        parts = _maker[0].trials(seed)
        write_shard(path, joined(parts) if parts else None)
    found = read_shard(path)
    return 0 if found is None else len(found.clean)
