"""A reconstruction becomes metric and moves into the robot's world: by known cameras, by measured depth, or not at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pan3d_core.config import AlignConfig
from pan3d_core.geometry.alignment import CameraFit, Similarity, fit_cameras
from pan3d_core.geometry.rotations import matrix_from_quat_xyzw, quat_xyzw_from_matrix
from pan3d_core.structures import Gaussians, Reconstruction, ViewBatch

log = logging.getLogger("pan3d.alignment")

# An engine that was given the cameras returns them; rounding in half precision stays below this.
SAME_CAMERA_M = 1e-3
# Orientations that disagree more than this were not understood by the network, whatever the positions say.
MAX_ROTATION_ERROR_DEG = 15.0


def align_to_world(reconstruction: Reconstruction, views: ViewBatch, config: AlignConfig | None = None) -> Reconstruction:
    """Reconstruction of `views` in metres and in their world frame; `is_metric` and `alignment` say how far that went.

    Known cameras: an engine that used them is left as it is; otherwise a robust similarity from predicted to given
    cameras scales depth, and the given cameras and intrinsics replace the predicted ones. A fit whose residual exceeds
    `max_residual_fraction` of the cameras' spread, or cameras in one place, do not make the result metric.
    Measured depth: the median ratio to the predicted depth gives the scale (per view when the cameras are known, since
    then each view stands for itself), and by `depth_source` it replaces or completes the predicted depth.
    Neither: not metric. Pixels with depth that is not finite or not positive become 0 = none.
    """
    config = config or AlignConfig()
    depth = reconstruction.depth
    usable = torch.isfinite(depth) & (depth > 0)
    if not bool(usable.any()):
        return replace(reconstruction, depth=torch.zeros_like(depth), is_metric=False, alignment="none: no valid depth")
    reconstruction = replace(reconstruction, depth=torch.where(usable, depth, 0.0))
    if views.cam_from_world is None:
        aligned = replace(reconstruction, is_metric=False, alignment="none: neither cameras nor measured depth are known")
    else:
        aligned = _align_to_cameras(reconstruction, views, config)
    if views.depth is not None:
        aligned = _align_to_measured_depth(aligned, views, config)
    if not aligned.is_metric:
        log.warning("the reconstruction is not metric (%s)", aligned.alignment)
    return aligned


def _align_to_cameras(reconstruction: Reconstruction, views: ViewBatch, config: AlignConfig) -> Reconstruction:
    given = views.cam_from_world
    difference = float((reconstruction.cam_from_world - given).abs().max())
    if reconstruction.is_metric and difference < SAME_CAMERA_M:
        return replace(
            reconstruction, cam_from_world=given, is_metric=True, alignment_residual_m=0.0, alignment="given cameras"
        )
    fit = fit_cameras(reconstruction.cam_from_world.cpu(), given.cpu(), config.min_baseline_m)
    problem = _fit_problem(fit, config)
    moved = _apply(fit.similarity, reconstruction)
    if problem:
        return replace(moved, is_metric=False, alignment_residual_m=fit.residual_m, alignment=f"none: {problem}")
    intrinsics = reconstruction.intrinsics if views.intrinsics is None else views.intrinsics
    note = f"similarity to {fit.num_agreeing} of {views.num_views} given cameras"
    return replace(
        moved, cam_from_world=given, intrinsics=intrinsics, is_metric=True, alignment_residual_m=fit.residual_m, alignment=note
    )


def _fit_problem(fit: CameraFit, config: AlignConfig) -> str:
    """Why a fit does not make the result metric; empty when it does."""
    if fit.reason:
        return fit.reason
    if fit.num_agreeing < 2:
        return "the predicted cameras do not agree on one scale"
    if fit.residual_m > config.max_residual_fraction * fit.spread_m:
        allowed = config.max_residual_fraction * fit.spread_m * 1000
        return f"camera positions are off by {fit.residual_m * 1000:.0f} mm after alignment, {allowed:.0f} mm are allowed"
    if fit.rotation_error_deg > MAX_ROTATION_ERROR_DEG:
        return f"camera orientations are off by {fit.rotation_error_deg:.0f} degrees after alignment"
    return ""


def _apply(similarity: Similarity, reconstruction: Reconstruction) -> Reconstruction:
    moved = Similarity(
        similarity.scale,
        similarity.rotation.to(reconstruction.depth.device),
        similarity.translation.to(reconstruction.depth.device),
    )
    gaussians = reconstruction.gaussians
    return replace(
        reconstruction,
        depth=reconstruction.depth * moved.scale,
        cam_from_world=moved.apply_to_cameras(reconstruction.cam_from_world),
        metric_scale=reconstruction.metric_scale * moved.scale,
        gaussians=None if gaussians is None else _moved_gaussians(gaussians, moved),
    )


def _moved_gaussians(gaussians: Gaussians, moved: Similarity) -> Gaussians:
    turned = moved.rotation @ matrix_from_quat_xyzw(gaussians.quats_wxyz.roll(-1, dims=-1))
    return replace(
        gaussians,
        means=moved.apply(gaussians.means),
        scales=gaussians.scales * moved.scale,
        quats_wxyz=quat_xyzw_from_matrix(turned).roll(1, dims=-1),
    )


@dataclass(frozen=True)
class _DepthRatio:
    overall: float  # measured / predicted
    per_view: Tensor  # (S,)
    spread: float  # median absolute deviation of the logarithm
    num_pixels: int


def _align_to_measured_depth(reconstruction: Reconstruction, views: ViewBatch, config: AlignConfig) -> Reconstruction:
    measured = torch.where(views.depth <= config.max_sensor_depth_m, views.depth, 0.0)
    ratio = _depth_ratio(measured, reconstruction.depth, config.min_depth_pixels)
    problem = ""
    if ratio.num_pixels < config.min_depth_pixels:
        problem = f"only {ratio.num_pixels} pixels with measured depth"
    elif config.depth_source != "sensor" and ratio.spread > config.max_depth_spread:
        problem = f"predicted and measured depth disagree in shape (log ratio spread {ratio.spread:.2f})"
    if problem:
        log.warning("measured depth is not used: %s", problem)
        if reconstruction.is_metric:
            return reconstruction
        return replace(reconstruction, alignment=f"{reconstruction.alignment}; {problem}")

    if views.cam_from_world is None:
        scaled = _apply(Similarity(ratio.overall, torch.eye(3), torch.zeros(3)), reconstruction)
        note = "measured depth, cameras as predicted"
    else:
        # Known cameras and measured depth place every view on its own; what the network thought of them no longer matters.
        scaled = replace(
            reconstruction,
            depth=reconstruction.depth * ratio.per_view[:, None, None],
            cam_from_world=views.cam_from_world,
            metric_scale=reconstruction.metric_scale * ratio.overall,
        )
        note = "measured depth, given cameras"
    if views.intrinsics is not None:
        scaled = replace(scaled, intrinsics=views.intrinsics)
    return _with_source(replace(scaled, is_metric=True, alignment=note), measured, config.depth_source)


def _depth_ratio(measured: Tensor, predicted: Tensor, min_pixels: int) -> _DepthRatio:
    both = (measured > 0) & (predicted > 0)
    count = int(both.sum())
    if count == 0:
        return _DepthRatio(1.0, torch.ones(len(measured), device=measured.device), 0.0, 0)
    log_ratio = torch.where(both, measured.clamp_min(1e-6).log() - predicted.clamp_min(1e-6).log(), torch.nan)
    overall = log_ratio.nanmedian()
    per_view = log_ratio.flatten(1).nanmedian(dim=1).values
    enough = both.flatten(1).sum(1) >= min(min_pixels, both[0].numel() // 20)
    per_view = torch.where(enough, per_view, overall).exp()
    return _DepthRatio(float(overall.exp()), per_view, float((log_ratio - overall).abs().nanmedian()), count)


def _with_source(reconstruction: Reconstruction, measured: Tensor, source: str) -> Reconstruction:
    """Put measured depth in place of (sensor) or over (fused) the scaled predicted depth."""
    if source == "model":
        return reconstruction
    known = measured > 0
    conf = torch.where(known, reconstruction.depth_conf.amax(), reconstruction.depth_conf)
    if source == "sensor":
        return replace(reconstruction, depth=measured, depth_conf=conf)
    filled = torch.where(known, measured, _fitted_to_measured(reconstruction.depth, measured))
    return replace(reconstruction, depth=filled, depth_conf=conf)


def _fitted_to_measured(depth: Tensor, measured: Tensor) -> Tensor:
    """Predicted depth times the ratio measured / predicted of the surroundings, so that filled holes meet their rim."""
    both = ((measured > 0) & (depth > 0)).float()
    log_ratio = torch.where(both > 0, measured.clamp_min(1e-6).log() - depth.clamp_min(1e-6).log(), 0.0)
    correction = torch.zeros_like(depth)
    for size in (65, 17):
        share = _window_mean(both, size)
        mean = _window_mean(log_ratio, size) / share.clamp_min(1e-6)
        # The nearer surroundings count as soon as a few of their pixels were measured.
        correction = torch.where(share > 3.0 / size**2, mean, correction)
    return depth * correction.exp()


def _window_mean(values: Tensor, size: int) -> Tensor:
    """(S, h, w) mean over size x size windows with zeros outside: rows, then columns, which is `size` times faster."""
    rows = avg_pool2d(values[:, None], (1, size), stride=1, padding=(0, size // 2))
    return avg_pool2d(rows, (size, 1), stride=1, padding=(size // 2, 0))[:, 0]
