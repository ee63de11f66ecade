"""VGGT at any size: the numbers by which a member of the family differs from the published one, and the network of them."""

from __future__ import annotations

from dataclasses import dataclass

from pan3d_core.models.layers.dpt import DPT, dense_output
from pan3d_core.models.layers.patch_encoder import PatchEncoder
from pan3d_core.models.layers.transformer import Dense, LinearBuilder
from pan3d_core.models.vggt.network import VGGT, Aggregator, CameraHead


@dataclass(frozen=True)
class VggtSizes:
    """Sizes of a VGGT; the defaults are the published ones."""

    native_grid: int = 37  # patches per side of the encoder's position table
    dim: int = 1024
    encoder_depth: int = 24
    depth: int = 24  # pairs of frame and global blocks
    heads: int = 16
    camera_depth: int = 4
    camera_heads: int = 16
    features: int = 256  # of the dense heads
    out_channels: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    layers: tuple[int, int, int, int] = (4, 11, 17, 23)  # layers that the dense heads read


def vggt_of(sizes: VggtSizes, linear: LinearBuilder = Dense) -> VGGT:
    """Build a VGGT without point head.

    Args:
        sizes: Of the network.
        linear: What makes the linear layers of the aggregator.

    Returns:
        The network, not trained.
    """
    encoder = PatchEncoder(native_grid=sizes.native_grid, dim=sizes.dim, depth=sizes.encoder_depth, num_heads=sizes.heads)
    return VGGT(
        Aggregator(encoder, depth=sizes.depth, num_heads=sizes.heads, linear=linear),
        CameraHead(2 * sizes.dim, depth=sizes.camera_depth, num_heads=sizes.camera_heads),
        DPT(
            output_conv2=dense_output(sizes.features, 32, 2), dim=2 * sizes.dim, features=sizes.features,
            out_channels=sizes.out_channels, layers=sizes.layers,
        ),
    )  # fmt: skip
