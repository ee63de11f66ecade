"""Calibrated cameras of the robot cell: where they stand, what they see, and MuJoCo's view of them.

Everything here is plain numpy. Cameras have OpenCV axes (x right, y down, z forward) and pixel (0, 0)
is the centre of the top left pixel. The world frame is the robot's base: z up, table centre at the
origin. "Front" cameras stand on the -x side and look along +x as the robot does, so the left of their
images is +y, the robot's own left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

FRONT_AZIMUTH_DEG = 180.0
# Objects live in |x|, |y| <= this; tall ones reach about WORKSPACE_HEIGHT_M above the table.
WORKSPACE_HALF_M = 0.25
WORKSPACE_HEIGHT_M = 0.12
# Camera of the wrist in the hand's frame (origin between the finger tips, z = approach, x = closing): 13 cm behind
# the tips and 8 cm to the side, tilted 20 deg so that it looks at a place just in front of the finger tips.
WRIST_OFFSET_M = (0.0, -0.08, -0.13)
WRIST_TILT_DEG = 20.0


@dataclass(frozen=True)
class RigCamera:
    """A camera with known calibration. `intrinsics` (3, 3) float64 in pixels of (height, width); `cam_from_world` (4, 4) m."""

    name: str
    intrinsics: np.ndarray
    cam_from_world: np.ndarray
    width: int
    height: int

    @property
    def world_from_cam(self) -> np.ndarray:
        """(4, 4)."""
        return invert_rigid(self.cam_from_world)

    def project(self, points_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (N, 3) -> pixels (N, 2) as (x, y) and z-depth (N,). Pixels are meaningless where z <= 0."""
        points_cam = points_world @ self.cam_from_world[:3, :3].T + self.cam_from_world[:3, 3]
        homogeneous = points_cam @ self.intrinsics.T
        return homogeneous[:, :2] / np.maximum(homogeneous[:, 2:], 1e-9), points_cam[:, 2]

    def resized(self, width: int, height: int) -> RigCamera:
        """The same camera with another resolution; the field of view stays, also when the aspect changes."""
        intrinsics = self.intrinsics.copy()
        intrinsics[0, :2] *= width / self.width
        intrinsics[1, 1] *= height / self.height
        intrinsics[0, 2] = (self.intrinsics[0, 2] + 0.5) * width / self.width - 0.5
        intrinsics[1, 2] = (self.intrinsics[1, 2] + 0.5) * height / self.height - 0.5
        return RigCamera(self.name, intrinsics, self.cam_from_world, width, height)


@dataclass(frozen=True)
class RigConfig:
    """How a rig is drawn; ranges are uniform."""

    spread: str = "front"  # "front": azimuths within +-55 deg of the robot's side; "ring": all around
    elevation_deg: tuple[float, float] = (30.0, 65.0)
    distance_m: tuple[float, float] = (0.55, 0.85)
    look_at_jitter_m: float = 0.03
    roll_deg: float = 4.0
    fill: tuple[float, float] = (0.9, 1.15)  # size of the workspace relative to the largest that fits the image
    principal_jitter: float = 0.02  # offset of the principal point, fraction of the image width
    support_height_m: float = 0.0

    def __post_init__(self) -> None:
        if self.spread not in ("front", "ring"):
            raise ValueError(f"RigConfig.spread: expected 'front' or 'ring', got {self.spread!r}")


def sample_rig(
    rng: np.random.Generator, num_views: int, width: int, height: int, config: RigConfig | None = None
) -> list[RigCamera]:
    """Draw calibrated cameras around the table, spread over the azimuth and in random order.

    Args:
        rng: Source of all chance.
        num_views: How many cameras.
        width: Of each picture, pixels.
        height: Of each picture, pixels.
        config: Distances, elevations and what the cameras look at.

    Returns:
        Cameras with exact intrinsics (pixels) and `cam_from_world` (4, 4), metres.
    """
    if num_views < 1:
        raise ValueError(f"num_views: expected at least 1, got {num_views}")
    config = config or RigConfig()
    azimuths = spread_azimuths(rng, num_views, config.spread)
    return [_draw_camera(rng, f"camera_{i}", azimuth, width, height, config) for i, azimuth in enumerate(azimuths)]


def spread_azimuths(rng: np.random.Generator, num_views: int, spread: str) -> np.ndarray:
    """Draw azimuths, one per equal slice of the arc, so that any two views have parallax.

    Args:
        rng: Source of all chance.
        num_views: How many.
        spread: "front" or "ring", see `RigConfig`.

    Returns:
        (N,) degrees in random order.
    """
    arc = 110.0 if spread == "front" else 360.0
    start = FRONT_AZIMUTH_DEG - arc / 2 if spread == "front" else rng.uniform(0.0, 360.0)
    slices = (np.arange(num_views) + rng.uniform(0.15, 0.85, num_views)) / num_views
    return rng.permutation(start + arc * slices)


def _draw_camera(
    rng: np.random.Generator, name: str, azimuth_deg: float, width: int, height: int, config: RigConfig
) -> RigCamera:
    azimuth = np.deg2rad(azimuth_deg)
    elevation = np.deg2rad(rng.uniform(*config.elevation_deg))
    direction = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    target = np.append(rng.uniform(-1.0, 1.0, 2) * config.look_at_jitter_m, config.support_height_m + 0.02)
    eye = target + rng.uniform(*config.distance_m) * direction
    cam_from_world = look_at(eye, target, roll_rad=np.deg2rad(rng.uniform(-1.0, 1.0) * config.roll_deg))
    principal = (np.array([width, height]) - 1) / 2 + rng.uniform(-1.0, 1.0, 2) * config.principal_jitter * width
    focal = _filling_focal(cam_from_world, principal, width, height, config.support_height_m) * rng.uniform(*config.fill)
    aspect = 1.0 + rng.uniform(-1.0, 1.0) * 0.005  # real sensors' pixels are not perfectly square either
    intrinsics = np.array([[focal * aspect, 0.0, principal[0]], [0.0, focal / aspect, principal[1]], [0.0, 0.0, 1.0]])
    return RigCamera(name, intrinsics, cam_from_world, width, height)


def _filling_focal(cam_from_world: np.ndarray, principal: np.ndarray, width: int, height: int, support_height_m: float) -> float:
    """Largest focal length (pixels) at which the workspace's box still lies inside the image."""
    half, low = WORKSPACE_HALF_M, support_height_m
    corners = np.array([[x, y, z] for x in (-half, half) for y in (-half, half) for z in (low, low + WORKSPACE_HEIGHT_M)])
    points_cam = corners @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
    if points_cam[:, 2].min() < 0.05:
        raise ValueError("camera: expected the whole workspace in front of it, got a camera inside the workspace")
    slopes = points_cam[:, :2] / points_cam[:, 2:]
    room = np.where(slopes > 0, np.array([width, height]) - 1 - principal, principal)
    return float((room / np.maximum(np.abs(slopes), 1e-6)).min())


def overview_camera(width: int, height: int, *, support_height_m: float = 0.0) -> RigCamera:
    """A camera for pictures of the hand at work: low, from the side, with the lifted object still in view."""
    target = np.array([0.0, 0.0, support_height_m + 0.10])
    focal = 0.95 * height
    intrinsics = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return RigCamera("overview", intrinsics, look_at(target + np.array([-0.72, -0.38, 0.38]), target), width, height)


def wrist_camera(
    world_from_hand: np.ndarray, width: int, height: int, *, fov_y_deg: float = 58.0, name: str = "wrist"
) -> RigCamera:
    """The camera on the wrist of a hand whose grasp frame stands at `world_from_hand` (4, 4)."""
    focal = 0.5 * height / np.tan(np.deg2rad(fov_y_deg) / 2)
    intrinsics = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return RigCamera(name, intrinsics, invert_rigid(world_from_hand @ hand_from_wrist_cam()), width, height)


def hand_from_wrist_cam() -> np.ndarray:
    """(4, 4) mounting of the wrist camera; its image x axis is the closing direction."""
    tilt = np.deg2rad(WRIST_TILT_DEG)
    transform = np.eye(4)
    transform[:3, :3] = [[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]]
    transform[:3, 3] = WRIST_OFFSET_M
    return transform


def sample_wrist_rig(
    rng: np.random.Generator, num_views: int, width: int, height: int, *, support_height_m: float = 0.0
) -> list[RigCamera]:
    """Views of one wrist camera while the hand travels in an arc above the table, in the order of the journey."""
    if num_views < 1:
        raise ValueError(f"num_views: expected at least 1, got {num_views}")
    config = RigConfig(elevation_deg=(40.0, 65.0), distance_m=(0.45, 0.6), support_height_m=support_height_m)
    mount = invert_rigid(hand_from_wrist_cam())
    cameras = []
    for index, azimuth in enumerate(np.sort(spread_azimuths(rng, num_views, config.spread))):
        aimed = _draw_camera(rng, f"wrist_{index}", azimuth, width, height, config)
        cameras.append(wrist_camera(aimed.world_from_cam @ mount, width, height, name=f"wrist_{index}"))
    return cameras


def look_at(eye: np.ndarray, target: np.ndarray, *, roll_rad: float = 0.0) -> np.ndarray:
    """`cam_from_world` (4, 4) of a camera at `eye` (3,) that looks at `target` (3,), image up along world +z, then rolled."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-6:
        raise ValueError("look_at: expected a viewing direction that is not vertical")
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll_rad), np.sin(roll_rad)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    world_from_cam[:3, 3] = eye
    return invert_rigid(world_from_cam)


def invert_rigid(a_from_b: np.ndarray) -> np.ndarray:
    """(4, 4) -> b_from_a."""
    b_from_a = np.eye(4)
    b_from_a[:3, :3] = a_from_b[:3, :3].T
    b_from_a[:3, 3] = -a_from_b[:3, :3].T @ a_from_b[:3, 3]
    return b_from_a


class GlCamera(Protocol):
    """The fields of `mujoco.MjvGLCamera`; OpenGL axes: the camera looks along -z, y is up."""

    pos: np.ndarray
    forward: np.ndarray
    up: np.ndarray
    frustum_center: float
    frustum_width: float
    frustum_bottom: float
    frustum_top: float
    frustum_near: float
    frustum_far: float
    orthographic: int


def write_gl_camera(gl_camera: GlCamera, camera: RigCamera, *, near_m: float = 0.02, far_m: float = 6.0) -> None:
    """Make MuJoCo render exactly this camera: the only place where OpenCV cameras become OpenGL ones.

    The image plane spans half a pixel beyond the outer pixel centres, and the frustum is given on the near
    plane. MuJoCo calls half the frustum's width `frustum_width`. Skew cannot be rendered.
    """
    if camera.intrinsics[0, 1] != 0:
        raise ValueError(f"RigCamera.intrinsics: expected no skew, got {camera.intrinsics[0, 1]}")
    (fx, _, cx), (_, fy, cy) = camera.intrinsics[:2]
    left, right = -(cx + 0.5) / fx, (camera.width - 0.5 - cx) / fx
    top, bottom = (cy + 0.5) / fy, -(camera.height - 0.5 - cy) / fy
    world_from_cam = camera.world_from_cam
    gl_camera.pos[:] = world_from_cam[:3, 3]
    gl_camera.forward[:] = world_from_cam[:3, 2]
    gl_camera.up[:] = -world_from_cam[:3, 1]
    gl_camera.orthographic = 0
    gl_camera.frustum_center = near_m * (left + right) / 2
    gl_camera.frustum_width = near_m * (right - left) / 2
    gl_camera.frustum_bottom, gl_camera.frustum_top = near_m * bottom, near_m * top
    gl_camera.frustum_near, gl_camera.frustum_far = near_m, far_m


def read_gl_camera(gl_camera: GlCamera, width: int, height: int, name: str = "camera") -> RigCamera:
    """Inverse of `write_gl_camera`, also for cameras that MuJoCo's `mjv_updateCamera` filled in."""
    near = gl_camera.frustum_near
    half_height = (gl_camera.frustum_top - gl_camera.frustum_bottom) / 2
    half_width = gl_camera.frustum_width or half_height * width / height
    fx, fy = near * width / (2 * half_width), near * height / (2 * half_height)
    cx = (half_width - gl_camera.frustum_center) / near * fx - 0.5
    cy = gl_camera.frustum_top / near * fy - 0.5
    forward, up = np.asarray(gl_camera.forward, float), np.asarray(gl_camera.up, float)
    world_from_cam = np.eye(4)
    world_from_cam[:3, :3] = np.stack([np.cross(forward, up), -up, forward], axis=1)
    world_from_cam[:3, 3] = gl_camera.pos
    return RigCamera(name, np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]), invert_rigid(world_from_cam), width, height)
