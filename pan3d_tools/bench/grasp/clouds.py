"""What an engine makes of a cell's pictures, as planners are given it."""

from __future__ import annotations

from pan3d_core.config import ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_sim.cameras.depth_sensors import DepthSensor
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.clouds import Look, SceneCloud, ids_of_objects


def look_by_engine(model: ModelConfig, sensor: DepthSensor | None) -> Look:
    """Build a pipeline that looks at cells.

    Args:
        model: Its engine.
        sensor: Of depth cameras; None = colour alone.

    Returns:
        Cell -> what the pipeline makes of one view set, without anything remembered.
    """
    pipelines: dict[float, PerceptionPipeline] = {}
    engine = build_engine(model)

    def look(cell: RobotCell) -> SceneCloud:
        height = cell.config.support_height_m
        if height not in pipelines:
            config = PipelineConfig(model=model, workspace=WorkspaceConfig(support_height_m=height))
            pipelines[height] = PerceptionPipeline(engine, config)
        result = pipelines[height].fresh().process(cell.views(depth=sensor is not None, noise=sensor))
        return SceneCloud(result.panoptic, ids_of_objects(cell, result.panoptic), result.is_metric)

    return look
