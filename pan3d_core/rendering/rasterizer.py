"""3D Gaussians to images: colour, any number of channels, depth and opacity (Kerbl et al. 2023).

The one rasteriser of the project. On a GPU it calls `gsplat` where that is installed (extra `gs`); everywhere else it is this
package's own code in PyTorch, which follows the same rules: 0.3 px^2 low-pass, alpha at most 0.999 and at least 1/255, a pixel
finished before its transmittance falls to 1e-4, order by z. Both are differentiable in all Gaussians' parameters, in the
channels and in `cam_from_world`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from pan3d_core.geometry.spherical_harmonics import harmonic_colors
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.rendering.composite import composite
from pan3d_core.rendering.project import Camera, project_gaussians, seen_gaussians
from pan3d_core.rendering.tiles import TileGrid
from pan3d_core.structures import Gaussians, require_shape

_log = logging.getLogger("pan3d.rasterize")
BACKENDS = ("auto", "torch", "gsplat")
MIN_OPACITY = 1e-10  # divisor of the expected depth where nothing was met


@dataclass(frozen=True)
class RasterSettings:
    """How Gaussians are rendered; the defaults are those of gsplat."""

    near: float = 0.01  # metres along z
    far: float = 1e10
    radius_clip_px: float = 0.0  # Gaussians of no larger radius, rounded up to whole pixels, are left out
    low_pass_px2: float = 0.3  # variance added on the image
    antialiased: bool = False  # opacity falls by what the low-pass widens (Yu et al. 2024, Mip-Splatting)
    backend: str = "auto"  # "auto": gsplat for float32 on a GPU where it is installed, else "torch"

    def __post_init__(self) -> None:
        if not 0 < self.near < self.far:
            raise ValueError(f"RasterSettings.near, far: expected 0 < near < far, got {self.near}, {self.far}")
        if not self.low_pass_px2 > 0:
            raise ValueError(f"RasterSettings.low_pass_px2: expected a positive variance, got {self.low_pass_px2}")
        if self.backend not in BACKENDS:
            raise ValueError(f"RasterSettings.backend: expected one of {', '.join(BACKENDS)}, got {self.backend!r}")


# As AnySplat and EPS3D render: a scene without a unit has no near plane in metres.
UNITLESS_RASTER = RasterSettings(near=1e-10, radius_clip_px=0.1)


@dataclass(frozen=True)
class OnScreen:
    """The Gaussians that one camera sees, and where: the gradients there say where detail is missing (Kerbl et al. 2023, 5.1)."""

    rows: Tensor  # (n,) int64 Gaussians
    centers: Tensor  # (..., 2) pixels, as the backend has them; keeps its gradient
    places: Tensor  # (n,) int64 where the rows are in `centers`, flattened

    def gradients(self) -> Tensor:
        """(n, 2) of a loss, per pixel of movement, once it went backward. Raises `ValueError` before that."""
        if self.centers.grad is None:
            raise ValueError("OnScreen.centers: expected a gradient, got none: no loss of this rendering went backward")
        return self.centers.grad.reshape(-1, 2).index_select(0, self.places)


@dataclass(frozen=True)
class Rendering:
    """C views of Gaussians. Where nothing was met everything is 0, colours the background."""

    colors: Tensor  # (C, 3, H, W) RGB, not clamped above
    features: Tensor  # (C, F, H, W) sums with the compositing weights, not divided by the opacity
    depth: Tensor  # (C, H, W) z in metres, mean with the compositing weights; times the opacity it is the accumulated depth
    opacity: Tensor  # (C, H, W) 0..1
    visible: Tensor  # (C, N) bool: the Gaussian lies between the planes, and its ellipse of alpha 1/255 meets the image
    screen: tuple[OnScreen, ...]  # per camera


def rasterize(
    gaussians: Gaussians,
    cam_from_world: Tensor,
    intrinsics: Tensor,
    image_hw: tuple[int, int],
    features: Tensor | Sequence[Tensor] | None = None,
    background: Tensor | None = None,
    settings: RasterSettings | None = None,
) -> Rendering:
    """Render into (C, 4, 4) cameras with (C, 3, 3) intrinsics of `image_hw`, integer pixel coordinates at pixel centres.

    `features` (N, F) are rendered beside the colours: `Gaussians.semantic_features`, probabilities, anything per Gaussian; of
    several tensors the channels follow one another, without a copy of all Gaussians side by side.
    `background` (3,) RGB shows through where the opacity is below 1; black without one. Raises `ValueError` for wrong shapes,
    different types or devices, values that are not finite, opacities outside 0..1, quaternions of norm 0 and skewed cameras.

    Args:
        gaussians: N Gaussians in the world of the cameras.
        cam_from_world: (C, 4, 4) in the unit of the Gaussians, OpenCV axes.
        intrinsics: (C, 3, 3) pixels of `image_hw`.
        image_hw: Height and width of the pictures.
        features: (N, F), or several of these.
        background: (3,) RGB 0..1.
        settings: Backend and thresholds; the defaults where none are given.

    Returns:
        Colours, features, depth and opacity of C pictures; gradients flow to Gaussians and features.
    """
    settings = settings or RasterSettings()
    features = () if features is None else (features,) if isinstance(features, Tensor) else tuple(features)
    _check(gaussians, features, cam_from_world, intrinsics, image_hw)
    if background is not None:
        require_shape("background", background, (3,))
    render = _render_gsplat if chosen_backend(gaussians.means, settings) == "gsplat" else _render_torch
    images, seen = [], []
    for pose, matrix in zip(cam_from_world, intrinsics):
        camera = Camera(pose, matrix, image_hw, settings.near, settings.far)
        image, screen = render(gaussians, features, camera, settings)
        images.append(image)
        seen.append(screen)
    image = torch.stack(images) if len(images) > 1 else images[0][None]
    num_features = sum(part.shape[1] for part in features)
    colors, channels, depth, opacity = image.split((3, num_features, 1, 1), dim=1)
    if background is not None:
        colors = colors + (1.0 - opacity) * background.view(3, 1, 1)
    expected = (depth / opacity.clamp_min(MIN_OPACITY))[:, 0]
    visible = torch.zeros(len(seen), len(gaussians), dtype=torch.bool, device=image.device)
    for row, screen in zip(visible, seen):
        row[screen.rows] = True
    return Rendering(colors, channels, expected, opacity[:, 0], visible, tuple(seen))


def view_colors(gaussians: Gaussians, cam_from_world: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return the colours that a camera sees.

    Args:
        gaussians: N of them.
        cam_from_world: (4, 4).
        rows: (M,) int, only these Gaussians; None = all.

    Returns:
        RGB (N, 3), or (M, 3).
    """
    colors, means = gaussians.colors, gaussians.means
    if rows is not None:
        colors, means = colors.index_select(0, rows), means.index_select(0, rows)
    if colors.ndim == 2:
        return colors
    directions = torch.nn.functional.normalize(means - invert_rigid(cam_from_world)[:3, 3], dim=-1)
    return harmonic_colors(colors, directions)


def _render_torch(
    gaussians: Gaussians, features: tuple[Tensor, ...], camera: Camera, settings: RasterSettings
) -> tuple[Tensor, OnScreen]:
    """(3 + F + 2, H, W): colours, features, accumulated depth, opacity; and what was seen."""
    geometry, values, screen = _projected(gaussians, features, camera, settings)
    return composite(geometry, values, TileGrid(camera.image_hw)), screen


def _projected(
    gaussians: Gaussians, features: tuple[Tensor, ...], camera: Camera, settings: RasterSettings
) -> tuple[Tensor, Tensor, OnScreen]:
    """Arguments of `composite`, nearest first, and what was seen. What led there is forgotten before compositing."""
    rows = seen_gaussians(gaussians, camera, settings.low_pass_px2, settings.radius_clip_px)
    means, scales, quats_wxyz, opacities = (
        values.index_select(0, rows) for values in (gaussians.means, gaussians.scales, gaussians.quats_wxyz, gaussians.opacities)
    )
    ellipses = project_gaussians(means, scales, quats_wxyz, camera, settings.low_pass_px2)
    if settings.antialiased:
        opacities = opacities * ellipses.coverage
    geometry = torch.cat([ellipses.centers, ellipses.factors, opacities.log()[:, None]], dim=-1)
    depth = ellipses.depth[:, None]
    colors = view_colors(gaussians, camera.cam_from_world, rows)
    chosen = (part.index_select(0, rows) for part in features)
    # The weights add up to the opacity, so a channel of ones gives it.
    values = torch.cat([colors, *chosen, depth, torch.ones_like(depth)], dim=-1)
    return geometry, values, _on_screen(rows, ellipses.centers, torch.arange(len(rows), device=rows.device))


def _on_screen(rows: Tensor, centers: Tensor, places: Tensor) -> OnScreen:
    if centers.requires_grad:
        centers.retain_grad()
    return OnScreen(rows, centers, places)


def _render_gsplat(
    gaussians: Gaussians, features: tuple[Tensor, ...], camera: Camera, settings: RasterSettings
) -> tuple[Tensor, OnScreen]:
    """The same by gsplat's kernels (version 1.5), whose pixel coordinates count from the image's corner."""
    from gsplat import rasterization

    half_pixel = torch.zeros_like(camera.intrinsics)
    half_pixel[:2, 2] = 0.5
    values = torch.cat([view_colors(gaussians, camera.cam_from_world), *features], dim=-1)
    image, opacity, details = rasterization(
        means=gaussians.means,
        quats=gaussians.quats_wxyz,
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=values,
        viewmats=camera.cam_from_world[None],
        Ks=(camera.intrinsics + half_pixel)[None],
        width=camera.image_hw[1],
        height=camera.image_hw[0],
        near_plane=camera.near,
        far_plane=camera.far,
        radius_clip=settings.radius_clip_px,
        eps2d=settings.low_pass_px2,
        packed=False,
        render_mode="RGB+D",
        rasterize_mode="antialiased" if settings.antialiased else "classic",
    )
    rows = (details["radii"][0] > 0).all(-1).nonzero()[:, 0]
    return torch.cat([image, opacity], dim=-1)[0].movedim(-1, 0), _on_screen(rows, details["means2d"], rows)


def chosen_backend(means: Tensor, settings: RasterSettings) -> str:
    """Say what will render.

    Args:
        means: (N, 3) of the Gaussians; gsplat takes float32 on a GPU alone.
        settings: Of which `backend` counts.

    Returns:
        "torch" or "gsplat".

    Raises:
        ValueError: gsplat is asked for and cannot take the tensors.
        RuntimeError: gsplat is asked for and cannot be used on this machine.
    """
    possible = means.is_cuda and means.dtype == torch.float32
    if settings.backend == "torch" or (settings.backend == "auto" and not possible):
        return "torch"
    if settings.backend == "gsplat" and not possible:
        raise ValueError(f"RasterSettings.backend: expected float32 on cuda for gsplat, got {means.dtype} on {means.device}")
    missing = _missing_for_gsplat()
    if settings.backend == "gsplat" and missing:
        raise RuntimeError(f"RasterSettings.backend: {missing}")
    return "torch" if missing else "gsplat"


@cache
def _missing_for_gsplat() -> str:
    """Why gsplat cannot render here, empty when it can; its kernels are compiled at the first call, which takes minutes."""
    if find_spec("gsplat") is None:
        return "gsplat is not installed; install pan3d with the extra `gs`"
    # Without kernels gsplat imports all the same and fails at its first call; its backend is where it compiles them.
    try:
        kernels, why = import_module("gsplat.cuda._backend")._C, "it found no CUDA toolkit (nvcc) to compile them with"
    except (ImportError, OSError, RuntimeError) as error:
        kernels, why = None, str(error)
    if kernels is not None:
        return ""
    _log.warning("gsplat has no kernels here, so rendering goes on in PyTorch, slower: %s", why)
    return f"gsplat has no kernels here: {why}"


def _check(
    gaussians: Gaussians,
    features: tuple[Tensor, ...],
    cam_from_world: Tensor,
    intrinsics: Tensor,
    image_hw: tuple[int, int],
) -> None:
    means = gaussians.means
    for part in features:
        require_shape("features", part, (len(gaussians), None))
    require_shape("cam_from_world", cam_from_world, (None, 4, 4))
    require_shape("intrinsics", intrinsics, (len(cam_from_world), 3, 3))
    if len(cam_from_world) == 0:
        raise ValueError("cam_from_world: expected at least one camera, got none")
    if len(image_hw) != 2 or any(size < 1 for size in image_hw):
        raise ValueError(f"image_hw: expected a height and width of at least 1, got {tuple(image_hw)}")
    tensors = {f"Gaussians.{name}": getattr(gaussians, name) for name in ("means", "scales", "quats_wxyz", "opacities", "colors")}
    tensors |= {"cam_from_world": cam_from_world, "intrinsics": intrinsics}
    for name, tensor in (*tensors.items(), *(("features", part) for part in features)):
        if not tensor.is_floating_point() or tensor.dtype != means.dtype or tensor.device != means.device:
            wanted = f"{means.dtype} on {means.device} as Gaussians.means" if means.is_floating_point() else "floating point"
            raise ValueError(f"{name}: expected {wanted}, got {tensor.dtype} on {tensor.device}")
        # The extremes of a tensor are NaN when any value is, and are found in one pass.
        if tensor.numel() and not all(bool(torch.isfinite(extreme)) for extreme in tensor.detach().aminmax()):
            raise ValueError(f"{name}: expected finite values, got NaN or infinity")
    _check_values(gaussians, intrinsics)


def _check_values(gaussians: Gaussians, intrinsics: Tensor) -> None:
    outside = (gaussians.opacities < 0) | (gaussians.opacities > 1)
    if bool(outside.any()):
        raise ValueError(f"Gaussians.opacities: expected 0..1, got {float(gaussians.opacities[outside][0]):g}")
    degenerate = gaussians.quats_wxyz.square().sum(-1) == 0
    if bool(degenerate.any()):
        row = int(degenerate.nonzero()[0])
        raise ValueError(f"Gaussians.quats_wxyz: expected norms above 0, got {int(degenerate.sum())} of 0, first in row {row}")
    focal = intrinsics.diagonal(dim1=-2, dim2=-1)[:, :2]
    if not bool((focal > 0).all()) or bool((intrinsics[:, 0, 1] != 0).any()):
        raise ValueError(f"intrinsics: expected positive focal lengths and no skew, got {intrinsics[:, :2].tolist()}")
