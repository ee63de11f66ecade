"""A world as a bank of objects shows it: put into the model once, drawn anew for every scene."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from pan3d_sim.cameras.effects import apply_effects
from pan3d_sim.cameras.rig import RigCamera, RigConfig, sample_rig
from pan3d_sim.objects.appearance import add_environment, add_texture, randomize_appearance
from pan3d_sim.worlds.config import SurfaceRanges, WorldConfig
from pan3d_sim.worlds.lights import add_lights, randomize_lights
from pan3d_sim.worlds.photographs import Photographs
from pan3d_sim.worlds.procedural import Surface, draw_color, draw_surface
from pan3d_sim.worlds.rigs import sample_any_rig
from pan3d_sim.worlds.sky import Environment, add_sky, draw_environment
from pan3d_sim.worlds.surroundings import Surroundings

_PROCEDURAL_SKY_SHARE = 0.25  # where panoramas are at hand


class World:
    """Surroundings of objects. `build` is called once a model; `randomize`, `cameras` and `surround` once a scene, in this order,
    then `support_height` and `photographed`.

    A world without variation draws from the generator exactly what the plain cell draws.
    """

    def __init__(self, config: WorldConfig | None = None, photographs: Photographs | None = None) -> None:
        self.config, self.photographs = config or WorldConfig(), photographs
        self._surroundings = Surroundings(self.config.surroundings) if self.config.surroundings else None
        self._surfaces: list[Surface] = []
        self._tintable: list[int] = []
        self._environment: Environment | None = None

    @property
    def has_sky(self) -> bool:
        """Whether something is seen where nothing stands."""
        return self._surroundings is not None

    @property
    def shadow_size(self) -> int:
        """Pixels of the shadow map along each side; varied light has coarser shadows, which look softer and cost half."""
        return 1024 if self.config.lights is None else 512

    def build(self, spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
        """Add table, floor, lights and their materials to a model.

        Args:
            spec: Of the model.
            rng: Source of all chance.
        """
        add_environment(spec, rng)
        ranges = self.config.surfaces
        self._surfaces = [self._draw_surface(rng, ranges) for _ in range(ranges.count)] if ranges else []
        self._tintable = [index for index, surface in enumerate(self._surfaces) if surface.tintable]
        for index, surface in enumerate(self._surfaces):
            add_texture(spec, f"world_{index}", surface.pixels, cube=False)
            material = spec.add_material(name=f"world_{index}", texuniform=True)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"world_{index}"
        if self.config.lights:
            add_lights(spec)
        self._environment = None
        if self._surroundings:
            self._surroundings.build(spec)
            self._environment = self._draw_environment(rng)
            add_sky(spec, self._environment)

    def randomize(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        """Draw the surfaces and lights of a scene, in place.

        Args:
            model: Compiled from what `build` has put into the spec.
            rng: Source of all chance.
        """
        randomize_appearance(model, rng)
        for name in ("table", "floor"):
            self._cover(model, model.geom(name).id, rng)
        if self.config.lights:
            randomize_lights(model, rng, self.config.lights, self._environment)

    def cameras(
        self, rng: np.random.Generator, num_views: int, size: tuple[int, int], rig: RigConfig | None, spheres: np.ndarray
    ) -> list[RigCamera]:
        """Draw the cameras of a scene; the support is at height 0.

        Args:
            rng: Source of all chance.
            num_views: How many.
            size: Width and height of each picture, pixels.
            rig: Of the plain cell's cameras, where the world has no other ones.
            spheres: (N, 4) centres and radii of the objects, metres.

        Returns:
            Cameras with exact calibration.
        """
        if self.config.cameras is None:
            return sample_rig(rng, num_views, *size, rig)
        return sample_any_rig(rng, num_views, size, self.config.cameras, spheres)

    def surround(
        self, model: mujoco.MjModel, rng: np.random.Generator, cameras: Sequence[RigCamera], spheres: np.ndarray
    ) -> None:
        """Put walls, clutter and the like where they hide nothing, in place.

        Args:
            model: Compiled from what `build` has put into the spec.
            rng: Source of all chance.
            cameras: Of the scene.
            spheres: (N, 4) centres and radii of the objects, metres.
        """
        if self._surroundings:
            for geom in self._surroundings.place(model, rng, cameras, spheres):
                self._cover(model, geom, rng)

    def photographed(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Take the pictures of a scene with the world's cameras.

        Args:
            images: (S, H, W, 3) uint8 of ideal cameras.
            rng: Source of all chance.

        Returns:
            The same, or with the effects of real cameras.
        """
        return images if self.config.effects is None else apply_effects(images, rng, self.config.effects)

    def support_height(self, rng: np.random.Generator) -> float:
        """Draw the height of the support above the world's origin, metres.

        Args:
            rng: Source of all chance.

        Returns:
            0 in the plain cell.
        """
        ranges = self.config.cameras
        if ranges is None or rng.random() < ranges.level_share:
            return 0.0
        return float(rng.uniform(*ranges.support_height_m))

    def _draw_surface(self, rng: np.random.Generator, ranges: SurfaceRanges) -> Surface:
        if self.photographs is not None and rng.random() < ranges.photograph_share:
            return self.photographs.surfaces[rng.integers(len(self.photographs.surfaces))]
        return draw_surface(rng)

    def _draw_environment(self, rng: np.random.Generator) -> Environment:
        known = self.photographs.environments if self.photographs is not None else ()
        if not known or rng.random() < _PROCEDURAL_SKY_SHARE:
            return draw_environment(rng)
        environment = known[rng.integers(len(known))]
        return environment.turned(int(rng.integers(environment.pixels.shape[1])))

    def _cover(self, model: mujoco.MjModel, geom: int, rng: np.random.Generator) -> None:
        """Give a geom one of the surfaces at a scale near its own, with any tint where it takes one."""
        if self.config.surfaces is None or not self._surfaces:
            return
        tinted = self._tintable and rng.random() < self.config.surfaces.tinted_share
        index = int(rng.choice(self._tintable if tinted else len(self._surfaces)))
        surface = self._surfaces[index]
        material = model.material(f"world_{index}").id
        model.geom_matid[geom] = material
        height, width = surface.pixels.shape[:2]
        model.mat_texrepeat[material] = np.array([1.0, width / height]) / (surface.size_m * rng.uniform(0.7, 1.4))
        model.mat_specular[material], model.mat_shininess[material] = rng.choice([0.0, 0.1, 0.5]), rng.uniform(0.1, 0.9)
        tint = draw_color(rng) if surface.tintable else rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.0, 3)
        model.geom_rgba[geom] = [*tint, 1.0]
