"""What a camera truly sees in each of its pixels, of which depth cameras measure a part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pan3d_core.geometry.arrays import Bools, Floats


@dataclass(frozen=True)
class SeenSurfaces:
    """What a camera truly sees in each pixel."""

    depth: Floats  # (H, W) float32 z-depth, metres, 0 = none
    focal_px: float  # of this picture
    rgb: npt.NDArray[np.uint8] | None = None  # (H, W, 3); None = matt mid-grey everywhere
    gloss: Floats | None = None  # (H, W) 0 = matt, 1 = mirror
    opacity: Floats | None = None  # (H, W) 1 = opaque, 0 = clear

    def brightness(self) -> Floats:
        """(H, W) linear, 0..1: what stands for the reflectance at the sensor's own wavelength."""
        if self.rgb is None:
            return np.full(self.depth.shape, 0.2)
        linear: Floats = (self.rgb.astype(np.float64) / 255.0) ** 2.2
        return linear @ np.array([0.2126, 0.7152, 0.0722])

    def facing(self) -> Floats:
        """(H, W) cosine between surface and line of sight, of smooth surfaces; edges count as seen from the front."""
        depth = self.depth.astype(np.float64)
        slope = np.asarray(np.gradient(depth)) * self.focal_px / np.maximum(depth, 1e-6)
        steep = np.square(slope).sum(0)
        return np.where(steep < 40.0**2, 1.0 / np.sqrt(1.0 + steep), 1.0)

    def highlights(self, gloss: float) -> Bools:
        """(H, W) glossy places that mirror a lamp: where the gloss is not known, whatever is as white as a picture can be."""
        white = np.zeros(self.depth.shape, bool) if self.rgb is None else self.rgb.min(-1) >= 250
        return white if self.gloss is None else white & (self.gloss >= gloss)
