"""What VGGT, SegVGGT and EPS3D must compute and move at least, counted from their sizes; how is said in `bench/cost/da3.py`.

Counted are the transformer, the cameras and the heads. Averaging over voxels, rendering and reading objects are not: their cost
depends on the scene, so a time from images to objects over this floor is an upper bound of its distance from the best one.
"""

from __future__ import annotations

from torch import nn

from pan3d_core.models.da3.backbone import PATCH_SIZE, BackboneSettings
from pan3d_core.models.da3.head import HeadSettings
from pan3d_core.models.eps3d.heads import ImageDpt
from pan3d_core.models.eps3d.network import FEATURES, Eps3d
from pan3d_core.models.layers.dpt import DPT
from pan3d_core.models.vggt.network import VGGT, CameraHead
from pan3d_core.models.vggt.segvggt import SegVGGT
from pan3d_tools.bench.cost.da3 import (
    BYTES_PER_WEIGHT,
    Cost,
    block_cost,
    depth_cost,
    fusion_cost,
    level_sizes,
    patch_grid,
    pyramid_cost,
)


def aggregator_cost(vggt: VGGT, views: int, image_hw: tuple[int, int]) -> Cost:
    """Patches, their encoder, and frame-wise and global blocks in turn."""
    aggregator, (rows, columns) = vggt.aggregator, patch_grid(image_hw)
    encoder = aggregator.patch_embed
    dim = encoder.cls_token.shape[-1]
    tokens = aggregator.num_special + rows * columns
    patches = Cost(operations=2 * views * rows * columns * 3 * PATCH_SIZE**2 * dim)
    block = BackboneSettings(dim, 0, dim // aggregator.head_dim, (0, 0, 0, 0), None)
    own = 1 + encoder.register_tokens.shape[1]
    encoded = block_cost(block, views, own + rows * columns) * len(encoder.blocks)
    within = block_cost(block, views, tokens) * len(aggregator.frame_blocks)
    across = block_cost(block, 1, views * tokens) * len(aggregator.global_blocks)
    return patches + encoded + within + across


def camera_head_cost(head: CameraHead, views: int) -> Cost:
    """Camera tokens refined, all weights read anew in every iteration."""
    dim = head.token_norm.normalized_shape[0]
    block = BackboneSettings(dim, 0, 0, (0, 0, 0, 0), None)
    around = 9 * dim + 3 * dim**2 + dim * (dim // 2) + 9 * (dim // 2)
    once = Cost(operations=2 * views * around, moved_bytes=BYTES_PER_WEIGHT * around)
    return (block_cost(block, 1, views) * len(head.trunk) + once) * head.iterations


def head_settings(head: DPT) -> tuple[int, HeadSettings]:
    """Channels of the tokens that a head reads, and its sizes."""
    first, second, third, fourth = (_convolution(project) for project in head.projects)
    channels = (first.out_channels, second.out_channels, third.out_channels, fourth.out_channels)
    return first.in_channels, HeadSettings(_convolution(head.scratch.layer1_rn).out_channels, channels)


def _convolution(module: object) -> nn.Conv2d:
    if not isinstance(module, nn.Conv2d):
        raise TypeError(f"head: expected a convolution, got {type(module).__name__}")
    return module


def image_head_cost(head: ImageDpt, image_hw: tuple[int, int]) -> Cost:
    """One view's tokens and image -> a map at the size of the image."""
    dim, sizes = head_settings(head)
    levels, half, pixels = level_sizes(image_hw), sizes.features // 2, image_hw[0] * image_hw[1]
    channels = head.channels
    out = 4 * levels[0] * 9 * sizes.features * half + pixels * (49 * 3 * half + 9 * half * half + half * channels)
    return pyramid_cost(dim, sizes, image_hw) + fusion_cost(sizes.features, levels) + Cost(operations=2 * out)


def geometry_cost(vggt: VGGT, views: int, image_hw: tuple[int, int]) -> Cost:
    """Images -> cameras and depth."""
    dim, sizes = head_settings(vggt.depth_head)
    depth = pyramid_cost(dim, sizes, image_hw) + depth_cost(sizes, image_hw)
    return aggregator_cost(vggt, views, image_hw) + camera_head_cost(vggt.camera_head, views) + depth * views


def segvggt_cost(model: SegVGGT, views: int, image_hw: tuple[int, int]) -> Cost:
    """Images -> cameras, depth and the map that queries are compared with; the queries themselves are not counted."""
    dim, sizes = head_settings(model.semantic_head)
    levels = level_sizes(image_hw)
    halved = Cost(operations=2 * 4 * levels[0] * 9 * sizes.features * (sizes.features // 2))
    compared = pyramid_cost(dim, sizes, image_hw) + fusion_cost(sizes.features, levels) + halved
    return geometry_cost(model.vggt, views, image_hw) + compared * views


def eps3d_cost(model: Eps3d, views: int, image_hw: tuple[int, int]) -> Cost:
    """Images -> what Gaussians are averaged from: geometry, three heads and Sem2Ins."""
    pixels = views * image_hw[0] * image_hw[1]
    fused = Cost(operations=2 * pixels * 5 * FEATURES**2)
    heads = [image_head_cost(head, image_hw) for head in (model.gaussian_head, model.semantic_head, model.instance_head)]
    return geometry_cost(model.vggt, views, image_hw) + sum(heads, Cost()) * views + fused
