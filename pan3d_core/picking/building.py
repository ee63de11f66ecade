"""A picker from its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pan3d_core.body import RobotBody, parse_urdf
from pan3d_core.config import LessonConfig, MotionConfig, PipelineConfig
from pan3d_core.engines import Engine
from pan3d_core.grasping.rehearsal import Rehearser
from pan3d_core.language.namer import Namer
from pan3d_core.lessons import LessonFolder
from pan3d_core.motion import Arm, ArmNames, MotionPlanner
from pan3d_core.picking.journey import Picker
from pan3d_core.picking.robot import PickingRobot
from pan3d_core.pipeline import PerceptionPipeline


@dataclass(frozen=True)
class PickerConfig:
    """How to see and how to move."""

    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    names: ArmNames = field(default_factory=ArmNames)
    area_m: tuple[tuple[float, float], tuple[float, float]] = ((-0.2, -0.22), (0.2, 0.22))  # where things may be put, world x y
    attempts: int = 3  # how often the arm goes for one object, at most
    learn: Path | None = None  # folder that each time the gripper closes is written to as a training scene; None = nothing is
    lessons: LessonConfig = field(default_factory=LessonConfig)


def build_picker(
    robot: PickingRobot, urdf: str, engine: Engine, config: PickerConfig | None = None, rehearse: Rehearser | None = None
) -> Picker:
    """Bring perception, planning and a robot together.

    Args:
        robot: That is looked through and commanded.
        urdf: Text of its description: its shape in pictures, its joints and what must not collide.
        engine: Loaded already.
        config: Settings.
        rehearse: Tries grasps before the arm moves (`pan3d_sim.rehearsal.build_rehearser`); None = nothing is tried.

    Returns:
        A picker that has seen nothing yet.

    Raises:
        ValueError: The description cannot be used, a library is missing, or the gripper has no jaws.
    """
    config = config or PickerConfig()
    if config.pipeline.grasp.gripper.kind != "parallel":
        raise ValueError(
            f"grasp.gripper.kind: expected parallel, whose jaws a picker feels, got {config.pipeline.grasp.gripper.kind}"
        )
    namer = Namer.of_facts(engine.facts, config.pipeline.naming)
    pipeline = PerceptionPipeline(engine, config.pipeline, namer, RobotBody(parse_urdf(urdf)))
    lessons = None if config.learn is None else LessonFolder(config.learn, _names(engine), config.lessons)
    planner = MotionPlanner(Arm(urdf, config.names), config.motion)
    return Picker(pipeline, planner, robot, config.area_m, config.attempts, rehearse, lessons)


def _names(engine: Engine) -> tuple[str, ...]:
    """What objects may be called, whichever of them are seen."""
    known = engine.facts.known_names
    return engine.facts.labels.names if known is None else tuple(known.class_names)
