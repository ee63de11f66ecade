"""What a frozen `pan3d-mini` knows about the geometry of a scene, in one frame: the base of heads that work in 3D."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.cameras import unposed_cameras
from pan3d_core.models.mini.decode import decode_scene
from pan3d_core.models.mini.network import MAX_LOG_RATIO, DenseOutputs, PanMini, SingleViews
from pan3d_core.models.mini.plane import grid_intrinsics
from pan3d_core.models.mini.queries import QueryOutputs, SceneFeatures


@dataclass(frozen=True)
class SceneGeometry:
    """The geometry pass in one frame per scene: the plane frame, or the first camera's with the points' middle as its origin."""

    points4: Tensor  # (B, S, h4, w4, 3) metres
    centers4: Tensor  # (B, S, h4, w4, 3) metres, the centre that each pixel votes for; without poses the point itself
    foreground4: Tensor  # (B, S, h4, w4) probability of showing an object
    cam_from_scene: Tensor  # (B, S, 4, 4) metres


@torch.no_grad()
def scene_geometry(
    base: PanMini, inputs: MiniInputs, single: SingleViews, found: tuple[DenseOutputs, SceneFeatures]
) -> SceneGeometry:
    """Bring points and cameras of every scene into one frame; cameras without poses come from the objects that the base finds.

    Args:
        base: The network.
        inputs: B scenes of S views.
        single: What `base` knows of them view by view.
        found: What `PanMini.dense` gave.

    Returns:
        Of the same scenes, without gradient.
    """
    dense, scene = found
    points, centers, cameras = scene.points4.clone(), scene.centers4.clone(), single.calibration.cam_from_plane.clone()
    # A graph makes no decisions by values: it is for scenes whose cameras are known.
    unposed = [] if torch.compiler.is_exporting() else torch.nonzero(single.calibration.posed == 0)[:, 0].tolist()
    if not unposed:
        return SceneGeometry(points, centers, scene.foreground4, cameras)
    queries: QueryOutputs = base.decoder(scene)
    for b in unposed:
        kept, _ = decode_scene(queries, b)
        cameras[b] = unposed_cameras(dense, b, queries.mask_logits[b, kept], inputs.intrinsics[b])
        log_ratio = F.avg_pool2d(dense.log_ratio[b], 2).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        depth = single.calibration.rays[4].plane_depth[b] * log_ratio.exp()
        points[b] = unproject_depth(depth, grid_intrinsics(inputs.intrinsics[b], 4), cameras[b])
        middle = points[b].flatten(0, 2).median(0).values
        points[b] -= middle
        cameras[b, :, :3, 3] += cameras[b, :, :3, :3] @ middle
        centers[b] = points[b]
    return SceneGeometry(points, centers, scene.foreground4, cameras)
