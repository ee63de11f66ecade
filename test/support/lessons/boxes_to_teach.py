"""Boxes on a table, seen by exact depth cameras: one to teach, the same elsewhere, and others that are only like it."""

from dataclasses import replace
from functools import cache

from synthetic_cell import Block, render_cell

from pan3d_core.config import ConsistencyConfig, ModelConfig, PipelineConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.teaching import TaughtLibrary, show_object

BLUE = Block((-0.05, 0.05, 0.03), (0.10, 0.05, 0.06), (0.1, 0.2, 0.8))
ELSEWHERE = Block((0.12, 0.12, 0.03), (0.05, 0.10, 0.06), (0.1, 0.2, 0.8))
RED, LONG_BLUE = (
    Block((-0.12, -0.10, 0.03), (0.10, 0.05, 0.06), (0.8, 0.15, 0.1)),
    Block((0.05, -0.12, 0.02), (0.16, 0.03, 0.04), (0.15, 0.3, 0.75)),
)
CANDIDATES = [ELSEWHERE, RED, LONG_BLUE]
CONFIG = PipelineConfig(
    model=ModelConfig(name="depth_clusters"),
    workspace=WorkspaceConfig(support_height_m=0.0),
    consistency=ConsistencyConfig(enabled=False),
)


@cache
def engine():
    return build_engine(CONFIG.model)


def cell_of(blocks, num_views=4, width=160, height=120):
    return render_cell(list(blocks), num_views=num_views, width=width, height=height)


def seen_of(blocks, library=None, num_views=4, without_poses=False):
    """What a pipeline with a library keeps of a table with these boxes."""
    views = cell_of(blocks, num_views).views
    if without_poses:
        views = [replace(view, cam_from_world=None) for view in views]
    pipeline = PerceptionPipeline(engine(), CONFIG)
    pipeline.use_library(library or TaughtLibrary())
    pipeline.process(views)
    return pipeline.shown()


def nearest_to(seen, block):
    """Id of the object at a box's place."""
    segments = seen.result.panoptic.segments
    return min(segments, key=lambda item: sum((float(a) - b) ** 2 for a, b in zip(item.centroid[:2], block.center))).instance_id


def taught(name="blue valve", block=BLUE):
    """An object as it is taught from a table with nothing else on it."""
    seen = seen_of([block])
    return show_object(seen, nearest_to(seen, block), name, "depth_clusters")
