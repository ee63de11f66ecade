"""Depth of stored scenes as a depth camera would have measured it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pan3d_core.structures import CameraView, present, unit_range
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cameras.seen_surfaces import SeenSurfaces


@dataclass(frozen=True)
class MeasuredViews:
    """A depth camera in the place of each view's camera."""

    sensor: DepthSensor

    def __call__(self, view: CameraView, scene: str) -> Tensor:
        """Measure a view whose depth is exact.

        Args:
            view: With depth and intrinsics. Surfaces are taken for what they look like; that one is clear is not known.
            scene: Name of its scene, which with the camera's name decides all chance.

        Returns:
            (H, W) z-depth in metres, 0 = no measurement.

        Raises:
            ValueError: The view has no depth or no intrinsics.
        """
        depth = present(f"CameraView.depth of {view.camera}", view.depth)
        intrinsics = present(f"CameraView.intrinsics of {view.camera}", view.intrinsics)
        rgb = (unit_range(view.image).permute(1, 2, 0) * 255).round().clamp(0, 255).byte().numpy(force=True)
        seen = SeenSurfaces(depth.numpy(force=True), float(intrinsics[0, 0]), rgb)
        rng = np.random.default_rng(zlib.crc32(f"{scene}/{view.camera}".encode()))
        return torch.from_numpy(self.sensor.measure(seen, rng))
