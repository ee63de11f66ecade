"""All settings of the library, with their defaults, in one place.

YAML files and ROS parameters are views of these dataclasses, made from the fields: every field carries
`metadata` with `description`, and where they apply `range` (lowest, highest), `choices` and `read_only`
(fixed while a pipeline runs). Nothing else in the project repeats a default.
"""

from pan3d_core.config.answers import FingertipConfig, GraspConfig, GripperConfig, NamingConfig, ObjectsConfig, SuctionConfig
from pan3d_core.config.body import BodyConfig
from pan3d_core.config.lessons import LessonConfig
from pan3d_core.config.motion import MotionConfig
from pan3d_core.config.pipeline import (
    AlignConfig,
    CloudConfig,
    ConsistencyConfig,
    ImageLimits,
    KeyframeConfig,
    MemoryConfig,
    MergeConfig,
    ModelConfig,
    OutlineConfig,
    PipelineConfig,
    PlacementConfig,
    PreprocessConfig,
    TrackingConfig,
    WorkspaceConfig,
)
from pan3d_core.config.planning import PlanningConfig
from pan3d_core.config.rehearsal import RehearsalConfig

__all__ = [
    "AlignConfig",
    "BodyConfig",
    "CloudConfig",
    "ConsistencyConfig",
    "FingertipConfig",
    "GraspConfig",
    "GripperConfig",
    "ImageLimits",
    "KeyframeConfig",
    "LessonConfig",
    "MemoryConfig",
    "MergeConfig",
    "ModelConfig",
    "MotionConfig",
    "NamingConfig",
    "ObjectsConfig",
    "OutlineConfig",
    "PipelineConfig",
    "PlacementConfig",
    "PlanningConfig",
    "PreprocessConfig",
    "RehearsalConfig",
    "SuctionConfig",
    "TrackingConfig",
    "WorkspaceConfig",
]
