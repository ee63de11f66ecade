"""Scenes of any source at one size, as records of training data: what views and truth have to say, or which field is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import PreprocessConfig
from pan3d_core.structures import ViewBatch
from pan3d_core.views.depth_files import DEPTH_UNIT_M
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene, SceneObject
from pan3d_sim.data.scene_records import SceneRecord


@dataclass(frozen=True)
class SampledScene:
    """S views of a scene at the size of the network, with measured depth and, where somebody has said them, instances."""

    views: ViewBatch
    depth: Tensor  # (S, h, w) metres, 0 = none
    ids: Tensor  # (S, h, w) int64 of the scene's own objects, 0 = none; all 0 without truth

    @classmethod
    def of(cls, scene: Scene, width: int, height: int) -> SampledScene:
        """Sample a scene. Raises `ValueError` that names scene, field and view where calibration, poses or depth are missing."""
        depth = [view.depth for view in scene.views] if scene.truth is None else list(scene.truth.depth)
        measured = [item for item in depth if item is not None]
        lacking = {
            "intrinsics": [view.camera for view in scene.views if view.intrinsics is None],
            "cam_from_world": [view.camera for view in scene.views if view.cam_from_world is None],
            "depth": [view.camera for view, item in zip(scene.views, depth, strict=True) if item is None],
        }
        for field, cameras in lacking.items():
            if cameras:
                raise ValueError(f"scene {scene.name}: {field}: expected it of every view, got none of {', '.join(cameras)}")
        batch = preprocess(scene.views, PreprocessConfig(height=height, width=width))
        mappings = list(batch.network_from_original)
        sampled = torch.stack(
            [sample_at_network(own, mapping, batch.hw) for own, mapping in zip(measured, mappings, strict=True)]
        )
        ids = torch.zeros(sampled.shape, dtype=torch.int64)
        if scene.truth is not None:
            found = zip(scene.truth.instance_ids, mappings, strict=True)
            ids = torch.stack([sample_at_network(own.long(), mapping, batch.hw) for own, mapping in found])
        return cls(batch, sampled, ids)

    def record(self, ids: np.ndarray, columns: dict[str, np.ndarray], support_height_m: float, seed: int) -> SceneRecord:
        """The record of these views, whose ids are the places of objects in `columns`."""
        batch, units = self.views, (self.depth / DEPTH_UNIT_M).round()
        assert batch.intrinsics is not None and batch.cam_from_world is not None, "checked when the scene was sampled"
        usable = torch.isfinite(units) & (units > 0) & (units <= 65535)
        return SceneRecord(
            seed,
            (batch.images * 255).round().byte().permute(0, 2, 3, 1).numpy(),
            torch.where(usable, units, 0).int().numpy().astype("uint16"),
            ids,
            **columns,
            intrinsics=batch.intrinsics.float().numpy(),
            cam_from_world=batch.cam_from_world.float().numpy(),
            support_height=np.array(support_height_m, np.float32),
        )


def fill_column(columns: dict[str, np.ndarray], k: int, item: SceneObject, kind: int, ids: Tensor) -> None:
    """Put an object into column `k`: its kind, its pixels in `ids` (S, h, w), and its box where there is one."""
    columns["kinds"][k] = kind
    columns["visible_pixels"][k] = (ids == item.instance_id).sum((1, 2)).numpy()
    if item.box is not None:
        columns["world_from_box"][k], columns["box_size"][k] = item.box.world_from_box.numpy(), item.box.size_m.numpy()
