"""The same objects on one table after the other, each time elsewhere, as a wrist camera sees them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np

from pan3d_sim.cameras.rig import sample_wrist_rig
from pan3d_sim.data.bank import Contents, ObjectBank, RenderedScene
from pan3d_sim.data.placing import Placed, place_all
from pan3d_sim.objects.coats import sample_coat
from pan3d_sim.objects.kinds import ObjectSpec
from pan3d_sim.worlds.world import World

_TRIES = 8


@dataclass(frozen=True)
class RepeatedScene:
    """A rendered scene, and which of the objects each of its ids shows."""

    rendered: RenderedScene
    shown: tuple[int, ...]  # entry k - 1: index of the object that id k shows


class RepeatedObjects(AbstractContextManager["RepeatedObjects"]):
    """Objects that keep shape and colours from scene to scene. Close it, or use `with`."""

    def __init__(
        self, seed: int, objects: Sequence[ObjectSpec], *, world: World | None = None, size: tuple[int, int] = (320, 240)
    ) -> None:
        """Compile the objects.

        Args:
            seed: Of their colours, the surfaces and all scenes.
            objects: At least one.
            world: Surfaces, light and what else varies; None = the plain cell.
            size: Width and height of pictures, pixels.
        """
        self.objects, self._seed = tuple(objects), seed
        rng = np.random.default_rng([seed, 0])
        self._coats = [sample_coat(rng, item) for item in self.objects]
        self._bank = ObjectBank(rng, width=size[0], height=size[1], world=world, contents=Contents(objects=self.objects))

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the renderer."""
        self._bank.close()

    def scene(self, number: int, wanted: Sequence[int], num_views: int = 4) -> RepeatedScene:
        """Put some of the objects on a table and look at them along an arc.

        Args:
            number: Of the scene: another one gives another table, light, places and cameras.
            wanted: Indices of the objects that shall stand there.
            num_views: Of one wrist camera on its way.

        Returns:
            The scene. What there is no room for, or no camera sees, is not shown.
        """
        rng = np.random.default_rng([self._seed, 1, number])
        bank = self._bank
        bank.world.randomize(bank.model, rng)
        placed = self._placed(rng, wanted)
        rendered = bank.render_placed(rng, placed, lambda _: sample_wrist_rig(rng, num_views, bank.width, bank.height))
        index_of = {id(item.spec): index for index, item in placed.items()}
        return RepeatedScene(rendered, tuple(index_of[id(item.spec)] for item in rendered.objects))

    def _placed(self, rng: np.random.Generator, wanted: Sequence[int]) -> Placed:
        """The fullest of a few tables."""
        chosen = [self.objects[index] for index in wanted]
        best: Placed = {}
        for _ in range(_TRIES):
            if len(best) < len(chosen):
                best = max(best, place_all(rng, chosen), key=len)
        return {wanted[k]: replace(item, coat=self._coats[wanted[k]]) for k, item in best.items()}
