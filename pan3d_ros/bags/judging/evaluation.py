"""`pan3d eval BAG`: how well and how fast the node would have perceived what was recorded."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines.parts.warm_up import warm_up
from pan3d_core.labels import called
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import PerceptionResult
from pan3d_eval.metrics.average_precision import InstanceAp, instance_ap
from pan3d_eval.metrics.identity import FrameOverlap, IdentityErrors, frame_overlap, identity_errors
from pan3d_eval.runner import MIN_PIXELS, SceneEvaluation, evaluate_result, truth_at_network
from pan3d_ros.bags.inspection import inspected
from pan3d_ros.bags.judging.figures import memory_figures, performance, resident_mb, stage_figures
from pan3d_ros.bags.judging.timeline import RATE_LIMIT, FormedSet, Timeline, simulate_worker
from pan3d_ros.bags.judging.truth import BagTruth
from pan3d_ros.bags.reading.reader import BagReader
from pan3d_ros.bags.replay import BagReplay, ReplayedSet
from pan3d_ros.bags.settings import ReplaySettings, TruthTopics, pipeline_of, prepared, replay_settings

Progress = Callable[[int, int], None]
Part = tuple[float, float | None]  # start and duration, seconds; None = to the end
OBJECTS, NO_OBJECTS, COULD_NOT_LOOK, LEFT_OUT = "objects", "no objects", "could not look", "left out"
ON_PURPOSE = {RATE_LIMIT, "waiting_for_keyframes"}  # reasons for which a set is left out although all is well


@dataclass(frozen=True)
class SeenObject:
    """One instance of one result."""

    id: int
    name: str
    score: float
    center_m: tuple[float, ...]  # of the box, in the reference frame
    size_m: tuple[float, ...]
    num_views: int


@dataclass(frozen=True)
class SetOutcome:
    """One view set. `answer`: objects, no objects (looked and saw none), could not look or left out (`reasons` say why)."""

    cameras: tuple[str, ...]
    stamps_ns: tuple[int, ...]
    answer: str
    reasons: tuple[str, ...] = ()
    objects: tuple[SeenObject, ...] = ()
    is_metric: bool = False


@dataclass(frozen=True)
class BagQuality:
    """Figures against the truth topics, over all sets whose views have truth."""

    sets: tuple[SceneEvaluation, ...]
    ap: InstanceAp  # class-agnostic, one mask over all views of a set
    ap_named: InstanceAp
    identities: IdentityErrors

    def rows(self) -> list[tuple[str, float | int | str]]:
        """Names and values."""
        objects = [item for scene in self.sets for item in scene.objects]
        found = [item for item in objects if item.found]
        named = [item.named_right for item in found if item.named_right is not None]
        return [
            ("sets with truth", len(self.sets)),
            ("objects seen, summed over sets", len(objects)),
            ("found (mask IoU > 0.5)", len(found) / len(objects) if objects else math.nan),
            ("AP50", self.ap.ap50),
            ("AP25", self.ap.ap25),
            ("AP50 with names", self.ap_named.ap50),
            ("names right of found", sum(named) / len(named) if named else math.nan),
            ("depth AbsRel", _middle([scene.depth.abs_rel for scene in self.sets], mean=True)),
            ("depth AbsRel on objects", _middle([scene.depth_objects.abs_rel for scene in self.sets], mean=True)),
            ("centre error, median (mm)", _middle([item.center_mm for item in found])),
            ("box IoU of found, mean", _middle([item.box_iou for item in found], mean=True)),
            ("identity switches", self.identities.switches),
            ("MOTA", self.identities.mota),
        ]


@dataclass(frozen=True)
class BagEvaluation:
    """Everything about one bag. What does not depend on the speed of the machine is in `outcomes`, `drops`, `quality`."""

    bag: str
    settings: ReplaySettings
    outcomes: tuple[SetOutcome, ...]
    drops: dict[str, int]
    quality: BagQuality | None  # None: the bag has no truth
    timeline: Timeline
    sets: tuple[FormedSet, ...]
    stages_s: dict[str, list[float]]
    memory: tuple[tuple[float, float], ...]  # (seconds of work, MB)
    notes: tuple[str, ...]

    def rows(self) -> list[tuple[str, float | int | str]]:
        """The figures with their names, for a table."""
        answers = [item.answer for item in self.outcomes]
        rows: list[tuple[str, float | int | str]] = [("view sets", len(answers))]
        rows += [(f"sets: {answer}", answers.count(answer)) for answer in (OBJECTS, NO_OBJECTS, COULD_NOT_LOOK, LEFT_OUT)]
        rows += self.quality.rows() if self.quality else []
        rows += [(f"dropped: {reason}", count) for reason, count in self.drops.items()]
        rows += [(f"at recorded rate: {name}", value) for name, value in performance(self.sets, self.timeline).table()]
        for stage, figures in stage_figures(self.stages_s).items():
            rows.append((f"{stage} p50 / p90 / p99 (ms)", " / ".join(f"{figures[p]:.1f}" for p in ("p50", "p90", "p99"))))
        rows += [(name, value) for name, value in memory_figures(self.memory).items()]
        return rows + [("note", note) for note in self.notes]

    def to_dict(self) -> dict:
        """Plain values. Keys of ros2_benchmark at the top where it has one; `results` is the same in every run."""
        quality = dict(self.quality.rows()) if self.quality else None
        results = {
            "sets": [asdict(item) for item in self.outcomes],
            "drops": self.drops,
            "quality": quality,
            "notes": list(self.notes),
        }
        return {
            **performance(self.sets, self.timeline).keyed(),
            "results": results,
            "lost_at_recorded_rate": self.timeline.lost,
            "ages_ms": [1e3 * item.age_s for item in self.timeline.deliveries],
            "stages_ms": stage_figures(self.stages_s),
            "memory": memory_figures(self.memory),
            "metadata": {"input_data_path": self.bag, "parameters": self.settings.differences()},
        }


def evaluate_bag(
    path: Path | str,
    pipeline: PerceptionPipeline | None = None,
    settings: ReplaySettings | None = None,
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    progress: Progress | None = None,
) -> BagEvaluation:
    """Replay a bag in this process and measure. It is opened once; sets that cannot be used are counted with their reasons.

    Args:
        path: A folder, or an .mcap or .db3 file.
        pipeline: None = as the settings say, with the node's naming.
        settings: None = found out from the bag; `replay_settings` takes parameter files.
        start_s: Begin so long after the bag's start.
        duration_s: So much of the bag's time; None = to its end.
        progress: Called with (done, 100) at every new percent of the bag.

    Returns:
        Outcomes of all view sets and the figures over them.

    Raises:
        BagError: The bag cannot be read or lacks topics.
    """
    with BagReader(path) as bag:
        if settings is None:
            settings = replay_settings(inspected(bag), base=None if pipeline is None else pipeline.config)
        if pipeline is None:
            pipeline = pipeline_of(settings)
        return _evaluated(bag, pipeline, settings, (start_s, duration_s), progress)


def _evaluated(
    bag: BagReader, pipeline: PerceptionPipeline, settings: ReplaySettings, part: Part, progress: Progress | None
) -> BagEvaluation:
    settings = prepared(pipeline, settings)
    warm_up(pipeline.engine, len(settings.node.cameras))
    keyframes = settings.pipeline.keyframe.enabled
    judge = _Judge(BagTruth(bag, settings.truth, settings.node.reference_frame, keyframes=keyframes))
    replay = BagReplay(bag, pipeline, settings, judge.take)
    replay.run(*part, None if progress is None else _percent(progress))
    notes = replay.notes + ([] if judge.outcomes else [f"no view set was formed: {replay.why_nothing()}"]) + judge.notes()
    return judge.evaluation(str(bag.path), settings, replay.drops(), notes)


@dataclass(frozen=True)
class BagRequest:
    """How bags are evaluated; small enough to be sent to other processes."""

    base: PipelineConfig
    params: tuple[Path, ...] = ()
    use_depth: bool = False
    use_poses: bool = True
    truth: str = "/ground_truth"  # namespace of the truth topics
    part: Part = (0.0, None)

    def settings(self, bag: BagReader) -> ReplaySettings:
        """Of one bag, which is read only when there are no parameter files."""
        truth, source = TruthTopics().below(self.truth), self.params or inspected(bag)
        found = replay_settings(source, base=self.base, use_depth=self.use_depth, truth=truth)
        if self.use_poses:
            return found
        return replace(found, node=replace(found.node, transforms=replace(found.node.transforms, source="none")))


def bag_worker(request: BagRequest, progress: Progress | None = None) -> Callable[[Path], BagEvaluation]:
    """Make a worker for `evaluation.execution.run_items`: bags in, evaluations out; bags of one model share its engine.

    Args:
        request: How bags are evaluated.
        progress: As for `evaluate_bag`.
    """
    pipelines: dict[ModelConfig, PerceptionPipeline] = {}

    def evaluate(path: Path) -> BagEvaluation:
        with BagReader(path) as bag:
            settings = request.settings(bag)
            pipeline = pipelines.get(settings.pipeline.model)
            if pipeline is None:
                pipeline = pipelines[settings.pipeline.model] = pipeline_of(settings)
            return _evaluated(bag, pipeline, settings, request.part, progress)

    return evaluate


class _Judge:
    """Takes sets one by one, measures, and lets go of their images."""

    def __init__(self, truth: BagTruth) -> None:
        self.outcomes: list[SetOutcome] = []
        self._truth = truth
        self._sets: list[FormedSet] = []
        self._stages: dict[str, list[float]] = {}
        self._memory: list[tuple[float, float]] = []
        self._scenes: list[SceneEvaluation] = []
        self._overlaps: list[FrameOverlap] = []
        self._frame_ids: dict[str, str] = {}
        self._without_truth = 0

    def take(self, item: ReplayedSet) -> None:
        result = item.done.result if item.done is not None else None
        self._frame_ids |= item.frame_ids
        self.outcomes.append(_outcome(item, result))
        self._sets.append(FormedSet(item.ready_ns, item.newest_ns, item.busy_s, "" if result is not None else item.lost[0]))
        worked_s = sum(formed.busy_s for formed in self._sets)
        self._memory.append((worked_s, resident_mb()))
        if item.done is None:
            return
        for stage, seconds in {**item.done.stages_s, "total": item.busy_s}.items():
            if stage != "wait":
                self._stages.setdefault(stage, []).append(seconds)
        if self._truth.found:
            self._measure(item, item.done.result)

    def notes(self) -> list[str]:
        return [f"{self._without_truth} results have views without truth"] if self._without_truth else []

    def evaluation(self, bag: str, settings: ReplaySettings, drops: dict[str, int], notes: list[str]) -> BagEvaluation:
        overlaps = [scene.overlaps for scene in self._scenes]
        quality = None
        if self._scenes:
            quality = BagQuality(
                tuple(self._scenes),
                instance_ap(overlaps, min_points=MIN_PIXELS),
                instance_ap(overlaps, class_aware=True, min_points=MIN_PIXELS),
                identity_errors(self._overlaps),
            )
        sets = tuple(_with_likely_times(self._sets))
        return BagEvaluation(
            bag=bag,
            settings=settings,
            outcomes=tuple(self.outcomes),
            drops=drops,
            quality=quality,
            timeline=simulate_worker(sets, settings.node.input),
            sets=sets,
            stages_s=self._stages,
            memory=tuple(self._memory),
            notes=tuple(notes),
        )

    def _measure(self, item: ReplayedSet, result: PerceptionResult) -> None:
        scene = self._truth.scene(str(item.newest_ns), result, self._frame_ids, item.received_ns)
        if scene is None or scene.truth is None:
            self._without_truth += 1
            return
        self._scenes.append(evaluate_result(result, scene))
        true_ids, _ = truth_at_network(result, scene.truth)
        self._overlaps.append(frame_overlap(result.panoptic.instance_id.cpu(), true_ids))


def _percent(progress: Progress) -> Callable[[float], None]:
    told = -1

    def on_time(share: float) -> None:
        nonlocal told
        if int(100 * share) > told:
            told = int(100 * share)
            progress(told, 100)

    return on_time


def _outcome(item: ReplayedSet, result: PerceptionResult | None) -> SetOutcome:
    if result is None:
        answer = LEFT_OUT if set(item.lost) <= ON_PURPOSE else COULD_NOT_LOOK
        return SetOutcome(item.cameras, item.stamps_ns, answer, item.lost)
    labels = result.panoptic.labels
    objects = tuple(
        SeenObject(
            id=segment.instance_id,
            name=called(labels, segment.class_id, segment.taught),
            score=float(segment.score),
            center_m=tuple(segment.box.world_from_box[:3, 3].tolist()),
            size_m=tuple(segment.box.size_m.tolist()),
            num_views=segment.num_views,
        )
        for segment in result.panoptic.segments
    )
    answer = OBJECTS if objects else NO_OBJECTS if result.finds_objects else COULD_NOT_LOOK
    return SetOutcome(item.cameras, item.stamps_ns, answer, result.warnings, objects, result.is_metric)


def _with_likely_times(sets: Sequence[FormedSet]) -> list[FormedSet]:
    """Sets that were left out by `input.max_rate_hz` with the time of the last processed one: a worker that is busy at
    other moments would take some of them."""
    known_s = next((item.busy_s for item in sets if item.lost != RATE_LIMIT), 0.0)
    likely = []
    for item in sets:
        if item.lost == RATE_LIMIT:
            item = replace(item, busy_s=known_s, lost="")
        else:
            known_s = item.busy_s
        likely.append(item)
    return likely


def _middle(values: Sequence[float | None], *, mean: bool = False) -> float:
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    return (statistics.fmean(known) if mean else statistics.median(known)) if known else math.nan
