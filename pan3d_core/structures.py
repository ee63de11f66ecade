"""The dataclasses that cross stage boundaries.

Conventions (all of the project): `a_from_b` maps coordinates in frame b to frame a; camera frames have OpenCV axes (x right,
y down, z forward); lengths are metres; pixel (0, 0) is the *centre* of the top left pixel; images are RGB in 0..1; quaternions
carry their order in the name. Tensors are float32 unless a field says otherwise. All classes are frozen: a stage makes a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraFault, PoseRefused
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.labels import LabelSpace, TaughtFit

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Value = TypeVar("Value")


def to_device(value: T, device: torch.device | str) -> T:
    """Copy of a dataclass with every tensor field (nested dataclasses included) on `device`."""
    moved: dict[str, object] = {}
    for item in fields(value):
        if isinstance(content := getattr(value, item.name), Tensor):
            moved[item.name] = content.to(device)
        elif isinstance(content, (Gaussians, Reconstruction, InstanceSet, Panoptic3D)):
            moved[item.name] = to_device(content, device)
    return replace(value, **moved)


def present(name: str, value: Value | None) -> Value:
    """Return an optional value that must be there.

    Raises:
        ValueError: It is None; `name` says what is missing.
    """
    if value is None:
        raise ValueError(f"{name}: expected a value, got none")
    return value


def require_shape(name: str, tensor: Tensor, expected: tuple[int | None, ...]) -> None:
    """Raise `ValueError` naming the field unless `tensor` has `expected` shape (None = any size)."""
    shape = tuple(tensor.shape)
    if len(shape) != len(expected) or any(e is not None and e != s for e, s in zip(expected, shape)):
        wanted = ", ".join("any" if e is None else str(e) for e in expected)
        raise ValueError(f"{name}: expected shape ({wanted}), got {shape}")


@dataclass(frozen=True)
class CameraView:
    """One image of one camera, as the robot gives it: original resolution, already undistorted."""

    image: Tensor  # (3, H, W) RGB: floating point in 0..1, or uint8 in 0..255 as cameras give it
    intrinsics: Tensor | None = None  # (3, 3) pixels of this image, or None when unknown
    cam_from_world: Tensor | None = None  # (4, 4) metres, or None when unknown
    depth: Tensor | None = None  # (H, W) z-depth in metres, 0 = no measurement
    stamp_ns: int = 0  # time of exposure
    frame_id: str = "camera"  # name of the optical frame
    world_frame_id: str = "world"  # name of the frame that `cam_from_world` maps from
    camera: str = "camera"  # name of the camera, unique within a view set
    world_from_links: Tensor | None = None  # (L, 4, 4) metres: where the robot's links were then; None = unknown

    def __post_init__(self) -> None:
        require_shape("CameraView.image", self.image, (3, None, None))
        if not (self.image.is_floating_point() or self.image.dtype == torch.uint8):
            raise ValueError(f"CameraView.image: expected floating point (0..1) or uint8 (0..255), got {self.image.dtype}")
        if self.intrinsics is not None:
            require_shape("CameraView.intrinsics", self.intrinsics, (3, 3))
            focal = self.intrinsics.diagonal()[:2]
            if not bool(torch.isfinite(self.intrinsics).all()) or not bool((focal > 0).all()):
                raise CalibrationRefused(f"CameraView.intrinsics: expected finite, positive focal lengths, got {focal.tolist()}")
        if self.cam_from_world is not None:
            require_shape("CameraView.cam_from_world", self.cam_from_world, (4, 4))
            if not bool(torch.isfinite(self.cam_from_world).all()):
                raise PoseRefused("CameraView.cam_from_world: expected finite values, got NaN or infinity")
        if self.depth is not None:
            require_shape("CameraView.depth", self.depth, self.hw)
        if self.world_from_links is not None:
            require_shape("CameraView.world_from_links", self.world_from_links, (None, 4, 4))

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[1], self.image.shape[2]

    def calibration(self) -> tuple[Tensor, Tensor]:
        """(3, 3) intrinsics and (4, 4) `cam_from_world`. Raises `ValueError` where one of them is unknown."""
        if self.intrinsics is None or self.cam_from_world is None:
            missing = " and ".join(name for name in ("intrinsics", "cam_from_world") if getattr(self, name) is None)
            raise ValueError(f"view {self.camera}: expected {missing}, got none")
        return self.intrinsics, self.cam_from_world


def unit_range(image: Tensor) -> Tensor:
    """A `CameraView.image` as float32 in 0..1, whichever of its two forms it has."""
    return image.float() / 255.0 if image.dtype == torch.uint8 else image.float()


@dataclass(frozen=True)
class ViewBatch:
    """S views at network size (h, w), made by `preprocess`."""

    images: Tensor  # (S, 3, h, w) RGB in 0..1
    intrinsics: Tensor | None  # (S, 3, 3) pixels at (h, w), or None when any view lacks them
    cam_from_world: Tensor | None  # (S, 4, 4) metres, or None when any view lacks it (see `known_poses`)
    depth: Tensor | None  # (S, h, w) sensor z-depth in metres, 0 = none, or None when no view has it
    stamps_ns: tuple[int, ...]
    cameras: tuple[str, ...]
    original_hw: tuple[tuple[int, int], ...]
    network_from_original: Tensor  # (S, 3, 3) maps original pixels to network pixels
    world_frame_id: str = "world"
    # World height (metres along world z) of the surface that objects stand on; None when unknown.
    support_height_m: float | None = None
    # (4, 4) metres or None for every view where some have a pose and some lack it; otherwise empty.
    known_poses: tuple[Tensor | None, ...] = ()
    world_from_links: tuple[Tensor | None, ...] = ()  # of every view as in `CameraView`; empty = of none

    @property
    def posed(self) -> tuple[int, ...]:
        """The views with a pose where some lack it."""
        return tuple(index for index, pose in enumerate(self.known_poses) if pose is not None)

    @property
    def num_views(self) -> int:
        return self.images.shape[0]

    @property
    def hw(self) -> tuple[int, int]:
        return self.images.shape[-2], self.images.shape[-1]

    def select(self, chosen: Sequence[int]) -> ViewBatch:
        """The batch of these views only."""
        rows = list(chosen)
        return replace(
            self,
            images=self.images[rows],
            intrinsics=None if self.intrinsics is None else self.intrinsics[rows],
            cam_from_world=None if self.cam_from_world is None else self.cam_from_world[rows],
            depth=None if self.depth is None else self.depth[rows],
            stamps_ns=tuple(self.stamps_ns[index] for index in rows),
            cameras=tuple(self.cameras[index] for index in rows),
            original_hw=tuple(self.original_hw[index] for index in rows),
            network_from_original=self.network_from_original[rows],
            known_poses=tuple(self.known_poses[index] for index in rows) if self.known_poses else (),
            world_from_links=tuple(self.world_from_links[index] for index in rows) if self.world_from_links else (),
        )


@dataclass(frozen=True)
class Gaussians:
    """A 3D Gaussian scene in the world frame of the reconstruction that made it."""

    means: Tensor  # (N, 3) metres
    scales: Tensor  # (N, 3) metres, standard deviations
    quats_wxyz: Tensor  # (N, 4) of any length but 0
    opacities: Tensor  # (N,) 0..1
    colors: Tensor  # (N, 3) RGB 0..1, or (N, K, 3) coefficients of K = 1, 4, 9, ... harmonics, see `harmonic_colors`
    semantic_features: Tensor | None = None  # (N, F)
    instance_features: Tensor | None = None  # (N, G)

    def __post_init__(self) -> None:
        require_shape("Gaussians.means", self.means, (None, 3))
        count = len(self.means)
        require_shape("Gaussians.scales", self.scales, (count, 3))
        require_shape("Gaussians.quats_wxyz", self.quats_wxyz, (count, 4))
        require_shape("Gaussians.opacities", self.opacities, (count,))
        require_shape("Gaussians.colors", self.colors, (count, 3) if self.colors.ndim == 2 else (count, None, 3))
        for name in ("semantic_features", "instance_features"):
            if getattr(self, name) is not None:
                require_shape(f"Gaussians.{name}", getattr(self, name), (count, None))

    def __len__(self) -> int:
        return len(self.means)

    def select(self, rows: Tensor) -> Gaussians:
        """The Gaussians of these rows only: (M,) indices or (N,) bool."""
        return Gaussians(
            means=self.means[rows],
            scales=self.scales[rows],
            quats_wxyz=self.quats_wxyz[rows],
            opacities=self.opacities[rows],
            colors=self.colors[rows],
            semantic_features=None if self.semantic_features is None else self.semantic_features[rows],
            instance_features=None if self.instance_features is None else self.instance_features[rows],
        )


@dataclass(frozen=True)
class Reconstruction:
    """Geometry of S views at network size."""

    depth: Tensor  # (S, h, w) z-depth; metres when `is_metric`, otherwise an unknown common unit
    depth_conf: Tensor  # (S, h, w) raw network confidence, not a probability; larger = surer
    intrinsics: Tensor  # (S, 3, 3) pixels at (h, w)
    cam_from_world: Tensor  # (S, 4, 4)
    is_metric: bool
    metric_scale: float = 1.0  # factor that was applied to reach metres
    alignment_residual_m: float | None = None  # RMS camera position error after alignment, None = not aligned
    alignment: str = ""  # how metres were reached, or why they were not
    gaussians: Gaussians | None = None

    @property
    def world_from_cam(self) -> Tensor:
        """(S, 4, 4)."""
        return invert_rigid(self.cam_from_world)

    @property
    def world_points(self) -> Tensor:
        """(S, h, w, 3) points of every pixel in the world frame."""
        return unproject_depth(self.depth, self.intrinsics, self.cam_from_world)


@dataclass(frozen=True)
class InstanceSet:
    """Raw instances of an engine, one row per query, before the panoptic merge."""

    mask_logits: Tensor  # (Q, S, hm, wm); any mask resolution, logit > 0 means inside
    class_logits: Tensor | None  # (Q, C + 1), last column = no object; None when the engine names nothing
    scores: Tensor  # (Q,) 0..1
    labels: LabelSpace
    text_embeddings: Tensor | None = None  # (Q, E) unit vectors aligned with the text encoder


@dataclass(frozen=True)
class Segment:
    """One object of a `Panoptic3D`."""

    instance_id: int  # > 0, stable over time once tracked
    class_id: int  # index into `labels.names`; -1 = unnamed
    class_score: float  # 0..1 probability of `class_id`
    score: float  # 0..1 probability that this is one object
    num_points: int
    num_views: int
    centroid: Tensor  # (3,) metres, world
    box: OrientedBox
    color_rgb: Tensor  # (3,) median colour, 0..1
    text_embedding: Tensor | None = None  # (E,) unit vector
    position_covariance: Tensor | None = None  # (3, 3) m^2 of the box's centre, world; None = unknown
    size_sigma_m: Tensor | None = None  # (3,) standard deviations of the box's sides; None = unknown
    taught: tuple[TaughtFit, ...] = ()  # with each object that was taught by name; empty = with none


@dataclass(frozen=True)
class Panoptic3D:
    """The scene, every pixel and point owned by at most one instance."""

    semantic_id: Tensor  # (S, h, w) int64, index into `labels.names`, -1 = none
    instance_id: Tensor  # (S, h, w) int64, 0 = none
    segments: tuple[Segment, ...]
    points: Tensor  # (N, 3) metres, world
    point_colors: Tensor  # (N, 3) RGB 0..1
    point_instance_id: Tensor  # (N,) int64, 0 = none
    point_normals: Tensor  # (N, 3) unit, facing the camera that saw the point
    labels: LabelSpace
    stamp_ns: int = 0
    world_frame_id: str = "world"

    def segment(self, instance_id: int) -> Segment:
        """The segment with this id; `KeyError` lists the known ids."""
        for item in self.segments:
            if item.instance_id == instance_id:
                return item
        raise KeyError(f"instance_id: expected one of {[s.instance_id for s in self.segments]}, got {instance_id}")


@dataclass(frozen=True)
class SupportHeight:
    """Where the surface that objects stand on was seen."""

    height_m: float  # world z
    sigma_m: float  # standard deviation
    places: int  # that were seen on it
    by_depth: bool  # measured by sensors; else by rays that meet
    wide: bool  # seen over an area; else a small thing's top or a line across a wall may have been taken for it


@dataclass(frozen=True)
class PoseConsistency:
    """Whether camera poses, and the support's height, agree with what the pictures show."""

    cameras: tuple[str, ...]  # of all given views, in their order
    figures: tuple[float | None, ...]  # 0..1: share of what a view sees with others that lies where poses put it; None = unknown
    left_out: tuple[str, ...] = ()  # cameras whose poses are refuted while others agree
    reasons: tuple[str, ...] = ()  # same length as `left_out`
    contradiction: str = ""  # why poses or support height are not believed, with the likely fault; empty = they are not refuted
    doubts: tuple[str, ...] = ()  # smaller disagreements, in words
    support: SupportHeight | None = None  # as seen; None = too little was
    unchecked: tuple[str, ...] = ()  # in words: which pose, or the given height, the pictures neither confirm nor doubt

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that a person should know of it."""
        return (*(f"{camera} is left out: {reason}" for camera, reason in zip(self.left_out, self.reasons)), *self.doubts)


@dataclass(frozen=True)
class PerceptionResult:
    """What is known after one view set."""

    reconstruction: Reconstruction
    panoptic: Panoptic3D
    views: ViewBatch
    timings_ms: dict[str, float]  # stage -> wall time; "total" is their sum
    warnings: tuple[str, ...] = ()
    finds_objects: bool = True  # False: the engine looks for none, so no segments says nothing about the scene
    consistency: PoseConsistency | None = None  # of all given views; None = not compared
    outlines_fused: bool = False  # objects have the outlines of measured depth and the network's names and scores
    found_support: SupportHeight | None = None  # whose height was used because none was given
    body_pixels: Tensor | None = None  # (S, h, w) bool: they show the robot itself; None = not known
    left_out: tuple[CameraFault, ...] = ()  # cameras that could not be used; of refuted poses `consistency` tells

    @property
    def is_metric(self) -> bool:
        """Whether lengths are metres in the robot's world; without that no grasp may be offered."""
        return self.reconstruction.is_metric


@dataclass(frozen=True)
class GraspTarget:
    """A grasp. Its frame: origin between the pads' tips, or in a suction cup's lip on the surface; +z approaches, +x closes."""

    instance_id: int
    class_id: int
    score: float  # 0..1
    world_from_grasp: Tensor  # (4, 4)
    width_m: float  # opening that the object needs: its width and clearance on both sides; 0 for a suction cup
    pregrasp_distance_m: float  # retreat along -z from which the approach is free
    box: OrientedBox
    stamp_ns: int = 0
    world_frame_id: str = "world"
    opening_m: float = 0.0  # to approach with: as wide as there is room for the fingers; 0 = `width_m`
    object_width_m: float = 0.0  # of the object between the pads; 0 = unknown
    depth_m: float = 0.0  # that the finger tips are past the surface under the pads, along the approach
    kind: str = "parallel"  # of the gripper: parallel or suction
