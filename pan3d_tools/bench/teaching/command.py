"""`pan3d bench teach`: objects that were shown once, found by name among others, and not found where they are not.

Each of a group of objects is shown by itself, on a table of its own, in four views of a wrist camera, without any training. Then
all of the group stand on other tables, several on each. An object is named right when of all instances on all tables the
likeliest is it (most of its pixels show it) and is likely enough to be called by the name. A false alarm is a name that is given
where the object is not: on the tables of another group. Nothing was fitted to the objects that are judged.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pan3d_core.config import ModelConfig, ObjectsConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.labelling import LabelSettings
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.teaching import CropSource, Looks, Weights, likeness
from pan3d_core.teaching.weights import WEIGHTS
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_tools.bench.options import add_engine_options
from pan3d_tools.bench.shares import rate
from pan3d_tools.bench.teaching.fitting import WHOLE, fitted, pairs_of
from pan3d_tools.bench.teaching.labels import Recordings, label_figures
from pan3d_tools.bench.teaching.learning import learnt_look
from pan3d_tools.bench.teaching.tables import FIRST_FITTED, Candidate, Group, Looker, Source, make_group, without_networks

COLOUR_ONLY = "none"
THRESHOLD = ObjectsConfig().min_probability
# Share of names that are given where the object is not, on groups of objects that the network has not seen either: it tells those
# apart that it was trained on better than others.
ALARMS, CALIBRATED, CALIBRATION_ROUNDS = 0.04, 2, 4


@dataclass(frozen=True)
class Answer:
    """What a name found on all tables of a round."""

    probability: float  # of the likeliest instance
    right: bool  # it is the object that was taught
    whole: bool  # and shows the whole of it


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench teach", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--groups", type=int, default=2, metavar="N",
        help="groups of unseen objects that are judged; the first two of all are not, the threshold is set on them (default: 2)",
    )  # fmt: skip
    parser.add_argument("--distractors", type=int, default=20, help="other objects of a group (default: %(default)s)")
    parser.add_argument("--on-table", type=int, default=7, help="objects on one table, at most (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="how often a group is put on tables (default: %(default)s)")
    parser.add_argument(
        "--depth-sensor", default="active_stereo", metavar="NAME",
        help="exact, structured_light, active_stereo or time_of_flight; none = colour only (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--object-folder", type=Path, metavar="DIR", help="modelled objects (default: procedural ones)")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="photographed surfaces (default: procedural ones)")
    parser.add_argument(
        "--fit", type=int, default=0, metavar="GROUPS",
        help="first fit the cues' weights on so many groups of objects that training may show but looks were not learnt from, "
        "and tell them; the threshold is set on groups of unseen objects that are not judged",
    )  # fmt: skip
    parser.add_argument(
        "--labels", type=int, default=0, metavar="SCENES",
        help="instead: labels that so many recordings get without anybody, with depth and from colours, against the truth",
    )  # fmt: skip
    parser.add_argument(
        "--learn-look", type=Path, metavar="FILE",
        help="instead: learn from objects that training may show how their pictures are compared, and write it",
    )  # fmt: skip
    parser.add_argument("--views", type=int, default=24, help="of each of these recordings (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=400, help="of their refinement (default: %(default)s)")
    add_engine_options(parser)
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict[str, object]:
    """Teach, look and count."""
    options = parse(argv)
    if options.groups < 2 or options.distractors < 1 or options.fit == 1:
        got = f"{options.groups}, {options.distractors} and {options.fit}"
        raise ValueError(f"--groups, --distractors, --fit: expected at least 2, at least 1, and 0 or at least 2, got {got}")
    looker = looker_of(options)
    if options.learn_look is not None:
        facts = looker.pipeline.engine.facts
        if facts.crops is None:
            raise ValueError(f"--engine: expected one that compares pictures of objects, got {options.engine}")
        source = Source(options.object_folder, options.photographs, "train")
        return {**learnt_look(source, CropSource(facts.crops, facts.crops_checkpoint), options.learn_look)}
    if options.labels:
        sensor = "exact" if options.depth_sensor == COLOUR_ONLY else options.depth_sensor
        modelled = Source(options.object_folder, options.photographs, "held-out") if options.object_folder else None
        recordings = Recordings(options.labels, options.views, sensor, modelled)
        return {**label_figures(looker.pipeline, recordings, LabelSettings(steps=options.steps))}
    weights, fit = WEIGHTS, {}
    if options.fit:
        train = _groups(options, looker, "train", options.fit, first=FIRST_FITTED)
        unjudged = _groups(options, looker, "held-out", CALIBRATED, rounds=CALIBRATION_ROUNDS)
        weights = fitted_weights(train, unjudged)
        fit = {"weights": asdict(weights), "on the objects fitted to": figures_of(train, weights)}
    judged = figures_of(_groups(options, looker, "held-out", options.groups, first=CALIBRATED), weights)
    shown = {
        "objects": "modelled, unseen" if options.object_folder else "procedural, of kinds that no training shows",
        "surfaces": "photographed" if options.photographs else "procedural",
        "depth": options.depth_sensor,
    }
    return {**shown, **judged, **fit}


def looker_of(options: argparse.Namespace) -> Looker:
    """Build the pipeline: the height of the tables is known, as in every cell."""
    model = ModelConfig(name=options.engine, weights=options.weights)
    config = PipelineConfig(model=model, workspace=WorkspaceConfig(support_height_m=0.0))
    sensor = None if options.depth_sensor in (COLOUR_ONLY, "exact") else depth_sensor(options.depth_sensor)
    pipeline = PerceptionPipeline(build_engine(model), config)
    return Looker(pipeline, sensor, has_depth=options.depth_sensor != COLOUR_ONLY)


def _groups(
    options: argparse.Namespace, looker: Looker, split: str, count: int, *, first: int = 0, rounds: int | None = None
) -> list[Group]:
    source = Source(options.object_folder, options.photographs, split)
    size, times = options.distractors + 1, rounds or options.rounds
    return [make_group(source, looker, number, size, options.on_table, times) for number in range(first, first + count)]


def figures_of(groups: Sequence[Group], weights: Weights) -> dict[str, float | int]:
    """Count right names and false alarms.

    Args:
        groups: At least two.
        weights: Of the cues.

    Returns:
        By name.
    """
    present = [
        Answer(0.0, False, False) if (looks := group.taught.get(index)) is None else answer(looks, index, found, weights)
        for group in groups
        for found in group.rounds
        for index in range(group.count)
    ]
    absent = absent_probabilities(groups, weights)
    found_at_all = [
        any(item.index == index for item in found) for group in groups for found in group.rounds for index in range(group.count)
    ]
    alarms = [probability >= THRESHOLD for probability in absent]
    named = [item.right and item.probability >= THRESHOLD for item in present]
    known = (("named right", named), ("false alarms", alarms))
    limits = {f"{name}, 95 % {end}": rate(sum(flags), len(flags))[end] for name, flags in known for end in ("low", "high")}
    strict = float(np.quantile(absent, 0.95))
    return {
        "objects asked for": len(present),
        "named right": _share(named),
        "named right, whole": _share([item.whole and item.probability >= THRESHOLD for item in present]),
        "another one named": _share([not item.right and item.probability >= THRESHOLD for item in present]),
        "likeliest is right": _share([item.right for item in present]),
        "found by the engine": _share(found_at_all),
        "taught": _share([index in group.taught for group in groups for index in range(group.count)]),
        "objects asked for in vain": len(absent),
        "false alarms": _share(alarms),
        "named right at 5 % false alarms": _share([item.right and item.probability > strict for item in present]),
        **limits,
    }


def fitted_weights(train: Sequence[Group], unjudged: Sequence[Group]) -> Weights:
    """Fit the weights, and those for engines that give nothing of what networks say.

    Args:
        train: Groups that are fitted to.
        unjudged: At least two that the threshold is set on.

    Returns:
        The weights.
    """
    blind_train, blind_unjudged = ([without_networks(group) for group in groups] for groups in (train, unjudged))
    blind = rare_alarms(blind_unjudged, fitted(*pairs_of(blind_train)))
    return replace(rare_alarms(unjudged, fitted(*pairs_of(train))), blind=blind)


def rare_alarms(groups: Sequence[Group], weights: Weights) -> Weights:
    """Shift the bias so that on these groups the threshold lets as many false alarms pass as `ALARMS` says.

    Args:
        groups: At least two, neither fitted to nor judged.
        weights: Of the cues.

    Returns:
        The weights with another bias.
    """
    absent = np.array(absent_probabilities(groups, weights))
    limit = float(np.quantile(np.log(absent) - np.log1p(-absent), 1 - ALARMS))
    return replace(weights, bias=round(weights.bias - limit + math.log(THRESHOLD / (1 - THRESHOLD)), 4))


def absent_probabilities(groups: Sequence[Group], weights: Weights) -> list[float]:
    """Ask for every object on the tables of another group.

    Args:
        groups: At least two.
        weights: Of the cues.

    Returns:
        Of each question, the probability of the likeliest instance.
    """
    return [
        answer(looks, index, found, weights).probability
        for position, group in enumerate(groups)
        for found in groups[(position + 1) % len(groups)].rounds
        for index, looks in group.taught.items()
    ]


def answer(looks: Looks, index: int, found: Sequence[Candidate], weights: Weights) -> Answer:
    """Ask for one object.

    Args:
        looks: As it was taught.
        index: Of the object.
        found: All instances of a round.
        weights: Of the cues.

    Returns:
        The likeliest one.
    """
    likely = [likeness(looks, item.looks, weights).probability for item in found]
    if not likely:
        return Answer(0.0, False, False)
    best = int(np.argmax(likely))
    right = found[best].index == index
    return Answer(likely[best], right, right and found[best].iou > WHOLE)


def _share(items: Sequence[bool]) -> float:
    return sum(items) / len(items) if items else math.nan
