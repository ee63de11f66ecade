"""The rasteriser of 3D Gaussians, differentiable, in PyTorch or by gsplat; knows Gaussians and cameras, no objects."""

from pan3d_core.rendering.motion import moved_gaussians
from pan3d_core.rendering.project import Camera
from pan3d_core.rendering.rasterizer import (
    UNITLESS_RASTER,
    OnScreen,
    RasterSettings,
    Rendering,
    chosen_backend,
    rasterize,
    view_colors,
)

__all__ = [
    "Camera",
    "OnScreen",
    "RasterSettings",
    "Rendering",
    "UNITLESS_RASTER",
    "chosen_backend",
    "moved_gaussians",
    "rasterize",
    "view_colors",
]
