"""What a cell contains, and the MuJoCo model of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np

from pan3d_sim.arm import ArmSpec, add_arm
from pan3d_sim.cameras.rig import RigConfig
from pan3d_sim.cell.arrangement import ARRANGEMENTS, add_pile_walls
from pan3d_sim.cell.grippers import GripperSpec, add_grip, add_gripper
from pan3d_sim.cell.hand import HandSpec
from pan3d_sim.cell.stage import FLOOR_ONLY, TOUCHES_ALL, new_world
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_sim.objects.appearance import add_environment, add_materials
from pan3d_sim.objects.kinds import COLLISION_GROUP, HELD_OUT_KINDS, KINDS, ObjectSpec, add_object, sample_object

TIMESTEP_S = 0.002


@dataclass(frozen=True)
class CellConfig:
    """What a cell contains. `objects`, when given, replaces drawing `num_objects` of `kinds`; with `models` a share of
    `model_share` of these are modelled objects instead, of any kind."""

    num_objects: int = 6
    arrangement: str = "separated"  # "separated", "pile" or "packed"
    kinds: tuple[str, ...] = KINDS
    objects: tuple[ObjectSpec, ...] = ()
    num_cameras: int = 4
    width: int = 640
    height: int = 480
    rig: RigConfig = field(default_factory=RigConfig)
    hand: GripperSpec = field(default_factory=HandSpec)
    arm: ArmSpec | None = None  # a robot arm beside the table, seen by all cameras
    support_height_m: float = 0.0
    models: ObjectLibrary | None = None
    model_share: float = 1.0

    def __post_init__(self) -> None:
        if self.arrangement not in ARRANGEMENTS:
            raise ValueError(f"arrangement: expected one of {', '.join(ARRANGEMENTS)}, got {self.arrangement!r}")
        known = (*KINDS, *HELD_OUT_KINDS)
        if unknown := [kind for kind in self.kinds if kind not in known]:
            raise ValueError(f"kinds: expected some of {', '.join(known)}, got {', '.join(unknown)}")
        if not self.objects and not (self.num_objects >= 1 and self.kinds):
            raise ValueError(f"num_objects, kinds: expected at least one of each, got {self.num_objects} and {list(self.kinds)}")


def draw_objects(rng: np.random.Generator, config: CellConfig) -> tuple[ObjectSpec, ...]:
    """Objects with different names; kinds repeat only when all were used."""
    objects: list[ObjectSpec] = []
    order: list[str] = []
    while len(objects) < config.num_objects:
        order = order or [str(kind) for kind in rng.permutation(config.kinds)]
        kind = order.pop()
        for _ in range(50):
            modelled = config.models is not None and rng.random() < config.model_share
            candidate = config.models.sample(rng, solid=True) if config.models and modelled else sample_object(rng, kind)
            if candidate.name not in {other.name for other in objects}:
                break
        objects.append(candidate)
    return tuple(objects)


def compile_cell(rng: np.random.Generator, objects: Sequence[ObjectSpec], config: CellConfig) -> mujoco.MjModel:
    """Table, lights, objects as free bodies, walls for piles (off) and the hand in one model; nothing is placed yet."""
    spec = new_world(TIMESTEP_S)
    materials = add_materials(spec, rng)
    add_environment(spec, rng, config.support_height_m)
    floor = spec.geom("floor")
    floor.contype, floor.conaffinity = FLOOR_ONLY, FLOOR_ONLY
    add_pile_walls(spec, config.support_height_m)
    add_gripper(spec, config.hand)
    if config.arm is not None:
        add_arm(spec, config.arm)
    for index, obj in enumerate(objects):
        body = spec.worldbody.add_body(name=f"object_{index}", pos=[index, 3.0, -2.0])
        body.add_freejoint(name=f"object_{index}_free")
        add_object(spec, body, obj, f"object_{index}", materials=materials, collision=True)
        for geom in body.geoms:
            if geom.group == COLLISION_GROUP:
                geom.contype, geom.conaffinity = TOUCHES_ALL, TOUCHES_ALL
    add_grip(spec, config.hand, len(objects))
    return spec.compile()
