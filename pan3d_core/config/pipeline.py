"""Settings of the stages of a view set, and all settings together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pan3d_core.config.answers import GraspConfig, NamingConfig, ObjectsConfig
from pan3d_core.config.body import BodyConfig
from pan3d_core.settings import ANGLE_DEG, SHARE, Checked, group, nested_names, read_settings, read_yaml, setting, to_plain


@dataclass(frozen=True)
class ModelConfig(Checked):
    """Which engine runs, with which weights, where."""

    name: str = setting(
        "pan3d-mini",
        "engine: pan3d-mini, pan3d-mini-fast3dis, pan3d-mini-eps3d, eps3d, fast3dis, segvggt, da3 and mapanything "
        "(no objects), or depth_clusters",
        read_only=True,
    )
    weights: str = setting("", "checkpoint file; empty = the one that comes with the engine", read_only=True)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N", read_only=True)
    precision: str = setting(
        "float32", "number format of the network", choices=("float32", "bfloat16", "float16"), read_only=True
    )
    runtime: str = setting(
        "auto",
        "what runs the network; auto: the fastest of those that are installed and that pan3d export has prepared, else torch",
        choices=("auto", "torch", "onnxruntime", "openvino", "tensorrt"),
        read_only=True,
    )
    threads: int = setting(0, "CPU threads of the network; 0 = the engine's own choice", range=(0, 256), read_only=True)
    min_score: float = setting(0.3, "instances below this probability are dropped", range=SHARE)
    nms_iou: float = setting(0.5, "of two instances whose masks overlap more than this, the better stays", range=SHARE)
    max_instances: int = setting(64, "most instances kept per frame set", range=(1, 1000))
    readout: str = setting(
        "cells", "objects of EPS3D: by cells of the image, or by HDBSCAN on pixels as published", choices=("cells", "pixels")
    )


@dataclass(frozen=True)
class PreprocessConfig(Checked):
    """How images reach network size. Owned by the engine: `engine.facts.preprocess`."""

    height: int = setting(112, "network height in pixels; in width mode the largest height", range=(14, 4096))
    width: int = setting(144, "network width in pixels", range=(14, 4096))
    mode: str = setting(
        "cover",
        "whole: cut nothing, in a frame of the picture's shape; cover: fill height x width and cut the rest; "
        "width: VGGT's crop rule; pad: VGGT's pad rule; longest: Depth Anything 3's",
        choices=("whole", "cover", "width", "pad", "longest"),
    )
    multiple: int = setting(14, "all modes but cover: free sides are rounded to a multiple of this", range=(1, 64))
    resample: str = setting(
        "area",
        "area: antialiased; bicubic: Pillow's; lanczos: OpenCV's; opencv: OpenCV's area, cubic where a side grows",
        choices=("area", "bicubic", "lanczos", "opencv"),
    )


@dataclass(frozen=True)
class WorkspaceConfig(Checked):
    """What is known about the place before any image comes."""

    support_height_m: float | None = setting(
        None, "world z of the surface that objects stand on; none = unknown", range=(-100.0, 100.0)
    )
    find_support: bool = setting(True, "where that height is unknown and poses are known, take that at which views see a surface")
    freeze_support: bool = setting(False, "keep the height that was found last while this is on, instead of looking for it anew")
    lower_m: tuple[float, ...] = setting((), "lowest x y z of the volume of interest in the world; empty = unlimited")
    upper_m: tuple[float, ...] = setting((), "highest x y z of the volume of interest in the world; empty = unlimited")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lower_m", "upper_m"):
            if len(getattr(self, name)) not in (0, 3):
                raise ValueError(f"WorkspaceConfig.{name}: expected no or 3 numbers, got {len(getattr(self, name))}")
        if any(low >= high for low, high in zip(self.lower_m, self.upper_m)):
            raise ValueError(f"WorkspaceConfig.upper_m: expected more than lower_m {self.lower_m}, got {self.upper_m}")


@dataclass(frozen=True)
class AlignConfig(Checked):
    """How a reconstruction becomes metric and moves into the world frame."""

    depth_source: str = setting(
        "fused",
        "model: the network's depth, scaled by the sensor where there is one; sensor: only measured depth; "
        "fused: measured depth, the network's where nothing was measured",
        choices=("model", "sensor", "fused"),
    )
    max_residual_fraction: float = setting(
        0.1, "largest camera position error after alignment, as a fraction of the cameras' spread", range=SHARE
    )
    min_baseline_m: float = setting(0.02, "smallest spread of the cameras that fixes the scale", range=(0.0, 10.0))
    min_depth_pixels: int = setting(100, "fewest measured pixels that fix the scale", range=(1, 1_000_000))
    max_depth_spread: float = setting(
        0.25, "largest spread (median absolute deviation of the log ratio) of sensor against model depth", range=(0.0, 2.0)
    )
    max_sensor_depth_m: float = setting(5.0, "measured depth beyond this is ignored", range=(0.01, 1000.0))
    max_scene_depth_m: float = setting(
        30.0, "camera poses that put the scene or each other farther away are refused as another unit", range=(0.01, 1e6)
    )


@dataclass(frozen=True)
class ConsistencyConfig(Checked):
    """Whether camera poses agree with what the pictures show, by places that several views see."""

    enabled: bool = setting(True, "compare camera poses with what the pictures show")
    every: int = setting(
        150,
        "view sets from one comparison, which is spread over them, to the next, twice as many where pictures from above are"
        " needed; refuted poses are compared with each",
        range=(1, 100_000),
    )
    picture_side: int = setting(480, "longer side of the compared pictures in pixels", range=(64, 4096))
    features: int = setting(500, "most places compared per picture", range=(50, 10_000))
    tolerance_deg: float = setting(0.25, "a place fits when its rays miss each other by less than this", range=(0.01, 5.0))
    min_matches: int = setting(12, "fewest places that say anything about a camera", range=(6, 10_000))
    warn_below: float = setting(0.75, "a camera of which less than this share of places fits is warned of", range=(0.0, 1.0))
    refuse_below: float = setting(
        0.5, "a camera of which less than this share of places fits is left out, or metres are refused", range=(0.0, 1.0)
    )
    support_warn_m: float = setting(
        0.01, "a support height that is off by more from where the support is seen is warned of", range=(0.001, 100.0)
    )
    support_refuse_m: float = setting(0.05, "metres are refused from this difference on", range=(0.001, 100.0))


@dataclass(frozen=True)
class PlacementConfig(Checked):
    """Correction of each instance's depth with its masks in the other calibrated views."""

    MOVED: ClassVar[Mapping[str, str]] = {"mask_threshold": "merge.mask_threshold"}  # a pixel is in a mask or not, for all stages

    enabled: bool = setting(True, "correct the placement of instances with their masks in other views")
    search_fraction: float = setting(0.2, "depths tried around the predicted one, as a fraction of it", range=(0.01, 0.5))
    num_hypotheses: int = setting(21, "depths tried per ray", range=(5, 257))
    min_baseline_deg: float = setting(
        8.0, "views whose rays to the instance meet at a smaller angle do not correct each other", range=(0.0, 90.0)
    )


@dataclass(frozen=True)
class OutlineConfig(Checked):
    """Objects cut out of measured depth: what counts as one, and whether a network's objects get these outlines."""

    from_depth: bool = setting(
        True, "where calibrated views carry measured depth, outlines come from it and names, scores and splits from the network"
    )
    detail_rows: int = setting(
        224, "depth is taken at the least multiple of the network's size with so many rows", range=(1, 4096)
    )
    voxel_m: float = setting(0.006, "objects this far apart, at least, are two", range=(0.001, 0.1))
    clearance_m: float = setting(
        0.003, "least height above the support that counts as object; noise of the support raises it", range=(0.0, 0.1)
    )
    min_points: int = setting(60, "surfaces with fewer measured pixels are no objects", range=(4, 100_000))
    max_extent_m: float = setting(0.5, "wider surfaces (walls, arms) are no objects", range=(0.01, 10.0))
    max_gap_m: float = setting(0.25, "surfaces that begin higher above the support are no objects on it", range=(0.0, 10.0))


@dataclass(frozen=True)
class MergeConfig(Checked):
    """From masks and depth to objects."""

    mask_threshold: float = setting(0.5, "mask probability from which a pixel is in a mask, for all stages", range=(0.05, 0.95))
    min_points: int = setting(30, "instances with fewer points are dropped", range=(4, 100_000))
    edge_fraction: float = setting(
        0.03, "pixels where depth jumps by more than this fraction to a neighbour are dropped", range=(0.001, 1.0)
    )
    trim_fraction: float = setting(0.02, "share of points cut at each end of each axis of an instance's box", range=(0.0, 0.2))
    outlier_fraction: float = setting(
        0.5,
        "an instance's points further outside the middle 90 % of it than this fraction of that range are dropped",
        range=(0.0, 10.0),
    )
    min_part_share: float = setting(
        0.15,
        "parts of an instance that are apart from the rest are dropped when they have less than this share of the points "
        "of its largest part; 0 = keep all",
        range=SHARE,
    )
    support_clearance_m: float = setting(0.004, "points lower above the support belong to no instance", range=(-0.1, 0.1))


@dataclass(frozen=True)
class CloudConfig(Checked):
    """The published point cloud."""

    voxel_size_m: float = setting(0.003, "one point per cell of this size; 0 = every pixel", range=(0.0, 1.0))
    max_points: int = setting(150_000, "most points; more are thinned evenly", range=(100, 10_000_000))
    min_confidence: float = setting(0.0, "pixels of lower raw depth confidence are dropped", range=(0.0, 1e6))
    max_range_m: float = setting(4.0, "points further from their camera are dropped (only when metric)", range=(0.05, 1000.0))


@dataclass(frozen=True)
class TrackingConfig(Checked):
    """Names that stay with objects over time."""

    enabled: bool = setting(True, "keep instance ids over time")
    max_distance_m: float = setting(0.08, "an object that moved further between updates is a new one", range=(0.0, 10.0))
    min_similarity: float = setting(0.3, "lowest similarity (box, place, colour, meaning) of the same object", range=SHARE)
    max_lost_s: float = setting(5.0, "an object unseen for longer is forgotten", range=(0.0, 3600.0))


@dataclass(frozen=True)
class MemoryConfig(Checked):
    """What is remembered of objects that are not seen. `tracking.enabled` switches it off together with ids."""

    remember_s: float = setting(600.0, "objects hidden, gone or outside all views are forgotten after this", range=(0.0, 1e7))
    max_objects: int = setting(256, "most objects remembered; those seen longest ago are forgotten", range=(1, 100_000))
    surface_points: int = setting(1024, "most points of an object's fused surface", range=(16, 100_000))
    margin_m: float = setting(0.02, "depth this near, or within 3 %, neither hides a place nor shows it empty", range=(0.0, 1.0))
    gone_after: int = setting(3, "view sets in a row that show an object's place empty, until it is gone", range=(1, 1000))
    min_likeness: float = setting(0.6, "least likeness (size, colour, meaning) of an object found elsewhere", range=SHARE)
    moved_m: float = setting(0.03, "an object whose middle is further from where it rested has moved", range=(0.0, 1.0))
    settle_s: float = setting(1.0, "an object counts as moved for this time after its last movement", range=(0.0, 3600.0))
    space_cell_m: float = setting(0.025, "cells of free and unknown space; 0 = none", range=(0.0, 0.5), read_only=True)


@dataclass(frozen=True)
class KeyframeConfig(Checked):
    """Which view sets of a moving camera are reconstructed together."""

    enabled: bool = setting(False, "collect keyframes of a moving camera; off = every set of a fixed rig alone")
    window_size: int = setting(4, "views reconstructed together", range=(1, 64))
    min_views: int = setting(2, "fewest views worth reconstructing", range=(1, 64))
    min_translation_m: float = setting(0.05, "a keyframe is taken after this movement", range=(0.0, 10.0))
    min_rotation_deg: float = setting(5.0, "a keyframe is taken after this turn", range=ANGLE_DEG)
    max_interval_s: float = setting(2.0, "a standing camera renews its newest keyframe after this time", range=(0.0, 3600.0))


@dataclass(frozen=True)
class ImageLimits(Checked):
    """What is refused before any work is done on it; a picture's size is read from its header, before it is decoded."""

    max_pixels: int = setting(50_000_000, "pictures with more pixels are refused", range=(1, 1_000_000_000))
    max_aspect: float = setting(20.0, "pictures whose longer side is more times the shorter", range=(1.0, 10_000.0))
    max_views: int = setting(1000, "views that are looked at together", range=(1, 100_000))


@dataclass(frozen=True)
class PipelineConfig(Checked):
    """Everything; the names of its groups are the first part of the dotted parameter names."""

    model: ModelConfig = group(ModelConfig, "engine")
    workspace: WorkspaceConfig = group(WorkspaceConfig, "place")
    align: AlignConfig = group(AlignConfig, "metres")
    body: BodyConfig = group(BodyConfig, "the robot itself")
    consistency: ConsistencyConfig = group(ConsistencyConfig, "poses against pictures")
    placement: PlacementConfig = group(PlacementConfig, "placement of instances")
    outlines: OutlineConfig = group(OutlineConfig, "outlines from measured depth")
    merge: MergeConfig = group(MergeConfig, "objects")
    cloud: CloudConfig = group(CloudConfig, "point cloud")
    tracking: TrackingConfig = group(TrackingConfig, "ids over time")
    memory: MemoryConfig = group(MemoryConfig, "objects that are not seen")
    keyframe: KeyframeConfig = group(KeyframeConfig, "moving cameras")
    grasp: GraspConfig = group(GraspConfig, "grasps")
    naming: NamingConfig = group(NamingConfig, "words")
    objects: ObjectsConfig = group(ObjectsConfig, "taught objects")
    limits: ImageLimits = group(ImageLimits, "what is refused before work")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PipelineConfig:
        """Nested names to values; missing ones keep their default, unknown ones raise `ValueError`."""
        return read_settings(cls, values)

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> PipelineConfig:
        """Dotted names ("merge.min_points") to values, as ROS parameters have them."""
        return read_settings(cls, nested_names(values))

    @classmethod
    def from_yaml(cls, path: str | Path) -> PipelineConfig:
        """Read a YAML file with the nesting of `to_dict`. Raises `FileNotFoundError`, or `ValueError` naming file and field."""
        content = read_yaml(path, "settings")
        try:
            return cls.from_dict(content)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain nested dict (tuples as lists) that `from_dict` reads back."""
        plain: dict[str, Any] = to_plain(self)
        return plain
