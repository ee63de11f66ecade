"""Which objects of a result are meant: by words, by pixels or a box of one picture, by a point of the world, by id.

Each call answers with a `Selection`: the objects that fit, best first, how sure that is, and why there are none. That nothing
fits is an answer; only what cannot be asked of this result raises `ValueError`, naming the argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pan3d_core.language.namer import Namer
from pan3d_core.language.prompts import FOUND, NOT_UNDERSTOOD, resolve_prompt
from pan3d_core.structures import PerceptionResult

INSIDE_SHARE = 0.5  # of an object's visible pixels that a box must hold more of than this
REACH_M = 0.05  # distance to a box at which the probability that the object is meant has fallen to 1 / e
Pixel = tuple[float, float]  # x to the right and y down in the camera's original picture, integer = centre of a pixel


@dataclass(frozen=True)
class Selection:
    """Objects that fit, best first."""

    instance_ids: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()  # of each object, that it is meant
    none_probability: float = 0.0  # that no object is meant
    explanation: str = ""  # what the best one was chosen by, for a person
    message: str = ""  # why there is none, for a person
    words: tuple[tuple[str, str], ...] = ()  # of a prompt: every word with what it did, such as noun, color, not, ignored
    understood: bool = True  # False: a word of the prompt changes its meaning and is not understood; nothing was looked for

    @property
    def best(self) -> int | None:
        """Id of the object that is meant most likely, or None when none fits."""
        return self.instance_ids[0] if self.instance_ids else None


def select_by_prompt(
    result: PerceptionResult, prompt: str, namer: Namer | None = None, min_probability: float = 0.0
) -> Selection:
    """Select the objects that fit a description in words.

    Args:
        result: What the pipeline found.
        prompt: For example "the small red mug on the left".
        namer: Knows names and meanings; without one, a namer with the default settings.
        min_probability: Matches below it are left out.

    Returns:
        All objects that fit ("mug" with three mugs gives three); probabilities are those of `resolve_prompt`.

    Raises:
        ValueError: If the prompt is empty, wordless or longer than 256 characters.
    """
    found = resolve_prompt(prompt, result.panoptic, namer)
    if found.status != FOUND:
        understood = found.status != NOT_UNDERSTOOD
        return Selection((), (), found.p_none, found.message, found.message, found.words, understood)
    matches = [match for match in found.fitting if match.probability >= min_probability]
    return Selection(
        instance_ids=tuple(match.instance_id for match in matches),
        probabilities=tuple(match.probability for match in matches),
        none_probability=found.p_none,
        explanation=matches[0].explanation if matches else "",
        message=found.message,
        words=found.words,
    )


def select_by_pixels(result: PerceptionResult, on: Sequence[Pixel], off: Sequence[Pixel] = (), camera: str = "") -> Selection:
    """Select the objects under pixels of one camera's picture, as after a click.

    Args:
        result: What the pipeline found.
        on: (x, y) of at least one pixel on the object, in the original picture; pixels outside it lie on no object.
        off: (x, y) of pixels that are not on it; an object under one of them is not meant.
        camera: Name of the camera; empty for the first one of the result.

    Returns:
        Objects with at least one pixel of `on`; the probability is the share of these pixels that lie on the object.

    Raises:
        ValueError: If `on` is empty, a coordinate is not finite, or the camera is not part of the result.
    """
    if not on:
        raise ValueError("on: expected at least one pixel on the object, got none")
    _require_finite("on", (value for pixel in on for value in pixel))
    _require_finite("off", (value for pixel in off for value in pixel))
    picture = _Picture.of(result, camera)
    hits = [picture.id_at(pixel) for pixel in on]
    excluded = {picture.id_at(pixel) for pixel in off} | {0}
    shares = {instance_id: hits.count(instance_id) / len(hits) for instance_id in set(hits) - excluded}
    return _selection(_ranked(shares), f"objects under the points in {picture.camera}", "no object is under the points")


def select_by_box(result: PerceptionResult, box: tuple[float, float, float, float], camera: str = "") -> Selection:
    """Select the objects inside a box of one camera's picture.

    Args:
        result: What the pipeline found.
        box: Left, top, right and bottom in pixels of the original picture, edges included.
        camera: Name of the camera; empty for the first one of the result.

    Returns:
        Objects with more than half of their visible pixels in the box; the probability is the intersection over union of the
        object's pixels and the box.

    Raises:
        ValueError: If the box is not finite or has no area, or the camera is not part of the result.
    """
    left, top, right, bottom = box
    _require_finite("box", box)
    if not (right > left and bottom > top):
        raise ValueError(f"box: expected right > left and bottom > top, got {left:g}, {top:g}, {right:g}, {bottom:g}")
    picture = _Picture.of(result, camera)
    first_row, first_column = picture.place((left, top))
    last_row, last_column = picture.place((right, bottom))
    rows, columns = np.indices(picture.ids.shape)
    inside = (rows >= first_row) & (rows <= last_row) & (columns >= first_column) & (columns <= last_column)
    overlaps: dict[int, float] = {}
    for instance_id in np.unique(picture.ids[inside]).tolist():
        mask = picture.ids == instance_id
        both = (mask & inside).sum()
        if instance_id > 0 and both > INSIDE_SHARE * mask.sum():
            overlaps[instance_id] = float(both / (mask | inside).sum())
    return _selection(_ranked(overlaps), f"objects in the box in {picture.camera}", "no object is inside the box")


def select_by_point(result: PerceptionResult, point_m: Sequence[float]) -> Selection:
    """Select the object whose box is nearest to a point of the world.

    Args:
        result: What the pipeline found.
        point_m: (3,) x, y, z in metres in the frame `result.panoptic.world_frame_id`.

    Returns:
        One object; its probability is 1 inside its box and falls to 1 / e at 50 mm from it.

    Raises:
        ValueError: If the point does not have three finite coordinates.
    """
    if len(point_m) != 3:
        raise ValueError(f"point_m: expected 3 coordinates, got {len(point_m)}")
    _require_finite("point_m", point_m)
    segments = result.panoptic.segments
    if not segments:
        return _selection([], "nearest object", "the scene has no object")
    wanted = torch.tensor([float(value) for value in point_m], dtype=torch.float32)
    distances = []
    for segment in segments:
        world_from_box = segment.box.world_from_box.cpu()
        local = (wanted - world_from_box[:3, 3]) @ world_from_box[:3, :3]
        outside = (local.abs() - segment.box.size_m.cpu() / 2).clamp_min(0)
        distances.append(float(outside.norm()))
    nearest = int(np.argmin(distances))
    text = f"nearest object, {distances[nearest] * 1000:.0f} mm from its box"
    return _selection([(segments[nearest].instance_id, math.exp(-distances[nearest] / REACH_M))], text, "")


def select_by_id(result: PerceptionResult, instance_id: int) -> Selection:
    """Select the object with this id, as long as it is visible.

    Args:
        result: What the pipeline found.
        instance_id: `Segment.instance_id`, more than 0.

    Returns:
        The object with probability 1, or none when it is not part of the result.

    Raises:
        ValueError: If the id is not more than 0.
    """
    if instance_id <= 0:
        raise ValueError(f"instance_id: expected more than 0, got {instance_id}")
    present = any(segment.instance_id == instance_id for segment in result.panoptic.segments)
    text = f"instance {instance_id}"
    return _selection([(instance_id, 1.0)] if present else [], text, f"{text} is not visible now")


def select_all(result: PerceptionResult) -> Selection:
    """Select every object, the best `Segment.score` first."""
    ranked = sorted(result.panoptic.segments, key=lambda segment: -segment.score)
    return _selection([(segment.instance_id, 1.0) for segment in ranked], "every object", "the scene has no object")


def limit_selection(
    selection: Selection, result: PerceptionResult, min_score: float = 0.0, max_results: int | None = None
) -> Selection:
    """Keep the best objects of a selection.

    Args:
        selection: Of objects of `result`.
        result: What the pipeline found.
        min_score: Objects with a `Segment.score` below it are left out.
        max_results: At most so many are kept; None for all.

    Returns:
        What remains; `message` says so when `min_score` leaves nothing.
    """
    scores = {segment.instance_id: segment.score for segment in result.panoptic.segments}
    pairs = list(zip(selection.instance_ids, selection.probabilities))
    kept = [(i, p) for i, p in pairs if scores[i] >= min_score][:max_results]
    if pairs and not kept:
        best = max(scores[i] for i, _ in pairs)
        message = f"{len(pairs)} objects fit, but the best score is {best:.2f}, below min_score {min_score:.2f}"
        return replace(selection, instance_ids=(), probabilities=(), none_probability=1.0, message=message)
    return replace(selection, instance_ids=tuple(i for i, _ in kept), probabilities=tuple(p for _, p in kept))


@dataclass(frozen=True)
class _Picture:
    """Which object owns each pixel of one camera's picture at network size."""

    camera: str
    ids: npt.NDArray[np.int64]  # (h, w), 0 = none
    network_from_original: npt.NDArray[np.float32]  # (3, 3)

    @classmethod
    def of(cls, result: PerceptionResult, camera: str) -> _Picture:
        cameras = result.views.cameras
        camera = camera or cameras[0]
        if camera not in cameras:
            raise ValueError(f"camera: expected one of {', '.join(cameras)}, got {camera!r}")
        index = cameras.index(camera)
        ids = result.panoptic.instance_id[index].cpu().numpy()
        return cls(camera, ids, result.views.network_from_original[index].cpu().numpy())

    def place(self, pixel: Pixel) -> tuple[float, float]:
        """Row and column at network size of a pixel of the original picture."""
        column, row, _ = self.network_from_original @ np.array([*pixel, 1.0])
        return float(row), float(column)

    def id_at(self, pixel: Pixel) -> int:
        """The object under a pixel of the original picture; 0 for none and outside."""
        row, column = (round(value) for value in self.place(pixel))
        inside = 0 <= row < self.ids.shape[0] and 0 <= column < self.ids.shape[1]
        return int(self.ids[row, column]) if inside else 0


def _require_finite(name: str, values: Iterable[float]) -> None:
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")


def _ranked(shares: dict[int, float]) -> list[tuple[int, float]]:
    return sorted(shares.items(), key=lambda pair: -pair[1])


def _selection(ranked: Sequence[tuple[int, float]], explanation: str, nothing: str) -> Selection:
    if not ranked:
        return Selection((), (), 1.0, explanation, nothing)
    return Selection(tuple(i for i, _ in ranked), tuple(p for _, p in ranked), 0.0, explanation)
