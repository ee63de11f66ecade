"""A bag through the node's own pairing, synchroniser and set processing, in this process and without a clock.

Time is the bag's time of receipt, so that everything the node decides by a clock is decided as it was recorded, and two
runs decide the same. Every set is processed, however long it takes; what a worker would have skipped is `timeline`'s part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.synchronizer import ViewSet, ViewSetSynchronizer
from pan3d_ros.bags.reading.frames import pairings_of, remember_infos
from pan3d_ros.bags.reading.reader import BagReader
from pan3d_ros.bags.reading.timing import OTHER_CLOCK_S
from pan3d_ros.bags.reading.transforms import transforms_of
from pan3d_ros.bags.settings import ReplaySettings, check_topics
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.messages.buffers import stamp_to_ns
from pan3d_ros.processing.problem_log import ProblemLog
from pan3d_ros.processing.set_processing import ProcessedSet, SetProcessor, Tools, sync_rules

log = logging.getLogger("pan3d.ros.bags")


@dataclass
class ReplayedSet:
    """One view set and what became of it."""

    cameras: tuple[str, ...]
    stamps_ns: tuple[int, ...]
    ready_ns: int  # when its last message was received, on the clock of the stamps
    received_ns: int  # the same on the clock of the bag
    busy_s: float = 0.0  # measured
    done: ProcessedSet | None = None  # None: no result
    lost: tuple[str, ...] = ()  # why not
    frame_ids: dict[str, str] = field(default_factory=dict)  # camera -> frame of its images
    frames: tuple[CameraFrame, ...] = ()  # the messages themselves

    @property
    def newest_ns(self) -> int:
        return max(self.stamps_ns)


class BagReplay:
    """`run` once. `on_set` is called after each set; whoever keeps the sets keeps their images, in `done` and `frames`."""

    def __init__(
        self, bag: BagReader, pipeline: PerceptionPipeline, settings: ReplaySettings, on_set: Callable[[ReplayedSet], None]
    ) -> None:
        check_topics(bag, settings)
        self.problems = ProblemLog()
        self.notes = list(settings.left_out)
        self._bag, self._settings, self._on_set = bag, settings, on_set
        node = replace(settings.node, transforms=replace(settings.node.transforms, timeout_s=0.0))  # all are known already
        offsets = {name: int(camera.time_offset_s * 1e9) for name, camera in settings.cameras.items()}
        self.sync: ViewSetSynchronizer[CameraFrame] = ViewSetSynchronizer(node.cameras, sync_rules(node), offsets)
        self.pairings, self._streams = pairings_of(node.input, settings.cameras, self._take_frame)
        self._clock_shift_ns = self._stamps_behind()
        self._now_ns, self._jumps = 0, 0
        transforms = transforms_of(bag, node, settings.cameras)
        tools = Tools(
            pipeline, transforms, KeyframeWindow(pipeline.config.keyframe), self.problems, lambda: self._now_ns, self._steady_s
        )
        pipeline.reset()
        self._processor = SetProcessor(node, tools, self._keep, lambda: None)
        self._done: ProcessedSet | None = None

    def run(self, start_s: float = 0.0, duration_s: float | None = None, on_time: Callable[[float], None] | None = None) -> None:
        """Replay a part of the bag.

        Args:
            start_s: Begin so long after the bag's start.
            duration_s: So much of the bag's time; None = to the end.
            on_time: Is told after every message the share of the bag that is done.
        """
        begin_ns, length_ns = self._bag.start_ns, max(self._bag.end_ns - self._bag.start_ns, 1)
        remember_infos(self._bag, self.pairings, self._streams, start_s)
        for message in self._bag.messages(list(self._streams), start_s, duration_s):
            self._now_ns = message.received_ns - self._clock_shift_ns
            camera, kind = self._streams[message.topic]
            self.pairings[camera].take(kind, message.content)
            if on_time is not None:
                on_time((message.received_ns - begin_ns) / length_ns)

    def drops(self) -> dict[str, int]:
        """Reason -> number of views or sets that gave no result, from every stage."""
        found = self.problems.totals()
        for (camera, reason), count in self.sync.drops.items():
            found[f"{camera}: {reason}"] = found.get(f"{camera}: {reason}", 0) + count
        for name, pairing in self.pairings.items():
            unpaired = pairing.counts["image"] - pairing.counts["frame"]
            if unpaired > 0:
                partner = "camera_info and depth" if self._settings.node.input.use_depth else "camera_info"
                found[f"{name}: image without {partner}"] = unpaired
        return {reason: count for reason, count in sorted(found.items()) if count}

    def why_nothing(self) -> str:
        """In words, when no set was ever formed."""
        pairings = self.pairings.values()
        if silent := [item.camera for item in pairings if not item.counts["frame"]]:
            pairing, slop_s = self.pairings[silent[0]], self._settings.node.input.pair_slop_s
            why = pairing.info_problem or f"no image with its camera_info (and depth within input.pair_slop_s = {slop_s:g})"
            return f"{silent[0]}: {why}, of {dict(pairing.counts)}"
        offsets = ", ".join(f"{camera} {ns * 1e-9:+.3f} s" for camera, ns in self.sync.observed_offset_ns().items())
        slop_s = self._settings.node.sync.slop_s
        return f"stamps never match within sync.slop_s = {slop_s:g}: against {self.sync.cameras[0]} {offsets or 'nothing came'}"

    def _stamps_behind(self) -> int:
        """Receipt minus stamp where they are of different clocks, otherwise 0."""
        for message in self._bag.messages([topic for topic, (_, kind) in self._streams.items() if kind == "image"]):
            behind_ns = message.received_ns - stamp_to_ns(message.content.header.stamp)
            if abs(behind_ns) <= OTHER_CLOCK_S * 1e9:
                return 0
            self.notes.append(
                f"stamps are {behind_ns * 1e-9:.1f} s behind the times of receipt: another clock; ages are counted from the"
                " first image"
            )
            return behind_ns
        return 0

    def _steady_s(self) -> float:
        return self._now_ns * 1e-9

    def _take_frame(self, frame: CameraFrame) -> None:
        view_set = self.sync.add(frame.camera, frame.stamp_ns, frame, self._now_ns * 1e-9)
        if self.sync.jumps > self._jumps:
            self._jumps = self.sync.jumps
            log.warning("stamps of %s jumped back: tracks and results are forgotten", frame.camera)
            self._processor.forget()
        if view_set is not None:
            self._on_set(self._process(view_set))

    def _process(self, view_set: ViewSet[CameraFrame]) -> ReplayedSet:
        before, self._done = self.problems.totals(), None
        started_s = time.perf_counter()
        self._processor(view_set)
        busy_s, stamps_ns = time.perf_counter() - started_s, tuple(item.stamp_ns for item in view_set.items)
        replayed = ReplayedSet(view_set.cameras, stamps_ns, self._now_ns, self._now_ns + self._clock_shift_ns, busy_s)
        replayed.frames = tuple(view_set.items)
        replayed.frame_ids = {item.camera: item.image.header.frame_id for item in view_set.items}
        replayed.done = self._done
        if self._done is None:
            replayed.lost = tuple(name for name, count in self.problems.totals().items() if count != before.get(name, 0))
        return replayed

    def _keep(self, done: ProcessedSet) -> None:
        self._done = done
