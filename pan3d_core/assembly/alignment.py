"""A reconstruction becomes metric and moves into the robot's world: by known cameras, by measured depth, or not at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.config import AlignConfig
from pan3d_core.geometry.alignment import CameraFit, Similarity, fit_cameras
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.rendering.motion import moved_gaussians
from pan3d_core.structures import Reconstruction, ViewBatch

log = logging.getLogger("pan3d.alignment")

# An engine that was given the cameras returns them; rounding in half precision stays below this.
SAME_CAMERA_M = 1e-3
# Orientations that disagree more than this were not understood by the network, whatever the positions say.
MAX_ROTATION_ERROR_DEG = 15.0
# Cameras are at most this many times as far from their middle as the scene is deep.
MAX_SPREAD_PER_DEPTH = 30.0


def align_to_world(reconstruction: Reconstruction, views: ViewBatch, config: AlignConfig | None = None) -> Reconstruction:
    """Bring the reconstruction of `views` to metres and their world frame; `is_metric` and `alignment` say how far that went.

    Known cameras: an engine that used them is left as it is; otherwise a robust similarity from predicted to given
    cameras scales depth, and the given cameras and intrinsics replace the predicted ones. A fit whose residual exceeds
    `max_residual_fraction` of the cameras' spread, or cameras in one place, do not make the result metric; in the latter case
    an engine that answers in metres is believed. Cameras of some views (two or more): the others keep no depth, because nothing
    says where they stand but the network.
    Measured depth: the median ratio to the predicted depth gives the scale (per view when the cameras are known, since
    then each view stands for itself), and by `depth_source` it replaces or completes the predicted depth.
    Neither: not metric, also not by the metres of a network alone. Pixels with depth that is not finite or not positive become
    0 = none. Raises `ValueError` for given cameras that cannot be metres (see `max_scene_depth_m`).

    Args:
        reconstruction: S views as the engine gave them, in any unit.
        views: The same views, with cameras and measured depth as far as they are known.
        config: Limits and the choice of depth; the defaults where none is given.

    Returns:
        The reconstruction in the world frame of `views`, in metres if `is_metric`.
    """
    config = config or AlignConfig()
    depth = reconstruction.depth
    usable = torch.isfinite(depth) & (depth > 0)
    if not bool(usable.any()):
        return replace(reconstruction, depth=torch.zeros_like(depth), is_metric=False, alignment="none: no valid depth")
    reconstruction = replace(reconstruction, depth=torch.where(usable, depth, 0.0))
    if len(views.posed) > 1:
        return _align_to_some_cameras(reconstruction, views, config)
    if views.cam_from_world is None:
        own = "the network's own metres are not confirmed: " if reconstruction.is_metric else ""
        reason = f"none: {own}neither cameras nor measured depth are known"
        aligned = replace(reconstruction, is_metric=False, alignment=reason)
    else:
        aligned = _align_to_cameras(reconstruction, views, views.cam_from_world, config)
    if views.depth is not None:
        aligned = _align_to_measured_depth(aligned, views, views.depth, config)
    if aligned.is_metric and views.cam_from_world is not None:
        _require_one_unit(aligned, views.cam_from_world)
    if not aligned.is_metric:
        log.warning("the reconstruction is not metric (%s)", aligned.alignment)
    return aligned


def _require_one_unit(reconstruction: Reconstruction, given: Tensor) -> None:
    """Refuse cameras much farther apart than what they see is away."""
    spread = _spread(given)
    # The nearest depth is known sooner than the median, and nearly always enough.
    if spread > MAX_SPREAD_PER_DEPTH * _least_depth(reconstruction):
        distance = _median_depth(reconstruction)
        if spread > MAX_SPREAD_PER_DEPTH * distance:
            raise _other_unit(f"cameras {spread:.3g} m from their middle that see a scene in {distance:.3g} m")


def _align_to_cameras(reconstruction: Reconstruction, views: ViewBatch, given: Tensor, config: AlignConfig) -> Reconstruction:
    """By the cameras (S, 4, 4) that all views have."""
    if (spread := _spread(given)) > config.max_scene_depth_m:
        raise _other_unit(f"cameras {spread:.3g} m from their middle")
    difference = float((reconstruction.cam_from_world - given).abs().max())
    if reconstruction.is_metric and difference < SAME_CAMERA_M:
        reach = float(invert_rigid(given)[:, :3, 3].norm(dim=-1).median())
        if reach > config.max_scene_depth_m and (depth := _median_depth(reconstruction)) > config.max_scene_depth_m:
            raise _other_unit(f"cameras {reach:.3g} m from the origin that see a scene in {depth:.3g} m")
        return replace(reconstruction, cam_from_world=given, is_metric=True, alignment_residual_m=0.0, alignment="given cameras")
    fit = fit_cameras(reconstruction.cam_from_world.cpu(), given.cpu(), config.min_baseline_m)
    moved = _apply(fit.similarity, reconstruction)
    note = f"similarity to {fit.num_agreeing} of {views.num_views} given cameras"
    if reconstruction.is_metric and fit.spread_m < config.min_baseline_m and fit.rotation_error_deg <= MAX_ROTATION_ERROR_DEG:
        note = "the network's own metres at the given cameras"
    elif problem := _fit_problem(fit, _median_depth(moved), config):
        return replace(moved, is_metric=False, alignment_residual_m=fit.residual_m, alignment=f"none: {problem}")
    intrinsics = reconstruction.intrinsics if views.intrinsics is None else views.intrinsics
    return replace(
        moved, cam_from_world=given, intrinsics=intrinsics, is_metric=True, alignment_residual_m=fit.residual_m, alignment=note
    )


def _align_to_some_cameras(reconstruction: Reconstruction, views: ViewBatch, config: AlignConfig) -> Reconstruction:
    """The views with a pose as if they were all; where that gives metres the others are moved along and lose their depth."""
    posed = list(views.posed)
    given = torch.stack([pose for pose in views.known_poses if pose is not None]).to(reconstruction.depth.device)
    rows = ("depth", "depth_conf", "intrinsics", "cam_from_world")
    part = replace(reconstruction, **{name: getattr(reconstruction, name)[posed] for name in rows})
    placed = align_to_world(part, replace(views.select(posed), cam_from_world=given, known_poses=()), config)
    fit = fit_cameras(part.cam_from_world.cpu(), placed.cam_from_world.cpu(), config.min_baseline_m)
    moved = _apply(fit.similarity, reconstruction)
    facts = {name: getattr(placed, name) for name in ("is_metric", "metric_scale", "alignment_residual_m", "alignment")}
    if not placed.is_metric:
        return replace(moved, **facts)
    moved = replace(moved, depth=torch.zeros_like(moved.depth))
    merged = {name: getattr(moved, name).clone() for name in rows}
    for name, values in merged.items():
        values[posed] = getattr(placed, name)
    return replace(moved, **merged, **facts)


def _spread(cam_from_world: Tensor) -> float:
    """RMS distance of camera centres from their mean."""
    centers = invert_rigid(cam_from_world.double())[:, :3, 3]
    return float((centers - centers.mean(0)).square().sum(-1).mean().sqrt())


def _least_depth(reconstruction: Reconstruction) -> float:
    depth = reconstruction.depth
    return float(depth.masked_fill(depth <= 0, torch.inf).amin())


def _median_depth(reconstruction: Reconstruction) -> float:
    return float(reconstruction.depth[reconstruction.depth > 0].median())


def _other_unit(found: str) -> ValueError:
    return ValueError(f"CameraView.cam_from_world: expected metres, got {found}; millimetres?")


def _fit_problem(fit: CameraFit, depth: float, config: AlignConfig) -> str:
    """Why a fit that gives this median depth (m) does not make the result metric; empty when it does."""
    if fit.reason:
        return fit.reason
    if depth > config.max_scene_depth_m and fit.spread_m > config.max_scene_depth_m / 10:
        raise _other_unit(f"cameras {fit.spread_m:.3g} m from their middle that see a scene in {depth:.3g} m")
    if fit.num_agreeing < 2:
        return "the predicted cameras do not agree on one scale"
    if fit.residual_m > config.max_residual_fraction * fit.spread_m:
        allowed = config.max_residual_fraction * fit.spread_m * 1000
        return f"camera positions are off by {fit.residual_m * 1000:.0f} mm after alignment, {allowed:.0f} mm are allowed"
    if fit.rotation_error_deg > MAX_ROTATION_ERROR_DEG:
        return f"camera orientations are off by {fit.rotation_error_deg:.0f} degrees after alignment"
    if depth > config.max_scene_depth_m:  # cameras as in any cell, between which the network saw nearly no distance
        return f"the scene would be {depth:.0f} m away, {config.max_scene_depth_m:g} m are allowed"
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
        gaussians=None if gaussians is None else moved_gaussians(gaussians, moved),
    )


@dataclass(frozen=True)
class _DepthRatio:
    overall: float  # measured / predicted
    per_view: Tensor  # (S,)
    spread: float  # median absolute deviation of the logarithm
    num_pixels: int


def _align_to_measured_depth(
    reconstruction: Reconstruction, views: ViewBatch, depth: Tensor, config: AlignConfig
) -> Reconstruction:
    """By the depth (S, h, w) that cameras measured."""
    measured = torch.where(depth <= config.max_sensor_depth_m, depth, 0.0)
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
    """(S, h, w) mean over size x size windows with zeros outside, by sums that run along the rows and then the columns."""
    for axis in (-1, -2):
        length = values.shape[axis]
        sums = torch.cat([torch.zeros_like(values.narrow(axis, 0, 1)), values.cumsum(axis, dtype=torch.float64)], dim=axis)
        place = torch.arange(length, device=values.device)
        last, first = (place + size // 2 + 1).clamp_max(length), (place - size // 2).clamp_min(0)
        values = ((sums.index_select(axis, last) - sums.index_select(axis, first)) / size).to(values.dtype)
    return values
