"""A busy table: boxes that come, go, are pushed and carried elsewhere, and an arm that passes before them; seen by rays."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pan3d_core.geometry.boxes import upright_box
from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import Panoptic3D, Reconstruction, Segment

HEIGHT, WIDTH, FOCAL_PX = 72, 96, 85.0
LABELS = LabelSpace.things(("box",))
TABLE_HALF_M = 0.3
MIN_PIXELS = 12  # over all views: objects that show fewer are not found, and not asked for
APART_M = 0.04  # between the outlines of two boxes
PUSH_M = 0.2
STEP_S = 0.2


@dataclass(frozen=True)
class Thing:
    """A box on the table, or one that somebody has taken away."""

    number: int  # who it is
    center: tuple[float, float, float]  # metres, world
    size: tuple[float, float, float]
    rgb: tuple[float, float, float]
    away_until: int = -1  # step at which it is put down elsewhere; it is not on the table before
    changed: int = 0  # step at which it was last placed or taken


@dataclass(frozen=True)
class Rates:
    """How often things happen, per step."""

    enter: float = 0.02
    leave: float = 0.01
    push: float = 0.03
    carry: float = 0.03
    arm: float = 0.03  # that an arm begins to pass
    missed: float = 0.01  # that an object which is seen is not found, per object
    twins: float = 0.2  # of those that enter, which look like one that is there
    depth_noise_m: float = 0.003


class Table:
    """Truth, step by step.

    Args:
        seed: Of all chance.
        num_things: Boxes at most.
        rates: How often things happen.
    """

    def __init__(self, seed: int, num_things: int, rates: Rates) -> None:
        self.rates, self.num_things = rates, num_things
        self.things: dict[int, Thing] = {}
        self._rng = np.random.default_rng(seed)
        self._noise = torch.Generator().manual_seed(seed)
        self._step, self._numbers, self._arm_until = -1, 0, -1
        self._arm_y = 0.0
        eyes = [(0.75, -0.4, 0.6), (0.8, 0.0, 0.7), (0.75, 0.4, 0.6)]
        self.cameras = torch.stack([look_at(torch.tensor(eye), torch.tensor([0.0, 0.0, 0.02])) for eye in eyes])
        self.intrinsics = torch.tensor([[FOCAL_PX, 0, (WIDTH - 1) / 2], [0, FOCAL_PX, (HEIGHT - 1) / 2], [0, 0, 1]])
        world_from_cam = invert_rigid(self.cameras)
        rays = pixel_rays(self.intrinsics, pixel_grid(HEIGHT, WIDTH).reshape(-1, 2))
        self._rays = torch.cat([rays @ pose[:3, :3].T for pose in world_from_cam])
        self._eyes = world_from_cam[:, :3, 3].repeat_interleave(HEIGHT * WIDTH, 0)

    @property
    def on_table(self) -> list[Thing]:
        """Things that are there."""
        return [thing for thing in self.things.values() if thing.away_until < 0]

    def advance(self) -> None:
        """Let a step pass."""
        self._step += 1
        for thing in list(self.things.values()):
            if 0 <= thing.away_until <= self._step:
                self._put(replace(thing, away_until=-1))
        if len(self.things) < self.num_things and (self._happens(self.rates.enter) or self._step == 0):
            for _ in range(self.num_things // 2 if self._step == 0 else 1):
                self._enter()
        there = self.on_table
        if there and self._happens(self.rates.leave):
            del self.things[self._any(there).number]
        elif there and self._happens(self.rates.push):
            self._push(self._any(there))
        elif there and self._happens(self.rates.carry):
            thing = self._any(there)
            away = self._step + int(self._rng.integers(5, 60))
            self.things[thing.number] = replace(thing, away_until=away, changed=self._step)
        if self._step > self._arm_until and self._happens(self.rates.arm):
            self._arm_until = self._step + int(self._rng.integers(5, 40))
            self._arm_y = float(self._rng.uniform(-0.25, 0.25))

    def look(self) -> tuple[Panoptic3D, Reconstruction, dict[int, int], set[int]]:
        """See the table.

        Returns:
            What a good engine says of it, with segments numbered anew; what it measures; number of each thing that it finds ->
            id of its segment; and numbers of the things that cannot be seen although they are there.
        """
        things = self.on_table
        boxes = [(thing.center, thing.size) for thing in things]
        if self._step <= self._arm_until:
            boxes.append(((0.36, self._arm_y, 0.25), (0.05, 0.5, 0.5)))
        depth, owner = self._cast(boxes)
        owner = torch.where(owner > len(things), 0, owner)
        counts = torch.bincount(owner.flatten(), minlength=len(things) + 1).tolist()
        hidden = {thing.number for k, thing in enumerate(things, start=1) if counts[k] < MIN_PIXELS}
        measured = depth + self.rates.depth_noise_m * torch.randn(depth.shape, generator=self._noise)
        seen = Reconstruction(measured, torch.ones_like(depth), self.intrinsics.expand(3, 3, 3), self.cameras, True)
        points = seen.world_points.reshape(-1, 3)
        colors = torch.tensor([(0.6, 0.55, 0.5), *(thing.rgb for thing in things)])[owner.flatten()]
        segments: list[Segment] = []
        found, new_ids = {}, [0] * (len(things) + 1)
        for k in self._rng.permutation(np.arange(1, len(things) + 1)).tolist():
            if things[k - 1].number in hidden or self._happens(self.rates.missed):
                continue
            new_ids[k] = found[things[k - 1].number] = len(segments) + 1
            segments.append(_segment(owner, k, len(segments) + 1, points, things[k - 1].rgb))
        ids = torch.tensor(new_ids)[owner]
        stamp_ns = int(self._step * STEP_S * 1e9)
        semantic = torch.where(ids > 0, 0, -1)
        normals = torch.zeros_like(points)
        panoptic = Panoptic3D(semantic, ids, tuple(segments), points, colors, ids.flatten(), normals, LABELS, stamp_ns)
        return panoptic, seen, found, hidden

    def _cast(self, boxes: list[tuple[tuple[float, float, float], tuple[float, float, float]]]) -> tuple[Tensor, Tensor]:
        """(3, h, w) z-depth, and which box each pixel shows, from 1 on; 0 = the table."""
        table = torch.where(self._rays[:, 2] < -1e-6, -self._eyes[:, 2] / self._rays[:, 2], 10.0)
        centers, halves = (torch.tensor([box[k] for box in boxes]).reshape(-1, 1, 3) for k in range(2))
        halves = halves / 2
        with np.errstate(divide="ignore"):
            low = (centers - halves - self._eyes) / self._rays
            high = (centers + halves - self._eyes) / self._rays
        enter, leave = torch.minimum(low, high).amax(-1), torch.maximum(low, high).amin(-1)
        enter = torch.where((enter < leave) & (enter > 0), enter, torch.inf)
        depth, owner = torch.cat([table[None], enter]).min(dim=0)
        return depth.reshape(3, HEIGHT, WIDTH), owner.reshape(3, HEIGHT, WIDTH)

    def _enter(self) -> None:
        size = self._rng.uniform(0.04, 0.09, 3).tolist()
        size[2] = float(self._rng.uniform(0.05, 0.1))
        rgb = self._rng.uniform(0.05, 0.95, 3).tolist()
        if self.on_table and self._happens(self.rates.twins):
            twin = self._any(self.on_table)
            size, rgb = list(twin.size), list(twin.rgb)
        self._numbers += 1
        self._put(Thing(self._numbers, (0.0, 0.0, 0.0), (size[0], size[1], size[2]), (rgb[0], rgb[1], rgb[2])))

    def _put(self, thing: Thing) -> None:
        """Somewhere with room around it; where there is none, it comes later or, newly come, not at all."""
        for _ in range(50):
            x, y = self._rng.uniform(-TABLE_HALF_M, TABLE_HALF_M, 2).tolist()
            if self._is_free(thing, x, y):
                self.things[thing.number] = replace(thing, center=(x, y, thing.size[2] / 2), changed=self._step)
                return
        if thing.number in self.things:
            self.things[thing.number] = replace(thing, away_until=self._step + 5)

    def _push(self, thing: Thing) -> None:
        for turn in self._rng.uniform(0, 2 * math.pi, 12).tolist():
            x, y = thing.center[0] + PUSH_M * math.cos(turn), thing.center[1] + PUSH_M * math.sin(turn)
            if max(abs(x), abs(y)) < TABLE_HALF_M and self._is_free(thing, x, y):
                self.things[thing.number] = replace(thing, center=(x, y, thing.center[2]), changed=self._step)
                return

    def _is_free(self, thing: Thing, x: float, y: float) -> bool:
        others = [other for other in self.on_table if other.number != thing.number]
        return all(
            math.hypot(x - other.center[0], y - other.center[1])
            > (math.hypot(*thing.size[:2]) + math.hypot(*other.size[:2])) / 2 + APART_M
            for other in others
        )

    def _happens(self, rate: float) -> bool:
        return bool(self._rng.random() < rate)

    def _any(self, things: list[Thing]) -> Thing:
        return things[int(self._rng.integers(len(things)))]


def _segment(owner: Tensor, k: int, instance_id: int, points: Tensor, rgb: tuple[float, float, float]) -> Segment:
    mine = owner == k
    own = points[mine.flatten()]
    views = int(mine.flatten(1).any(-1).sum())
    return Segment(instance_id, 0, 0.9, 0.9, len(own), views, own.mean(0), upright_box(own, 0.02), torch.tensor(rgb))
