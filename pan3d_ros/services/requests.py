"""Which objects a request means. Knows messages and results, but no node."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pan3d_interfaces.msg import ErrorCode, Instance
from pan3d_interfaces.srv import SegmentObject

from pan3d_core.language import selection
from pan3d_core.language.grammar import NotUnderstood
from pan3d_core.language.namer import Namer
from pan3d_core.language.parsing import MAX_PROMPT_LENGTH, parse_prompt
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.picture_checks import ONE_COLOUR
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.outputs.result_store import SceneResult
from pan3d_ros.parameters.node_config import ServiceConfig

MAX_CLASSES = 10_000
ON_OBJECT = 0.5  # a point with a larger z lies on the object that is meant, one with a smaller z does not
_KINDS = SegmentObject.Request


class RequestError(ValueError):
    """The request cannot be answered; `code` is an ErrorCode, `words` are those of a prompt with their roles."""

    def __init__(self, code: int, message: str, words: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.code, self.words = code, words


def check_request(request: Any, cameras: tuple[str, ...], reference_frame: str) -> None:
    """Check what does not depend on the scene.

    Args:
        request: SegmentObject request or Segment goal.
        cameras: Names of the node's cameras.
        reference_frame: Of the node.

    Raises:
        RequestError: Names the field, what was expected and what came.
    """
    problem = _prompt_problem(request, cameras, reference_frame)
    for name in ("max_age", "timeout", "min_score"):
        value = getattr(request, name)
        if not np.isfinite(value) or value < 0:
            problem = problem or f"{name}: expected a number of at least 0, got {value}"
    if problem:
        raise RequestError(ErrorCode.INVALID_REQUEST, problem)


def check_limits(request: Any, service: ServiceConfig) -> None:
    """Refuse a request of any service by the length of its lists and its times, before anything is done with them.

    Args:
        request: Request or goal.
        service: The limits.

    Raises:
        RequestError: Names the field, what was expected and what came.
    """
    for name in ("points", "instance_ids", "preferred_approaches"):
        count = len(getattr(request, name, ()))
        if count > service.max_entries:
            text = f"{name}: expected at most service.max_entries = {service.max_entries} entries, got {count}"
            raise RequestError(ErrorCode.INVALID_REQUEST, text)
    for name, field, limit_s in (
        ("max_age", "longest_age_s", service.longest_age_s),
        ("timeout", "longest_timeout_s", service.longest_timeout_s),
    ):
        value_s = getattr(request, name, 0.0)
        if value_s > limit_s:
            text = f"{name}: expected at most service.{field} = {limit_s:g} s, got {value_s:g}"
            raise RequestError(ErrorCode.INVALID_REQUEST, text)


def check_prompt(prompt: str) -> str:
    """What is wrong with a text prompt; empty when nothing is."""
    if not prompt.strip():
        return "prompt: expected words, got an empty text"
    if len(prompt) > MAX_PROMPT_LENGTH:
        return f"prompt: expected at most {MAX_PROMPT_LENGTH} characters, got {len(prompt)}"
    return ""


def read_prompt(prompt: str, namer: Namer | None = None) -> tuple[tuple[str, str], ...]:
    """Take a prompt apart before anything is waited for.

    Args:
        prompt: One that `check_prompt` finds nothing wrong with.
        namer: Knows the names of taught objects.

    Returns:
        Every word with its role.

    Raises:
        RequestError: If it has no word (INVALID_REQUEST), or holds one that is not understood (NOT_UNDERSTOOD).
    """
    try:
        return parse_prompt(prompt, () if namer is None else namer.taught).words
    except NotUnderstood as problem:
        raise RequestError(ErrorCode.NOT_UNDERSTOOD, f"prompt: {problem}", problem.words) from problem
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error


def check_classes(names: Sequence[str]) -> None:
    """Raise `RequestError` for names of classes that no encoder should see: too many, blank or too long."""
    if len(names) > MAX_CLASSES:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"classes: expected at most {MAX_CLASSES} names, got {len(names)}")
    for index, name in enumerate(names):
        if problem := check_prompt(name):
            raise RequestError(ErrorCode.INVALID_REQUEST, problem.replace("prompt", f"classes[{index}]", 1))


def classes_message(names: Sequence[str], in_force: Sequence[str]) -> str:
    """Say what became of the names of a SetClasses request, for a person.

    Args:
        names: As they were asked for.
        in_force: As they are now; empty = those of the checkpoint.

    Returns:
        A sentence.
    """
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
    if kind == _KINDS.PROMPT_POINTS and not any(p.z > ON_OBJECT for p in request.points):
        return "points: expected at least one point on the object (z = 1)"
    if kind == _KINDS.PROMPT_POINTS and not np.isfinite([(p.x, p.y) for p in request.points]).all():
        return "points: expected finite numbers"
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


def select(request: Any, scene: SceneResult, namer: Namer, min_probability: float) -> selection.Selection:
    """Find the objects that a checked request means.

    Args:
        request: SegmentObject request or Segment goal.
        scene: The result in which to look.
        namer: What compares words with objects.
        min_probability: Matches of words below it are left out, 0..1.

    Returns:
        Them, or why there is none.

    Raises:
        RequestError: The prompt is empty, wordless or too long, or the camera is not part of the result.
    """
    result = scene.result
    if request.prompt_type == _KINDS.PROMPT_TEXT:
        chosen = select_by_text(request.prompt, scene, namer, min_probability)
    else:
        chosen = select_shown(request, result)
    if not chosen.instance_ids and (known := _remembered(request, scene, chosen)):
        chosen = replace(chosen, message=f"{chosen.message}; {known}")
    return selection.limit_selection(chosen, result, request.min_score, request.max_results or None)


def select_shown(request: Any, result: PerceptionResult) -> selection.Selection:
    """Find the objects that a checked request means otherwise than in words.

    Args:
        request: SegmentObject request or Segment goal, not of PROMPT_TEXT.
        result: In which to look.

    Returns:
        Them, or why there is none.

    Raises:
        RequestError: The camera is not part of the result.
    """
    kind = request.prompt_type
    if kind == _KINDS.PROMPT_ALL:
        return selection.select_all(result)
    if kind == _KINDS.PROMPT_INSTANCE:
        return selection.select_by_id(result, request.instance_id)
    if kind == _KINDS.PROMPT_POSITION:
        point = request.position.point
        return selection.select_by_point(result, (point.x, point.y, point.z))
    return _by_pixels(request, result)


def _remembered(request: Any, scene: SceneResult, chosen: selection.Selection) -> str:
    """What is remembered of the object that was asked for and is not seen now; empty = nothing."""
    nouns = {word.lower() for word, role in chosen.words if role == "noun"}
    newest_ns, told = stamp_to_ns(scene.instances.newest_stamp), []
    for item in scene.instances.instances:
        asked = (
            item.id == request.instance_id
            if request.prompt_type == _KINDS.PROMPT_INSTANCE
            else nouns & {*item.class_name.split()}
        )
        if item.state == Instance.LOST and asked:
            age_s = (newest_ns - stamp_to_ns(item.last_seen)) * 1e-9
            told.append(f"{item.class_name or 'object'} {item.id}, last seen {age_s:.1f} s before")
    return f"remembered and not seen now: {'; '.join(told)}" if told else ""


def select_by_text(prompt: str, scene: SceneResult, namer: Namer, min_probability: float) -> selection.Selection:
    """Find objects that fit a description in words.

    Args:
        prompt: The description.
        scene: As for `select`.
        namer: Likewise.
        min_probability: Likewise.

    Returns:
        Them, or why there is none.

    Raises:
        RequestError: The prompt is empty, wordless or too long.
    """
    try:
        return selection.select_by_prompt(scene.result, prompt, namer, min_probability)
    except ValueError as error:
        raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error


def _by_pixels(request: Any, result: PerceptionResult) -> selection.Selection:
    """Objects under points or inside a box of one camera's image."""
    if request.camera and request.camera not in result.views.cameras:  # one of the node's, as `check_request` has seen
        raise RequestError(ErrorCode.NO_IMAGES, f"camera {request.camera} is not part of the newest result")
    if request.prompt_type == _KINDS.PROMPT_POINTS:
        on = [(point.x, point.y) for point in request.points if point.z > ON_OBJECT]
        off = [(point.x, point.y) for point in request.points if not point.z > ON_OBJECT]
        return selection.select_by_pixels(result, on, off, request.camera)
    box = request.box
    edges = (box.x_offset, box.y_offset, box.x_offset + box.width, box.y_offset + box.height)
    return selection.select_by_box(result, edges, request.camera)


def unit_vector(vector: Any) -> torch.Tensor:
    """(3,) unit tensor; `RequestError` for zero and NaN."""
    values = torch.tensor([vector.x, vector.y, vector.z], dtype=torch.float64)
    length = float(values.norm())
    if not math.isfinite(length) or length < 1e-9:
        raise RequestError(ErrorCode.INVALID_REQUEST, f"preferred_approaches: expected directions, got {values.tolist()}")
    return values / length


def require_sight(scene: SceneResult) -> SceneResult:
    """Return the result; raise `RequestError` where its pictures show nothing: what is not found may well be there."""
    if scene.result.finds_objects:
        return scene
    covered = [words for words in scene.result.warnings if ONE_COLOUR in words]
    raise RequestError(ErrorCode.NO_IMAGES, (covered or ["the newest result says nothing of objects"])[0])


def require_agreeing_poses(scene: SceneResult) -> None:
    """Raise `RequestError` where the pictures contradict the poses or the support's height: no length can be relied on."""
    found = scene.result.consistency
    if found is not None and found.contradiction:
        words = f"the pictures contradict what was given, so there is no grasp: {found.contradiction}"
        raise RequestError(ErrorCode.POSES_CONTRADICT, words)
