"""EPS3D up to its Gaussians as a function of named tensors: pictures in, what every pixel says out.

Averaging over voxels makes as many Gaussians as the values say, which no graph does; it is torch's in any case.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.models.eps3d.network import FEATURES, PARTS, Eps3d, Eps3dOutput
from pan3d_core.models.vggt.graph import graph_of_pictures
from pan3d_core.models.vggt.network import VggtOutput
from pan3d_core.runtime.networks.interface import Graph


class Eps3dGraph(nn.Module):
    """One scene of any number of views."""

    def __init__(self, network: Eps3d) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(1, S, 3, H, W) RGB 0..1 -> tensors as `eps3d_graph` names them."""
        image_hw = (images.shape[-2], images.shape[-1])
        tokens = self.network.vggt.features(images)
        geometry = self.network.vggt.predict(tokens, image_hw)
        with torch.autocast(images.device.type, enabled=False):
            joined = [torch.cat(pieces) for pieces in zip(*self.network.portions(tokens, images[0], PARTS), strict=True)]
        maps = (values.unflatten(0, (images.shape[1], *image_hw))[None] for values in joined)
        return geometry.pose_encodings[-1], geometry.depth, geometry.depth_conf, *maps


def eps3d_output(network: Eps3d, named: dict[str, Tensor]) -> Eps3dOutput:
    """Make Gaussians of what a graph answered.

    Args:
        network: Whose graph it is; averages over voxels.
        named: What `Eps3dGraph` gives.

    Returns:
        As the network's own.
    """
    geometry = VggtOutput(named["pose_encoding"][None], named["depth"], named["depth_conf"])
    cam_from_world, intrinsics = geometry.cameras()
    points = unproject_depth(geometry.depth, intrinsics, cam_from_world)[0]
    values = tuple(named[name][0].flatten(0, 2) for name in ("raw", "semantics", "instances"))
    return Eps3dOutput(geometry, (network.averaged(points, [values], PARTS),))


def eps3d_graph(network: Eps3d, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe an EPS3D for pictures of one size.

    Args:
        network: In evaluation mode, with semantics and instances.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to 8 views.
    """
    network.vggt.aggregator.patch_embed.fix_size(hw)
    shapes: dict[str, tuple[int | str, ...]] = {
        "pose_encoding": (1, "views", 9),
        "depth": (1, "views", *hw),
        "depth_conf": (1, "views", *hw),
        "raw": (1, "views", *hw, network.gaussian_head.channels),
        "semantics": (1, "views", *hw, FEATURES),
        "instances": (1, "views", *hw, FEATURES),
    }
    return graph_of_pictures("eps3d", Eps3dGraph(network), hw, shapes, checksum)
