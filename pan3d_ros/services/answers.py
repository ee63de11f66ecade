"""Answers to requests from the newest result. Runs in the threads of services, never in that of the images."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from pan3d_interfaces.action import Segment
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.config import GraspConfig
from pan3d_core.language.namer import Namer
from pan3d_ros.messages.clouds import cloud_message, cloud_records
from pan3d_ros.messages.instances import id_image, only_instances
from pan3d_ros.messages.manipulation.grasps import grasp_message, grasp_poses
from pan3d_ros.messages.parts import header
from pan3d_ros.outputs.result_store import ResultStore, SceneResult
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.services.grasp_memory import GraspChoice, GraspMemory
from pan3d_ros.services.private.warranty import Warranty
from pan3d_ros.services.requests import (
    RequestError,
    check_classes,
    check_limits,
    check_prompt,
    check_request,
    classes_message,
    read_prompt,
    require_agreeing_poses,
    require_sight,
    select,
    select_by_text,
    unit_vector,
)
from pan3d_ros.services.situation import Situation
from pan3d_ros.services.turns import Turns

log = logging.getLogger("pan3d.ros.answers")
# How often one who waits looks up: to tell how things stand, or, where nobody is told, hardly ever (what ends a wait wakes it).
WATCHED_S, UNWATCHED_S = 0.1, 1.0
SPARE_THREADS = 4  # of the executor, for all that is no request
Progress = Callable[[int, float, str], None]  # stage of Segment.Feedback, 0..1, words
_STAGES = Segment.Feedback


def _nobody(stage: int, share: float, words: str) -> None:
    """Tell nobody how far an answer is."""


class Answers:
    """Each method takes a request and fills a response; every error becomes `error_code` and `message`.

    The node says with `perceive` and `stop` how things are. `why_no_result` gives code and words when waiting was in vain;
    `working` tells whether a view set is being processed; `now_ns` is the node's clock; `threads` tells how many callbacks
    can run at a time, None = unknown.
    """

    def __init__(
        self,
        store: ResultStore,
        now_ns: Callable[[], int],
        why_no_result: Callable[[], tuple[int, str]],
        working: Callable[[], bool],
        threads: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.situation = Situation(NodeConfig(), GraspConfig())
        self.why_no_result = why_no_result
        self._store, self._now_ns, self._working, self._threads = store, now_ns, working, threads
        self.turns, self._grasp_memory, self.warranty = Turns(), GraspMemory(), Warranty()

    def perceive(self, situation: Situation) -> None:
        """Answer by this from now on: the node is active, or its settings have changed."""
        self.situation = situation

    def stop(self, reason: str = "") -> None:
        """Refuse requests from now on, and end the wait of those that are there. `reason`: in words; empty = as before."""
        self.situation = replace(self.situation, namer=None, inactive_reason=reason or self.situation.inactive_reason)
        self._store.wake()

    def segment(
        self, request: Any, response: Any, progress: Progress = _nobody, cancelled: Callable[[], bool] = lambda: False
    ) -> Any:
        """Answer the SegmentObject service and the Segment action.

        Args:
            request: Request or goal.
            response: Response or result.
            progress: Is told stage, share done and words.
            cancelled: Is asked while waiting.

        Returns:
            `response`, filled.
        """
        return self._answer(request, response, lambda: self._segment(request, response, progress, cancelled))

    def get_instances(self, request: Any, response: Any) -> Any:
        """Answer the GetInstances service.

        Args:
            request: Of it.
            response: Of it; is returned, filled.
        """
        return self._in_turn(self._get_instances, request, response)

    def get_grasp_targets(self, request: Any, response: Any) -> Any:
        """Answer the GetGraspTargets service.

        Args:
            request: Of it.
            response: Of it; is returned, filled.
        """
        return self._in_turn(self._get_grasp_targets, request, response)

    def set_classes(self, request: Any, response: Any) -> Any:
        """Answer the SetClasses service.

        Args:
            request: Of it.
            response: Of it; is returned, filled.
        """
        return self._in_turn(self._set_classes, request, response)

    def _answer(self, request: Any, response: Any, work: Callable[[], None]) -> Any:
        """Run `work`; requests beyond `service.max_waiting` are refused at once."""
        self._fill(request, response, work)
        self.turns.pace()
        return response

    def _fill(self, request: Any, response: Any, work: Callable[[], None]) -> None:
        response.success = False
        if self.situation.namer is None:
            response.error_code, response.message = ErrorCode.NOT_ACTIVE, self.situation.inactive_reason
            return
        if self.situation.blind_reason:  # not NOT_FOUND: nobody looked
            response.error_code, response.message = ErrorCode.INVALID_REQUEST, self.situation.blind_reason
            return
        try:
            with self.turns.admitted(self._most_waiting()):
                check_limits(request, self.situation.node.service)
                work()
        except RequestError as error:
            response.success, response.error_code, response.message = False, error.code, str(error)
            if error.words and hasattr(response, "prompt_words"):
                _tell_reading(response, error.words)
        except Exception as error:  # noqa: BLE001 (a fault in one answer must not end the executor, and with it the node)
            log.exception("a request failed")
            text = f"{type(error).__name__}: {error}"
            response.success, response.error_code, response.message = False, ErrorCode.INFERENCE_ERROR, text

    def _most_waiting(self) -> int:
        """As many as the settings say, and never so many that no thread is left for pictures and timers."""
        most, threads = self.situation.node.service.max_waiting, self._threads()
        return most if threads is None else max(1, min(most, threads - SPARE_THREADS))

    def _in_turn(self, work: Callable[[Any, Any], None], request: Any, response: Any) -> Any:
        """Answer a request that waits for nothing."""

        def compute() -> None:
            with self.turns.computing:
                work(request, response)

        return self._answer(request, response, compute)

    def _segment(self, request: Any, response: Any, progress: Progress, cancelled: Callable[[], bool]) -> None:
        situation = self.situation
        check_request(request, situation.node.cameras, situation.node.reference_frame)
        if request.prompt_type == request.PROMPT_TEXT:
            _tell_reading(response, read_prompt(request.prompt, situation.namer))
        scene = self._scene(request, progress, cancelled)
        with self.turns.computing:
            self._segment_in(scene, request, response, progress)
        if cancelled():
            raise RequestError(ErrorCode.CANCELED, "cancelled by the caller")
        response.latency = (self._now_ns() - scene.newest_ns) * 1e-9

    def _segment_in(self, scene: SceneResult, request: Any, response: Any, progress: Progress) -> None:
        """Fill in what is there of the objects that are meant."""
        progress(_STAGES.MATCH, 0.8, "resolving the prompt")
        node, in_words = self.situation.node, request.prompt_type == request.PROMPT_TEXT
        chosen = select(request, scene, self._namer(), node.service.min_probability)
        chosen = self.warranty.kept(chosen, scene.result, in_words, node.warranty)
        response.none_probability, response.explanation = chosen.none_probability, chosen.explanation
        response.success, response.message = bool(chosen.instance_ids), chosen.message
        response.error_code = ErrorCode.OK if chosen.instance_ids else ErrorCode.NOT_FOUND
        response.instances = only_instances(scene.instances, chosen.instance_ids)
        response.match_probabilities = list(chosen.probabilities)
        if request.max_grasps and chosen.instance_ids:
            progress(_STAGES.GRASP, 0.9, "computing grasps")
            try:
                response.grasps, response.grasp_message = self._grasps(scene, chosen.instance_ids[0], request.max_grasps)
            except RequestError as error:
                response.grasp_message = str(error)
        if request.return_points:
            response.points = self._points(scene, set(chosen.instance_ids))
        if request.return_masks:
            response.masks = masks(scene, set(chosen.instance_ids))

    def _get_instances(self, request: Any, response: Any) -> None:
        scene = self._newest(request.max_age)
        wanted = tuple(request.instance_ids) or tuple(i.id for i in scene.instances.instances)
        response.instances = only_instances(scene.instances, wanted)
        missing = sorted(set(wanted) - {i.id for i in response.instances.instances})
        response.success = not missing
        response.error_code = ErrorCode.NOT_FOUND if missing else ErrorCode.OK
        response.message = f"instances {missing} are not known" if missing else f"{len(wanted)} instances"
        if request.return_points:
            response.points = self._points(scene, set(wanted))

    def _get_grasp_targets(self, request: Any, response: Any) -> None:
        situation = self.situation
        if not request.instance_id and (problem := check_prompt(request.prompt)):
            raise RequestError(ErrorCode.INVALID_REQUEST, f"{problem}, and no instance_id")
        if not request.instance_id:
            read_prompt(request.prompt, situation.namer)
        width = request.gripper_max_width
        if not math.isfinite(width) or width < 0:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"gripper_max_width: expected at least 0, got {width}")
        oldest_ns = self._now_ns() - int((request.max_age or situation.node.service.max_age_s) * 1e9)
        scene = self._grasp_memory.scene_for(self._newest(request.max_age), self.turns.waiting > 1, oldest_ns)
        require_agreeing_poses(scene)  # before names: what is not found at wrong poses may well be there
        instance_id = request.instance_id
        if not instance_id:
            chosen = select_by_text(request.prompt, scene, self._namer(), situation.node.service.min_probability)
            chosen = self.warranty.kept(chosen, scene.result, True, situation.node.warranty)
            if not chosen.instance_ids:
                raise RequestError(ErrorCode.NOT_FOUND, chosen.message)
            instance_id = chosen.instance_ids[0]
        config = situation.rules()
        if width and config.gripper.kind != "parallel":
            raise RequestError(
                ErrorCode.INVALID_REQUEST, f"gripper_max_width: expected 0, as grasp.gripper.kind is suction, got {width:g}"
            )
        if width:
            config = replace(config, gripper=replace(config.gripper, max_width_m=min(width, config.gripper.max_width_m)))
        targets, response.message = self._grasps(scene, instance_id, request.max_grasps, config)
        preferred = [unit_vector(v.vector) for v in request.preferred_approaches]
        if preferred:
            targets.sort(key=lambda t: -max(float(unit_vector(t.approach_direction) @ p) for p in preferred))
        response.targets, response.poses = targets, grasp_poses(targets)
        response.success = bool(targets)
        response.error_code = ErrorCode.OK if targets else ErrorCode.NOT_FOUND

    def _set_classes(self, request: Any, response: Any) -> None:
        names = list(request.classes)
        check_classes(names)
        namer = self._namer()
        try:
            in_force = namer.set_classes(names)
        except ValueError as error:
            raise RequestError(ErrorCode.INVALID_REQUEST, str(error)) from error
        response.classes, response.success = list(in_force), True
        response.message = classes_message(names, in_force)

    def _namer(self) -> Namer:
        namer = self.situation.namer
        if namer is None:
            raise RequestError(ErrorCode.NOT_ACTIVE, self.situation.inactive_reason)
        return namer

    def _scene(self, request: Any, progress: Progress, cancelled: Callable[[], bool]) -> SceneResult:
        """A result that is young enough, waiting for it if need be."""
        service = self.situation.node.service
        max_age_ns = int((request.max_age or service.max_age_s) * 1e9)
        asked_ns = self._now_ns()

        def fits(scene: SceneResult) -> bool:
            age_ok = self._now_ns() - scene.newest_ns <= max_age_ns
            return age_ok and (request.use_latest or scene.oldest_ns >= asked_ns)

        def stop_waiting() -> bool:
            working = self._working()
            progress(
                _STAGES.RECONSTRUCT if working else _STAGES.COLLECT,
                0.3 if working else 0.1,
                "working on a view set" if working else "waiting for a view set",
            )
            return cancelled() or self.situation.namer is None

        timeout_s = request.timeout or service.timeout_s
        scene = self._store.wait(fits, timeout_s, stop_waiting, UNWATCHED_S if progress is _nobody else WATCHED_S)
        if scene is not None:
            return require_sight(scene)
        if cancelled():
            raise RequestError(ErrorCode.CANCELED, "cancelled by the caller")
        self._namer()
        raise self._no_result(f"no result within {timeout_s:g} s")

    def _newest(self, max_age_s: float) -> SceneResult:
        """The newest result without waiting."""
        if not math.isfinite(max_age_s) or max_age_s < 0:
            raise RequestError(ErrorCode.INVALID_REQUEST, f"max_age: expected at least 0, got {max_age_s}")
        scene = self._store.latest
        if scene is None:
            raise self._no_result("there is no result yet")
        age_s = (self._now_ns() - scene.newest_ns) * 1e-9
        limit_s = max_age_s or self.situation.node.service.max_age_s
        if age_s > limit_s:
            code, why = self.why_no_result()
            code = ErrorCode.STALE_IMAGES if code == ErrorCode.TIMEOUT else code
            raise RequestError(code, f"the newest result is {age_s:.1f} s old, allowed are {limit_s:g} s; {why}")
        return require_sight(scene)

    def _no_result(self, what: str) -> RequestError:
        code, why = self.why_no_result()
        return RequestError(code, f"{what}: {why}")

    def _grasps(
        self, scene: SceneResult, instance_id: int, count: int, config: GraspConfig | None = None
    ) -> tuple[list[Any], str]:
        situation = self.situation
        config = config or situation.rules()
        chosen = GraspChoice(config, scene.result.views.support_height_m, situation.reach, situation.node.rehearse)
        targets, message = self._grasp_memory.find(scene, instance_id, chosen)
        return [grasp_message(target, scene.result.panoptic.labels) for target in targets[: count or config.max_targets]], message

    def _points(self, scene: SceneResult, instance_ids: set[int]) -> Any:
        records = cloud_records(scene.result.panoptic, instance_ids, self.situation.cloud_points)
        return cloud_message(records, scene.instances.header)


def _tell_reading(response: Any, words: tuple[tuple[str, str], ...]) -> None:
    """How each word of the prompt was read, in an answer of SegmentObject or Segment."""
    response.prompt_words, response.prompt_roles = [text for text, _ in words], [role for _, role in words]


def masks(scene: SceneResult, instance_ids: set[int]) -> list[Any]:
    """Make one id image per view, other objects removed.

    Args:
        scene: The result.
        instance_ids: That stay.
    """
    views, ids = scene.result.views, scene.result.panoptic.instance_id
    chosen = torch.isin(ids, torch.tensor(sorted(instance_ids), dtype=ids.dtype, device=ids.device))
    kept = torch.where(chosen, ids, 0)
    return [
        id_image(kept[i], header(scene.frame_ids.get(camera, camera), stamp_ns))
        for i, (camera, stamp_ns) in enumerate(zip(views.cameras, views.stamps_ns))
    ]
