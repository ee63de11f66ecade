"""Worlds by name that engines are judged in: scenes by held-out seeds, rendered once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pan3d_sim.data.scene_records import FIRST_HELD_OUT_SEED
from pan3d_sim.data.shard_rendering import RenderPlan, Report, render_data_set
from pan3d_sim.data.shards import SceneSettings

_MODELLED: Mapping[str, Any] = {"object_split": "held-out", "object_share": 1.0}


@dataclass(frozen=True)
class JudgedWorld:
    """What one world shows."""

    about: str
    settings: Mapping[str, Any]  # of `SceneSettings`, in which it differs
    modelled: bool = False  # shows modelled objects, so that a folder of them is needed


JUDGED_WORLDS: Mapping[str, JudgedWorld] = {
    "cell": JudgedWorld("the plain cell", {}),
    "unseen-kinds": JudgedWorld("procedural kinds that no training shows", {"kind_set": "held-out"}),
    "surfaces": JudgedWorld("known kinds on tables of any colour and print", {"world": "surfaces"}),
    "tinted": JudgedWorld("known kinds on tables of one colour of any kind", {"world": "tinted"}),
    "lights": JudgedWorld("known kinds in light of any kind", {"world": "lights"}),
    "cameras": JudgedWorld("known kinds by any lens, from near and far, high and low", {"world": "cameras"}),
    "low": JudgedWorld("known kinds by cameras at 10 to 20 degrees", {"world": "low"}),
    "far": JudgedWorld("known kinds from 2 m, by a lens that shows a mug at 40 pixels", {"world": "far"}),
    "surroundings": JudgedWorld("known kinds among walls, clutter and tables that end", {"world": "surroundings"}),
    "effects": JudgedWorld("known kinds by cameras that err", {"world": "effects"}),
    "wild": JudgedWorld("known kinds in the wildest world", {"world": "wild"}),
    "heaps": JudgedWorld("known kinds apart, touching and heaped", {"arrangement": "mixed"}),
    "printed": JudgedWorld(
        "printed packages and dishes, no two alike, on tables of any colour and print",
        {"world": "surfaces", "printed_share": 1.0},
    ),
    "nameless": JudgedWorld("oddly shaped things, no two alike, on the same", {"world": "surfaces", "odd_share": 1.0}),
    "modelled": JudgedWorld("modelled household objects, unseen, in the plain cell", _MODELLED, True),
    "modelled-surfaces": JudgedWorld("the same on tables of any colour and print", {**_MODELLED, "world": "surfaces"}, True),
    "modelled-wild": JudgedWorld("the same in the wildest world", {**_MODELLED, "world": "wild"}, True),
    "modelled-heaps": JudgedWorld("the same apart, touching and heaped", {**_MODELLED, "arrangement": "mixed"}, True),
}


@dataclass(frozen=True)
class WorldScenes:
    """Which scenes of a world are rendered, and from what."""

    world: str  # a key of JUDGED_WORLDS
    count: int = 20
    first_seed: int = FIRST_HELD_OUT_SEED
    num_views: int = 4
    width: int = 320
    height: int = 240
    objects: str = ""  # folder of modelled objects
    photographs: str = ""  # folder of photographed surfaces; empty = procedural ones only

    def __post_init__(self) -> None:
        if self.world not in JUDGED_WORLDS:
            raise ValueError(f"world: expected one of {', '.join(JUDGED_WORLDS)}, got {self.world!r}")
        if self.first_seed < FIRST_HELD_OUT_SEED:
            raise ValueError(f"seed: expected {FIRST_HELD_OUT_SEED} or more, which no training shows, got {self.first_seed}")
        if JUDGED_WORLDS[self.world].modelled and not self.objects:
            raise ValueError(
                f"world {self.world}: expected a folder of modelled objects, got none; `pan3d sim objects fetch` makes one"
            )

    def settings(self) -> SceneSettings:
        """What all scenes of it share."""
        own = JUDGED_WORLDS[self.world]
        objects, photographs = self.objects if own.modelled else "", self.photographs if "world" in own.settings else ""
        return SceneSettings(
            num_views=self.num_views,
            width=self.width,
            height=self.height,
            photographs=photographs,
            objects=objects,
            **own.settings,
        )

    def render(self, folder: Path, workers: int = 1, report: Report | None = None) -> Path:
        """Render the scenes that are not there yet.

        Args:
            folder: Keeps the scenes of all worlds.
            workers: Processes that render.
            report: Called with the progress about once a second.

        Returns:
            The folder of these scenes. It is named by all that decides what they show, so other scenes never lie in it.

        Raises:
            ValueError: A folder of objects or surfaces cannot be used, or the scenes cannot be written.
        """
        settings = self.settings()
        decisive = json.dumps([settings.facts()["settings"], self.first_seed, self.count], sort_keys=True)
        out = folder / f"{self.world}-{hashlib.sha256(decisive.encode()).hexdigest()[:10]}"
        render_data_set(RenderPlan(out, self.first_seed, self.count, settings, shard_size=20), workers, report)
        return out
