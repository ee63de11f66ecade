"""One scene optimised from calibrated views with 2D labels to Gaussians with objects; knows no engine: labels are handed in."""

from pan3d_core.refine.checkpoints import CheckpointProblem
from pan3d_core.refine.first_map.initialise import SurfaceSettings, gaussians_from_depth, gaussians_from_reconstruction
from pan3d_core.refine.first_map.queries import QuerySettings
from pan3d_core.refine.optimise import Refinement, RefinementDiverged, StepReport
from pan3d_core.refine.run import (
    EndRefining,
    FirstSurfaces,
    RefinedResult,
    RefineProgress,
    SceneSettings,
    refine_scene,
)
from pan3d_core.refine.schedule import EarlyStop, RefineSettings

__all__ = [
    "CheckpointProblem",
    "EarlyStop",
    "EndRefining",
    "FirstSurfaces",
    "QuerySettings",
    "RefineProgress",
    "RefineSettings",
    "RefinedResult",
    "Refinement",
    "RefinementDiverged",
    "SceneSettings",
    "StepReport",
    "SurfaceSettings",
    "gaussians_from_depth",
    "gaussians_from_reconstruction",
    "refine_scene",
]
