"""Scenes of Gaussians in the browser and clouds in a window; they know Gaussians, language and pictures."""

from pan3d_tools.viewer.cloud_window import show
from pan3d_tools.viewer.page import GaussianViewer, PageSettings

__all__ = [
    "GaussianViewer",
    "PageSettings",
    "show",
]
