"""What is seen where nothing stands: panoramas, photographed or made by rule, on the faces of a cube."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from pan3d_sim.worlds.procedural import draw_color, spectral_noise

_FACE = 128
# Viewing direction and the image's down of the six faces in MuJoCo's order; sides are stored mirrored, top and bottom transposed.
_FACES = (
    ((1, 0, 0), (0, 0, -1)), ((-1, 0, 0), (0, 0, -1)), ((0, 0, 1), (1, 0, 0)),
    ((0, 0, -1), (1, 0, 0)), ((0, -1, 0), (0, 0, -1)), ((0, 1, 0), (0, 0, -1)),
)  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """A panorama and where its strongest light comes from."""

    pixels: np.ndarray  # (H, 2 H, 3) uint8; the middle column is +x, columns to the left are towards +y, the first row is up
    light_direction: np.ndarray  # (3,) unit, from the scene to the light
    light_color: np.ndarray  # (3,) RGB, the largest 1
    ambient_color: np.ndarray  # (3,) RGB, the largest 1

    def turned(self, columns: int) -> Environment:
        """The same with all that is seen moved to the right by some columns of its picture."""
        yaw = -2 * np.pi * columns / self.pixels.shape[1]
        c, s = np.cos(yaw), np.sin(yaw)
        direction = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ self.light_direction
        return Environment(np.roll(self.pixels, columns, axis=1), direction, self.light_color, self.ambient_color)


def draw_environment(rng: np.random.Generator, height: int = 128) -> Environment:
    """Make a panorama of something like a room: ceiling, walls and floor with windows, boards and furniture, out of focus.

    Args:
        rng: Source of all chance.
        height: Of the picture, pixels.

    Returns:
        The environment; its light comes from above.
    """
    width = 2 * height
    picture: np.ndarray = np.empty((height, width, 3), np.float32)
    top, bottom = int(height * rng.uniform(0.15, 0.4)), int(height * rng.uniform(0.55, 0.8))
    wall = draw_color(rng)
    picture[:top], picture[top:bottom], picture[bottom:] = rng.uniform(0.5, 1.0), wall, draw_color(rng)
    for _ in range(int(rng.integers(4, 30))):
        y, x = int(rng.integers(top // 2, bottom)), int(rng.integers(width))
        high, wide = int(rng.integers(4, height // 3)), int(rng.integers(4, height // 2))
        color = np.full(3, rng.uniform(0.85, 1.0)) if rng.random() < 0.3 else draw_color(rng)
        picture[y : y + high, np.arange(x, x + wide) % width] = color
    noise = spectral_noise(rng, width, 1.2)[:height, :, None]
    picture = cv2.GaussianBlur(picture * (0.75 + 0.25 * noise).astype(np.float32), (0, 0), rng.uniform(0.5, 3.0))
    pixels = (255 * np.clip(picture, 0, 1)).astype(np.uint8)
    ones = np.ones(3)
    return Environment(pixels, np.array([0.0, 0.0, 1.0]), ones, ones)


def add_sky(spec: mujoco.MjSpec, environment: Environment) -> None:
    """Add the panorama as the sky of a model; the renderer must be told to draw it.

    Args:
        spec: Of the model.
        environment: What is seen at infinity.
    """
    faces = [sky_face(environment.pixels, index, _FACE) for index in range(6)]
    texture = spec.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=_FACE, height=6 * _FACE, nchannel=3)
    texture.data = np.ascontiguousarray(np.concatenate(faces)).tobytes()


def sky_face(panorama: np.ndarray, index: int, size: int) -> np.ndarray:
    """Cut one face of the cube out of a panorama.

    Args:
        panorama: (H, 2 H, 3) uint8, see `Environment`.
        index: 0 to 5, in MuJoCo's order.
        size: Of the face, pixels.

    Returns:
        (size, size, 3) uint8 as MuJoCo stores it.
    """
    forward, down = (np.array(axis, float) for axis in _FACES[index])
    right = np.cross(down, forward)
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    rays = forward + steps[None, :, None] * right + steps[:, None, None] * down
    height, width = panorama.shape[:2]
    azimuth = np.arctan2(rays[..., 1], rays[..., 0])
    elevation = np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1]))
    columns = ((0.5 - azimuth / (2 * np.pi)) * width - 0.5).astype(np.float32)
    rows = ((0.5 - elevation / np.pi) * height - 0.5).astype(np.float32)
    view = cv2.remap(panorama, columns, np.clip(rows, 0, height - 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return view.swapaxes(0, 1) if forward[2] != 0 else view[:, ::-1]
