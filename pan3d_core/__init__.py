"""Multi-view panoptic 3D perception for robots: images in, metric instances and grasps out."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_core.config import PipelineConfig as PipelineConfig
    from pan3d_core.engines import build_engine as build_engine
    from pan3d_core.grasping.planner import select_grasps as select_grasps
    from pan3d_core.language.prompts import resolve_prompt as resolve_prompt
    from pan3d_core.language.selection import Selection as Selection
    from pan3d_core.language.selection import select_by_box as select_by_box
    from pan3d_core.language.selection import select_by_id as select_by_id
    from pan3d_core.language.selection import select_by_pixels as select_by_pixels
    from pan3d_core.language.selection import select_by_point as select_by_point
    from pan3d_core.language.selection import select_by_prompt as select_by_prompt
    from pan3d_core.pipeline import PerceptionPipeline as PerceptionPipeline
    from pan3d_core.reconstruction import reconstruct as reconstruct
    from pan3d_core.refine.run import refine_scene as refine_scene
    from pan3d_core.structures import CameraView as CameraView
    from pan3d_core.structures import GraspTarget as GraspTarget
    from pan3d_core.structures import InstanceSet as InstanceSet
    from pan3d_core.structures import Panoptic3D as Panoptic3D
    from pan3d_core.structures import PerceptionResult as PerceptionResult
    from pan3d_core.structures import Reconstruction as Reconstruction
    from pan3d_core.structures import Segment as Segment
    from pan3d_core.structures import ViewBatch as ViewBatch

# The one place of the version: pyproject.toml reads it, ros/package.xml repeats its release part.
__version__ = "0.2.0.dev0"

# Loaded on first use, so that `pan3d --help` does not wait for torch.
_NAMES = {
    "structures": (
        "CameraView",
        "ViewBatch",
        "Reconstruction",
        "InstanceSet",
        "Panoptic3D",
        "PerceptionResult",
        "Segment",
        "GraspTarget",
    ),
    "config": ("PipelineConfig",),
    "pipeline": ("PerceptionPipeline",),
    "reconstruction": ("reconstruct",),
    "refine.run": ("refine_scene",),
    "engines": ("build_engine",),
    "language.prompts": ("resolve_prompt",),
    "language.selection": (
        "Selection",
        "select_by_box",
        "select_by_id",
        "select_by_pixels",
        "select_by_point",
        "select_by_prompt",
    ),
    "grasping.planner": ("select_grasps",),
}
__all__ = [name for names in _NAMES.values() for name in names]

__getattr__ = attributes(__name__, _NAMES)
