"""The same measurement for every engine: the whole pipeline over scenes with truth."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import torch

from pan3d_core.geometry.camera_checks import CameraFault
from pan3d_core.labels import LabelSpace
from pan3d_core.language.namer import Namer
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView, Panoptic3D, PerceptionResult
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene, SceneTruth
from pan3d_core.views.usable_views import usable_scene
from pan3d_eval.datasets.scenes import SceneReference
from pan3d_eval.execution import Failure, Progress, guarded
from pan3d_eval.metrics.average_precision import InstanceAp, SceneOverlaps, instance_ap, measure_overlaps
from pan3d_eval.metrics.depth import DepthErrors, depth_errors
from pan3d_eval.metrics.objects import ObjectErrors, object_errors
from pan3d_eval.metrics.overlaps import VOID
from pan3d_eval.metrics.panoptic import panoptic_quality
from pan3d_eval.metrics.poses import PoseErrors, pose_errors
from pan3d_eval.metrics.prompt_accuracy import PromptAnswer, prompt_answers
from pan3d_eval.metrics.trajectories import absolute_trajectory_error
from pan3d_eval.protocols.mesh_evaluation import MeshOverlaps, mesh_overlaps
from pan3d_eval.rig_errors import RigError

MIN_PIXELS = 40  # true instances under this many network pixels over all views do not count
MIN_PIXELS_IN_VIEW = 10  # likewise where each view is measured on its own
OBJECTS = LabelSpace(("background", "object"), (False, True))
FAR_M = 1.5  # on tabletops depth beyond is background, and left out of the depth errors; scanned rooms are measured whole


@dataclass(frozen=True)
class EvaluationProtocol:
    """What an engine is given of each scene, and what it is asked."""

    use_depth: bool = False  # it sees the scenes' depth images, as from depth cameras
    use_poses: bool = True  # it sees the cameras' poses
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # class name -> descriptions to be asked for
    # What a depth camera makes of a view with exact depth, in a scene of this name; None = depth is taken as it is.
    depth_camera: Callable[[CameraView, str], torch.Tensor] | None = None
    rig_error: RigError = RigError()  # of the poses and the support's height that it is told


@dataclass(frozen=True)
class SceneEvaluation:
    """Everything about one scene."""

    name: str
    overlaps: SceneOverlaps  # all views as one picture, so that identities must hold through them
    view_overlaps: tuple[SceneOverlaps, ...]  # each view on its own
    mesh: MeshOverlaps  # on the vertices of the scan, where the data set publishes one
    depth: DepthErrors
    depth_objects: DepthErrors  # on the pixels of objects alone
    poses: PoseErrors | None  # None when the poses were given
    trajectory_m: float  # ATE of the cameras after Sim(3), metres; NaN when the poses were given
    pq: float
    objects: tuple[ObjectErrors, ...]
    prompts: tuple[PromptAnswer, ...]
    is_metric: bool
    timings_ms: dict[str, float]
    peak_memory_mb: float  # high-water mark of the process up to this scene
    processor_s: float = math.nan  # processor time of the pipeline, all threads; other load on the machine hardly changes it
    finds_objects: bool = True  # False: the engine looks for none, so figures of objects would say nothing
    left_out: tuple[CameraFault, ...] = ()  # cameras that could not be used, of which nothing was measured

    @property
    def ap50(self) -> float:
        """Class-agnostic, of this scene alone."""
        return instance_ap([self.overlaps], min_points=MIN_PIXELS).ap50


@dataclass(frozen=True)
class Evaluation:
    """What was measured over a set of scenes; `figures.figure_table` makes the figures of it."""

    scenes: tuple[SceneEvaluation, ...]
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, outcomes: Iterable[SceneEvaluation | Failure]) -> Evaluation:
        """From the outcomes of each scene."""
        outcomes = list(outcomes)
        failures = tuple(item for item in outcomes if isinstance(item, Failure))
        return cls(tuple(item for item in outcomes if not isinstance(item, Failure)), failures)

    @cached_property
    def ap(self) -> InstanceAp:
        """Class-agnostic, one mask over all views."""
        return instance_ap([item.overlaps for item in self.scenes], min_points=MIN_PIXELS)

    @cached_property
    def ap_named(self) -> InstanceAp:
        """The segment's class name must be right as well; mean over classes."""
        return instance_ap([item.overlaps for item in self.scenes], class_aware=True, min_points=MIN_PIXELS)

    @cached_property
    def ap_in_view(self) -> InstanceAp:
        """Class-agnostic, each view a scene of its own, so that identities across views do not matter."""
        return instance_ap([view for item in self.scenes for view in item.view_overlaps], min_points=MIN_PIXELS_IN_VIEW)

    def scene_list(self) -> list[dict]:
        """Each scene's figures as plain values, the most important first."""
        return [
            {
                "name": scene.name,
                "ap50": scene.ap50,
                "pq": scene.pq,
                "depth": asdict(scene.depth),
                "poses": None if scene.poses is None else {**asdict(scene.poses), "trajectory_m": scene.trajectory_m},
                "objects": [asdict(item) for item in scene.objects],
                "prompts": [asdict(item) for item in scene.prompts],
                "is_metric": scene.is_metric,
                "timings_ms": scene.timings_ms,
                "processor_s": scene.processor_s,
                "peak_memory_mb": scene.peak_memory_mb,
                "left_out": [asdict(item) for item in scene.left_out],
            }
            for scene in self.scenes
        ]


def evaluate(
    pipeline: PerceptionPipeline,
    scenes: Iterable[Scene | SceneReference],
    protocol: EvaluationProtocol | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Run the pipeline on every scene, each on its own (no tracks between them), and measure against the truth.

    Args:
        pipeline: Around any engine.
        scenes: Scenes with truth, or references to them, which are read one at a time.
        protocol: What the engine is given and asked.
        progress: Called with the numbers of scenes done and of all after each.

    Returns:
        What was measured; a scene that cannot be read or processed is a `Failure` in it.
    """
    scenes, evaluator, outcomes = list(scenes), SceneEvaluator(pipeline, protocol), []
    for scene in scenes:
        outcomes.append(guarded(evaluator, scene))
        if progress is not None:
            progress(len(outcomes), len(scenes))
    return Evaluation.of(outcomes)


class SceneEvaluator:
    """A worker for `execution.run_items`: one scene, or a reference to it, in; its `SceneEvaluation` out."""

    def __init__(self, pipeline: PerceptionPipeline, protocol: EvaluationProtocol | None = None) -> None:
        self.pipeline, self.protocol = pipeline, protocol or EvaluationProtocol()
        self._namer = Namer.of_facts(pipeline.engine.facts, pipeline.config.naming)

    def __call__(self, scene: Scene | SceneReference) -> SceneEvaluation:
        """Raises `ValueError` for a scene without truth, and what reading or the pipeline raises."""
        scene = self.usable(scene)
        begin_s = time.process_time()
        result = self.process(scene)
        processor_s = time.process_time() - begin_s
        measured = evaluate_result(result, scene, poses_given=self.protocol.use_poses)
        answers = prompt_answers(result.panoptic, measured.objects, scene.known_truth(), self.protocol.prompts, self._namer)
        return replace(measured, prompts=answers, processor_s=processor_s, left_out=scene.left_out)

    def usable(self, scene: Scene | SceneReference) -> Scene:
        """Read a scene as far as its cameras can be used. Raises `ValueError` where none can."""
        scene = scene.read_usable() if isinstance(scene, SceneReference) else scene
        pipeline = self.pipeline
        return usable_scene(scene, pipeline.engine.facts.preprocess, pipeline.config.align.max_scene_depth_m)

    def process(self, scene: Scene) -> PerceptionResult:
        """What the pipeline makes of a scene that it has never seen before."""
        scene.known_truth()
        config = self.pipeline.config
        workspace = replace(config.workspace, support_height_m=self.protocol.rig_error.told_support(scene.support_height_m))
        # Truth has a row for every view, and poses of data sets are what networks are measured at.
        consistency = replace(config.consistency, enabled=False)
        pipeline = self.pipeline.fresh(replace(config, workspace=workspace, consistency=consistency))
        return pipeline.process([_as_seen(view, self.protocol, scene.name) for view in scene.views])


def evaluate_result(result: PerceptionResult, scene: Scene, *, poses_given: bool = True) -> SceneEvaluation:
    """Measure one result against the truth of its scene, at network size.

    Args:
        result: Of the scene's views, in their order.
        scene: With truth.
        poses_given: Whether the engine was given the cameras' poses; otherwise these are measured too.

    Raises:
        ValueError: The scene has no truth.
    """
    truth, panoptic = scene.known_truth(), result.panoptic
    ids, depth = truth_at_network(result, truth)
    void = torch.isin(ids, torch.tensor(truth.void_ids, dtype=ids.dtype))
    ids = torch.where(void, 0, ids)
    predicted_depth = result.reconstruction.depth.cpu()
    true_poses = None if poses_given else scene.cameras()
    found_poses = result.reconstruction.cam_from_world
    found_ids = panoptic.instance_id.cpu()
    judged = _without_unknown(found_ids, void)
    found, true = ((judged > 0).long(), judged), (torch.where(void, VOID, (ids > 0).long()), ids)
    quality = panoptic_quality(found, true, OBJECTS)
    views = range(len(ids))
    objects = tuple(item for item in truth.objects if not item.is_void)
    return SceneEvaluation(
        name=scene.name,
        overlaps=_segment_overlaps(panoptic, found_ids, (ids, void), truth, MIN_PIXELS),
        view_overlaps=tuple(
            _segment_overlaps(panoptic, found_ids[v], (ids[v], void[v]), truth, MIN_PIXELS_IN_VIEW) for v in views
        ),
        mesh=mesh_overlaps(result, scene, poses_given=poses_given),
        depth=depth_errors(predicted_depth, depth, depth < (FAR_M if truth.mesh is None else math.inf)),
        depth_objects=depth_errors(predicted_depth, depth, ids > 0),
        poses=None if true_poses is None else pose_errors(found_poses, true_poses),
        trajectory_m=math.nan if true_poses is None else absolute_trajectory_error(found_poses, true_poses).center_m.rmse,
        pq=quality.per_class[1][0] if 1 in quality.per_class else math.nan,
        objects=tuple(object_errors(panoptic, ids, objects, truth.labels.names, is_metric=result.is_metric)),
        prompts=(),
        is_metric=result.is_metric,
        timings_ms=result.timings_ms,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        finds_objects=result.finds_objects,
    )


def truth_at_network(result: PerceptionResult, truth: SceneTruth) -> tuple[torch.Tensor, torch.Tensor]:
    """True ids (S, h, w), those of void among them, and z-depth (S, h, w), 0 = unknown, at the pixels of the result."""
    mappings, hw = result.views.network_from_original, result.views.hw
    ids = torch.stack([sample_at_network(item, mapping, hw) for item, mapping in zip(truth.instance_ids, mappings)])
    depth = [
        torch.zeros(hw) if item is None else sample_at_network(item, mapping, hw) for item, mapping in zip(truth.depth, mappings)
    ]
    return ids, torch.stack(depth)


def _without_unknown(found: torch.Tensor, void: torch.Tensor) -> torch.Tensor:
    """Ids without those of which most lies on void: whether they are objects nobody knows, and their rims do not tell."""
    sizes = torch.bincount(found.flatten())
    unknown = torch.bincount(found[void], minlength=len(sizes))
    return torch.where((2 * unknown > sizes)[found], 0, found)


def _as_seen(view: CameraView, protocol: EvaluationProtocol, scene: str) -> CameraView:
    depth, pose = view.depth if protocol.use_depth else None, view.cam_from_world if protocol.use_poses else None
    if depth is not None and protocol.depth_camera is not None:
        depth = protocol.depth_camera(view, scene)
    if pose is not None:
        pose = protocol.rig_error.told_pose(pose, scene, view.camera)
    return replace(view, depth=depth, cam_from_world=pose)


def _segment_overlaps(
    panoptic: Panoptic3D, instance_id: torch.Tensor, true: tuple[torch.Tensor, torch.Tensor], truth: SceneTruth, min_pixels: int
) -> SceneOverlaps:
    """Overlaps of the merged segments with true ids and void, ranked by their scores; class numbers are the truth's."""
    ids, void = true
    known = {name: index for index, name in enumerate(truth.labels.names)}
    segments = panoptic.segments
    masks = torch.stack([instance_id == item.instance_id for item in segments]) if segments else ids.new_zeros((0, *ids.shape))
    classes = torch.tensor([known.get(panoptic.labels.name(item.class_id), -1) for item in segments], dtype=torch.int64)
    return measure_overlaps(
        masks,
        torch.tensor([item.score for item in segments]),
        ids,
        predicted_classes=classes,
        class_of_id={item.instance_id: item.class_id for item in truth.objects},
        void=void,
        min_points=min_pixels,
    )
