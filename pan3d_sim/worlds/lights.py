"""Light of any kind: one hard lamp to soft light from everywhere, dim to glaring, white or coloured."""

from __future__ import annotations

import colorsys

import mujoco
import numpy as np

from pan3d_sim.worlds.config import LightRanges
from pan3d_sim.worlds.sky import Environment

_EXTRA_SUNS = ("sun_1",)  # beside "sun", close to it: together a wide light; each costs a pass over the scene
_LAMP = "lamp"
_SECOND_RADIATION_CONSTANT = 0.014388  # metre kelvin
_WAVELENGTHS_M = np.array([600e-9, 540e-9, 460e-9])


def add_lights(spec: mujoco.MjSpec) -> None:
    """Add what `randomize_lights` needs beside the lights of the plain cell.

    Args:
        spec: Of a model that has the lights "sun" and "fill".
    """
    for name in _EXTRA_SUNS:
        spec.worldbody.add_light(name=name, type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, castshadow=True, dir=[0, 0, -1])
    spec.worldbody.add_light(name=_LAMP, type=mujoco.mjtLightType.mjLIGHT_SPOT, castshadow=False, pos=[0, 0, 1], dir=[0, 0, -1])


def white(kelvin: float) -> np.ndarray:
    """Colour of a black body as a camera sees it that takes daylight (6500 K) for white: Planck's law at three wavelengths.

    Args:
        kelvin: Its temperature.

    Returns:
        (3,) RGB, the largest 1.
    """
    radiance = [1.0 / np.expm1(_SECOND_RADIATION_CONSTANT / (_WAVELENGTHS_M * t)) for t in (kelvin, 6500.0)]
    rgb = radiance[0] / radiance[1]
    return rgb / rgb.max()


def randomize_lights(
    model: mujoco.MjModel, rng: np.random.Generator, ranges: LightRanges, environment: Environment | None = None
) -> None:
    """Draw the lights of a scene, in place.

    Args:
        model: Compiled with `add_lights`.
        rng: Source of all chance.
        ranges: How far.
        environment: Whose light is used in some of the scenes.
    """
    level = float(np.exp(rng.uniform(*np.log(ranges.exposure))))
    color = white(np.exp(rng.uniform(*np.log(ranges.kelvin))))
    if rng.random() < ranges.colored_share:
        color = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.2, 0.6), 1.0))
    ambient = rng.uniform(*ranges.ambient)
    color_around = 0.5 + 0.5 * white(np.exp(rng.uniform(*np.log(ranges.kelvin))))
    toward = _direction(rng, ranges.elevation_deg)
    if environment is not None and rng.random() < ranges.environment_share:
        color, color_around = environment.light_color, environment.ambient_color
        toward = -environment.light_direction
        toward = np.append(toward[:2], min(toward[2], -np.tan(np.radians(ranges.elevation_deg[0])) * np.hypot(*toward[:2])))
    model.vis.headlight.ambient[:] = level * ambient * 0.5 * (color + color_around)
    model.vis.headlight.diffuse[:] = level * rng.uniform(0.0, 0.25) * color_around
    model.vis.headlight.specular[:] = rng.uniform(0.0, 0.15)
    direct = level * (1.1 - ambient)
    share = rng.uniform(0.5, 1.0)
    shadows = rng.random() >= ranges.hidden_share
    soft = shadows and rng.random() < ranges.soft_share
    suns = ("sun", *_EXTRA_SUNS) if soft else ("sun",)
    spread = rng.uniform(0.02, 0.12)
    for name in ("sun", *_EXTRA_SUNS):
        light = model.light(name).id
        model.light_active[light] = name in suns
        model.light_castshadow[light] = shadows
        direction = toward + (rng.normal(size=3) * spread if soft else 0.0)
        _aim(model, light, direction, direct * share / len(suns) * color)
    fill = model.light("fill").id
    _aim(model, fill, _direction(rng, ranges.elevation_deg), direct * (1 - share) * 0.7 * color_around)
    _set_lamp(model, rng, direct * float(rng.random() < ranges.lamp_share))


def _set_lamp(model: mujoco.MjModel, rng: np.random.Generator, strength: float) -> None:
    """A lamp within a metre or so, whose light falls off; strength 0 = off."""
    light = model.light(_LAMP).id
    model.light_active[light] = strength > 0
    place = rng.uniform(0.5, 1.3) * _direction(rng, (25.0, 85.0)) * -1.0
    target = np.append(rng.uniform(-0.2, 0.2, 2), 0.0)
    model.light_pos[light] = place
    model.light_dir[light] = (target - place) / np.linalg.norm(target - place)
    model.light_cutoff[light], model.light_exponent[light] = rng.uniform(25, 60), rng.uniform(2, 20)
    model.light_attenuation[light] = [1.0, 0.0, rng.uniform(0.0, 0.5)]
    model.light_castshadow[light] = False
    model.light_diffuse[light] = 0.8 * strength * white(np.exp(rng.uniform(np.log(2500), np.log(7000))))
    model.light_specular[light] = 0.4 * model.light_diffuse[light]


def _direction(rng: np.random.Generator, elevation_deg: tuple[float, float]) -> np.ndarray:
    """(3,) unit vector from a lamp at some elevation down to the table."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*elevation_deg))
    return -np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])


def _aim(model: mujoco.MjModel, light: int, direction: np.ndarray, diffuse: np.ndarray) -> None:
    direction = direction / np.linalg.norm(direction)
    model.light_dir[light], model.light_pos[light] = direction, -1.8 * direction
    model.light_diffuse[light], model.light_specular[light] = diffuse, 0.4 * diffuse
