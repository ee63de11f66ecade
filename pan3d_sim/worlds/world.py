"""A world as a bank of objects shows it: put into the model once, drawn anew for every scene."""

from __future__ import annotations

import mujoco
import numpy as np

from pan3d_sim.objects.appearance import add_environment, add_texture, randomize_appearance
from pan3d_sim.worlds.config import WorldConfig
from pan3d_sim.worlds.photographs import Photographs
from pan3d_sim.worlds.procedural import Surface, draw_color, draw_surface


class World:
    """Surroundings of objects. `build` is called once a model, `randomize` once a scene.

    A world without variation draws from the generator exactly what the plain cell draws.
    """

    def __init__(self, config: WorldConfig | None = None, photographs: Photographs | None = None) -> None:
        self.config, self.photographs = config or WorldConfig(), photographs
        self._surfaces: list[Surface] = []
        self._tintable: list[int] = []

    def build(self, spec: mujoco.MjSpec, rng: np.random.Generator) -> None:
        """Add table, floor, lights and their materials to a model.

        Args:
            spec: Of the model.
            rng: Source of all chance.
        """
        add_environment(spec, rng)
        self._surfaces = [self._draw_surface(rng) for _ in range(self.config.surfaces)]
        self._tintable = [index for index, surface in enumerate(self._surfaces) if surface.tintable]
        for index, surface in enumerate(self._surfaces):
            add_texture(spec, f"world_{index}", surface.pixels, cube=False)
            material = spec.add_material(name=f"world_{index}", texuniform=True)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"world_{index}"

    def randomize(self, model: mujoco.MjModel, rng: np.random.Generator) -> None:
        """Draw the appearance of a scene, in place.

        Args:
            model: Compiled from what `build` has put into the spec.
            rng: Source of all chance.
        """
        randomize_appearance(model, rng)
        if self._surfaces:
            for name in ("table", "floor"):
                self._cover(model, model.geom(name).id, rng)

    def _draw_surface(self, rng: np.random.Generator) -> Surface:
        if self.photographs is not None and rng.random() < self.config.photograph_share:
            return self.photographs.surfaces[rng.integers(len(self.photographs.surfaces))]
        return draw_surface(rng)

    def _cover(self, model: mujoco.MjModel, geom: int, rng: np.random.Generator) -> None:
        """Give a geom one of the surfaces at a scale near its own, with any tint where it takes one."""
        tinted = self._tintable and rng.random() < self.config.tinted_share
        index = int(rng.choice(self._tintable if tinted else len(self._surfaces)))
        surface = self._surfaces[index]
        material = model.material(f"world_{index}").id
        model.geom_matid[geom] = material
        height, width = surface.pixels.shape[:2]
        model.mat_texrepeat[material] = np.array([1.0, width / height]) / (surface.size_m * rng.uniform(0.7, 1.4))
        model.mat_specular[material], model.mat_shininess[material] = rng.choice([0.0, 0.1, 0.5]), rng.uniform(0.1, 0.9)
        tint = draw_color(rng) if surface.tintable else rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.0, 3)
        model.geom_rgba[geom] = [*tint, 1.0]
