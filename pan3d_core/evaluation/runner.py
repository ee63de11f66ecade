"""The same measurement for every engine: the whole pipeline over scenes with truth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace

import torch

from pan3d_core.evaluation.depth_metrics import DepthErrors, depth_errors
from pan3d_core.evaluation.instance_ap import InstanceAp, SceneOverlaps, instance_ap, measure_overlaps
from pan3d_core.evaluation.object_errors import ObjectErrors, object_errors
from pan3d_core.evaluation.panoptic_quality import panoptic_quality
from pan3d_core.evaluation.pose_metrics import PoseErrors, pose_errors
from pan3d_core.evaluation.sampling import sample_at_network
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline, PerceptionResult
from pan3d_core.scene_io import SCENE_FILE, Scene, SceneTruth
from pan3d_core.structures import CameraView, Panoptic3D

MIN_PIXELS = 40  # true instances under this many network pixels over all views do not count
OBJECTS = LabelSpace(("background", "object"), (False, True))
FAR_M = 1.5  # depth beyond is background, and left out of the depth errors


@dataclass(frozen=True)
class SceneEvaluation:
    """Everything about one scene."""

    name: str
    overlaps: SceneOverlaps
    depth: DepthErrors
    depth_objects: DepthErrors  # on the pixels of objects alone
    poses: PoseErrors | None  # None when the poses were given
    pq: float
    objects: tuple[ObjectErrors, ...]
    is_metric: bool
    timings_ms: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of scenes."""

    scenes: tuple[SceneEvaluation, ...]
    ap: InstanceAp  # class-agnostic, one mask over all views
    ap_named: InstanceAp  # the segment's class name must be right as well; mean over classes

    def rows(self) -> list[tuple[str, float | int | str]]:
        """The figures with their names, for a table."""
        objects = [item for scene in self.scenes for item in scene.objects]
        found = [item for item in objects if item.found]
        posed = [scene.poses for scene in self.scenes if scene.poses is not None]
        rows: list[tuple[str, float | int | str]] = [
            ("scenes", len(self.scenes)),
            ("objects", len(objects)),
            ("found (mask IoU > 0.5)", len(found) / max(len(objects), 1)),
            ("AP50", self.ap.ap50),
            ("AP25", self.ap.ap25),
            ("AP (0.50 to 0.90)", self.ap.ap),
            ("AP50 with names", self.ap_named.ap50),
            ("names right of found", _mean(item.named_right for item in found)),
            ("scene PQ, objects without classes", _mean(scene.pq for scene in self.scenes)),
            ("depth AbsRel", _mean(scene.depth.abs_rel for scene in self.scenes)),
            ("depth AbsRel on objects", _mean(scene.depth_objects.abs_rel for scene in self.scenes)),
            ("depth AbsRel, scale fitted", _mean(scene.depth.abs_rel_median for scene in self.scenes)),
            ("depth delta < 1.25", _mean(scene.depth.delta1 for scene in self.scenes)),
            ("depth RMSE (m)", _mean(scene.depth.rmse_m for scene in self.scenes)),
            ("metric scenes", sum(scene.is_metric for scene in self.scenes)),
            ("centre error, median (mm)", _median(item.center_mm for item in found)),
            ("box IoU of found, mean", _mean(item.box_iou for item in found)),
            ("time per scene, median (ms)", _median(scene.timings_ms["total"] for scene in self.scenes)),
        ]
        if posed:
            rows += [
                ("camera rotation error (deg)", _mean(item.rotation_deg for item in posed)),
                ("camera direction error (deg)", _mean(item.direction_deg for item in posed)),
                ("camera AUC at 30 deg", _mean(item.auc30 for item in posed)),
            ]
        return rows

    def to_dict(self) -> dict:
        """Plain values: the table and each scene's figures."""
        scenes = [
            {
                "name": scene.name,
                "ap50": instance_ap([scene.overlaps], min_points=MIN_PIXELS).ap50,
                "depth": asdict(scene.depth),
                "pq": scene.pq,
                "objects": [asdict(item) for item in scene.objects],
                "is_metric": scene.is_metric,
                "timings_ms": scene.timings_ms,
            }
            for scene in self.scenes
        ]
        return {"figures": dict(self.rows()), "scenes": scenes}


def evaluate(
    pipeline: PerceptionPipeline,
    scenes: Iterable[Scene],
    *,
    use_depth: bool = False,
    use_poses: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Run the pipeline on every scene, each on its own (no tracks between them), and measure against the truth.

    `use_depth`: the engine sees the scenes' depth images, as from depth cameras. `use_poses`: it sees the cameras' poses.
    `progress(done, total)` is called after each scene when given. Raises `ValueError` for a scene without truth.
    """
    scenes = list(scenes) if progress is not None else scenes
    done = []
    for scene in scenes:
        if scene.truth is None:
            raise ValueError(f"scene {scene.name}: expected instances in {SCENE_FILE} to measure against, got none")
        views = [_as_seen(view, use_depth=use_depth, use_poses=use_poses) for view in scene.views]
        pipeline.reset()
        workspace = replace(pipeline.config.workspace, support_height_m=scene.support_height_m)
        pipeline.config = replace(pipeline.config, workspace=workspace)
        done.append(evaluate_result(pipeline.process(views), scene, poses_given=use_poses))
        if progress is not None:
            progress(len(done), len(scenes))  # type: ignore[arg-type]
    return Evaluation(
        tuple(done),
        instance_ap([item.overlaps for item in done], min_points=MIN_PIXELS),
        instance_ap([item.overlaps for item in done], class_aware=True, min_points=MIN_PIXELS),
    )


def evaluate_result(result: PerceptionResult, scene: Scene, *, poses_given: bool = True) -> SceneEvaluation:
    """One result against the truth of its scene, at network size."""
    truth, batch = scene.truth, result.views
    ids = torch.stack([sample_at_network(m, n, batch.hw) for m, n in zip(truth.instance_ids, batch.network_from_original)])
    depth = torch.stack(
        [
            torch.zeros(batch.hw) if m is None else sample_at_network(m, n, batch.hw)
            for m, n in zip(truth.depth, batch.network_from_original)
        ]
    )
    panoptic, predicted_depth = result.panoptic, result.reconstruction.depth.cpu()
    near = depth < FAR_M
    true_poses = None
    if not poses_given and all(view.cam_from_world is not None for view in scene.views):
        true_poses = torch.stack([view.cam_from_world for view in scene.views])
    quality = panoptic_quality(*[((item > 0).long(), item) for item in (panoptic.instance_id.cpu(), ids)], OBJECTS)
    return SceneEvaluation(
        name=scene.name,
        overlaps=_segment_overlaps(panoptic, ids, truth),
        depth=depth_errors(predicted_depth, depth, near),
        depth_objects=depth_errors(predicted_depth, depth, ids > 0),
        poses=None if true_poses is None else pose_errors(result.reconstruction.cam_from_world, true_poses),
        pq=quality.per_class[1][0] if 1 in quality.per_class else math.nan,
        objects=tuple(object_errors(panoptic, ids, truth.objects, truth.labels.names, is_metric=result.is_metric)),
        is_metric=result.is_metric,
        timings_ms=result.timings_ms,
    )


def _as_seen(view: CameraView, *, use_depth: bool, use_poses: bool) -> CameraView:
    return replace(view, depth=view.depth if use_depth else None, cam_from_world=view.cam_from_world if use_poses else None)


def _segment_overlaps(panoptic: Panoptic3D, ids: torch.Tensor, truth: SceneTruth) -> SceneOverlaps:
    """Overlaps of the merged segments, ranked by their scores; class numbers are the truth's."""
    known = {name: index for index, name in enumerate(truth.labels.names)}
    segments = panoptic.segments
    instance_id = panoptic.instance_id.cpu()
    masks = torch.stack([instance_id == item.instance_id for item in segments]) if segments else ids.new_zeros((0, *ids.shape))
    classes = torch.tensor([known.get(panoptic.labels.name(item.class_id), -1) for item in segments], dtype=torch.int64)
    return measure_overlaps(
        masks,
        torch.tensor([item.score for item in segments]),
        ids,
        predicted_classes=classes,
        class_of_id={item.instance_id: item.class_id for item in truth.objects},
        min_points=MIN_PIXELS,
    )


def _mean(values: Iterable[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _median(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return statistics.median(known) if known else math.nan
