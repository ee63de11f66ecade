"""Grasps of the newest result, computed once for everybody who asks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import torch
from pan3d_interfaces.msg import ErrorCode

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.planner import GraspResult, select_grasps
from pan3d_core.grasping.rehearsal import RehearsalRequest
from pan3d_core.structures import GraspTarget, Panoptic3D
from pan3d_ros.outputs.result_store import SceneResult
from pan3d_ros.parameters.node_config import ArmConfig, RehearseConfig
from pan3d_ros.services.reach import GraspReach
from pan3d_ros.services.rehearsal import GraspRehearsals
from pan3d_ros.services.requests import RequestError, require_agreeing_poses


@dataclass(frozen=True)
class GraspChoice:
    """By what grasps are found and ordered."""

    config: GraspConfig  # rules and gripper
    support_height_m: float | None  # height of what objects stand on, metres, world; None = unknown
    reach: GraspReach | None = None  # of the arm, where only grasps are wanted that it gets to; None = there is none
    rehearse: RehearseConfig = RehearseConfig()

    @property
    def key(self) -> tuple[GraspConfig, float | None, ArmConfig | None, RehearseConfig]:
        """What answers depend on."""
        return self.config, self.support_height_m, None if self.reach is None else self.reach.config, self.rehearse


FoundGrasps = tuple[list[GraspTarget], str]
MOST = 50  # answers that are kept of a result
SHARED_S = 1.0  # so long, several waiting callers get grasps of the same result


class GraspMemory:
    """Keeps the grasps found in one result: many callers ask for the same object, and it takes tenths of a second."""

    def __init__(self) -> None:
        self._scene: SceneResult | None = None
        self._found: dict[tuple[object, ...], FoundGrasps] = {}
        self._rehearsals = GraspRehearsals()
        self._lock = threading.Lock()
        self._shared: tuple[SceneResult, float] | None = None  # what was last handed out as the newest, and when (monotonic)

    def scene_for(self, newest: SceneResult, several_wait: bool, oldest_ns: int) -> SceneResult:
        """Choose the result whose grasps answer a request.

        Results come faster than grasps are computed: with the newest for each, the last of many callers would wait long.

        Args:
            newest: Result.
            several_wait: Whether this is one of several requests that are there.
            oldest_ns: Stamp of the oldest result that may answer.

        Returns:
            The newest, or while several wait the one that was the newest a moment ago.
        """
        now_s = time.monotonic()
        with self._lock:
            if several_wait and self._shared is not None:
                scene, since_s = self._shared
                # A newer stamp than the newest result's is from before the clock jumped back.
                if now_s - since_s <= SHARED_S and oldest_ns <= scene.newest_ns <= newest.newest_ns:
                    return scene
            self._shared = newest, now_s
            return newest

    def find(self, scene: SceneResult, instance_id: int, choice: GraspChoice) -> FoundGrasps:
        """Find grasps of an object.

        Args:
            scene: A result; with another one than before, what is kept is forgotten.
            instance_id: The object in it.
            choice: By what they are found and ordered.

        Returns:
            Grasps, best first, and what became of others in words.

        Raises:
            RequestError: The poses contradict the pictures, the object is not in the result, it is not metric, or nobody knows
                what the arm reaches.
        """
        require_agreeing_poses(scene)
        panoptic = scene.result.panoptic
        if all(segment.instance_id != instance_id for segment in panoptic.segments):
            raise RequestError(ErrorCode.NOT_FOUND, f"instance {instance_id} is not visible now")
        if not scene.result.reconstruction.is_metric:
            raise RequestError(ErrorCode.NOT_METRIC, "the reconstruction has no metric scale, so there is no grasp")
        key = (instance_id, *choice.key)
        with self._lock:  # held while computing, so that the next with the same question finds the answer
            if self._scene is not scene or len(self._found) >= MOST:
                self._scene, self._found = scene, {}
            if key not in self._found:
                with torch.inference_mode():
                    found = select_grasps(panoptic, instance_id, choice.config, choice.support_height_m)
                self._found[key] = self._rehearsed(panoptic, *_reached(found, choice.reach), choice)
            return self._found[key]

    def _rehearsed(self, panoptic: Panoptic3D, targets: list[GraspTarget], message: str, choice: GraspChoice) -> FoundGrasps:
        if not choice.rehearse.enabled or not targets:
            return targets, message
        request = RehearsalRequest(panoptic, targets, choice.support_height_m)
        rehearsal = self._rehearsals.rehearse(request, choice.rehearse, choice.config.gripper)
        return list(rehearsal.targets), f"{message}; {rehearsal.message}"


def _reached(found: GraspResult, reach: GraspReach | None) -> FoundGrasps:
    if reach is None:
        return list(found.targets), found.message
    targets, refused = reach.only_reached(found.targets, len(found.targets))
    return targets, f"{found.message}; of these {len(targets)} for this arm, {refused}" if refused else found.message
