"""`pan3d bench worlds`: engines in worlds of every kind, and what wrong calibration and fewer views cost, as tables and curves.

Each world is scenes of held-out seeds, rendered once and kept (`pan3d eval --world` judges one of them in more detail). Worlds of
modelled objects are left out where no folder of them is given. `--page` writes the page of the documentation with its curves.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.runtime.files import written_whole
from pan3d_eval.figures import figure_table
from pan3d_eval.folder import evaluate_folder
from pan3d_eval.rig_errors import RigError
from pan3d_eval.runner import EvaluationProtocol
from pan3d_sim.cameras.depth_sensors import depth_sensor
from pan3d_sim.cameras.measured_views import MeasuredViews
from pan3d_sim.data.judged_worlds import JUDGED_WORLDS, WorldScenes
from pan3d_tools.bench.worlds.curves import Line, curve_picture
from pan3d_tools.cli.output import machine_facts

TEMPLATE = Path(__file__).with_name("worlds.md")
CELL = "cell"
NO_ERROR, USUAL_VIEWS = RigError(), 4
# Title, name in `pan3d_eval.figures`, format.
COLUMNS = (
    ("AP50", "AP50", ".3f"), ("AP25", "AP25", ".3f"), ("AbsRel on objects", "depth AbsRel on objects", ".3f"),
    ("centre error, mm", "centre error (mm)", ".1f"), ("kinds named", "naming top-1", ".2f"), ("ECE", "score ECE", ".3f"),
)  # fmt: skip
POSES = tuple(RigError(position_m=metres, rotation_deg=100 * metres) for metres in (0.0, 0.005, 0.01, 0.02))
SUPPORTS = tuple(RigError(support_m=metres) for metres in (-0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1))
VIEWS = (1, 2, 3, 4, 6, 8)
Figures = dict[str, float]  # by name in `pan3d_eval.figures`
Measured = Callable[[str, str, RigError, int], Figures]


@dataclass(frozen=True)
class Curve:
    """How figures change with one thing, in one world."""

    file: str  # of the picture
    title: str
    along: str  # what changes, with its unit
    places: tuple[float, ...]
    figures: dict[str, tuple[Figures, ...]]  # engine -> at each place


@dataclass(frozen=True)
class Judge:
    """Renders and measures."""

    scenes: int
    folder: Path
    objects: str
    photographs: str
    weights: str

    def figures(self, world: str, contender: str, error: RigError, num_views: int) -> Figures:
        """Measure an engine in a world.

        Args:
            world: Of `JUDGED_WORLDS`.
            contender: Engine or baseline, with `+SENSOR` for depth as that sensor measures it.
            error: Of what it is told.
            num_views: Of each scene.

        Returns:
            All figures of `pan3d eval`.

        Raises:
            ValueError: The world cannot be rendered, there is no such sensor, or a scene could not be measured.
        """
        engine, _, sensor_name = contender.partition("+")
        folder = WorldScenes(
            world, self.scenes, num_views=num_views, objects=self.objects, photographs=self.photographs
        ).render(self.folder)  # fmt: skip
        model = ModelConfig(name=engine, weights=self.weights if engine == "pan3d-mini" else "")
        sensor = depth_sensor(sensor_name or "exact")
        camera = None if sensor is None else MeasuredViews(sensor)
        protocol = EvaluationProtocol(use_depth=bool(sensor_name), depth_camera=camera, rig_error=error)
        judged = evaluate_folder(folder, PipelineConfig(model=model), protocol)
        if len(judged.measured()) < len(judged.references):
            raise ValueError(
                f"{world}, {contender}: expected figures of {len(judged.references)} scenes, got {len(judged.measured())}"
            )
        return {figure.name: figure.value for figure in figure_table(judged.evaluation)}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench worlds", description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", nargs="*", choices=tuple(JUDGED_WORLDS), help="default: all that can be rendered")
    parser.add_argument(
        "--engines",
        nargs="+",
        default=["pan3d-mini"],
        metavar="ENGINE[+SENSOR]",
        help="engines or baselines, with depth as a sensor measures it (exact, structured_light, "
        "active_stereo, time_of_flight), such as depth_clusters+active_stereo (default: pan3d-mini)",
    )
    parser.add_argument("--weights", default="", help="checkpoint of pan3d-mini (default: the shipped one)")
    parser.add_argument("--scenes", type=int, default=16, help="of each world (default: %(default)s)")
    parser.add_argument("--no-curves", action="store_true", help="worlds only")
    parser.add_argument("--object-folder", default="", metavar="DIR", help="modelled objects (`pan3d sim objects fetch`)")
    parser.add_argument("--photographs", default="", metavar="DIR", help="photographed surfaces (default: procedural ones only)")
    parser.add_argument("--world-folder", type=Path, default=Path("data/worlds"), help="keeps the scenes (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page and, beside it, images/worlds_*.svg")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict[str, object]:
    """Judge every engine in every world, and along the curves."""
    options = parse(argv)
    judge = Judge(options.scenes, options.world_folder, options.object_folder, options.photographs, options.weights)
    worlds = [name for name, world in JUDGED_WORLDS.items() if options.object_folder or not world.modelled]
    if options.worlds is not None:
        worlds = options.worlds
    measured = functools.cache(judge.figures)  # the undisturbed cell is a place of every curve
    table = {world: {engine: measured(world, engine, NO_ERROR, USUAL_VIEWS) for engine in options.engines} for world in worlds}
    curves = () if options.no_curves else measured_curves(measured, options.engines)
    if options.page is not None:
        write_page(options.page, options.scenes, table, curves)
    names = [name for _, name, _ in COLUMNS]
    return {
        "worlds": {world: {engine: _chosen(own, names) for engine, own in rows.items()} for world, rows in table.items()},
        "curves": {
            curve.file: {"places": list(curve.places)}
            | {engine: [_chosen(own, names) for own in rows] for engine, rows in curve.figures.items()}
            for curve in curves
        },
    }


def measured_curves(measured: Measured, engines: Sequence[str]) -> tuple[Curve, ...]:
    """Measure what wrong poses, a wrong support height and the number of views cost in the plain cell.

    Args:
        measured: As `Judge.figures`.
        engines: Or baselines.

    Returns:
        Three curves.
    """
    by_error = {
        errors: {engine: tuple(measured(CELL, engine, error, USUAL_VIEWS) for error in errors) for engine in engines}
        for errors in (POSES, SUPPORTS)
    }
    by_views = {engine: tuple(measured(CELL, engine, NO_ERROR, count) for count in VIEWS) for engine in engines}
    return (
        Curve("worlds_poses", "Each camera displaced, and turned by 1 degree for each centimetre", "camera off by, mm",
              tuple(1000 * error.position_m for error in POSES), by_error[POSES]),
        Curve("worlds_support", "The support told to be higher or lower than it is", "support too high by, mm",
              tuple(1000 * error.support_m for error in SUPPORTS), by_error[SUPPORTS]),
        Curve("worlds_views", "Fewer and more views", "views", tuple(map(float, VIEWS)), by_views),
    )  # fmt: skip


def write_page(path: Path, scenes: int, table: dict[str, dict[str, Figures]], curves: Sequence[Curve]) -> None:
    """Write the page of the documentation.

    Args:
        path: The page; pictures of curves go to `images` beside it.
        scenes: Of each world.
        table: World -> engine -> figures.
        curves: Measured.
    """
    pictures = []
    (path.parent / "images").mkdir(parents=True, exist_ok=True)
    for curve in curves:
        for name, title in (("AP50", "AP50"), ("centre error (mm)", "centre error, mm")):
            file = f"{curve.file}_{'ap50' if name == 'AP50' else 'centre'}.svg"
            lines = [Line(engine, tuple(own[name] for own in rows)) for engine, rows in curve.figures.items()]
            with written_whole(path.parent / "images" / file) as part:
                part.write_text(curve_picture(curve.title, curve.along, title, curve.places, lines), encoding="utf-8")
            pictures.append(f"![{curve.title}: {title}](images/{file})")
    text = TEMPLATE.read_text(encoding="utf-8").format(
        scenes=scenes,
        head=" | ".join(("world", "engine", *(title for title, _, _ in COLUMNS))),
        rule="---|" * (2 + len(COLUMNS)),
        table="\n".join(
            f"| {JUDGED_WORLDS[world].about} (`{world}`) | {engine} | {_cells(own)} |"
            for world, rows in table.items()
            for engine, own in rows.items()
        ),
        curves="\n".join(pictures),
        machine=", ".join(f"{name} {value}" for name, value in machine_facts().items()),
    )
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def _chosen(figures: Figures, names: Sequence[str]) -> Figures:
    return {name: figures[name] for name in names if name in figures}


def _cells(figures: Figures) -> str:
    """Cells of a row; empty where an engine has no such figure."""
    values = [(figures.get(name, math.nan), form) for _, name, form in COLUMNS]
    return " | ".join("" if math.isnan(value) else format(value, form) for value, form in values)
