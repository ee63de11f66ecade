"""Refinements on disk: one file that continues exactly where it was written."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.density import stored_state
from pan3d_core.refine.model import PanopticMap, QueryGaussians
from pan3d_core.refine.query_care import MatchCounts
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.views import RefineView
from pan3d_core.runtime.files import named_file
from pan3d_core.runtime.torch_files import read_torch, write_torch
from pan3d_core.settings import read_settings
from pan3d_core.structures import require_shape

if TYPE_CHECKING:
    from pan3d_core.refine.optimise import Refinement

FORMAT, WHAT = "pan3d-refine/2", "a checkpoint of a refinement"
# The parts of a checkpoint.
_KINDS = {
    "settings": dict, "labels": dict, "views": int, "views_digest": str, "model": dict, "optimizer": dict, "first_queries": dict,
    "density": dict, "counts": dict, "progress": dict,
}  # fmt: skip
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
    write_torch(path, content)


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
    with named_checkpoint(path):
        content = _content(read_torch(path, WHAT))
        _check_beginning(path, content, settings, views)
        return _restored(content)


@contextmanager
def named_checkpoint(path: Path) -> Iterator[None]:
    """Give whatever is wrong with the content of a checkpoint one kind of error, `CheckpointProblem`, that names the file."""
    try:
        with named_file(path, WHAT):
            yield
    except CheckpointProblem:
        raise
    except ValueError as error:
        raise CheckpointProblem(str(error)) from error


def _content(found: object) -> dict[str, Any]:
    """All parts by name. Raises `ValueError` for another format, and for a part that is missing or of another kind."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        got = found.get("format") if isinstance(found, dict) else type(found).__name__
        raise ValueError(f"format: expected {FORMAT!r}, got {got!r}")
    for name, kind in _KINDS.items():
        if not isinstance(found.get(name), kind):
            got = f"a {type(found[name]).__name__}" if name in found else "nothing"
            raise ValueError(f"{name}: expected a {kind.__name__}, got {got}")
    return found


def _restored(content: Mapping[str, Any]) -> StoredRefinement:
    """The parts as what they were. Raises `ValueError` that begins with the part at fault."""
    labels, state = read_settings(LabelSpace, content["labels"], "labels"), content["model"]
    sizes = []
    for name in ("means", "query_means"):
        if not isinstance(state.get(name), Tensor) or state[name].ndim != 2:
            raise ValueError(f"model.{name}: expected a tensor (N, 3), got {state.get(name)!r:.40}")
        sizes.append(len(state[name]))
    more = state.get("harmonics")
    degree = math.isqrt(more.shape[1] + 1) - 1 if isinstance(more, Tensor) and more.ndim == 3 else 0
    model = PanopticMap.empty(sizes[0], sizes[1], labels, harmonics=degree)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"model: {error}") from error
    progress = read_settings(Progress, {**content["progress"], "counts": content["counts"]}, "progress")
    for name in ("assigned", "wins"):
        require_shape(f"counts.{name}", getattr(progress.counts, name), (model.num_queries,))
    if len(progress.neighbours) not in (0, content["views"]):
        raise ValueError(f"progress.neighbours: expected one per view, got {len(progress.neighbours)}")
    first_queries = read_settings(QueryGaussians, content["first_queries"], "first_queries")
    return StoredRefinement(model, content["optimizer"], progress, first_queries, content["density"])


def _check_beginning(path: Path, content: Mapping[str, Any], settings: RefineSettings, views: Sequence[RefineView]) -> None:
    if content["views"] != len(views):
        raise CheckpointProblem(
            f"{path}: views: expected the {content['views']} that the refinement began with, got {len(views)}"
        )
    if content["views_digest"] != views_digest(views):
        raise CheckpointProblem(f"{path}: views: expected those that the refinement began with, got other images or cameras")
    _check_settings(path, _completed(content["settings"], _plain(RefineSettings())), _plain(settings))


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def _plain(settings: RefineSettings) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(settings).items() if name not in BUDGET}


def _completed(stored: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings with the defaults of those that there were not yet when they were stored."""
    both = {name: isinstance(value, Mapping) and isinstance(defaults.get(name), Mapping) for name, value in stored.items()}
    own = {name: _completed(value, defaults[name]) if both[name] else value for name, value in stored.items()}
    return {**defaults, **own}


def _check_settings(path: Path, stored: dict[str, Any], given: dict[str, Any]) -> None:
    for name in sorted({*stored, *given}):
        if stored.get(name) != given.get(name):
            raise CheckpointProblem(
                f"{path}: settings.{name}: expected {stored.get(name)!r} as it began, got {given.get(name)!r}"
            )
