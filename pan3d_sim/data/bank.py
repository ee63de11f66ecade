"""Many rendered scenes per second: one compiled model with a bank of objects, of which each scene shows a few.

Nothing is recompiled and no physics runs between scenes; objects are posed as mocap bodies at rest on the support,
recoloured, and the others are hidden. A new bank every few dozen scenes brings new shapes and surfaces.

A scene is one number: `SceneStream.render(seed)` gives the same scene on every machine and in any order, because its
bank follows from `seed // SCENES_PER_BANK` and all else from `seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import mujoco
import numpy as np

from pan3d_sim.cameras.renderer import Renderer
from pan3d_sim.cameras.rig import RigCamera, RigConfig
from pan3d_sim.data.placing import Placed, PlacedObject, place
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_sim.objects.appearance import add_finish, add_materials
from pan3d_sim.objects.kinds import KINDS, ObjectSpec, add_object, sample_object
from pan3d_sim.objects.odd_shapes import sample_odd_shape
from pan3d_sim.objects.packages import sample_package
from pan3d_sim.worlds.world import World

HIDDEN_GROUP, SHOWN_GROUP = 4, 1
SCENES_PER_BANK = 40  # part of what a seed means: another number gives other scenes


@dataclass(frozen=True)
class RenderedScene:
    """S views of one scene. `ids` hold 0 for none and k for `objects[k - 1]`."""

    images: np.ndarray  # (S, H, W, 3) uint8 RGB
    depth: np.ndarray  # (S, H, W) float32 metres, 0 = none
    ids: np.ndarray  # (S, H, W) uint8
    cameras: list[RigCamera]
    objects: list[PlacedObject]
    support_height_m: float

    def raised(self, height_m: float) -> RenderedScene:
        """The same scene in a world whose origin lies `height_m` lower."""
        if height_m == 0:
            return self
        shift = np.array([0.0, 0.0, height_m])
        cameras = []
        for camera in self.cameras:
            cam_from_world = camera.cam_from_world.copy()
            cam_from_world[:3, 3] -= cam_from_world[:3, :3] @ shift
            cameras.append(replace(camera, cam_from_world=cam_from_world))
        objects = [replace(placed, position=placed.position + shift) for placed in self.objects]
        return replace(self, cameras=cameras, objects=objects, support_height_m=self.support_height_m + height_m)


@dataclass(frozen=True)
class Contents:
    """What a bank's scenes show beside procedural objects that lie apart."""

    library: ObjectLibrary | None = None  # of modelled objects; None = procedural ones only
    share: float = 0.6  # of modelled objects in a bank
    printed_share: float = 0.0  # of printed things among the others
    odd_share: float = 0.0  # of nameless things among what then is left
    arrangement: str = "plain"  # one of ARRANGEMENTS
    objects: tuple[ObjectSpec, ...] = ()  # these alone; empty = drawn ones


class ObjectBank:
    """`size` random objects of `kinds`, or those of the contents, compiled into one model, rendered at a fixed resolution."""

    def __init__(
        self,
        rng: np.random.Generator,
        kinds: Sequence[str] = KINDS,
        *,
        size: int = 45,
        width: int = 144,
        height: int = 112,
        supersample: int = 2,
        world: World | None = None,
        contents: Contents | None = None,
    ) -> None:
        self.world, self.contents = world or World(), contents or Contents()
        self.width, self.height = width, height
        given = self.contents.objects
        self.objects = list(given or (_draw(rng, kinds[i % len(kinds)], self.contents) for i in range(size)))
        size = len(self.objects)
        spec = mujoco.MjSpec()
        add_materials(spec, rng)
        self.world.build(spec, rng)
        for index, obj in enumerate(self.objects):
            body = spec.worldbody.add_body(name=f"object_{index}", mocap=True)
            finish = add_finish(spec, f"finish_{index}", obj.pattern, obj.specular)
            add_object(spec, body, obj, f"object_{index}", materials=finish, collision=False)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self._skins = self.model.geom_matid.copy()
        body_of_geom = self.model.geom_bodyid
        self._geoms = [np.flatnonzero(body_of_geom == self.model.body(f"object_{i}").id) for i in range(size)]
        self._object_of_geom = np.zeros(self.model.ngeom + 1, np.int32)  # 0 = not an object; the last entry serves id -1
        for index, geoms in enumerate(self._geoms):
            self._object_of_geom[geoms] = index + 1
        shadow, sky = self.world.shadow_size, self.world.has_sky
        self.renderer = Renderer(self.model, width, height, shadow_size=shadow, supersample=supersample, sky=sky)

    def close(self) -> None:
        """Free the renderer."""
        self.renderer.close()

    def render_scene(self, rng: np.random.Generator, num_views: int = 4, rig: RigConfig | None = None) -> RenderedScene:
        """Draw, place and render one scene; every shown object is visible in at least one view or dropped from the list."""
        self.world.randomize(self.model, rng)
        placed = place(rng, self.objects, self.contents.arrangement)
        sizes = (self.width, self.height)
        return self.render_placed(rng, placed, lambda spheres: self.world.cameras(rng, num_views, sizes, rig, spheres))

    def render_placed(
        self, rng: np.random.Generator, placed: Placed, cameras_of: Callable[[np.ndarray], list[RigCamera]]
    ) -> RenderedScene:
        """Render objects where they lie.

        Args:
            rng: Source of all chance.
            placed: Which objects are shown, and how they lie.
            cameras_of: From spheres around them, (N, 4) centres and radii in metres, to cameras.

        Returns:
            The scene; an object that no view shows is dropped from its list.
        """
        self.model.geom_group[self._object_of_geom[:-1] > 0] = HIDDEN_GROUP
        for index, shown in placed.items():
            self._show(index, shown)
        spheres = np.array([shown.sphere() for shown in placed.values()]).reshape(-1, 4)
        cameras = cameras_of(spheres)
        self.world.surround(self.model, rng, cameras, spheres)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        self.renderer.update(self.data)
        views = [self.renderer.render(camera) for camera in cameras]
        images, depth, geom_ids = (np.stack(items) for items in zip(*views))
        bank_ids = self._object_of_geom[geom_ids]
        visible = [index for index in placed if (bank_ids == index + 1).any()]
        row = np.zeros(len(self.objects) + 1, np.uint8)
        for k, index in enumerate(visible):
            row[index + 1] = k + 1
        scene = RenderedScene(images, depth, row[bank_ids], cameras, [placed[i] for i in visible], 0.0)
        scene = scene.raised(self.world.support_height(rng))
        return replace(scene, images=self.world.photographed(images, rng))

    def _show(self, index: int, placed: PlacedObject) -> None:
        body = self.model.body(f"object_{index}")
        mocap = self.model.body_mocapid[body.id]
        self.data.mocap_pos[mocap], self.data.mocap_quat[mocap] = placed.position, placed.quat_wxyz
        self.model.geom_group[self._geoms[index]] = SHOWN_GROUP
        self.model.geom_rgba[self._geoms[index], :3] = placed.coat.part_rgb
        pattern = self.model.material(f"finish_{index}_{placed.spec.pattern}").id
        self.model.geom_matid[self._geoms[index]] = np.where(placed.coat.painted, pattern, self._skins[self._geoms[index]])


class SceneStream(AbstractContextManager["SceneStream"]):
    """Scenes by seed. Rendering seeds in order is fastest, since neighbours share a bank. Close it, or use `with`."""

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        *,
        num_views: int = 4,
        width: int = 144,
        height: int = 112,
        world: World | None = None,
        contents: Contents | None = None,
    ) -> None:
        self.kinds, self.num_views, self.width, self.height = tuple(kinds), num_views, width, height
        self.world, self.contents = world or World(), contents
        self._open: tuple[int, ObjectBank] | None = None  # the block of seeds that it serves, and the bank

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the renderer; rendering again makes a new one."""
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def render(self, seed: int) -> RenderedScene:
        """The scene of a seed (0 or more)."""
        if seed < 0:
            raise ValueError(f"seed: expected 0 or more, got {seed}")
        bank = self._bank_of(seed // SCENES_PER_BANK)
        rng = np.random.default_rng([seed, _SCENE_PURPOSE])
        spread = "ring" if rng.random() < 0.25 else "front"
        return bank.render_scene(rng, self.num_views, RigConfig(spread=spread, fill=(0.9, 1.4)))

    def _bank_of(self, block: int) -> ObjectBank:
        if self._open is None or self._open[0] != block:
            self.close()
            rng = np.random.default_rng([block, _BANK_PURPOSE])
            sizes = {"width": self.width, "height": self.height}
            self._open = block, ObjectBank(rng, self.kinds, world=self.world, contents=self.contents, **sizes)
        return self._open[1]


def _draw(rng: np.random.Generator, kind: str, contents: Contents) -> ObjectSpec:
    """A procedural object of `kind`, or in its place a modelled, printed or nameless one."""
    if contents.library is not None and rng.random() < contents.share:
        return contents.library.sample(rng)
    if contents.printed_share and rng.random() < contents.printed_share:
        return sample_package(rng)
    if contents.odd_share and rng.random() < contents.odd_share:
        return sample_odd_shape(rng)
    return sample_object(rng, kind)


_BANK_PURPOSE, _SCENE_PURPOSE = 0, 1  # independent random numbers
