"""EPS3D (Zhu et al. 2026): views without poses -> 3D Gaussians with colour, text-aligned semantics and instance features.

A VGGT gives cameras and depth; three heads read its tokens and the images; pixels become Gaussians by voxels
(`gaussians`). AnySplat (Jiang et al. 2025), whose weights it starts from, is the same network with the first head alone.
Rendering is `pan3d_core.rendering`, objects are read from rendered instance features by `readout`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.eps3d.gaussians import RAW_CHANNELS, VoxelAverage, gaussians_from_raw, voxel_grid
from pan3d_core.models.eps3d.heads import ImageDpt, Sem2Ins, TextDecoder
from pan3d_core.models.vggt.network import VGGT, VggtOutput, vggt_1b
from pan3d_core.rendering.rasterizer import UNITLESS_RASTER, rasterize
from pan3d_core.runtime.weights import assign_weights, family_of, read_weights
from pan3d_core.structures import Gaussians, require_shape

PARTS = ("gaussians", "semantics", "instances")
HARMONICS_DEGREE = 4
FEATURES = 32  # semantic and instance channels
VOXEL_SIZE = 0.002  # in the scene's unit; AnySplat's published training
OFFICIAL_PREFIXES = (
    ("vggt.", "encoder."),
    ("gaussian_head.", "encoder.gaussian_param_head."),
    ("semantic_head.", "encoder.gaussian_feature_param_head."),
    ("instance_head.", "encoder.gaussian_instance_param_head."),
    ("sem2ins.", "encoder.sem2ins_fusion."),
    ("text_decoder.expand.", "decoder.feature_expansion.1."),
)
# Frozen copies of the teacher, which training alone needs.
IGNORED_PREFIXES = ("encoder.distill_aggregator.", "encoder.distill_camera_head.", "encoder.distill_depth_head.")


def official_name(name: str) -> str:
    """Return the name in the published checkpoints, AnySplat's and EPS3D's, of the parameter `name` of `Eps3d`."""
    for prefix, official in OFFICIAL_PREFIXES:
        if name.startswith(prefix):
            return official + name.removeprefix(prefix)
    raise ValueError(f"name: expected a parameter of Eps3d, got {name!r}")


def raw_channels(degree: int = HARMONICS_DEGREE) -> int:
    """Channels of the Gaussian head: raw Gaussian with colour harmonics up to `degree`, and the confidence last."""
    return RAW_CHANNELS + 3 * (degree + 1) ** 2 + 1


@dataclass(frozen=True)
class PanopticHeads:
    """What EPS3D has beyond AnySplat."""

    semantic: ImageDpt
    instance: ImageDpt
    sem2ins: Sem2Ins
    text_decoder: TextDecoder


@dataclass(frozen=True)
class Eps3dOutput:
    """Predictions for (B, S) views; lengths in one unknown unit per scene, world = first camera."""

    geometry: VggtOutput
    gaussians: tuple[Gaussians, ...] = ()  # one per scene of the batch; empty when nobody asked


@dataclass(frozen=True)
class PanopticRendering:
    """C views of panoptic Gaussians; features are sums with the compositing weights, 0 where nothing was met."""

    colors: Tensor  # (C, 3, H, W) RGB
    semantics: Tensor  # (C, F, H, W)
    instances: Tensor  # (C, G, H, W)
    depth: Tensor  # (C, H, W) z
    opacity: Tensor  # (C, H, W) 0..1


def panoptic_features(gaussians: Gaussians) -> tuple[Tensor, Tensor]:
    """Return semantic (N, F) and instance (N, G) features; `ValueError` for Gaussians without."""
    semantics, instances = gaussians.semantic_features, gaussians.instance_features
    if semantics is None or instances is None:
        name = "semantic_features" if semantics is None else "instance_features"
        raise ValueError(f"Gaussians.{name}: expected features of every Gaussian, got none")
    return semantics, instances


def render_panoptic(
    gaussians: Gaussians, cam_from_world: Tensor, intrinsics: Tensor, image_hw: tuple[int, int]
) -> PanopticRendering:
    """Render colour, semantics and instance features in one pass, with EPS3D's settings.

    Args:
        gaussians: With semantic and instance features.
        cam_from_world: (C, 4, 4) in the unit of the Gaussians, OpenCV axes.
        intrinsics: (C, 3, 3) pixels, integers at pixel centres.
        image_hw: Rows and columns.

    Returns:
        C views.

    Raises:
        ValueError: The Gaussians lack semantic or instance features, or a shape is wrong.
    """
    both = panoptic_features(gaussians)
    made = rasterize(gaussians, cam_from_world, intrinsics, image_hw, both, settings=UNITLESS_RASTER)
    semantics, instances = made.features.split([part.shape[1] for part in both], 1)
    return PanopticRendering(made.colors, semantics, instances, made.depth, made.opacity)


class Eps3d(nn.Module):
    """The network; without `panoptic` heads it is AnySplat."""

    def __init__(
        self, vggt: VGGT, gaussian_head: ImageDpt, panoptic: PanopticHeads | None = None, *, voxel_size: float = VOXEL_SIZE
    ) -> None:
        super().__init__()
        self.voxel_size = voxel_size
        self.vggt = vggt
        self.gaussian_head = gaussian_head
        if panoptic is not None:
            self.semantic_head = panoptic.semantic
            self.instance_head = panoptic.instance
            self.sem2ins = panoptic.sem2ins
            self.text_decoder = panoptic.text_decoder

    @property
    def is_panoptic(self) -> bool:
        """Whether it has semantics and instances."""
        return "semantic_head" in self._modules

    def forward(
        self,
        images: Tensor,
        *,
        parts: Collection[str] | None = None,
        pixel_mask: Tensor | None = None,
        aggregator_dtype: torch.dtype | None = None,
    ) -> Eps3dOutput:
        """(B, S, 3, H, W) RGB 0..1 -> `Eps3dOutput`.

        `parts` of `PARTS` says what to compute (default: all that the network has); none leaves geometry alone, and instances
        need the semantic head, whose features are given only if asked for. Pixels where `pixel_mask` (B, S, H, W) bool is false
        make no Gaussians. `aggregator_dtype` as in `VGGT.features`; everything after the aggregator is float32. Raises
        `ValueError` for parts that are unknown or absent and for wrong shapes.
        """
        parts = self._checked_parts(parts)
        image_hw = (images.shape[-2], images.shape[-1])
        tokens = self.vggt.features(images, aggregator_dtype=aggregator_dtype)
        if pixel_mask is not None:
            require_shape("pixel_mask", pixel_mask, (*images.shape[:2], *image_hw))
        with torch.autocast(images.device.type, enabled=False):
            geometry = self.vggt.predict(tokens, image_hw)
            if not parts:
                return Eps3dOutput(geometry)
            cam_from_world, intrinsics = geometry.cameras()
            points = unproject_depth(geometry.depth, intrinsics, cam_from_world)
            scenes = []
            for index, frames in enumerate(images):
                of_scene = {layer: values[index : index + 1] for layer, values in tokens.items()}
                mask = None if pixel_mask is None else pixel_mask[index]
                scenes.append(self.scene_gaussians(of_scene, frames, points[index], parts, mask))
        return Eps3dOutput(geometry, tuple(scenes))

    def scene_gaussians(
        self,
        tokens: dict[int, Tensor],
        images: Tensor,
        points: Tensor,
        parts: Collection[str] = PARTS,
        pixel_mask: Tensor | None = None,
    ) -> Gaussians:
        """Gaussians of one scene: tokens {layer: (1, S, P, dim)}, images (S, 3, H, W), points (S, H, W, 3) of the pixels."""
        portions = self.portions(tokens, images, parts)
        if torch.is_grad_enabled():
            portions = iter([tuple(torch.cat(pieces) for pieces in zip(*portions))])
        return self.averaged(points, portions, parts, pixel_mask)

    def averaged(
        self, points: Tensor, portions: Iterable[tuple[Tensor, ...]], parts: Collection[str], pixel_mask: Tensor | None = None
    ) -> Gaussians:
        """Gaussians from points (S, H, W, 3) and what `portions` gives for the same pixels, which may be gone once the next is
        asked for."""
        grid = voxel_grid(points.flatten(0, 2), self.voxel_size, None if pixel_mask is None else pixel_mask.flatten())
        kinds = [kind for kind in ("semantics", "instances") if kind in parts]
        raw_width = self.gaussian_head.channels - 1
        average = VoxelAverage(len(grid), (3, raw_width, *(FEATURES for _ in kinds)), points)
        start, flat = 0, points.flatten(0, 2)
        for raw, *features in portions:
            rows = slice(start, start + len(raw))
            average.add(grid.voxel_of_point[rows], raw[:, -1], flat[rows], raw[:, :-1], *features)
            start = rows.stop
        means, raw, *features = average.averages()
        found = dict(zip(kinds, features))
        return gaussians_from_raw(means, raw, found.get("semantics"), found.get("instances"))

    def portions(self, tokens: dict[int, Tensor], images: Tensor, parts: Collection[str]) -> Iterator[tuple[Tensor, ...]]:
        """Per few frames: raw Gaussians with confidence (n H W, 84), then semantics and instances (n H W, 32) if asked for."""
        patch_size = self.vggt.aggregator.patch_embed.patch_size
        grid_hw = (images.shape[-2] // patch_size, images.shape[-1] // patch_size)
        heads = [self.gaussian_head]
        if "semantics" in parts or "instances" in parts:
            heads.append(self.semantic_head)
        if "instances" in parts:
            heads.append(self.instance_head)
        for maps in zip(*(head.chunks(tokens, images, grid_hw) for head in heads), strict=True):
            raw, *features = [values.permute(0, 2, 3, 1).flatten(0, 2) for values in maps]
            if "instances" in parts:
                features[1] = self.sem2ins(features[1], features[0])
            yield (raw, *features[0 if "semantics" in parts else 1 :])

    def _checked_parts(self, parts: Collection[str] | None) -> tuple[str, ...]:
        offered = PARTS if self.is_panoptic else PARTS[:1]
        asked = offered if parts is None else tuple(parts)
        absent = [part for part in asked if part not in offered]
        if absent:
            raise ValueError(f"parts: expected some of {', '.join(offered)}, got {', '.join(map(str, absent))}")
        return asked


def anysplat_1b(*, voxel_size: float = VOXEL_SIZE) -> Eps3d:
    """Build AnySplat's published size (1.19 billion parameters); `load_anysplat` does so under `torch.device("meta")`."""
    return Eps3d(vggt_1b(point_head=False), ImageDpt(raw_channels()), voxel_size=voxel_size)


def eps3d_1b(*, voxel_size: float = VOXEL_SIZE) -> Eps3d:
    """Build EPS3D's published size (1.26 billion parameters). Build it under `torch.device("meta")`, as `load_eps3d` does."""
    panoptic = PanopticHeads(ImageDpt(FEATURES), ImageDpt(FEATURES), Sem2Ins(FEATURES), TextDecoder(FEATURES))
    return Eps3d(vggt_1b(point_head=False), ImageDpt(raw_channels()), panoptic, voxel_size=voxel_size)


def load_anysplat(path: str | Path, *, voxel_size: float = VOXEL_SIZE) -> Eps3d:
    """Load AnySplat with the weights of an official checkpoint, in float32 whatever the file has.

    The file's own licence applies to what is done with it.

    Args:
        path: The file.
        voxel_size: Side of the voxels in which pixels become Gaussians, in the scene's unit.

    Returns:
        The network, ready for inference on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged or that of another model, or a name or shape does not agree.
    """
    return _loaded(partial(anysplat_1b, voxel_size=voxel_size), path, "AnySplat")


def load_eps3d(path: str | Path, *, voxel_size: float = VOXEL_SIZE) -> Eps3d:
    """Load EPS3D with the weights of an official checkpoint, in float32 whatever the file has. Errors as `load_anysplat`.

    Args:
        path: The file.
        voxel_size: As for `load_anysplat`.

    Returns:
        The network, ready for inference on the CPU.
    """
    return _loaded(partial(eps3d_1b, voxel_size=voxel_size), path, "EPS3D")


def _loaded(build: Callable[[], Eps3d], path: str | Path, family: str) -> Eps3d:
    found = read_weights(path)
    other = family_of(found)
    if other in ("AnySplat", "EPS3D") and other != family:
        raise ValueError(f"weights: expected a checkpoint of {family}, got {path}, which looks like {other}")
    with torch.device("meta"):
        model = build()
    assign_weights(model, found, origin=path, name_in_file=official_name, ignored_prefixes=IGNORED_PREFIXES)
    return model.eval()
