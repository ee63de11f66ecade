"""Cameras of any lens at any distance: low and high, near and far, all around or on one side."""

from __future__ import annotations

from itertools import count

import numpy as np

from pan3d_sim.cameras.rig import RigCamera, look_at, spread_azimuths
from pan3d_sim.worlds.config import CameraRanges

_REACH_M = 0.27  # radius of what objects fill
_CLEARANCE_M = 0.07  # between a camera and the nearest object's sphere
_FEWEST_SEEN = 0.5  # of the objects' centres that a camera should see
_TRIES = 20  # after which any view that is clear will do
_STEP_BACK = 1.05


def sample_any_rig(
    rng: np.random.Generator,
    num_views: int,
    size: tuple[int, int],
    ranges: CameraRanges,
    spheres: np.ndarray,
) -> list[RigCamera]:
    """Draw calibrated cameras with lenses, distances and elevations from wide ranges.

    Args:
        rng: Source of all chance.
        num_views: How many cameras.
        size: Width and height of each picture, pixels.
        ranges: How far.
        spheres: (N, 4) centres (world, metres) and radii of the objects, which cameras keep clear of and look at.

    Returns:
        Cameras with exact intrinsics (pixels) and `cam_from_world` (4, 4), metres; the support is at height 0.
    """
    azimuths = spread_azimuths(rng, num_views, "ring" if rng.random() < ranges.ring_share else "front")
    low = rng.random() < ranges.low_share
    elevation_deg = ranges.low_elevation_deg if low else ranges.elevation_deg
    same_lens = rng.random() < 0.5
    shared = _draw_lens(rng, ranges)
    cameras = []
    for index, azimuth in enumerate(azimuths):
        for attempt in count():  # ends: every attempt stands farther away, and at last clear of everything
            half, distance = shared if same_lens else _draw_lens(rng, ranges)
            lens = half, distance * _STEP_BACK**attempt
            camera = _draw_camera(rng, f"camera_{index}", azimuth, np.radians(rng.uniform(*elevation_deg)), size, lens, ranges)
            if _seen_share(camera, spheres) >= (_FEWEST_SEEN if attempt < _TRIES else 0.0):
                cameras.append(camera)
                break
    return cameras


def _draw_lens(rng: np.random.Generator, ranges: CameraRanges) -> tuple[float, float]:
    """Half the field of view along the width (radians) and the distance, metres."""
    half = np.radians(np.exp(rng.uniform(*np.log(ranges.field_of_view_deg)))) / 2
    distance = _REACH_M / (np.exp(rng.uniform(*np.log(ranges.fill))) * np.tan(half))
    return float(half), float(np.clip(distance, *ranges.distance_m))


def _draw_camera(
    rng: np.random.Generator,
    name: str,
    azimuth_deg: float,
    elevation: float,
    size: tuple[int, int],
    lens: tuple[float, float],
    ranges: CameraRanges,
) -> RigCamera:
    width, height = size
    half, distance = lens
    azimuth = np.radians(azimuth_deg)
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    target = np.append(rng.uniform(-0.07, 0.07, 2), rng.uniform(0.0, 0.06))
    eye = target + distance * rng.uniform(0.9, 1.1) * direction
    cam_from_world = look_at(eye, target, roll_rad=np.radians(rng.uniform(-1.0, 1.0) * ranges.roll_deg))
    focal = 0.5 * width / np.tan(half) * rng.uniform(0.97, 1.03)
    principal = (np.array([width, height]) - 1) / 2 + rng.uniform(-1.0, 1.0, 2) * 0.03 * width
    aspect = 1.0 + rng.uniform(-1.0, 1.0) * 0.005
    intrinsics = np.array([[focal * aspect, 0.0, principal[0]], [0.0, focal / aspect, principal[1]], [0.0, 0.0, 1.0]])
    return RigCamera(name, intrinsics, cam_from_world, width, height)


def _seen_share(camera: RigCamera, spheres: np.ndarray) -> float:
    """Share of the objects whose centre is in the picture; -1 where the camera is inside or close to one."""
    if not len(spheres):
        return 1.0
    eye = camera.world_from_cam[:3, 3]
    if (np.linalg.norm(spheres[:, :3] - eye, axis=1) < spheres[:, 3] + _CLEARANCE_M).any():
        return -1.0
    pixels, z = camera.project(spheres[:, :3])
    inside = (z > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < camera.width) & (pixels[:, 1] < camera.height)
    return float(inside.mean())
