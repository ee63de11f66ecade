"""What lives from configure to cleanup: the engine with its weights, warmed up, and the pipeline around it."""

from __future__ import annotations

import gc
import logging
import time
from dataclasses import dataclass

import torch

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import Engine, build_engine
from pan3d_core.geometry.cameras import pixel_grid, pixel_rays
from pan3d_core.geometry.transforms import look_at
from pan3d_core.naming_meaning import Namer
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.preprocess import preprocess
from pan3d_core.structures import CameraView
from pan3d_ros.answers import Situation
from pan3d_ros.node_config import NodeConfig

log = logging.getLogger("pan3d.ros.model")


@dataclass
class LoadedModel:
    """An engine that is ready."""

    name: str
    engine: Engine
    pipeline: PerceptionPipeline
    namer: Namer
    device: str

    @classmethod
    def load(cls, node_config: NodeConfig, config: PipelineConfig) -> LoadedModel:
        """Build and warm up; what is wrong with name, weights or inputs raises `ValueError` or `OSError`."""
        started = time.monotonic()
        engine = build_engine(config.model)
        if engine.needs_depth and not node_config.input.use_depth:
            raise ValueError(f"input.use_depth: expected true, because {config.model.name} needs depth images")
        namer = Namer(getattr(engine, "known_names", None), config=config.naming)
        device = str(getattr(engine, "device", "cpu"))
        if config.model.device in ("auto", "cuda") and device == "cpu":
            log.warning("no accelerator: %s runs on the CPU", config.model.name)
        warm_up(engine, len(node_config.cameras))
        log.info("%s on %s is ready after %.1f s", config.model.name, device, time.monotonic() - started)
        return cls(config.model.name, engine, PerceptionPipeline(engine, config, namer), namer, device)

    def free(self) -> None:
        """Let go of the weights."""
        del self.engine, self.pipeline, self.namer
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take over live settings from the next view set on; tracks stay."""
        self.pipeline.config = config
        self.pipeline.tracker.config = config.tracking
        self.namer.config = config.naming

    def situation(self, node_config: NodeConfig, config: PipelineConfig) -> Situation:
        """What requests need to know while the node is active."""
        return Situation(
            node=node_config,
            grasp=config.grasp,
            support_height_m=config.workspace.support_height_m,
            cloud_points=config.cloud.max_points,
            namer=self.namer,
        )


def warm_up(engine: Engine, num_cameras: int) -> None:
    """Run the engine once on an empty table, so that the first real images are not the slow ones."""
    height, width = 120, 160
    intrinsics = torch.tensor([[150.0, 0.0, 79.5], [0.0, 150.0, 59.5], [0.0, 0.0, 1.0]])
    rays = pixel_rays(intrinsics, pixel_grid(height, width).reshape(-1, 2))
    generator = torch.Generator().manual_seed(0)
    views = []
    for index in range(num_cameras):
        angle = torch.tensor(2 * torch.pi * index / num_cameras)
        eye = torch.stack([0.6 * angle.cos(), 0.6 * angle.sin(), torch.tensor(0.5)])
        cam_from_world = look_at(eye, torch.zeros(3))
        drop = (rays @ cam_from_world[:3, :3])[:, 2].clamp_max(-0.1)  # of each ray per metre of depth
        views.append(
            CameraView(
                image=torch.rand(3, height, width, generator=generator),
                intrinsics=intrinsics,
                cam_from_world=cam_from_world,
                depth=(-eye[2] / drop).reshape(height, width) if engine.needs_depth else None,
                camera=f"warm-up {index}",
            )
        )
    with torch.inference_mode():
        engine(preprocess(views, engine.preprocess, support_height_m=0.0))
