"""Refinements on disk: one file that continues exactly where it was written."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.density import stored_state
from pan3d_core.refine.model import PanopticMap, QueryGaussians
from pan3d_core.refine.query_care import MatchCounts
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.views import RefineView
from pan3d_core.runtime.files import written_whole

if TYPE_CHECKING:
    from pan3d_core.refine.optimise import Refinement

FORMAT = "pan3d-refine/2"
BUDGET = ("steps", "minutes", "checkpoint_every", "stop")  # may differ when a run goes on


class CheckpointProblem(ValueError):
    """A checkpoint that cannot be gone on from."""


class OtherLabels(CheckpointProblem):
    """It began with other classes, `known`, than those that are `given` now."""

    def __init__(self, path: Path, known: LabelSpace, given: LabelSpace) -> None:
        names = (", ".join(space.names) for space in (known, given))
        text = "{}: labels: expected the classes that the refinement began with, {}, got {}"
        super().__init__(text.format(path, *names))
        self.known, self.given = known, given


@dataclass(frozen=True)
class Progress:
    """How far a refinement is, beside the values of its map and of Adam."""

    step: int
    elapsed_s: float
    reseeds: int
    neighbours: tuple[int, ...]  # per view the one it is warped to, -1 = none; empty before warping begins
    counts: MatchCounts
    totals: tuple[float, ...] = ()  # recent losses, for an early stop


@dataclass(frozen=True)
class StoredRefinement:
    """What a checkpoint holds."""

    model: PanopticMap
    optimizer: dict[str, Any]
    progress: Progress
    first_queries: QueryGaussians
    density: dict[str, Tensor]  # how the images pulled at the Gaussians since their number changed last


def write_checkpoint(path: Path, refinement: Refinement) -> None:
    """One file, which appears whole or not at all; the one before it stays until then."""
    model, progress = refinement.model, refinement.progress
    content = {
        "format": FORMAT,
        "settings": _plain(refinement.settings),
        "labels": {"names": list(model.labels.names), "is_thing": list(model.labels.is_thing)},
        "views": len(refinement.views),
        "views_digest": views_digest(refinement.views),
        "model": model.state_dict(),
        "optimizer": refinement.optimizer.state_dict(),
        "first_queries": _fields(refinement.first_queries),
        "density": stored_state(refinement.density.state),
        "counts": _fields(progress.counts),
        "progress": {
            "step": progress.step, "elapsed_s": progress.elapsed_s, "reseeds": progress.reseeds,
            "neighbours": list(progress.neighbours), "totals": list(progress.totals),
        },
    }  # fmt: skip
    with written_whole(path) as part:
        try:
            torch.save(content, part)
        except RuntimeError as error:  # as which torch reports a failed write
            raise OSError(errno.EIO, f"a checkpoint could not be written ({error})", str(path)) from error


def views_digest(views: Sequence[RefineView]) -> str:
    """Of the images and cameras. Labels are left out: a network on a GPU need not give the same bits twice."""
    digest = hashlib.sha256()
    for view in views:
        for tensor in (view.labels.image, view.intrinsics, view.cam_from_world):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_checkpoint(path: Path, settings: RefineSettings, views: Sequence[RefineView]) -> StoredRefinement:
    """What `write_checkpoint` wrote, on the CPU. Nothing in the file is executed.

    Raises `FileNotFoundError`, or `CheckpointProblem` for a damaged file, one of another kind, and settings or views that it did
    not begin with.
    """
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: expected a file, got {path}, which does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise CheckpointProblem(
            f"{path}: expected a complete checkpoint of a refinement, got something else ({error})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointProblem(f"{path}: format: expected {FORMAT!r}, got {got!r}")
    if content["views"] != len(views):
        raise CheckpointProblem(
            f"{path}: views: expected the {content['views']} that the refinement began with, got {len(views)}"
        )
    if content["views_digest"] != views_digest(views):
        raise CheckpointProblem(f"{path}: views: expected those that the refinement began with, got other images or cameras")
    _check_settings(path, content["settings"], _plain(settings))
    labels = LabelSpace(tuple(content["labels"]["names"]), tuple(content["labels"]["is_thing"]))
    state = content["model"]
    model = PanopticMap.empty(len(state["means"]), len(state["query_means"]), labels)
    model.load_state_dict(state)
    facts = content["progress"]
    counts = MatchCounts(**content["counts"])
    neighbours, totals = tuple(facts["neighbours"]), tuple(facts["totals"])
    progress = Progress(facts["step"], facts["elapsed_s"], facts["reseeds"], neighbours, counts, totals)
    return StoredRefinement(model, content["optimizer"], progress, QueryGaussians(**content["first_queries"]), content["density"])


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def _plain(settings: RefineSettings) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(settings).items() if name not in BUDGET}


def _check_settings(path: Path, stored: dict[str, Any], given: dict[str, Any]) -> None:
    for name in sorted({*stored, *given}):
        if stored.get(name) != given.get(name):
            raise CheckpointProblem(
                f"{path}: settings.{name}: expected {stored.get(name)!r} as it began, got {given.get(name)!r}"
            )
