"""`python -m pan3d_tools.demo --arm`: an arm sees, picks and places, in one process, with a film and a report. No ROS in here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pan3d_core.body import measure_gripper, parse_urdf
from pan3d_core.config import GraspConfig, GripperConfig, ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.grasping.rehearsal import Rehearsal, RehearsalRequest
from pan3d_core.language.prompts import name_segments
from pan3d_core.motion import ArmNames
from pan3d_core.picking import Attempt, Outcome, PickerConfig, PickReport, Seen, build_picker, read_wish
from pan3d_core.pictures import overlays
from pan3d_core.pictures.files import write_moving
from pan3d_core.runtime.files import written_whole
from pan3d_core.structures import Panoptic3D
from pan3d_sim.arm import ARM, urdf_text
from pan3d_sim.cell.arm_robot import ArmRobot
from pan3d_sim.cell.grasp_trial import nearest_object
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.cell.touches import ITSELF, SUPPORT
from pan3d_sim.objects.kinds import GRASPABLE_KINDS
from pan3d_sim.rehearsal.film import write_film
from pan3d_sim.rehearsal.trials import GraspRehearser
from pan3d_tools.demo.results import scene_folder, scene_results
from pan3d_tools.reports.html import Report

FILM_WIDTH = 320
FILM_PERIOD_S, FILM_RATE = 0.16, 12.5  # twice as fast as it is
PICTURE_WIDTH = 420


def run_arm(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Fulfil a wish in each scene.

    Args:
        options: Of `python -m pan3d_tools.demo`.
        say: Told what happens.

    Returns:
        The exit code of the demo.
    """
    config = PipelineConfig(
        model=ModelConfig(name=options.model, weights=options.weights, device=options.device),
        workspace=WorkspaceConfig(support_height_m=0.0),
        grasp=GraspConfig(gripper=_measured(say) if options.gripper_from_urdf else GripperConfig()),
    )
    engine = build_engine(config.model)
    outcomes = []
    for seed in options.seed_list:
        changes = {"num_objects": options.objects, "num_cameras": options.cameras, "arrangement": options.arrangement}
        with RobotCell(seed, arm=ARM, **changes) as cell:
            outcomes.append(_one_scene(cell, engine, config, options, say))
    placed = outcomes.count(Outcome.PLACED)
    if len(outcomes) > 1:
        say(f"placed in {placed} of {len(outcomes)} scenes")
    return 0 if placed or len(outcomes) > 1 else 3


def _measured(say: Callable[[str], None]) -> GripperConfig:
    """The jaws of the arm's URDF, in its grasp frame."""
    found = measure_gripper(parse_urdf(urdf_text(ARM)), frame=(ArmNames().tip, np.eye(4)))
    say(f"jaws of the URDF: {found.message}")
    return found.config


def _one_scene(
    cell: RobotCell,
    engine: Engine,
    config: PipelineConfig,
    options: argparse.Namespace,
    say: Callable[[str], None],
) -> Outcome:
    film: list[np.ndarray] = []
    robot = ArmRobot(cell, lambda shown, phase: film.append(_frame(shown)), FILM_PERIOD_S)
    recorded = RecordedRehearsals(GraspRehearser(gripper=config.grasp.gripper)) if options.rehearse else None
    picker = build_picker(robot, robot.urdf, engine, PickerConfig(config, learn=options.learn), recorded)
    seen = picker.look()
    words = options.prompt or _default_wish(seen)
    say(f"scene {cell.seed}: “{words}”")
    wish = read_wish(words)
    base = picker.find(wish.onto, seen).best if wish.onto else None
    middle = None if base is None else seen.scene.object(base.instance_id).middle
    onto = None if middle is None else nearest_object(cell, middle)  # the judge's name for it
    report = picker.fulfil(wish)
    say(f"{report.outcome.value}: {report.message}")
    for lesson in filter(None, (attempt.lesson for attempt in report.attempts)):
        say(f"learnt: {lesson.taken.shown.value}, {lesson.taken.message}: {lesson.folder}")
    last = picker.look()
    with scene_results(options, cell.seed) as folder:
        _write(folder, words, [seen, last], report, film, _hits(cell, robot, onto))
        rehearsed = recorded is not None and recorded.write_film(folder / "rehearsal.gif")
    place = scene_folder(options, cell.seed)
    for attempt in report.attempts:
        if attempt.rehearsal is not None:
            say(f"rehearsal: {attempt.rehearsal.message}")
    if rehearsed:
        say(f"the rehearsal as a film: {place / 'rehearsal.gif'}")
    say(f"report: {place / 'report.html'}")
    return report.outcome


class RecordedRehearsals:
    """A rehearser that remembers the last thing that it was asked and that could be tried, for a film.

    Args:
        rehearser: That does it.
    """

    def __init__(self, rehearser: GraspRehearser) -> None:
        self.rehearser = rehearser
        self._last: tuple[Panoptic3D, Rehearsal, float] | None = None

    def __call__(self, request: RehearsalRequest) -> Rehearsal:
        """Rehearse as the rehearser does."""
        rehearsal = self.rehearser(request)
        if rehearsal.trials and request.support_height_m is not None:
            self._last = request.panoptic, rehearsal, request.support_height_m
        return rehearsal

    def write_film(self, path: Path) -> bool:
        """Write what was tried last; False where nothing was."""
        if self._last is None:
            return False
        panoptic, rehearsal, support_height_m = self._last
        return write_film(path, self.rehearser, panoptic, rehearsal, support_height_m)


def _default_wish(seen: Seen) -> str:
    """The first object that is seen and that such a gripper can hold."""
    names = name_segments(seen.result.panoptic)
    for segment in sorted(seen.result.panoptic.segments, key=lambda item: -item.score):
        if any(kind in names.get(segment.instance_id, "") for kind in GRASPABLE_KINDS):
            return f"the {names[segment.instance_id]}"
    return "the biggest object"


def _frame(cell: RobotCell) -> np.ndarray:
    return overlays.enlarge(cell.picture(cell.overview_camera()), FILM_WIDTH)


def _hits(cell: RobotCell, robot: ArmRobot, onto: int | None) -> list[str]:
    """What was touched and should not have been; the object may touch what it was to be put on."""
    names = {SUPPORT: "the table", ITSELF: "itself", **{index: item.name for index, item in enumerate(cell.objects)}}
    return [f"{touch.phase}: {touch.part} and {names[touch.thing]}" for touch in robot.touches.collisions(onto)]


def _write(folder: Path, words: str, looks: Sequence[Seen], report: PickReport, film: list[np.ndarray], hits: list[str]) -> None:
    """The film, the page and its figures."""
    folder.mkdir(parents=True, exist_ok=True)
    page = Report(f"pan3d: “{words}”")
    page.text(f"{report.outcome.value}: {report.message}.")
    if film:
        write_moving(folder / "film.gif", iter(film), FILM_RATE)
        page.text("The whole run, twice as fast as it was: film.gif beside this page.", note=True)
        chosen = [film[round(share * (len(film) - 1))] for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
        page.section("The arm at work")
        page.pictures(chosen, width=PICTURE_WIDTH)
    page.section("What it saw first, and last")
    for look in looks:
        page.pictures(_pictures_of(look), look.result.views.cameras, width=PICTURE_WIDTH)
    page.section("Attempts")
    page.table(
        ("outcome", "in words", "rehearsal", "looking s", "planning s", "moving s"), [_row(item) for item in report.attempts]
    )
    page.section("By the simulator's word")
    page.text("The arm touched nothing that it should not." if not hits else f"It touched: {'; '.join(hits)}.")
    figures = {
        "wish": words,
        "outcome": report.outcome.value,
        "message": report.message,
        "attempts": [item.outcome.value for item in report.attempts],
        "rehearsals": [item.rehearsal.message for item in report.attempts if item.rehearsal is not None],
        "collisions": hits,
    }
    with written_whole(folder / "result.json") as part:
        part.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    page.write(folder / "report.html")


def _pictures_of(seen: Seen) -> list[np.ndarray]:
    panoptic, views = seen.result.panoptic, seen.result.views
    names = name_segments(panoptic)
    pictures = zip(views.images.cpu(), panoptic.instance_id.cpu().numpy())
    shown = [overlays.overlay(overlays.to_picture(image), ids, names) for image, ids in pictures]
    return [overlays.enlarge(picture, PICTURE_WIDTH) for picture in shown]


def _row(attempt: Attempt) -> tuple[object, ...]:
    moving = "" if attempt.motion is None else f"{attempt.motion.duration_s:.1f}"
    rehearsed = "" if attempt.rehearsal is None else attempt.rehearsal.message
    return attempt.outcome.value, attempt.message, rehearsed, f"{attempt.looks_s:.1f}", f"{attempt.plan_s:.1f}", moving
