"""A red ball and a blue block as one camera that moves around them sees them, and as perception understands that."""

from __future__ import annotations

from dataclasses import replace

import ros_support
from raycast_scene import Ball, Block, camera_ring, cast

from pan3d_core.config import PipelineConfig
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import CameraView
from pan3d_ros.parameters.node_config import RefineConfig
from pan3d_ros.refinement.views import UnderstoodView, ViewCollector

BALL, BLOCK = Ball((-0.08, -0.03, 0.04), 0.04), Block((0.09, 0.05, 0.03), (0.08, 0.06, 0.06))
CONFIG = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}, "cloud": {"voxel_size_m": 0.0}})


def camera_views() -> list[CameraView]:
    """Six views, a second apart."""
    scene = cast((BALL, BLOCK), camera_ring(6, arc_deg=300.0))
    return [
        replace(view, depth=depth, camera="wrist", stamp_ns=k * 10**9, world_frame_id="base_link")
        for k, (view, depth) in enumerate(zip(scene.views, scene.depth))
    ]


def perception() -> PerceptionPipeline:
    """Finds what is red or blue."""
    return PerceptionPipeline(ros_support.ColorEngine(), CONFIG)


def understood_views() -> list[UnderstoodView]:
    """What the node would keep of the six views."""
    collector, pipeline = ViewCollector(RefineConfig(), CONFIG), perception()
    for view in camera_views():
        collector.add(pipeline.process([view]))
    return list(collector.views())
