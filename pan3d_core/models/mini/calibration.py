"""Everything that `pan3d-mini` makes of cameras, support plane and picture size before it sees a picture.

A standing rig asks for it once: it is the same for every set of pictures until a camera or the support is another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.mini.layers import rotary_angles
from pan3d_core.models.mini.plane import PlaneRays, fourier_features, plane_from_world, plane_rays
from pan3d_core.models.mini.sweep import SweepGrid, sweep_grid
from pan3d_core.structures import require_shape

PLANE_WAVELENGTHS_M = (2.0, 1.0, 0.5, 0.25, 0.125)
_XY_FEATURES = 2 * 2 * len(PLANE_WAVELENGTHS_M)
GEOMETRY_CHANNELS = _XY_FEATURES + 9
TOKEN_GEOMETRY = _XY_FEATURES + 9
KEPT = 4  # rigs: all cameras, and those that are left when one falls silent


@dataclass(frozen=True)
class MiniInputs:
    """B scenes of S views of (H, W) pixels, H and W multiples of 16."""

    images: Tensor  # (B, S, 3, H, W) RGB 0..1
    intrinsics: Tensor  # (B, S, 3, 3) pixels
    cam_from_world: Tensor  # (B, S, 4, 4) metres, world z up; any finite value where not posed
    support_height: Tensor  # (B,) metres, world height of the support plane
    posed: Tensor  # (B,) float, 1 = `cam_from_world` and `support_height` are known, 0 = they are ignored


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` gives for B scenes of S views; h4, w4 and h16, w16 are the grids at those strides."""

    plane_from_world: Tensor  # (B, 4, 4) identity without poses
    cam_from_plane: Tensor  # (B, S, 4, 4) identities without poses
    rays: dict[int, PlaneRays]  # by stride: 1, 4, 16
    sweep: SweepGrid
    geometry: Tensor  # (B, S, GEOMETRY_CHANNELS, h4, w4) for the stem
    token_geometry: Tensor  # (B, S, h16, w16, TOKEN_GEOMETRY)
    camera_numbers: Tensor  # (B, S, 17) pose, flag, normalised intrinsics
    first_view: Tensor  # (B, S) 1 for the view whose frame all others are in, without poses; else 0
    rotation: Tensor  # (2, B, S, 1 + h16 w16, head_dim / 2) cosine and sine of rotary positions on the plane
    posed: Tensor  # (B,) 1 or 0


def calibrate(inputs: MiniInputs, levels: tuple[float, ...], head_dim: int) -> Calibration:
    """Compute what depends on cameras, support plane and picture size alone.

    Args:
        inputs: B scenes of S views; of the pictures only the size is looked at.
        levels: Heights of the sweep in metres.
        head_dim: Channels of one attention head.

    Returns:
        For the same scenes, on the inputs' device.

    Raises:
        ValueError: A shape is not as `MiniInputs` says; names the field.
    """
    _check(inputs)
    with torch.autocast(inputs.images.device.type, enabled=False):  # half precision cannot say where a ray meets the support
        return _calibrate(inputs, levels, head_dim)


def _calibrate(inputs: MiniInputs, levels: tuple[float, ...], head_dim: int) -> Calibration:
    posed = inputs.posed.float()
    shift, cam_from_plane = _plane_frame(inputs, posed)
    hw = (inputs.images.shape[-2], inputs.images.shape[-1])
    rays = {s: plane_rays(cam_from_plane, inputs.intrinsics, posed, hw, s) for s in (1, 4, 16)}
    xy = torch.cat([rays[16].plane_xy.mean((2, 3))[:, :, None], rays[16].plane_xy.flatten(2, 3)], dim=2)
    angles = rotary_angles(xy, head_dim)
    first = torch.arange(inputs.images.shape[1], device=posed.device) == 0
    return Calibration(
        plane_from_world=shift,
        cam_from_plane=cam_from_plane,
        rays=rays,
        sweep=sweep_grid(rays[4], cam_from_plane, inputs.intrinsics, levels),
        geometry=_geometry_channels(rays[4], cam_from_plane, posed).permute(0, 1, 4, 2, 3),
        token_geometry=_token_channels(rays[16], cam_from_plane, posed),
        camera_numbers=_camera_numbers(inputs, cam_from_plane, posed),
        first_view=(1 - posed)[:, None] * first,
        rotation=torch.stack([angles.cos(), angles.sin()]),
        posed=posed,
    )


class CalibrationMemory:
    """The calibrations of the last few rigs, found again by the values that they were computed from."""

    def __init__(self, compute: Callable[[MiniInputs], Calibration], keep: int = KEPT) -> None:
        """`compute`: inputs to calibration. `keep`: how many are held at a time."""
        self._compute, self._keep = compute, keep
        self._known: OrderedDict[tuple[object, ...], Calibration] = OrderedDict()

    def __call__(self, inputs: MiniInputs) -> Calibration:
        """Return the calibration of these cameras, computed unless it is known. Values must be equal to the bit."""
        values = (inputs.intrinsics, inputs.cam_from_world, inputs.support_height, inputs.posed)
        key = (inputs.images.shape, inputs.images.device, *(value.cpu().numpy().tobytes() for value in values))
        if key not in self._known:
            while len(self._known) >= self._keep:
                self._known.popitem(last=False)
            self._known[key] = self._compute(inputs)
        self._known.move_to_end(key)
        return self._known[key]


def _check(inputs: MiniInputs) -> None:
    require_shape("images", inputs.images, (None, None, 3, None, None))
    batch, views, _, height, width = inputs.images.shape
    if height % 16 or width % 16:
        raise ValueError(f"images: expected height and width to be multiples of 16, got {height} x {width}")
    require_shape("intrinsics", inputs.intrinsics, (batch, views, 3, 3))
    require_shape("cam_from_world", inputs.cam_from_world, (batch, views, 4, 4))
    require_shape("support_height", inputs.support_height, (batch,))
    require_shape("posed", inputs.posed, (batch,))


def _plane_frame(inputs: MiniInputs, posed: Tensor) -> tuple[Tensor, Tensor]:
    """`plane_from_world` (B, 4, 4) and `cam_from_plane` (B, S, 4, 4), identities without poses."""
    hw = (inputs.images.shape[-2], inputs.images.shape[-1])
    shift = plane_from_world(inputs.cam_from_world, inputs.intrinsics, inputs.support_height, hw)
    cam_from_plane = inputs.cam_from_world @ invert_rigid(shift)[:, None]
    eye = torch.eye(4, dtype=shift.dtype, device=shift.device)
    known = posed[:, None, None] > 0
    return torch.where(known, shift, eye), torch.where(known[:, None], cam_from_plane, eye)


def _geometry_channels(rays: PlaneRays, cam_from_plane: Tensor, posed: Tensor) -> Tensor:
    """(B, S, h, w, GEOMETRY_CHANNELS) for the stem; without poses only the camera rays are not zero."""
    flag = posed[:, None, None, None, None]
    center = invert_rigid(cam_from_plane)[..., :3, 3]
    height = center[:, :, None, None, 2:].expand(*rays.plane_depth.shape, 1)
    known = torch.cat(
        [
            fourier_features(rays.plane_xy, PLANE_WAVELENGTHS_M), rays.plane_xy, rays.hits[..., None],
            rays.plane_depth.log()[..., None], rays.rays_plane[..., 2:], height, torch.ones_like(height),
        ], dim=-1,
    )  # fmt: skip
    return torch.cat([known * flag, rays.rays_cam[..., :2]], dim=-1)


def _token_channels(rays: PlaneRays, cam_from_plane: Tensor, posed: Tensor) -> Tensor:
    """(B, S, h, w, TOKEN_GEOMETRY): Fourier features of the plane point, Plücker ray, flag, camera ray."""
    flag = posed[:, None, None, None, None]
    center = invert_rigid(cam_from_plane)[..., :3, 3][:, :, None, None].expand_as(rays.rays_plane)
    direction = F.normalize(rays.rays_plane, dim=-1)
    moment = torch.linalg.cross(center, direction, dim=-1)
    known = torch.cat([fourier_features(rays.plane_xy, PLANE_WAVELENGTHS_M), direction, moment, rays.hits[..., None]], dim=-1)
    return torch.cat([known * flag, rays.rays_cam[..., :2]], dim=-1)


def _camera_numbers(inputs: MiniInputs, cam_from_plane: Tensor, posed: Tensor) -> Tensor:
    """(B, S, 17): pose, flag and normalised intrinsics."""
    height, width = inputs.images.shape[-2:]
    flag = posed[:, None, None]
    pose = cam_from_plane[..., :3, :].flatten(-2) * flag
    k = inputs.intrinsics
    lens = torch.stack([k[..., 0, 0] / width, k[..., 1, 1] / height, k[..., 0, 2] / width, k[..., 1, 2] / height], dim=-1)
    return torch.cat([pose, flag.expand(*pose.shape[:2], 1), lens], dim=-1)
