"""Depth cameras by what they measure: active stereo and time of flight, each with the errors that are published of its kind.

Both take what is truly there and give what such a camera would say. Figures are those of a camera at its own resolution; what
counts pixels is brought to the picture's by the ratio of focal lengths. Not modelled: light that reaches a time-of-flight
camera over several surfaces, and the interference of several cameras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.ndimage import gaussian_filter, minimum_filter1d
from scipy.special import ndtr

from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cameras.seen_surfaces import Bools, Floats, SeenSurfaces

NO_SURFACE_M = 1e3  # stands for "no surface" where the nearest one is searched


class DepthSensor(Protocol):
    """Any kind of depth camera."""

    def measure(self, seen: SeenSurfaces, rng: np.random.Generator) -> Floats:
        """Say what the camera gives for what it sees: (H, W) float32 z-depth in metres, 0 = no measurement."""


@dataclass(frozen=True)
class ActiveStereo:
    """Two infrared imagers and a projector. The defaults are those of an Intel RealSense D435 at 848 x 480 pixels.

    Range noise is noise of disparity, so that it grows with the square of the distance, and disparity comes in steps (Keselman
    et al. 2017, "Intel RealSense Stereoscopic Depth Cameras"; Ahn et al. 2019, "Analysis and Noise Modeling of the Intel
    RealSense D435 for Mobile Robots"). Windows are compared, so that neighbours err alike and near surfaces grow over their
    outlines: foreground fattening (Hirschmueller and Scharstein 2009, "Evaluation of Stereo Matching Costs on Images with
    Radiometric Differences"). What one imager alone sees, what swallows the pattern, mirrors a lamp or lets light through has
    no match.
    """

    focal_px: float = 425.0
    baseline_m: float = 0.05
    disparity_sigma_px: float = 0.08
    disparity_step_px: float = 1.0 / 32.0
    window_px: float = 7.0
    fattening: float = 0.7  # largest reach of near surfaces over their outlines, in halves of a window
    dark: float = 0.02  # linear brightness below which matches begin to fail
    gloss: float = 0.5  # surfaces at least so glossy have no match where they mirror a lamp
    least_facing: float = 0.1  # surfaces seen flatter than this cosine have none
    range_m: tuple[float, float] = (0.17, 6.0)

    def measure(self, seen: SeenSurfaces, rng: np.random.Generator) -> Floats:
        """Say what the camera gives for what it sees: (H, W) float32 z-depth in metres, 0 = no measurement."""
        own_per_pixel = self.focal_px / seen.focal_px  # pixels of the sensor per pixel of the picture
        reach = self.focal_px * self.baseline_m
        window = self.window_px / own_per_pixel
        lost = (seen.depth <= 0) | self._unmatched(seen, window, rng)
        lost |= in_stereo_shadow(reach / np.maximum(seen.depth, 1e-3) / own_per_pixel)
        depth = self._fattened(seen.depth, window, reach, rng)
        disparity = reach / np.maximum(depth, 1e-3)
        disparity += self.disparity_sigma_px * smooth_noise(depth.shape, window / 4.0, rng)
        if self.disparity_step_px > 0:
            disparity = np.round(disparity / self.disparity_step_px) * self.disparity_step_px
        measured = reach / np.maximum(disparity, 1e-6)
        low, high = self.range_m
        return np.where(lost | (measured < low) | (measured > high), 0.0, measured).astype(np.float32)

    def _unmatched(self, seen: SeenSurfaces, window: float, rng: np.random.Generator) -> Bools:
        """Pixels without a match, in patches as large as a window."""
        chance = np.clip(1.0 - seen.brightness() / max(self.dark, 1e-9), 0.0, 1.0)
        chance = np.maximum(chance, seen.facing() < self.least_facing)
        if seen.opacity is not None:
            chance = np.maximum(chance, 1.0 - seen.opacity)
        patchy = uniform_noise(seen.depth.shape, window / 2.0, rng)
        return (patchy < chance) | seen.highlights(self.gloss)

    def _fattened(self, depth: Floats, window: float, reach: float, rng: np.random.Generator) -> Floats:
        """(H, W) depth in which near surfaces reach unevenly over their outlines, where the step is over a pixel of disparity."""
        extent = self.fattening * window / 2.0 * uniform_noise(depth.shape, window, rng)
        nearest = np.where(depth > 0, depth, NO_SURFACE_M)
        fattened = np.array(depth, np.float64)
        for radius in range(1, int(round(float(extent.max()))) + 1):
            near = minimum_filter1d(minimum_filter1d(nearest, 2 * radius + 1, axis=0), 2 * radius + 1, axis=1)
            step = reach / near - reach / np.maximum(nearest, 1e-3)
            fattened = np.where((np.round(extent) >= radius) & (step > 1.0) & (depth > 0), near, fattened)
        return fattened


@dataclass(frozen=True)
class TimeOfFlight:
    """An amplitude-modulated time-of-flight camera. The defaults are those of an Azure Kinect in its narrow mode.

    Range noise falls with the light that comes back, which dark, far and oblique surfaces send little of (Lange and Seitz 2001,
    "Solid-State Time-of-Flight Range Camera"; Toelgyessy et al. 2021, "Evaluation of the Azure Kinect and Its Comparison to
    Kinect V1 and Kinect V2"). The error wiggles with the distance, since the modulation is no pure sine (Lindner and Kolb 2006,
    "Lateral and Depth Calibration of PMD-Distance Sensors"). At edges a pixel collects light of both surfaces: flying pixels
    (Sarbolandi, Lefloch and Kolb 2015, "Kinect Range Sensing: Structured-Light versus Time-of-Flight Kinect").
    """

    focal_px: float = 504.0
    shot_sigma_m: float = 0.0006  # at the light that a white surface 1 m ahead sends back
    read_sigma_m: float = 0.0002  # likewise
    wiggle_m: float = 0.0015  # amplitude
    wiggle_period_m: float = 0.375  # a quarter of half the modulation's wave length
    flying: float = 0.8  # share of the sensor's pixels on an edge that mix both sides
    filtered: float = 0.5  # share of the mixed ones that the camera itself discards
    least_light: float = 0.01  # less than this is no measurement
    gloss: float = 0.5  # surfaces at least so glossy saturate where they mirror a lamp
    range_m: tuple[float, float] = (0.25, 5.0)

    def measure(self, seen: SeenSurfaces, rng: np.random.Generator) -> Floats:
        """Say what the camera gives for what it sees: (H, W) float32 z-depth in metres, 0 = no measurement."""
        depth = np.asarray(seen.depth, np.float64)
        light = (0.03 + seen.brightness()) * seen.facing() / np.maximum(depth, 0.1) ** 2
        if seen.opacity is not None:
            light = light * seen.opacity
        width = max(1.0, seen.focal_px / self.focal_px)
        mixed, flies = mixed_at_edges(depth, self.flying, int(round(width)), rng)
        sigma = np.sqrt(self.shot_sigma_m**2 / np.maximum(light, 1e-4) + self.read_sigma_m**2 / np.maximum(light, 1e-4) ** 2)
        measured = mixed + sigma * smooth_noise(depth.shape, 0.4 * (width - 1.0), rng)
        measured += self.wiggle_m * np.sin(2 * np.pi * (mixed / self.wiggle_period_m + rng.random()))
        lost = (depth <= 0) | (light < self.least_light) | seen.highlights(self.gloss)
        lost |= flies & (rng.random(depth.shape) < self.filtered)
        low, high = self.range_m
        return np.where(lost | (measured < low) | (measured > high), 0.0, measured).astype(np.float32)


# By the names of the command line's options and the simulator's parameters.
DEPTH_SENSORS: Mapping[str, DepthSensor] = {
    "structured_light": DepthNoise(),
    "active_stereo": ActiveStereo(),
    "time_of_flight": TimeOfFlight(),
}


def depth_sensor(name: str) -> DepthSensor | None:
    """Give the depth camera of a name, None for "exact".

    Args:
        name: One of `DEPTH_SENSORS`, or "exact".

    Returns:
        The camera with its usual figures.

    Raises:
        ValueError: There is none of this name.
    """
    if name == "exact":
        return None
    if name not in DEPTH_SENSORS:
        raise ValueError(f"depth_sensor: expected one of exact, {', '.join(DEPTH_SENSORS)}, got {name!r}")
    return DEPTH_SENSORS[name]


def in_stereo_shadow(disparity: Floats) -> Bools:
    """Find what only the first imager sees, because a nearer surface hides it from the second.

    Args:
        disparity: (H, W) pixels of this picture by which the second imager, to the right, sees a place farther left.

    Returns:
        (H, W) bool.
    """
    column = np.arange(disparity.shape[1]) - disparity  # of each place in the second picture
    farther_right = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(disparity.shape, bool)
    hidden[:, :-1] = farther_right[:, 1:] < column[:, :-1] - 0.5
    return hidden


def mixed_at_edges(
    depth: Floats, share: float, width: int, rng: np.random.Generator, *, step_m: float = 0.02
) -> tuple[Floats, Bools]:
    """Give pixels at edges a value between both sides.

    Args:
        depth: (H, W) metres, 0 = none.
        share: Of the pixels at edges that are mixed.
        width: Pixels on which one pixel of the sensor falls.
        rng: Decides which, and by how much.
        step_m: A jump larger than this is an edge.

    Returns:
        (H, W) depth, and (H, W) bool: the mixed ones.
    """
    mixed, flies = np.array(depth, np.float64), np.zeros(depth.shape, bool)
    for axis in (0, 1):
        neighbour = np.roll(depth, width, axis=axis)
        edge = (np.abs(neighbour - depth) > step_m) & (neighbour > 0) & (depth > 0)
        edge[(slice(width), slice(None)) if axis == 0 else (slice(None), slice(width))] = False  # np.roll wraps around
        edge &= rng.random(depth.shape) < share
        weight = rng.random(depth.shape)
        mixed = np.where(edge, weight * mixed + (1 - weight) * neighbour, mixed)
        flies |= edge
    return mixed, flies


def smooth_noise(shape: tuple[int, ...], radius: float, rng: np.random.Generator) -> Floats:
    """Draw normal noise of standard deviation 1 in which neighbours within about `radius` pixels are alike."""
    white = rng.normal(size=shape)
    if radius < 0.3:
        return white
    smooth: Floats = gaussian_filter(white, radius, mode="wrap")
    return smooth / max(float(smooth.std()), 1e-9)


def uniform_noise(shape: tuple[int, ...], radius: float, rng: np.random.Generator) -> Floats:
    """Draw noise as `smooth_noise` does, evenly spread over 0..1."""
    even: Floats = ndtr(smooth_noise(shape, radius, rng))
    return even
