"""`pan3d bench picks`: is the mask that a pick teaches that of the object which was taken?

One object after another of seeded cells is taken away and put down elsewhere by the simulator, neighbours fall as they will, and
the pictures of before and after are compared as a picker compares them, with what the engine believes of both; the second are
taken in another light and all of them with noise. The truth is the simulator's. Two questions about each scene have no object as
their answer: the same table once more, and the same table with its lamps elsewhere.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np
import torch

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.lessons import LessonFolder, Look, PickEvidence, Shown, Taken, look_of, object_taken
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView, GraspTarget, Segment
from pan3d_sim.cameras.depth_sensors import DEPTH_SENSORS, DepthSensor, depth_sensor
from pan3d_sim.cell.arrangement import ARRANGEMENTS, settle
from pan3d_sim.cell.robot_cell import CellConfig, RobotCell, TrueObject
from pan3d_sim.library.bank import OBJECT_SPLITS, ObjectLibrary
from pan3d_tools.bench.options import add_device_option, add_engine_options, pipeline_on_ground
from pan3d_tools.bench.shares import quantile, rate

log = logging.getLogger("pan3d.bench.picks")

SAME_OBJECT_M = 0.06  # a segment whose middle is further from a true object's is not that object
MOVED_M = 0.01  # a neighbour that moved by more makes it two objects
MIN_PIXELS = 200  # over all views: an object that shows fewer is not taken
AREA_M, GAP_M, TRIES = 0.24, 0.02, 60
NO_OBJECT = ("again", "lamps")


@dataclass(frozen=True)
class Judged:
    """What was said of one change, and the truth about it."""

    arrangement: str
    question: str  # "pick", or what changed instead
    shown: str
    message: str
    neighbours_moved: bool = False
    iou: float = float("nan")  # over all views
    sure_right: float = float("nan")  # of the pixels that are called the object
    sure_of_object: float = float("nan")  # of the object's pixels, those that are called it
    support_wrong: float = float("nan")  # of the pixels that are called support, those that show an object
    void: float = float("nan")  # of all pixels


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pan3d bench picks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default, told in (
        ("scenes", 10, "of each arrangement"),
        ("seed", 3000, "first seed"),
        ("objects", 7, "of each scene"),
        ("picks", 3, "objects that are taken of each scene"),
        ("cameras", 4, "of the cell"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{told} (default: %(default)s)")
    add = parser.add_argument
    add("--arrangement", choices=ARRANGEMENTS, nargs="+", default=list(ARRANGEMENTS), help="(default: all)")
    add("--depth-sensor", choices=tuple(DEPTH_SENSORS), help="depth cameras of this kind (default: colour alone)")
    add(
        "--light", type=float, default=0.1, help="brightness of the second pictures over the first, less 1 (default: %(default)s)"
    )
    add("--noise", type=float, default=0.012, help="of colours, 0 to 1 (default: %(default)s)")
    add("--object-folder", type=Path, metavar="DIR", help="modelled objects instead of procedural ones")
    add("--object-split", choices=tuple(OBJECT_SPLITS), default="held-out", help="of the modelled ones (default: %(default)s)")
    add("--learn", type=Path, metavar="FOLDER", help="write the picks as training scenes")
    add_engine_options(parser)
    add_device_option(parser)
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict:
    """Run the benchmark; returns, for each arrangement, shares of answers with 95 % intervals and how good masks are."""
    options = parse(argv)
    models = None if options.object_folder is None else ObjectLibrary(options.object_folder, options.object_split)
    config = pipeline_on_ground(options)
    engine, judged = build_engine(config.model), list[Judged]()
    for arrangement in options.arrangement:
        cell_config = CellConfig(
            num_objects=options.objects,
            arrangement=arrangement,
            num_cameras=options.cameras,
            width=320,
            height=240,
            models=models,
        )
        for seed in range(options.seed, options.seed + options.scenes):
            try:
                judged += _of_scene(RobotCell(seed, cell_config), engine, config, options)
            except RuntimeError as error:  # a heap that does not come to rest is no scene
                log.info("%s", error)
        log.info("%s: %s", arrangement, summarize([item for item in judged if item.arrangement == arrangement]))
    found = {name: summarize([item for item in judged if item.arrangement == name]) for name in options.arrangement}
    return {**vars(options), **found, "all": summarize(judged)}


def _of_scene(cell: RobotCell, engine: Engine, config: PipelineConfig, options: argparse.Namespace) -> list[Judged]:
    sensor = None if options.depth_sensor is None else depth_sensor(options.depth_sensor)
    rng = np.random.default_rng([cell.seed, 11])
    camera = Camera(cell, PerceptionPipeline(engine, config), sensor, options.noise, rng)
    lessons = None if options.learn is None else LessonFolder(options.learn, sorted({item.kind for item in cell.objects}))
    with cell:
        mujoco.mj_forward(cell.model, cell.data)  # lamps stand where they were drawn from the first physics step on
        judged = [_no_object(camera, question, options.light) for question in NO_OBJECT]
        for _ in range(options.picks):
            judged += _pick(camera, lessons, options.light)
    return [replace(item, arrangement=cell.config.arrangement) for item in judged]


@dataclass(frozen=True)
class Camera:
    """Looks at a cell."""

    cell: RobotCell
    pipeline: PerceptionPipeline
    sensor: DepthSensor | None
    noise: float
    rng: np.random.Generator

    def views(self, gain: float) -> list[CameraView]:
        """Pictures, brighter than they are by a factor, rounded to 8 bits."""
        found = self.cell.views(depth=self.sensor is not None, noise=self.sensor)
        return [replace(view, image=self._taken(view.image, gain)) for view in found]

    def look(self, gain: float) -> tuple[Look, tuple[Segment, ...]]:
        """Pictures and what the engine believes of them."""
        views = self.views(gain)
        result = self.pipeline.fresh().process(views)
        return look_of(views, result, [None] * len(views)), result.panoptic.segments

    def _taken(self, image: torch.Tensor, gain: float) -> torch.Tensor:
        noise = torch.from_numpy(self.rng.normal(0.0, self.noise, tuple(image.shape))).float()
        return ((image * gain + noise).clamp(0, 1) * 255).round() / 255


def _no_object(camera: Camera, question: str, light: float) -> Judged:
    """Look twice at a table from which nothing is taken; the place that is asked for is that of its first object."""
    before, segments = camera.look(1.0)
    lamps = camera.cell.model.light_pos.copy()
    if question == "lamps":
        camera.cell.model.light_pos[:, :2] += camera.rng.uniform(-0.6, 0.6, 2)
        mujoco.mj_forward(camera.cell.model, camera.cell.data)
    after, _ = camera.look(1.0 + light)
    camera.cell.model.light_pos[:] = lamps
    mujoco.mj_forward(camera.cell.model, camera.cell.data)
    place = segments[0].box if segments else camera.cell.truth()[0].box
    found = object_taken(before, after, place)
    return Judged("", question, found.shown.value, found.message)


def _pick(camera: Camera, lessons: LessonFolder | None, light: float) -> list[Judged]:
    """Take an object that the engine sees, and judge what is learnt of it; none where it sees none."""
    cell = camera.cell
    before, segments = camera.look(1.0)
    ids, truth = cell.instance_ids.copy(), cell.truth()
    seen = [(item, segment) for item in truth if sum(item.visible_pixels) >= MIN_PIXELS
            if (segment := _nearest(segments, item)) is not None]  # fmt: skip
    if not seen:
        return []
    target, segment = seen[camera.rng.integers(len(seen))]
    places = {item.instance_id: cell.world_from_object(item.instance_id - 1)[:3, 3].copy() for item in truth}
    put = _take_away(camera, target, truth)
    after, _ = camera.look(1.0 + light)
    off = [
        np.linalg.norm(cell.world_from_object(key - 1)[:3, 3] - place)
        for key, place in places.items()
        if key != target.instance_id
    ]
    grasp = GraspTarget(segment.instance_id, segment.class_id, 1.0, segment.box.world_from_box, 0.0, 0.0, segment.box)
    pick = PickEvidence(before, after, segment.box, grasp, "placed", "by the simulator", target.kind, put)
    found = object_taken(before, after, segment.box, put) if lessons is None else lessons.learn(pick).taken
    return [_judge(found, before, ids, target.instance_id, bool(max(off, default=0.0) > MOVED_M))]


def _judge(found: Taken, before: Look, ids: np.ndarray, target: int, moved: bool) -> Judged:
    judged = Judged("", "pick", found.shown.value, found.message, moved)
    if found.shown is not Shown.ONE_OBJECT:
        return judged
    masks, doubt, true = np.stack(found.masks), np.stack(found.doubt), ids == target
    sure = masks & ~doubt
    support = np.stack([before.support_pixels(index) for index in range(len(masks))]) & ~doubt & ~masks
    return replace(
        judged,
        iou=float((masks & true).sum() / (masks | true).sum()),
        sure_right=float((sure & true).sum() / max(sure.sum(), 1)),
        sure_of_object=float((sure & true).sum() / true.sum()),
        support_wrong=float((support & (ids > 0)).sum() / max(support.sum(), 1)),
        void=float(1 - (sure | support).mean()),
    )


def _nearest(segments: Sequence[Segment], item: TrueObject) -> Segment | None:
    middle = item.box.world_from_box[:2, 3]
    apart = [float((segment.box.world_from_box[:2, 3].cpu() - middle).norm()) for segment in segments]
    return segments[int(np.argmin(apart))] if apart and min(apart) < SAME_OBJECT_M else None


def _take_away(camera: Camera, target: TrueObject, truth: Sequence[TrueObject]) -> OrientedBox | None:
    """Put an object down at a free place and let everything come to rest; its box there, None where there was no place."""
    cell, middle = camera.cell, target.box.world_from_box[:2, 3].numpy()
    others = [item.box for item in truth if item.instance_id != target.instance_id]
    reach = float(target.box.size_m[:2].norm()) / 2
    address, place = cell.bodies[target.instance_id - 1], None
    for _ in range(TRIES):
        drawn = camera.rng.uniform(-AREA_M, AREA_M, 2)
        free = all(
            np.linalg.norm(box.world_from_box[:2, 3].numpy() - drawn) > reach + float(box.size_m.norm()) / 2 + GAP_M
            for box in others
        )
        if free and np.linalg.norm(drawn - middle) > 2 * reach + GAP_M:
            place = drawn
            break
    if place is None:
        cell.remove(target.instance_id - 1)
    else:
        pose = target.world_from_object
        lowest = (cell.objects[target.instance_id - 1].vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].min()
        cell.data.qpos[address.qpos : address.qpos + 3] += [*(place - middle), 0.002 + cell.config.support_height_m - lowest]
        mujoco.mj_forward(cell.model, cell.data)
    settle(cell.model, cell.data, [item for index, item in enumerate(cell.bodies) if index not in cell.removed])
    return None if place is None else next((item.box for item in cell.truth() if item.instance_id == target.instance_id), None)


def summarize(judged: Sequence[Judged]) -> dict:
    """Shares with intervals, and how good the masks are.

    Args:
        judged: Of some questions.

    Returns:
        Figures by name.
    """
    picks = [item for item in judged if item.question == "pick"]
    still, stirred = ([item for item in picks if item.neighbours_moved is moved] for moved in (False, True))
    masks = [item for item in picks if item.shown == Shown.ONE_OBJECT]
    controls = [item for item in judged if item.question != "pick"]
    return {
        "picks": len(picks),
        "answers": dict(Counter(item.shown for item in picks).most_common()),
        "masks": rate(len(masks), len(picks)),
        "masks where no neighbour moved": rate(sum(item.shown == Shown.ONE_OBJECT for item in still), len(still)),
        "masks where one did": rate(sum(item.shown == Shown.ONE_OBJECT for item in stirred), len(stirred)),
        "IoU over 0.5": rate(sum(item.iou > 0.5 for item in masks), len(masks)),
        "IoU over 0.8": rate(sum(item.iou > 0.8 for item in masks), len(masks)),
        "IoU, median": quantile([item.iou for item in masks], 0.5),
        "IoU, mean": _mean([item.iou for item in masks]),
        "called the object, and is it": _mean([item.sure_right for item in masks]),
        "of the object, called it": _mean([item.sure_of_object for item in masks]),
        "called support, and is an object": _mean([item.support_wrong for item in masks]),
        "void": _mean([item.void for item in masks]),
        **{
            f"no object, {question}": {
                **rate(sum(item.shown != Shown.ONE_OBJECT for item in controls if item.question == question),
                       sum(item.question == question for item in controls)),
                "answers": dict(Counter(item.shown for item in controls if item.question == question)),
            }
            for question in NO_OBJECT
        },
    }  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
