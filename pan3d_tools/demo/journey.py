"""One scene from camera images to the judged grasp."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pan3d_interfaces.msg import ErrorCode, GraspTarget, Instance, PipelineStats
from pan3d_interfaces.srv import ExecuteGrasp, SegmentObject

from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.messages.clouds import cloud_from_message
from pan3d_tools.demo import conversions
from pan3d_tools.demo.client import DemoClient
from pan3d_tools.demo.measure import (
    ObjectErrors,
    SceneErrors,
    SeenCamera,
    SeenInstance,
    TrueCamera,
    TrueInstance,
    choose_object,
    object_errors,
    scene_errors,
)
from pan3d_tools.demo.processes import DemoError

ANSWER_TIMEOUT_S = 60.0
MAX_GRASPS = 10


@dataclass(frozen=True)
class Question:
    """What the demo asks for in one scene."""

    seed: int
    prompt: str  # empty = the name of a graspable object of the scene
    names_kinds: bool  # whether the engine can tell a mug from a can


@dataclass
class Journey:
    """Everything that was asked, answered and measured in one scene."""

    seed: int
    prompt: str
    target: TrueInstance | None  # what the prompt means; None when it was given by hand and names no object of the cell
    cameras: list[TrueCamera]
    objects: list[TrueInstance]
    answer: SegmentObject.Response
    seen: list[SeenInstance]
    seen_cameras: list[SeenCamera]
    points: np.ndarray  # (N,) records of pan3d_ros.messages.clouds.POINT
    scene: SceneErrors
    target_errors: ObjectErrors | None
    stats: PipelineStats | None
    answer_s: float  # from the question to the answer
    trial: ExecuteGrasp.Response | None = None
    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def match(self) -> SeenInstance | None:
        """The object that perception took the prompt for."""
        found = self.answer.instances.instances
        return conversions.seen_instance(found[0]) if found else None

    @property
    def grasp(self) -> GraspTarget | None:
        """The best grasp."""
        return self.answer.grasps[0] if self.answer.grasps else None

    @property
    def found(self) -> bool:
        """Whether the prompted object was found where it really is."""
        return self.target_errors is not None and self.target_errors.found

    @property
    def lifted(self) -> bool:
        return self.trial is not None and self.trial.lifted

    @property
    def outcome(self) -> str:
        """One word, or the reason of the failure."""
        if self.match is None:
            return self.answer.message or "not found"
        if self.trial is None:
            return self.answer.grasp_message or "no grasp"
        return "lifted" if self.trial.lifted else self.trial.failure


def run_journey(client: DemoClient, question: Question, say: Callable[[str], None]) -> Journey:
    """Ask for the object, measure the answer, execute the best grasp. `DemoError` when a node fails, not when perception errs."""
    truth = client.truth(ANSWER_TIMEOUT_S)
    objects, cameras = conversions.true_instances(truth), conversions.true_cameras(truth)
    say(f"on the table: {', '.join(item.name for item in objects)}")
    prompt, target = _prompt(question, objects, cameras[0].depth.size)
    say(f'asking /segment_object for "{prompt}"')
    begin = time.monotonic()
    request = SegmentObject.Request(prompt=prompt, max_grasps=MAX_GRASPS, max_results=1, timeout=ANSWER_TIMEOUT_S)
    answer = client.segment(request, ANSWER_TIMEOUT_S + 10.0)
    answer_s = time.monotonic() - begin
    if answer.error_code not in (ErrorCode.OK, ErrorCode.NOT_FOUND, ErrorCode.NOT_METRIC):
        raise DemoError(f"perception answered with error {answer.error_code}: {answer.message}")
    _tell(answer, say)

    everything = client.segment(
        SegmentObject.Request(
            prompt_type=SegmentObject.Request.PROMPT_ALL,
            use_latest=True,
            return_masks=True,
            return_points=True,
            timeout=ANSWER_TIMEOUT_S,
        ),
        ANSWER_TIMEOUT_S + 10.0,
    )
    if everything.error_code not in (ErrorCode.OK, ErrorCode.NOT_FOUND):
        raise DemoError(f"perception answered with error {everything.error_code}: {everything.message}")
    outputs = client.outputs(stamp_to_ns(everything.instances.header.stamp), ANSWER_TIMEOUT_S)
    visible = [item for item in everything.instances.instances if item.state != Instance.LOST]
    seen = [conversions.seen_instance(item) for item in visible]
    seen_cameras = conversions.seen_cameras(everything, outputs)
    match = conversions.seen_instance(answer.instances.instances[0]) if answer.instances.instances else None
    journey = Journey(
        seed=question.seed,
        prompt=prompt,
        target=target,
        cameras=cameras,
        objects=objects,
        answer=answer,
        seen=seen,
        seen_cameras=seen_cameras,
        points=cloud_from_message(everything.points),
        scene=scene_errors(objects, cameras, seen, seen_cameras),
        target_errors=None if target is None else object_errors(target.box, None if match is None else match.box),
        stats=client.stats[-1] if client.stats else None,
        answer_s=answer_s,
    )
    if journey.grasp is not None:
        say("sending the best grasp to the cell")
        request = ExecuteGrasp.Request(
            grasp=journey.grasp, object_name="" if target is None else target.name, restore=True, return_images=True
        )
        journey.trial = client.execute(request, ANSWER_TIMEOUT_S)
        if not journey.trial.success:
            raise DemoError(f"the cell refused the grasp: {journey.trial.message}")
        journey.pictures = conversions.pictures(journey.trial.phases, journey.trial.images)
        say(f"the cell says: {journey.trial.message}")
    return journey


def _prompt(question: Question, objects: list[TrueInstance], image_pixels: int) -> tuple[str, TrueInstance | None]:
    """The words, and the true object that they mean."""
    if question.prompt:
        words = question.prompt.lower().split()
        named = [item for item in objects if all(word in words for word in item.name.split())]
        return question.prompt, named[0] if len(named) == 1 else None
    target = choose_object(objects, question.seed, image_pixels, unique_color=not question.names_kinds)
    return f"the {target.name}" if question.names_kinds else f"the {target.color} object", target


def _tell(answer: Any, say: Callable[[str], None]) -> None:
    if not answer.instances.instances:
        say(f"not found: {answer.message}")
        return
    best = answer.instances.instances[0]
    name = best.class_name or "an unnamed object"
    place = f"x {best.pose.position.x:+.3f} y {best.pose.position.y:+.3f} z {best.pose.position.z:+.3f} m"
    size = " x ".join(f"{1000 * side:.0f}" for side in (best.size.x, best.size.y, best.size.z))
    say(f"understood as: {answer.explanation}")
    say(f"found {name} (instance {best.id}, match {answer.match_probabilities[0]:.2f}) at {place}, {size} mm")
    quality = f", the best {answer.grasps[0].quality:.2f}" if answer.grasps else f": {answer.grasp_message}"
    say(f"{len(answer.grasps)} grasps{quality}")
