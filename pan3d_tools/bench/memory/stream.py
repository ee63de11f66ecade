"""`pan3d bench memory`: ids and states of objects over thousands of steps of a busy table, and what a step costs.

Boxes enter, leave, are pushed by 20 cm, carried away and put down elsewhere seconds later; an arm passes before them; now and
then one is not found. An identity switch is a box that is seen under another id than before, for whatever reason. States are
judged some steps after a box was last placed or taken, while it is found or cannot be seen: what is seen is VISIBLE or MOVED,
what is hidden OCCLUDED, what is away GONE (or OCCLUDED while something stands before its place). Perfect outlines and noisy depth
are given, so that the memory alone is judged.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch

from pan3d_core.memory import MemoryObject, ObjectState, WorldMemory
from pan3d_tools.bench.memory.table import Rates, Table
from pan3d_tools.bench.soak import process_facts, summarize

TARGETS = {"switches_per_1000_object_steps": 1.0, "states_right": 0.95, "p50_ms": 15.0}  # the second at least, others at most
SETTLED_STEPS = 4
ALLOWED = {
    "seen": (ObjectState.VISIBLE, ObjectState.MOVED),
    "hidden": (ObjectState.OCCLUDED,),
    "away": (ObjectState.GONE, ObjectState.OCCLUDED),
}


@dataclass
class Judgement:
    """Counts over a stream."""

    object_steps: int = 0
    switches: int = 0
    right: Counter[str] = field(default_factory=Counter)
    judged: Counter[str] = field(default_factory=Counter)
    ids: dict[int, int] = field(default_factory=dict)  # of a thing, as it was last found

    def take(self, found: dict[int, int]) -> None:
        """Compare ids with those before.

        Args:
            found: Number of each thing that is found -> its id.
        """
        for number, instance_id in found.items():
            self.object_steps += 1
            self.switches += self.ids.get(number, instance_id) != instance_id
            self.ids[number] = instance_id

    def judge(self, kind: str, number: int, known: dict[int, MemoryObject]) -> None:
        """Judge the state of a thing that was found before.

        Args:
            kind: Of `ALLOWED`: what is true.
            number: Of the thing.
            known: All objects that are remembered, by id.
        """
        if number not in self.ids:
            return
        item = known.get(self.ids[number])
        self.judged[kind] += 1
        self.right[kind] += item is not None and item.state in ALLOWED[kind]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench memory", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="(default: %(default)s)")
    parser.add_argument("--objects", type=int, default=10, help="boxes at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that happens (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the memory (default: %(default)s)")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict[str, object]:
    """Let a memory watch a busy table. Times in ms, memory in MB (10^6 bytes)."""
    arguments = parse(argv)
    if arguments.steps < 40:
        raise ValueError(f"--steps: expected at least 40, got {arguments.steps}")
    before = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        return watched(Table(arguments.seed, arguments.objects, Rates()), arguments.steps)
    finally:
        torch.set_num_threads(before)


def watched(table: Table, steps: int) -> dict[str, object]:
    """Watch a table and judge the memory.

    Args:
        table: At its beginning.
        steps: How many.

    Returns:
        Figures by name.
    """
    memory, judgement, times_ms = WorldMemory(), Judgement(), []
    held: dict[str, list[float]] = {"rss_mb": [], "objects": [], "remembered": []}
    for step in range(steps):
        table.advance()
        panoptic, seen, found, hidden = table.look()
        started_ns = time.perf_counter_ns()
        renamed = memory.update(panoptic, seen)
        times_ms.append((time.perf_counter_ns() - started_ns) * 1e-6)
        new_ids = [segment.instance_id for segment in renamed.segments]
        judgement.take({number: new_ids[segment - 1] for number, segment in found.items()})
        known = {item.instance_id: item for item in memory.world.objects}
        for thing in table.things.values():
            if step - thing.changed < SETTLED_STEPS:
                continue
            if thing.away_until >= 0:
                judgement.judge("away", thing.number, known)
            elif thing.number in found:
                judgement.judge("seen", thing.number, known)
            elif thing.number in hidden:
                judgement.judge("hidden", thing.number, known)
        held["rss_mb"].append(process_facts()["rss_mb"])
        held["objects"].append(float(len(found)))
        held["remembered"].append(float(len(known)))
    return {
        "steps": steps,
        "things": len(judgement.ids),
        "object_steps": judgement.object_steps,
        "switches": judgement.switches,
        "switches_per_1000_object_steps": 1000 * judgement.switches / max(judgement.object_steps, 1),
        "states_right": sum(judgement.right.values()) / max(sum(judgement.judged.values()), 1),
        "states_right_by_kind": {kind: judgement.right[kind] / max(judgement.judged[kind], 1) for kind in ALLOWED},
        "states_judged_by_kind": {kind: judgement.judged[kind] for kind in ALLOWED},
        "mean_objects": float(np.mean(held["objects"])),
        "step": summarize(times_ms, held),
        "targets": TARGETS,
    }
