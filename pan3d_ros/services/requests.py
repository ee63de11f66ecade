"""Which objects a request means. Knows messages and results, but no node."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pan3d_interfaces.msg import ErrorCode
from pan3d_interfaces.srv import SegmentObject

from pan3d_core.language.namer import Namer
from pan3d_core.language.prompts import FOUND, resolve_prompt
from pan3d_ros.outputs.result_store import SceneResult

MAX_PROMPT = 256  # characters
MAX_CLASSES = 10_000
_KINDS = SegmentObject.Request


@dataclass(frozen=True)
class Selection:
    """Objects that fit a request, best first."""

    instance_ids: tuple[int, ...] = ()
    probabilities: tuple[float, ...] = ()
    none_probability: float = 0.0
    explanation: str = ""
    code: int = ErrorCode.OK
    message: str = ""


class RequestError(ValueError):
    """The request cannot be answered; `code` is an ErrorCode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_request(request: Any, cameras: tuple[str, ...], reference_frame: str) -> None:
    """Raise `RequestError` for what is wrong whatever the scene is. `request`: SegmentObject request or Segment goal."""
    problem = _prompt_problem(request, cameras, reference_frame)
    for name in ("max_age", "timeout", "min_score"):
        value = getattr(request, name)
        if not np.isfinite(value) or value < 0:
            problem = problem or f"{name}: expected a number of at least 0, got {value}"
    if problem:
        raise RequestError(ErrorCode.INVALID_REQUEST, problem)


def check_prompt(prompt: str) -> str:
    """What is wrong with a text prompt; empty when nothing is."""
    if not prompt.strip():
        return "prompt: expected words, got an empty text"
    if len(prompt) > MAX_PROMPT:
        return f"prompt: expected at most {MAX_PROMPT} characters, got {len(prompt)}"
    return ""


def check_classes(names: Sequence[str]) -> None:
    """Raise `RequestError` for names of classes that no encoder should see: too many, blank or too long."""
    if len(names) > MAX_CLASSES:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"classes: expected at most {MAX_CLASSES} names, got {len(names)}")
    for index, name in enumerate(names):
        if problem := check_prompt(name):
            raise RequestError(ErrorCode.INVALID_REQUEST, problem.replace("prompt", f"classes[{index}]", 1))


def classes_message(names: Sequence[str], in_force: Sequence[str]) -> str:
    """What became of the names of a SetClasses request, for a person."""
    if not in_force:
        return "the names of the checkpoint are in force"
    repeated = f", {len(names) - len(in_force)} repeated" if len(in_force) < len(names) else ""
    foreign = [name for name in in_force if not is_latin(name)]
    doubt = f"; the text encoder knows English, so {foreign[0]!r} may not be understood" if foreign else ""
    return f"{len(in_force)} names in force{repeated}{doubt}"


def is_latin(text: str) -> bool:
    """Whether all letters are Latin ones, accents allowed."""
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in text if letter.isalpha())


def _prompt_problem(request: Any, cameras: tuple[str, ...], reference_frame: str) -> str:
    kind = request.prompt_type
    if kind == _KINDS.PROMPT_TEXT:
        return check_prompt(request.prompt)
    if kind in (_KINDS.PROMPT_POINTS, _KINDS.PROMPT_BOX) and request.camera and request.camera not in cameras:
        return f"camera: expected one of {', '.join(cameras)}, got '{request.camera}'"
    if kind == _KINDS.PROMPT_POINTS and not any(p.z > 0.5 for p in request.points):
        return "points: expected at least one point on the object (z = 1)"
    if kind == _KINDS.PROMPT_BOX and not (request.box.width and request.box.height):
        return f"box: expected a size of at least 1 x 1, got {request.box.width} x {request.box.height}"
    if kind == _KINDS.PROMPT_POSITION:
        point, frame_id = request.position.point, request.position.header.frame_id
        if not np.isfinite([point.x, point.y, point.z]).all():
            return "position: expected finite numbers"
        if frame_id not in ("", reference_frame):
            return f"position.header.frame_id: expected {reference_frame}, got '{frame_id}'"
    if kind == _KINDS.PROMPT_INSTANCE and request.instance_id == 0:
        return "instance_id: expected more than 0"
    if kind > _KINDS.PROMPT_INSTANCE:
        return f"prompt_type: expected 0 to {_KINDS.PROMPT_INSTANCE}, got {kind}"
    return ""


def select(request: Any, scene: SceneResult, namer: Namer, min_probability: float) -> Selection:
    """The objects of `scene` that a checked request means; `NOT_FOUND` when there are none."""
    kind = request.prompt_type
    if kind == _KINDS.PROMPT_TEXT:
        chosen = select_by_text(request.prompt, scene, namer, min_probability)
    elif kind == _KINDS.PROMPT_ALL:
        ranked = sorted(scene.result.panoptic.segments, key=lambda s: -s.score)
        chosen = _selection([(s.instance_id, 1.0) for s in ranked], "every object", "the scene has no object")
    elif kind == _KINDS.PROMPT_INSTANCE:
        present = any(s.instance_id == request.instance_id for s in scene.result.panoptic.segments)
        text = f"instance {request.instance_id}"
        chosen = _selection([(request.instance_id, 1.0)] if present else [], text, f"{text} is not visible now")
    elif kind == _KINDS.PROMPT_POSITION:
        chosen = _by_position(request.position.point, scene)
    else:
        chosen = _by_pixels(request, scene)
    return _filtered(chosen, request, scene)


def select_by_text(prompt: str, scene: SceneResult, namer: Namer, min_probability: float) -> Selection:
    """Objects that fit a description in words."""
    try:
        found = resolve_prompt(prompt, scene.result.panoptic, namer)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error
    if found.status != FOUND:
        return Selection((), (), found.p_none, found.message, ErrorCode.NOT_FOUND, found.message)
    matches = [m for m in found.fitting if m.probability >= min_probability]
    return Selection(
        instance_ids=tuple(m.instance_id for m in matches),
        probabilities=tuple(m.probability for m in matches),
        none_probability=found.p_none,
        explanation=matches[0].explanation if matches else "",
        code=ErrorCode.OK if matches else ErrorCode.NOT_FOUND,
        message=found.message,
    )


def _selection(ranked: list[tuple[int, float]], explanation: str, nothing: str) -> Selection:
    if not ranked:
        return Selection((), (), 1.0, explanation, ErrorCode.NOT_FOUND, nothing)
    return Selection(tuple(i for i, _ in ranked), tuple(p for _, p in ranked), 0.0, explanation)


def _filtered(selection: Selection, request: Any, scene: SceneResult) -> Selection:
    """Apply `min_score` and `max_results`."""
    scores = {s.instance_id: s.score for s in scene.result.panoptic.segments}
    pairs = list(zip(selection.instance_ids, selection.probabilities))
    kept = [(i, p) for i, p in pairs if scores[i] >= request.min_score][: request.max_results or None]
    if pairs and not kept:
        best = max(scores[i] for i, _ in pairs)
        message = f"{len(pairs)} objects fit, but the best score is {best:.2f}, below min_score {request.min_score:.2f}"
        return Selection((), (), 1.0, selection.explanation, ErrorCode.NOT_FOUND, message)
    ids, probabilities = tuple(i for i, _ in kept), tuple(p for _, p in kept)
    return Selection(ids, probabilities, selection.none_probability, selection.explanation, selection.code, selection.message)


def _by_position(point: Any, scene: SceneResult) -> Selection:
    """Nearest box first."""
    segments = scene.result.panoptic.segments
    if not segments:
        return _selection([], "nearest object", "the scene has no object")
    wanted = torch.tensor([point.x, point.y, point.z], dtype=torch.float32)
    distances = []
    for segment in segments:
        world_from_box = segment.box.world_from_box.cpu()
        local = (wanted - world_from_box[:3, 3]) @ world_from_box[:3, :3]
        outside = (local.abs() - segment.box.size_m.cpu() / 2).clamp_min(0)
        distances.append(float(outside.norm()))
    best = int(np.argmin(distances))
    text = f"nearest object, {distances[best] * 1000:.0f} mm from its box"
    return _selection([(segments[best].instance_id, float(np.exp(-distances[best] / 0.05)))], text, "")


def _by_pixels(request: Any, scene: SceneResult) -> Selection:
    """Objects under points or inside a box of one camera's image."""
    views = scene.result.views
    camera = request.camera or views.cameras[0]
    if camera not in views.cameras:
        raise RequestError(ErrorCode.NO_IMAGES, f"camera {camera} is not part of the newest result")
    index = views.cameras.index(camera)
    ids = scene.result.panoptic.instance_id[index].cpu().numpy()
    to_network = views.network_from_original[index].cpu().numpy()
    if request.prompt_type == _KINDS.PROMPT_POINTS:
        ranked = _under_points(request.points, ids, to_network)
        return _selection(ranked, f"objects under the points in {camera}", "no object is under the points")
    ranked = _inside_box(request.box, ids, to_network)
    return _selection(ranked, f"objects in the box in {camera}", "no object is inside the box")


def _network_pixel(to_network: np.ndarray, x: float, y: float) -> tuple[float, float]:
    column, row, _ = to_network @ np.array([x, y, 1.0])
    return row, column


def _under_points(points: Any, ids: np.ndarray, to_network: np.ndarray) -> list[tuple[int, float]]:
    """Objects that own points on them and none off them; probability = share of the points on the object."""
    on, off = [], set()
    for point in points:
        row, column = (int(round(v)) for v in _network_pixel(to_network, point.x, point.y))
        inside = 0 <= row < ids.shape[0] and 0 <= column < ids.shape[1]
        hit = int(ids[row, column]) if inside else 0
        if point.z > 0.5:
            on.append(hit)
        else:
            off.add(hit)
    found = {i: on.count(i) / len(on) for i in set(on) - off - {0}}
    return sorted(found.items(), key=lambda pair: -pair[1])


def _inside_box(box: Any, ids: np.ndarray, to_network: np.ndarray) -> list[tuple[int, float]]:
    """Objects with most of their visible pixels in the box; probability = IoU of pixels and box."""
    top, left = _network_pixel(to_network, box.x_offset, box.y_offset)
    bottom, right = _network_pixel(to_network, box.x_offset + box.width, box.y_offset + box.height)
    rows, columns = np.indices(ids.shape)
    inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
    found = {}
    for instance_id in np.unique(ids[inside]):
        mask = ids == instance_id
        both = (mask & inside).sum()
        if instance_id > 0 and both > 0.5 * mask.sum():
            found[int(instance_id)] = float(both / (mask | inside).sum())
    return sorted(found.items(), key=lambda pair: -pair[1])
