"""Similarity transforms between two descriptions of the same cameras."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from pan3d_core.geometry.transforms import invert_rigid

# Above this many cameras the pairs for the robust start are thinned; all pairs of 16 are 120.
MAX_PAIRS = 120


@dataclass(frozen=True)
class Similarity:
    """x_target = scale * rotation @ x_source + translation."""

    scale: float
    rotation: Tensor  # (3, 3)
    translation: Tensor  # (3,)

    def apply(self, points: Tensor) -> Tensor:
        """(..., 3) source -> target."""
        return self.scale * points @ self.rotation.T + self.translation

    def apply_to_cameras(self, cam_from_source: Tensor) -> Tensor:
        """(S, 4, 4) cameras of the source world -> `cam_from_target`; the camera frames are scaled too."""
        moved = cam_from_source.clone()
        moved[:, :3, :3] = cam_from_source[:, :3, :3] @ self.rotation.T
        moved[:, :3, 3] = self.scale * cam_from_source[:, :3, 3] - (moved[:, :3, :3] @ self.translation)
        return moved


def nearest_rotation(matrix: Tensor) -> Tensor:
    """Rotation closest to (..., 3, 3) in the Frobenius norm (orthogonal Procrustes with det = 1)."""
    u, _, vt = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vt)
    diagonal = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    rotation: Tensor = u @ (diagonal[..., None] * vt)
    return rotation


def umeyama(source: Tensor, target: Tensor, weights: Tensor | None = None) -> Similarity:
    """Fit the least squares similarity of (N, 3) to (N, 3) points (Umeyama 1991, eq. 40 to 43), optionally weighted.

    Raises `ValueError` for fewer than three points or points on a line, which leave a rotation free.

    Args:
        source: Points, one a row.
        target: The same points in another frame.
        weights: (N,) of the pairs; equal where none are given.

    Returns:
        The similarity `target_from_source`.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[0] < 3:
        raise ValueError(f"source, target: expected equal shapes (3 or more, 3), got {tuple(source.shape)} {tuple(target.shape)}")
    weights = source.new_ones(source.shape[0]) if weights is None else weights
    weights = weights / weights.sum()
    center_s, center_t = weights @ source, weights @ target
    from_s, from_t = source - center_s, target - center_t
    covariance = (weights[:, None] * from_t).T @ from_s
    singular = torch.linalg.svdvals(covariance)
    if float(singular[1]) <= 1e-9 * max(float(singular[0]), 1e-30) or float(singular[0]) == 0.0:
        raise ValueError("source, target: expected points that are not on a line, got a free rotation")
    rotation = nearest_rotation(covariance)
    variance = (weights * from_s.square().sum(-1)).sum()
    scale = float((rotation * covariance).sum() / variance)
    return Similarity(scale, rotation, center_t - scale * rotation @ center_s)


@dataclass(frozen=True)
class CameraFit:
    """Result of `fit_cameras`; `reason` is empty when the scale could be observed."""

    similarity: Similarity
    residual_m: float  # RMS distance of the cameras that agree
    rotation_error_deg: float  # median over cameras
    spread_m: float  # RMS distance of the target cameras from their mean
    num_agreeing: int
    reason: str


def fit_cameras(cam_from_source: Tensor, cam_from_target: Tensor, min_baseline_m: float) -> CameraFit:
    """Fit a robust similarity from (S, 4, 4) cameras in one world to the same cameras in another.

    Orientations take part, so two cameras, or cameras on one line, are enough; only the scale needs distinct places.
    Starts from the pair of cameras that the most others agree with (least sum of absolute distances over all pairs)
    and continues by reweighted least squares, so single wrong cameras do no harm. When the cameras are closer together
    than `min_baseline_m` the scale is 1 and `reason` says why.

    Args:
        cam_from_source: In the world of a network, for example.
        cam_from_target: In the world that is wanted, metres.
        min_baseline_m: Distance of the cameras below which the scale cannot be told.

    Returns:
        The similarity with residual, and the reason where the scale is open.
    """
    source, target = invert_rigid(cam_from_source.double()), invert_rigid(cam_from_target.double())
    centers_s, centers_t = source[:, :3, 3], target[:, :3, 3]
    turns = target[:, :3, :3] @ source[:, :3, :3].transpose(-1, -2)  # target_from_source, one opinion per camera
    spread_t, spread_s = _spread(centers_t), _spread(centers_s)
    reason = _scale_reason(len(centers_t), spread_s, spread_t, min_baseline_m)
    if reason:
        rotation = nearest_rotation(turns.sum(0))
        similarity = Similarity(1.0, rotation, centers_t.mean(0) - rotation @ centers_s.mean(0))
        weights = torch.ones(len(centers_t), dtype=torch.float64)
    else:
        similarity = _best_pair(centers_s, centers_t, turns)
        similarity, weights = _reweighted(similarity, centers_s, centers_t, turns, 0.02 * spread_t)
    distances = (similarity.apply(centers_s) - centers_t).norm(dim=-1)
    angles = _angles_deg(turns.transpose(-1, -2) @ similarity.rotation)
    agreeing = weights > 0.1
    return CameraFit(
        similarity=Similarity(similarity.scale, similarity.rotation.float(), similarity.translation.float()),
        residual_m=float(distances[agreeing].square().mean().sqrt()),
        rotation_error_deg=float(angles.median()),
        spread_m=float(spread_t),
        num_agreeing=int(agreeing.sum()),
        reason=reason,
    )


def _spread(centers: Tensor) -> float:
    return float((centers - centers.mean(0)).square().sum(-1).mean().sqrt())


def _scale_reason(count: int, spread_source: float, spread_target: float, min_baseline_m: float) -> str:
    if count == 1:
        return "a single camera does not fix the scale"
    if spread_target < min_baseline_m:
        return f"the cameras are within {spread_target * 1000:.0f} mm of one place, which does not fix the scale"
    if spread_source < 1e-6:
        return "the predicted cameras are all in one place, which does not fix the scale"
    return ""


def _best_pair(centers_s: Tensor, centers_t: Tensor, turns: Tensor) -> Similarity:
    pairs = list(combinations(range(len(centers_s)), 2))
    pairs = pairs[:: -(-len(pairs) // MAX_PAIRS)]
    first, second = torch.tensor(pairs).T
    length_s = (centers_s[first] - centers_s[second]).norm(dim=-1)
    length_t = (centers_t[first] - centers_t[second]).norm(dim=-1)
    scales = length_t / length_s.clamp_min(1e-9)
    rotations = nearest_rotation(turns[first] + turns[second])
    middle_s, middle_t = (centers_s[first] + centers_s[second]) / 2, (centers_t[first] + centers_t[second]) / 2
    translations = middle_t - scales[:, None] * torch.einsum("pij,pj->pi", rotations, middle_s)
    moved = scales[:, None, None] * torch.einsum("pij,sj->psi", rotations, centers_s) + translations[:, None]
    cost = (moved - centers_t).norm(dim=-1).sum(-1) + 1e3 * (length_s < 1e-6)
    best = int(cost.argmin())
    return Similarity(float(scales[best]), rotations[best], translations[best])


def _reweighted(
    similarity: Similarity, centers_s: Tensor, centers_t: Tensor, turns: Tensor, noise_m: float
) -> tuple[Similarity, Tensor]:
    """Geman-McClure reweighted least squares on centres; the orientations join with the weight of a spread."""
    weights = torch.ones(len(centers_s), dtype=torch.float64)
    for _ in range(10):
        distances = (similarity.apply(centers_s) - centers_t).norm(dim=-1)
        width = max(float(distances.median()) * 2.0, noise_m)
        weights = (1 + (distances / width) ** 2) ** -2
        share = weights / weights.sum()
        middle_s, middle_t = share @ centers_s, share @ centers_t
        from_s, from_t = centers_s - middle_s, centers_t - middle_t
        covariance = (share[:, None] * from_t).T @ from_s
        size = from_s.square().sum(-1) @ share
        if float(size) < 1e-12:
            break
        turned = (share[:, None, None] * turns).sum(0)
        rotation = nearest_rotation(covariance / covariance.norm().clamp_min(1e-12) + turned)
        scale = float((rotation * covariance).sum() / size)
        if scale <= 0:
            break
        similarity = Similarity(scale, rotation, middle_t - scale * rotation @ middle_s)
    return similarity, weights


def _angles_deg(rotations: Tensor) -> Tensor:
    """(..., 3, 3) -> rotation angles; by the sine for small and the cosine for large ones."""
    trace = rotations.diagonal(dim1=-2, dim2=-1).sum(-1)
    skew = (rotations - rotations.transpose(-1, -2)) / 2
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1).norm(dim=-1)
    return torch.rad2deg(torch.atan2(sine, (trace - 1) / 2))
