"""Multi-view panoptic 3D perception for robots: images in, metric instances and grasps out."""

from pan3d_core.runtime.lazy import attributes

# The one place of the version: pyproject.toml reads it, package.xml repeats its release part.
__version__ = "0.2.0.dev0"

# Loaded on first use, so that `pan3d --help` does not wait for torch.
_HOMES = {
    "CameraView": "structures",
    "ViewBatch": "structures",
    "Reconstruction": "structures",
    "InstanceSet": "structures",
    "Panoptic3D": "structures",
    "PerceptionResult": "structures",
    "Segment": "structures",
    "GraspTarget": "structures",
    "PipelineConfig": "config",
    "PerceptionPipeline": "pipeline",
    "reconstruct": "reconstruction",
    "refine_scene": "refine.run",
    "build_engine": "engines",
    "resolve_prompt": "language.prompts",
    "Selection": "language.selection",
    "select_by_box": "language.selection",
    "select_by_id": "language.selection",
    "select_by_pixels": "language.selection",
    "select_by_point": "language.selection",
    "select_by_prompt": "language.selection",
    "select_grasps": "grasping.planner",
}
__all__ = list(_HOMES)

__getattr__ = attributes(__name__, _HOMES)
