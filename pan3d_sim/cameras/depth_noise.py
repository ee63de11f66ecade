"""What a real depth camera does to a perfect depth image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pan3d_sim.cameras.seen_surfaces import SeenSurfaces


@dataclass(frozen=True)
class DepthNoise:
    """Errors of a depth sensor. The defaults are a good structured-light camera at half a metre."""

    sigma_m: float = 0.001  # white noise per pixel
    bias_m: float = 0.0  # standard deviation of one offset per image (calibration, temperature)
    bleed: float = 0.5  # share of the pixels at depth edges that get a value between both sides
    dropout: float = 0.0  # share of pixels without a measurement
    edge_step_m: float = 0.02  # a jump between neighbours larger than this is an edge

    def measure(self, seen: SeenSurfaces, rng: np.random.Generator) -> np.ndarray:
        """Say what the camera gives for what it sees, whatever it is made of: (H, W) float32 z-depth in metres, 0 = none."""
        return self.apply(seen.depth, rng)

    def apply(self, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Noisy copy of a z-depth image (H, W) float32 in metres; 0 = no measurement stays 0."""
        noisy = self._bleed_edges(depth, rng)
        noisy += rng.normal(0.0, self.sigma_m, depth.shape) + rng.normal(0.0, 1.0) * self.bias_m
        lost = rng.random(depth.shape) < self.dropout
        return np.where(lost | (depth <= 0), 0.0, np.maximum(noisy, 0.0)).astype(np.float32)

    def _bleed_edges(self, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Flying pixels: one pixel along every depth edge is a mixture of near and far."""
        mixed = depth.astype(np.float64)
        for axis in (0, 1):
            neighbour = np.roll(depth, 1, axis=axis)
            edge = (np.abs(neighbour - depth) > self.edge_step_m) & (neighbour > 0) & (depth > 0)
            edge[(0, slice(None)) if axis == 0 else (slice(None), 0)] = False  # np.roll wraps around
            edge &= rng.random(depth.shape) < self.bleed
            weight = rng.random(depth.shape)
            mixed = np.where(edge, weight * mixed + (1 - weight) * neighbour, mixed)
        return mixed
