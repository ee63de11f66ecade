"""`pan3d bench grasp`: grasps of everything on seeded tables, tried in physics; success is what the simulator says.

Every object of a scene is the target once, and the scene is restored in between. No grasp counts as a failure, so a planner that
abstains gains nothing. "clean" also wants that no neighbour moved more than 2 cm or 20 degrees or came along.

Inputs: `true` = points and normals of the true surfaces (L0); `views` = depth of the cell's cameras with the errors of a
sensor, true masks, through the product's own merge (L1); `clusters` = the same depth through the whole pipeline with
`depth_clusters`, which finds the objects itself; `colour` = colour alone through the whole pipeline (L2). The whole loop with an
arm is `pan3d bench pick`.

Planners, which get the same clouds: `pan3d` = `select_grasps`; `learnt` = the same with `grasp.order: learnt`; `rehearsed` =
what `pan3d` finds is tried first in a physics twin of the cloud, which with `--protocol clear` decides, too, which object is
taken; `obb` = the baseline, straight down at the centre of the object's box, closing along its shorter side, without any look at
collisions. With `--gripper suction` it is a cup that is planned for, and `obb` puts it straight down on the middle of the box's
top.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pan3d_core.config import GraspConfig, GripperConfig, ModelConfig, RehearsalConfig
from pan3d_core.runtime.files import read_json_object, written_whole
from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cameras.depth_sensors import DEPTH_SENSORS, DepthSensor
from pan3d_sim.cell.arrangement import ARRANGEMENTS
from pan3d_sim.cell.grippers import hand_of
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell
from pan3d_sim.clouds import Look, cloud_from_views, true_cloud
from pan3d_sim.library.bank import OBJECT_SPLITS, ObjectLibrary
from pan3d_sim.objects.kinds import KINDS
from pan3d_tools.bench.grasp.attempts import PLANNERS, Attempt, Clearing, attempt_all, clear_table
from pan3d_tools.bench.grasp.clouds import look_by_engine
from pan3d_tools.bench.grasp.figures import clearing_table, difference, summarize, summarize_clearing, table
from pan3d_tools.bench.grasp.rehearsed import RehearsedPlanning
from pan3d_tools.bench.options import add_device_option, add_engine_options

log = logging.getLogger("pan3d.sim.bench")

TRUE, VIEWS, CLUSTERS, COLOUR = INPUTS = ("true", "views", "clusters", "colour")
OURS, LEARNT, REHEARSED, BASELINE = "pan3d", "learnt", "rehearsed", "obb"
EACH, CLEAR = PROTOCOLS = ("each", "clear")
NOISE_MM = 1.0
UNDECISIVE = ("seed", "scenes", "keep", "films", "markdown")  # options that change nothing of a scene's measurement
Key = tuple[str, str, str]  # arrangement, input, planner


@dataclass(frozen=True)
class Measured:
    """What one planner did with one input of one scene."""

    key: Key
    attempts: tuple[Attempt, ...] = ()
    clearing: Clearing | None = None


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pan3d bench grasp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, default=100, help="first scene (default: %(default)s)")
    add("--scenes", type=int, default=8, help="of each arrangement (default: %(default)s)")
    add("--objects", type=int, default=6, help="objects per scene (default: %(default)s)")
    add("--arrangement", choices=ARRANGEMENTS, default=["separated"], help="(default: separated)", nargs="+")
    add("--input", choices=INPUTS, default=[VIEWS], help="what planners are given (default: views)", nargs="+")
    add("--planner", choices=(OURS, LEARNT, REHEARSED, BASELINE), default=[OURS], help="(default: pan3d)", nargs="+")
    add("--gripper", choices=tuple(PLANNERS), default="parallel", help="two jaws, or a suction cup (default: %(default)s)")
    add("--protocol", choices=PROTOCOLS, default=[EACH], nargs="+",
        help="each = one attempt at every object where it lies; clear = one object after another is taken away (default: each)",
    )  # fmt: skip
    add("--rehearsal-s", type=float, default=RehearsalConfig().budget_s,
        help="of a rehearsal, in processor time of its two threads together over two (default: %(default)s)",
    )  # fmt: skip
    add("--kinds", choices=KINDS, default=list(KINDS), metavar="KIND", help="of procedural objects (default: all)", nargs="+")
    add("--cameras", type=int, default=4, help="cameras of inputs that are seen (default: %(default)s)")
    add("--depth-sensor", choices=tuple(DEPTH_SENSORS), default="structured_light", help="(default: %(default)s)")
    add("--noise-mm", type=float, default=NOISE_MM, help="white noise of structured_light (default: %(default)s)")
    add("--object-folder", type=Path, metavar="DIR", help="modelled objects instead of procedural ones")
    add("--object-split", choices=tuple(OBJECT_SPLITS), default="held-out", help="of the modelled ones (default: %(default)s)")
    add("--keep", type=Path, metavar="DIR", help="keeps what was measured of each scene, and goes on from there")
    add("--films", type=Path, metavar="DIR", help="films of failed attempts, of scenes that are measured now")
    add("--markdown", type=Path, metavar="FILE", help="write the tables to a file")
    add_engine_options(parser)
    add_device_option(parser)
    options = parser.parse_args(argv)
    if LEARNT in options.planner and LEARNT not in PLANNERS[options.gripper]:
        parser.error(f"--planner: expected none that is {LEARNT} with --gripper {options.gripper}, of which nothing was learnt")
    return options


def run(argv: list[str]) -> dict:
    """Run the benchmark; returns, for each arrangement, input and planner, shares with 95 % intervals, reasons, success by kind,
    times, and every attempt."""
    options = parse(argv)
    looks = looks_of(options)
    measured = [item for arrangement in options.arrangement for item in _of_scenes(options, looks, arrangement)]
    keys = list(dict.fromkeys(item.key for item in measured))
    each = [(key, [one for item in measured if item.key == key for one in item.attempts]) for key in keys]
    cleared = [(key, [item.clearing for item in measured if item.key == key and item.clearing]) for key in keys]
    found = [(key, summarize(attempts)) for key, attempts in each if attempts]
    emptied = [(key, summarize_clearing(clearings)) for key, clearings in cleared if clearings]
    if options.markdown is not None:
        text = "\n".join(([table(found)] if found else []) + ([clearing_table(emptied)] if emptied else []))
        with written_whole(options.markdown) as part:
            part.write_text(text, encoding="utf-8")
    return {
        **{name: value for name, value in vars(options).items() if name != "kinds" or value != list(KINDS)},
        **{" ".join(key): figures for key, figures in found},
        **{f"{' '.join(key)} cleared": figures for key, figures in emptied},
        **{f"{name} over {BASELINE}": gap for name, gap in _over(dict(found), OURS, BASELINE).items()},
        **{f"{name} {LEARNT} over {OURS}": gap for name, gap in _over(dict(found), LEARNT, OURS).items()},
        "attempts": [{"key": list(key), **asdict(item)} for key, attempts in each for item in attempts],
        "clearings": [{"key": list(key), **asdict(item)} for key, clearings in cleared for item in clearings],
    }


def _over(found: dict[Key, dict], ours: str, theirs: str) -> dict[str, dict[str, float]]:
    """Clean lifts per object that one planner has more than another on the same clouds."""
    return {
        f"{arrangement} {given}": difference(figures["clean_per_object"], found[arrangement, given, theirs]["clean_per_object"])
        for (arrangement, given, planner), figures in found.items()
        if planner == ours and (arrangement, given, theirs) in found
    }


def _of_scenes(options: argparse.Namespace, looks: dict[str, Look], arrangement: str) -> Iterator[Measured]:
    """All that is measured of an arrangement; scenes that were kept are read."""
    models = None if options.object_folder is None else ObjectLibrary(options.object_folder, options.object_split)
    config = CellConfig(
        num_objects=options.objects, arrangement=arrangement, num_cameras=options.cameras, width=320, height=240,
        kinds=tuple(options.kinds), models=models, hand=hand_of(GripperConfig(kind=options.gripper)),
    )  # fmt: skip
    decisive = {name: value for name, value in vars(options).items() if name not in UNDECISIVE}
    digest = hashlib.sha256(json.dumps([arrangement, decisive], default=str).encode()).hexdigest()[:10]
    for seed in range(options.seed, options.seed + options.scenes):
        kept = None if options.keep is None else options.keep / f"{arrangement}-{digest}-{seed}.json"
        if kept is not None and kept.exists():
            yield from _read(kept)
            continue
        done = tuple(_of_scene(options, looks, config, seed))
        if kept is not None:
            with written_whole(kept) as part:
                part.write_text(json.dumps({"measured": [asdict(item) for item in done]}), encoding="utf-8")
        clean = sum(attempt.clean for item in done for attempt in item.attempts)
        log.info("%s scene %d: %d of %d clean", arrangement, seed, clean, sum(len(item.attempts) for item in done))
        yield from done


def _of_scene(options: argparse.Namespace, looks: dict[str, Look], config: CellConfig, seed: int) -> Iterator[Measured]:
    """A cell is built anew for every input, so that no noise depends on what else was asked for."""
    grasp = GraspConfig(gripper=GripperConfig(kind=options.gripper))
    rehearsed = RehearsedPlanning(RehearsalConfig(budget_s=options.rehearsal_s, seed=seed), grasp)
    planners = {**PLANNERS[options.gripper], REHEARSED: rehearsed.plan}
    for given, look in looks.items():
        if EACH in options.protocol:
            with RobotCell(seed, config) as cell:
                cloud = look(cell)
                for name in options.planner:
                    key = (config.arrangement, given, name)
                    films = None if options.films is None else options.films / "-".join(key)
                    yield Measured(key, tuple(attempt_all(cell, cloud, planners[name], films)))
        for name in options.planner if CLEAR in options.protocol else ():
            with RobotCell(seed, config) as cell:
                choose = rehearsed.choose if name == REHEARSED else None
                yield Measured((config.arrangement, given, name), clearing=clear_table(cell, look, planners[name], choose))


def _read(path: Path) -> Iterator[Measured]:
    for item in read_json_object(path, "what was measured of a scene")["measured"]:
        arrangement, given, name = item["key"]
        clearing = None if item["clearing"] is None else Clearing(**item["clearing"])
        yield Measured((arrangement, given, name), tuple(Attempt(**row) for row in item["attempts"]), clearing)


def looks_of(options: argparse.Namespace) -> dict[str, Look]:
    """Prepare the inputs that are asked for.

    Args:
        options: As `parse` gives them.

    Returns:
        Input -> how a cell is looked at.

    Raises:
        ValueError: White noise is asked for of a sensor that errs in other ways.
    """
    sensor: DepthSensor = DEPTH_SENSORS[options.depth_sensor]
    if isinstance(sensor, DepthNoise):
        sensor = DepthNoise(sigma_m=options.noise_mm * 1e-3)
    elif options.noise_mm != NOISE_MM:
        raise ValueError(f"--noise-mm: expected none with --depth-sensor {options.depth_sensor}, got {options.noise_mm:g}")
    looks: dict[str, Look] = {TRUE: true_cloud, VIEWS: partial(cloud_from_views, sensor=sensor)}
    if CLUSTERS in options.input:
        looks[CLUSTERS] = look_by_engine(ModelConfig(name="depth_clusters"), sensor)
    if COLOUR in options.input:
        looks[COLOUR] = look_by_engine(ModelConfig(options.engine, options.weights, device=options.device), None)
    return {name: looks[name] for name in options.input}
