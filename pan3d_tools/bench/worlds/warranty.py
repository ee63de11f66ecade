"""`pan3d bench warranty`: is a promised share of wrong answers kept, and are covariances right, in worlds that were left out?

Scenes of each world are seen once. Answers are of two kinds: every segment ("object": it is one object, IoU over 0.5), and the
best match of each kind of object that is there and of some that are not ("words"). For each world the promise is made from
what answers of the *other* worlds were worth and from confirmations of some of its own, drawn at random, and is judged by its
other answers, over many draws. Of found objects, errors of place and sides are compared with their covariances: the normalized
error squared of an axis is 1 on average where they are right.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.language.namer import Namer
from pan3d_core.language.prompts import FOUND, resolve_prompt
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import PerceptionResult, Segment
from pan3d_core.views.scene_folder import Scene, SceneObject
from pan3d_core.warranty import KINDS, OBJECT, WORDS, Confirmation, answers_of_worlds, guarantee
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.metrics.objects import side_errors
from pan3d_eval.runner import EvaluationProtocol, evaluate_result
from pan3d_eval.workers import scene_worker
from pan3d_sim.data.judged_worlds import JUDGED_WORLDS, WorldScenes
from pan3d_sim.data.scene_records import FIRST_HELD_OUT_SEED
from pan3d_tools.bench.options import add_engine_options
from pan3d_tools.bench.shares import rate
from pan3d_tools.bench.worlds.deviations import Errors, left_out

log = logging.getLogger("pan3d.bench.warranty")

DRAWS = 60
ABSENT = 2  # kinds that are not there, asked for in each scene


@dataclass(frozen=True)
class World:
    """What was seen in one."""

    name: str
    answers: dict[str, list[Confirmation]]
    errors: list[Errors]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pan3d bench warranty", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--scenes", type=int, default=12, help="of each world (default: %(default)s)")
    add("--seed", type=int, default=FIRST_HELD_OUT_SEED + 100, help="of the first (default: %(default)s)")
    add("--worlds", nargs="+", choices=tuple(JUDGED_WORLDS), help="(default: all that can be rendered)")
    add(
        "--shares",
        type=float,
        nargs="+",
        default=[0.05, 0.1, 0.2],
        help="of wrong answers that are promised (default: %(default)s)",
    )
    add("--confirmations", type=int, nargs="+", default=[0, 20], help="of each world's own (default: %(default)s)")
    add("--object-folder", default="", metavar="DIR", help="modelled objects; worlds of them are left out without")
    add("--world-folder", type=Path, default=Path("data/worlds"), help="keeps the scenes (default: %(default)s)")
    add("--write", type=Path, metavar="FILE", help="write what was seen in each world, to fit to")
    add_engine_options(parser)
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Run the benchmark; returns, for each kind of answer, shares of wrong ones among those given, and normalized errors."""
    options = parse(argv)
    names = options.worlds or [name for name, item in JUDGED_WORLDS.items() if options.object_folder or not item.modelled]
    worlds = [_seen(name, options) for name in names]
    if options.write is not None:
        with written_whole(options.write) as part:
            part.write_text(json.dumps([asdict(item) for item in worlds]), encoding="utf-8")
    promised = {
        f"{kind}, at most {share:g} wrong, {count} confirmations": promise(worlds, kind, share, count)
        for kind in KINDS for share in options.shares for count in options.confirmations
    }  # fmt: skip
    errors = {item.name: item.errors for item in worlds}
    return {
        **vars(options),
        **promised,
        "normalized errors": {name: normalized(own) for name, own in errors.items()},
        "normalized errors, all": normalized([one for own in errors.values() for one in own]),
        "fitted to the other worlds, place": left_out(errors, "place_m"),
        "fitted to the other worlds, sides": left_out(errors, "sides_m"),
    }


def promise(worlds: Sequence[World], kind: str, share: float, count: int) -> dict:
    """Make a promise in each world, and judge it.

    Args:
        worlds: With their answers.
        kind: Of answers.
        share: Of wrong ones, that is promised.
        count: Confirmations in each world.

    Returns:
        Of each world the share of given answers that were wrong and of answers that were given, over all draws; of all worlds
        the same, how many keep it within two points, and the worst.
    """
    each = {item.name: _kept(item, kind, share, count) for item in worlds}
    given = {name: row for name, row in each.items() if row["given"] > 0}
    wrong = [row["wrong"] for row in given.values()]
    return {
        "wrong": float(np.mean(wrong)) if wrong else 0.0,
        "given": float(np.mean([row["given"] for row in each.values()])),
        "worst": max(wrong, default=0.0),
        "worlds within 2 points": sum(value <= share + 0.02 for value in wrong),
        "worlds with answers": len(given),
        "each": each,
    }


def _kept(world: World, kind: str, share: float, count: int) -> dict[str, float]:
    own = world.answers[kind]
    others = answers_of_worlds(kind, without=world.name)
    draw = np.random.default_rng(0)
    wrong = given = asked = 0
    for _ in range(DRAWS if count else 1):
        order = draw.permutation(len(own))
        found = guarantee(share, [own[row] for row in order[:count]], others)
        rest = [own[row] for row in order[count:]]
        shown = [item for item in rest if found.gives(item.score)]
        wrong, given, asked = wrong + sum(not item.right for item in shown), given + len(shown), asked + len(rest)
    limits = rate(round(wrong / max(given, 1) * len(own)), len(own))  # as many trials as there are different answers
    return {"wrong": wrong / max(given, 1), "low": limits["low"], "high": limits["high"], "given": given / max(asked, 1),
            "answers": len(own)}  # fmt: skip


def normalized(errors: Sequence[Errors]) -> dict[str, float]:
    """Normalized errors squared per axis: mean, and the share of axes beyond two standard deviations.

    Args:
        errors: Of found objects.

    Returns:
        Of place and sides; 1 and 0.05 where covariances are right and errors normal.
    """
    if not errors:
        return {"objects": 0}
    place = np.array([np.divide(item.place_m, item.place_sigma_m) for item in errors]) ** 2
    sides = np.array([np.divide(item.sides_m, item.sides_sigma_m) for item in errors]) ** 2
    return {
        "objects": len(errors), "place": float(place.mean()), "place beyond 2 sigma": float((place > 4).mean()),
        "sides": float(sides.mean()), "sides beyond 2 sigma": float((sides > 4).mean()),
    }  # fmt: skip


def _seen(name: str, options: argparse.Namespace) -> World:
    folder = WorldScenes(name, options.scenes, options.seed, objects=options.object_folder).render(options.world_folder)
    config = PipelineConfig(model=ModelConfig(name=options.engine, weights=options.weights))
    worker = scene_worker(config, EvaluationProtocol(use_depth=False))
    namer = Namer.of_facts(worker.pipeline.engine.facts, config.naming)
    answers: dict[str, list[Confirmation]] = {kind: [] for kind in KINDS}
    errors: list[Errors] = []
    for number, reference in enumerate(list_scenes([folder])):
        scene = reference.read()
        result = worker.process(scene)
        _take(result, scene, namer, number, (answers, errors))
    log.info("%s: %s answers", name, {kind: len(items) for kind, items in answers.items()})
    return World(name, answers, errors)


def _take(
    result: PerceptionResult, scene: Scene, namer: Namer, number: int, into: tuple[dict[str, list[Confirmation]], list[Errors]]
) -> None:
    """Answers and errors of one scene."""
    answers, errors = into
    measured, truth = evaluate_result(result, scene), scene.known_truth()
    overlaps = measured.overlaps
    right = np.asarray((overlaps.ious > 0.5).any(axis=1))
    answers[OBJECT] += [Confirmation(float(score), bool(good)) for score, good in zip(overlaps.scores, right)]
    kinds = {item.instance_id: truth.labels.name(item.class_id) for item in truth.objects}
    boxes = {item.instance_id: item for item in truth.objects}
    segments = {item.instance_id: item for item in result.panoptic.segments}
    meant: dict[str, set[int]] = {name: set() for name in kinds.values()}
    for item in measured.objects:
        if item.found:
            meant[kinds[item.instance_id]].add(item.segment_id)
            errors += _errors(segments[item.segment_id], boxes[item.instance_id])
    absent = [name for name in truth.labels.names if name not in meant]
    drawn = np.random.default_rng(number).choice(absent, min(ABSENT, len(absent)), replace=False).tolist() if absent else []
    for name in (*sorted(meant), *drawn):
        found = resolve_prompt(name, result.panoptic, namer)
        if found.status == FOUND:
            best = found.matches[0]
            answers[WORDS].append(Confirmation(best.probability, best.instance_id in meant.get(name, ())))


def _errors(segment: Segment, item: SceneObject) -> list[Errors]:
    if item.box is None or segment.position_covariance is None or segment.size_sigma_m is None:
        return []
    axes = segment.box.world_from_box[:3, :3].double()
    off = axes.T @ (item.box.world_from_box[:3, 3] - segment.box.world_from_box[:3, 3]).double()
    spread = torch.diagonal(axes.T @ segment.position_covariance.double() @ axes).sqrt()
    sides = side_errors(segment.box, item.box)
    rows = (segment.box.size_m, off, sides, spread, segment.size_sigma_m)
    size, place, side, place_sigma, side_sigma = (tuple(map(float, row)) for row in rows)
    return [Errors(segment.score, segment.class_score, segment.num_views, size, place, side, place_sigma, side_sigma)]
