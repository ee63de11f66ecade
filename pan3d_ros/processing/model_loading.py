"""What lives from configure to cleanup: the engine with its weights, warmed up, and the pipeline around it."""

from __future__ import annotations

import gc
import logging
import time
from dataclasses import dataclass

import torch

from pan3d_core.body import RobotBody, read_urdf
from pan3d_core.config import PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.engines.parts.warm_up import warm_up
from pan3d_core.language.namer import Namer
from pan3d_core.memory import RefinedMap, WorldMemory
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.progress import step
from pan3d_ros.parameters.node_config import NodeConfig
from pan3d_ros.parameters.taught_objects import stored_library
from pan3d_ros.services.gripper import require_gripper
from pan3d_ros.services.private.worlds import begin_with_stored
from pan3d_ros.services.reach import GraspReach, require_arm
from pan3d_ros.services.rehearsal import require_physics
from pan3d_ros.services.situation import Situation

log = logging.getLogger("pan3d.ros.model")


@dataclass(frozen=True)
class LoadedModel:
    """An engine that is ready."""

    name: str
    engine: Engine
    pipeline: PerceptionPipeline
    namer: Namer

    @classmethod
    def load(cls, node_config: NodeConfig, config: PipelineConfig) -> LoadedModel:
        """Build a model and warm it up.

        Args:
            node_config: Of which the cameras' number, the use of depth and the robot count.
            config: Of the pipeline.

        Returns:
            The model, ready to look.

        Raises:
            ValueError: Something is wrong with name, weights, inputs, the arm or the robot's description.
            OSError: Weights or the description cannot be read.
        """
        started = time.monotonic()
        require_arm(node_config)
        robot = node_config.robot
        body = RobotBody(read_urdf(robot.urdf, robot.mesh_folders)) if robot.urdf else None
        require_gripper(node_config, config.grasp, None if body is None else body.robot)
        require_physics(node_config)
        with step(f"loading {config.model.name}"):
            engine = build_engine(config.model)
        if engine.facts.needs_depth and not node_config.input.use_depth:
            raise ValueError(f"input.use_depth: expected true, because {config.model.name} needs depth images")
        namer = Namer.of_facts(engine.facts, config.naming)
        device = engine.facts.device
        if config.model.device in ("auto", "cuda") and device == "cpu":
            log.warning("no accelerator: %s runs on the CPU", config.model.name)
        if not engine.facts.finds_objects:
            log.warning("%s: clouds and depth are published, requests are refused", blind_reason(config.model.name))
        with step(f"warming {config.model.name} up for {len(node_config.cameras)} views"):
            warm_up(engine, len(node_config.cameras))
        runtime = "torch" if engine.facts.runtime is None else engine.facts.runtime().name
        log.info("%s in %s on %s is ready after %.1f s", config.model.name, runtime, device, time.monotonic() - started)
        pipeline = PerceptionPipeline(engine, config, namer, body)
        if config.objects.folder:
            pipeline.use_library(stored_library(config))
        return cls(config.model.name, engine, pipeline, namer)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over live settings from the next view set on; tracks stay."""
        self.pipeline.reconfigure(config)

    def situation(self, node_config: NodeConfig, config: PipelineConfig, reach: GraspReach) -> Situation:
        """Tell what requests need to know while the node is active.

        Args:
            node_config: The node's settings.
            config: The pipeline's settings.
            reach: Of the arm.

        Returns:
            Both as far as answers depend on them, with what is loaded.
        """
        return Situation(
            node=node_config,
            grasp=config.grasp,
            cloud_points=config.cloud.max_points,
            namer=self.namer,
            reach=reach,
            blind_reason="" if self.engine.facts.finds_objects else blind_reason(self.name),
        )


class ModelHolder:
    """The model that the node has, or none, and the map of the place, which outlives it. For use by several threads.

    The objects of every model that it loads have the ids and names of the map.
    """

    def __init__(self) -> None:
        self._model: LoadedModel | None = None
        self._map: RefinedMap | None = None

    @property
    def model(self) -> LoadedModel | None:
        """The one that is loaded now."""
        return self._model

    def load(self, node_config: NodeConfig, config: PipelineConfig) -> LoadedModel:
        """Load a model unless one is loaded already.

        Args:
            node_config: As for `LoadedModel.load`.
            config: As for `LoadedModel.load`.

        Returns:
            The model, which follows the map in use and remembers the stored world.

        Raises:
            ValueError: As `LoadedModel.load`.
            OSError: As `LoadedModel.load`.
        """
        if self._model is None:
            model = LoadedModel.load(node_config, config)
            model.pipeline.memory.use_map(self._map)
            begin_with_stored(model.pipeline.memory, node_config)
            self._model = model
        return self._model

    def memory(self) -> WorldMemory | None:
        """What the model in use remembers; None without a model."""
        return None if (model := self._model) is None else model.pipeline.memory

    def pipeline(self) -> PerceptionPipeline | None:
        """That of the model in use; None without a model."""
        return None if (model := self._model) is None else model.pipeline

    def use_map(self, found: RefinedMap | None) -> None:
        """Take the map, or none, for this model and for those after it."""
        self._map = found
        if (model := self._model) is not None:
            model.pipeline.memory.use_map(found)

    def free(self) -> None:
        """Let go of the weights. Nobody else may hold the model any more."""
        if self._model is None:
            return
        self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def blind_reason(name: str) -> str:
    """What is said where objects are asked of an engine that looks for none."""
    return f"model.name {name} gives geometry and finds no objects, so nothing is known of what stands there"
