"""How the cell looks: surface patterns, table and floor textures, lights. Shared by physics cell and training renderer."""

from __future__ import annotations

import mujoco
import numpy as np

from pan3d_sim.objects.kinds import NUM_PATTERNS

TABLE_HALF_EXTENT_M, TABLE_THICKNESS_M, FLOOR_DEPTH_M = 0.6, 0.04, 0.75
NUM_SURFACES = 10
_PATTERN_SIZE, _SURFACE_SIZE = 32, 128


def _smooth_noise(rng: np.random.Generator, size: int, cells: tuple[int, int]) -> np.ndarray:
    """(size, size) value noise in 0..1, bilinear between a random grid, periodic."""
    grid = rng.random(cells)
    grid = np.pad(grid, ((0, 1), (0, 1)), mode="wrap")
    y, x = (np.linspace(0, n, size, endpoint=False) for n in cells)
    y0, x0 = y.astype(int), x.astype(int)
    fy, fx = (y - y0)[:, None], (x - x0)[None, :]
    top = grid[y0][:, x0] * (1 - fx) + grid[y0][:, x0 + 1] * fx
    bottom = grid[y0 + 1][:, x0] * (1 - fx) + grid[y0 + 1][:, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def _pattern(rng: np.random.Generator, index: int) -> np.ndarray:
    """(size, size) brightness factor of one object surface; pattern 0 is plain."""
    size = _PATTERN_SIZE
    y, x = np.mgrid[0:size, 0:size] / size
    if index == 0:
        return np.ones((size, size))
    if index == 1:
        return 0.82 + 0.18 * _smooth_noise(rng, size, (6, 6))
    if index == 2:
        return np.where((y * rng.integers(3, 7)) % 1.0 < 0.5, 1.0, 0.72)
    if index == 3:
        return np.where(((x * 4).astype(int) + (y * 4).astype(int)) % 2 == 0, 1.0, 0.78)
    if index == 4:
        return np.where(rng.random((size, size)) < 0.12, 0.55, 1.0)
    return 0.75 + 0.25 * _smooth_noise(rng, size, (2, 8))


def _surface(rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) uint8 random table or floor: wood, cloth, tiles, speckle or plain with stains."""
    size = _SURFACE_SIZE
    hue = np.array([rng.uniform(0.4, 1.0)] * 3) * np.array([1.0, rng.uniform(0.75, 1.0), rng.uniform(0.5, 1.05)])
    style = rng.integers(5)
    y, x = np.mgrid[0:size, 0:size] / size
    if style == 0:
        value = 0.7 + 0.3 * np.sin(2 * np.pi * (y * rng.integers(4, 12) + 1.5 * _smooth_noise(rng, size, (6, 2))))
    elif style == 1:
        value = 0.85 + 0.15 * np.sin(x * 2 * np.pi * 32) * np.sin(y * 2 * np.pi * 32)
    elif style == 2:
        tiles = rng.integers(3, 8)
        value = np.where(((x * tiles) % 1 < 0.06) | ((y * tiles) % 1 < 0.06), 0.6, 1.0)
    elif style == 3:
        value = 0.75 + 0.25 * rng.random((size, size))
    else:
        value = np.ones((size, size))
    value = value * (0.85 + 0.15 * _smooth_noise(rng, size, (5, 5)))
    return (255 * np.clip(value[..., None] * hue, 0, 1)).astype(np.uint8)


def add_texture(spec: mujoco.MjSpec, name: str, pixels: np.ndarray, *, cube: bool) -> None:
    """Add a picture (H, W, 3) uint8 to the model; a `cube` is six square faces one below the other."""
    kind = mujoco.mjtTexture.mjTEXTURE_CUBE if cube else mujoco.mjtTexture.mjTEXTURE_2D
    texture = spec.add_texture(name=name, type=kind, width=pixels.shape[1], height=pixels.shape[0], nchannel=3)
    texture.data = np.ascontiguousarray(pixels).tobytes()


def add_materials(spec: mujoco.MjSpec, rng: np.random.Generator) -> list[str]:
    """Add the surface patterns for objects to the model; returns the material names, indexed by `ObjectSpec.pattern`."""
    names = []
    for index in range(NUM_PATTERNS):
        gray = (255 * np.clip(_pattern(rng, index), 0, 1)).astype(np.uint8)
        face = np.repeat(gray[..., None], 3, axis=2)
        add_texture(spec, f"pattern_{index}", np.concatenate([face] * 6), cube=True)
        material = spec.add_material(name=f"object_{index}", specular=0.3, shininess=0.5)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"pattern_{index}"
        names.append(material.name)
    return names


def add_finish(spec: mujoco.MjSpec, name: str, pattern: int, specular: float) -> dict[int, str]:
    """Materials for one object with its own gloss, after `add_materials`: its pattern's and the plain one (0)."""
    names = {}
    for index in {0, pattern}:
        material = spec.add_material(name=f"{name}_{index}", specular=specular, shininess=0.2 + specular)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"pattern_{index}"
        names[index] = material.name
    return names


def add_environment(spec: mujoco.MjSpec, rng: np.random.Generator, support_height: float = 0.0) -> None:
    """Add table (collision, top at `support_height`), floor, surface materials and lights."""
    for index in range(NUM_SURFACES):
        add_texture(spec, f"surface_{index}", _surface(rng), cube=False)
        material = spec.add_material(name=f"surface_{index}", specular=0.1, texrepeat=[3, 3])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"surface_{index}"
    half = TABLE_HALF_EXTENT_M
    table = spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[half, half, TABLE_THICKNESS_M / 2],
        pos=[0, 0, support_height - TABLE_THICKNESS_M / 2], material="surface_0",
    )  # fmt: skip
    table.condim, table.friction = 6, [0.8, 0.005, 0.001]
    table.solref, table.solimp = [0.01, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
    spec.worldbody.add_geom(
        name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[4, 4, 0.1],
        pos=[0, 0, support_height - FLOOR_DEPTH_M], material="surface_1",
    )  # fmt: skip
    directional = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    for name in ("sun", "fill"):
        spec.worldbody.add_light(name=name, type=directional, castshadow=name == "sun", pos=[0, 0, 2], dir=[0, 0, -1])


def randomize_appearance(model: mujoco.MjModel, rng: np.random.Generator) -> None:
    """Draw table and floor surfaces, their tints and the lights, in place.

    Args:
        model: A compiled model of the cell.
        rng: Decides everything.
    """
    surfaces = [model.material(f"surface_{index}").id for index in range(NUM_SURFACES)]
    for name in ("table", "floor"):
        geom = model.geom(name).id
        model.geom_matid[geom] = rng.choice(surfaces)
        tint = rng.uniform(0.7, 1.0) * rng.uniform(0.85, 1.0, 3)
        model.geom_rgba[geom] = [*tint, 1.0]
    repeat = rng.uniform(1.0, 5.0)
    model.mat_texrepeat[surfaces] = repeat
    for name, strength in (("sun", rng.uniform(0.4, 0.8)), ("fill", rng.uniform(0.1, 0.35))):
        light = model.light(name).id
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 80))
        direction = -np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
        model.light_dir[light] = direction
        model.light_pos[light] = -1.8 * direction
        model.light_diffuse[light] = strength * rng.uniform(0.88, 1.0, 3)
        model.light_specular[light] = 0.3 * strength
    model.vis.headlight.ambient[:] = rng.uniform(0.3, 0.5)
    model.vis.headlight.diffuse[:] = rng.uniform(0.1, 0.35)
    model.vis.headlight.specular[:] = rng.uniform(0.0, 0.2)
