"""Views that perception has understood, kept so that their scene can be refined later. No ROS in here."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pan3d_core.assembly.merging import between_surfaces
from pan3d_core.config import KeyframeConfig, PipelineConfig
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_ros.parameters.node_config import RefineConfig


@dataclass(frozen=True, kw_only=True)
class UnderstoodView(CameraView):
    """One view at network size with the depth and the objects that perception found in it."""

    intrinsics: Tensor  # (3, 3) pixels
    cam_from_world: Tensor  # (4, 4) metres
    depth: Tensor  # (H, W) metres, 0 = none
    semantic_id: Tensor  # (H, W) int64, index into `labels.names`, -1 = none
    instance_id: Tensor  # (H, W) int64 as tracked, 0 = none
    labels: LabelSpace
    support_height_m: float | None  # world z of what objects stand on, None = unknown


class ViewCollector:
    """Keeps the newest views from different places; for use by several threads.

    Views without a given pose, and results that are not metric, are left out and counted: they have no common world.
    """

    def __init__(self, config: RefineConfig, pipeline: PipelineConfig) -> None:
        self._max_range_m, self._edge_fraction = pipeline.cloud.max_range_m, pipeline.merge.edge_fraction
        self._window: KeyframeWindow[UnderstoodView] = KeyframeWindow(
            KeyframeConfig(
                enabled=True,
                window_size=config.max_views,
                min_views=1,
                min_translation_m=config.min_translation_m,
                min_rotation_deg=config.min_rotation_deg,
            )
        )
        self._lock = threading.Lock()
        self._kept: tuple[UnderstoodView, ...] = ()
        self._newest_ns: dict[str, int] = {}
        self._refused: tuple[str, str] | None = None

    def add(self, result: PerceptionResult) -> None:
        """Take over what a result shows from new places."""
        posed = _posed(result)
        with self._lock:
            if not result.is_metric:
                why = result.reconstruction.alignment or "neither camera poses nor depth are known"
                contradicted = result.consistency is not None and result.consistency.contradiction
                self._refused = ("POSES_CONTRADICT" if contradicted else "NOT_METRIC", f"results are not metric: {why}")
                return
            if not posed:
                self._refused = ("TF_FAILURE", "no camera's pose in the reference frame is known")
                return
            # A window of keyframes brings views again that have been here.
            new = [
                index for index in posed if result.views.stamps_ns[index] > self._newest_ns.get(result.views.cameras[index], -1)
            ]
            views = [self._view(result, index) for index in sorted(new, key=lambda index: result.views.stamps_ns[index])]
            self._newest_ns |= {view.camera: view.stamp_ns for view in views}
            self._kept = self._window.add(views) or self._kept

    def clear(self) -> None:
        """Forget all views, as after a jump of the clock."""
        with self._lock:
            self._window.reset()
            self._kept, self._newest_ns, self._refused = (), {}, None

    def views(self) -> tuple[UnderstoodView, ...]:
        """What is kept now."""
        return self._kept

    @property
    def refused(self) -> tuple[str, str] | None:
        """Name of an error code and words on the newest result that could not be used; None when there was none."""
        return self._refused

    def _view(self, result: PerceptionResult, index: int) -> UnderstoodView:
        made, batch, panoptic = result.reconstruction, result.views, result.panoptic
        depth = made.depth[index]
        solid = (depth > 0) & (depth <= self._max_range_m) & ~between_surfaces(depth[None], self._edge_fraction)[0]
        return UnderstoodView(
            image=(batch.images[index].clamp(0, 1) * 255).round().to("cpu", torch.uint8),
            intrinsics=made.intrinsics[index].cpu(),
            cam_from_world=made.cam_from_world[index].cpu(),
            depth=torch.where(solid, depth, 0.0).cpu(),
            stamp_ns=batch.stamps_ns[index],
            world_frame_id=batch.world_frame_id,
            camera=batch.cameras[index],
            semantic_id=panoptic.semantic_id[index].cpu(),
            instance_id=panoptic.instance_id[index].cpu(),
            labels=panoptic.labels,
            support_height_m=batch.support_height_m,
        )


def _posed(result: PerceptionResult) -> list[int]:
    """Rows of the views whose pose was given; the others stand where the network says."""
    batch = result.views
    if batch.cam_from_world is not None:
        return list(range(batch.num_views))
    return list(batch.posed)


def stored(views: Sequence[UnderstoodView]) -> list[dict]:
    """Plain values of the views, for `torch.save`."""
    names = [item.name for item in fields(UnderstoodView) if item.name != "labels"]
    return [
        {name: getattr(view, name) for name in names} | {"names": list(view.labels.names), "is_thing": list(view.labels.is_thing)}
        for view in views
    ]


def restored(rows: Any) -> list[UnderstoodView]:
    """What `stored` made. Raises what Python does where it is something else."""
    views = []
    for row in rows:
        values = dict(row)
        labels = LabelSpace(tuple(values.pop("names")), tuple(values.pop("is_thing")))
        views.append(UnderstoodView(**values, labels=labels))
    return views
