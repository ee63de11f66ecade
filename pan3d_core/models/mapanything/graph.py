"""MapAnything as a function of named tensors, in which flags say what is known of rays and cameras."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.models.da3.graph import Shapes, graph_of_views
from pan3d_core.models.mapanything.cameras import known_of_views
from pan3d_core.models.mapanything.network import KnownGeometry, MapAnything, MapAnythingOutput
from pan3d_core.models.mapanything.parts import PATCH
from pan3d_core.runtime.networks.interface import Graph

# Relative to the range of each output where that is large: exponentials amplify rounding.
TOLERANCE = {
    "out_rays": 1e-3, "out_distance": 5e-3, "confidence": 5e-3, "valid_logits": 5e-3, "out_quat_xyzw": 1e-3, "out_centers": 5e-3,
    "scale": 5e-3,
}  # fmt: skip


class MapAnythingGraph(nn.Module):
    """One scene of any number of views, of which rays, distances and cameras are known or not."""

    def __init__(self, network: MapAnything) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, *known: Tensor) -> tuple[Tensor, ...]:
        """As `map_anything_graph` names them."""
        rays, rays_known, distance, quat_xyzw, centers, posed = known
        output = self.network(images, KnownGeometry(rays, distance, quat_xyzw, centers, (rays_known, posed)))
        return tuple(vars(output).values())


def map_anything_inputs(images: Tensor, known: KnownGeometry) -> dict[str, Tensor]:
    """Name the tensors of one scene.

    Args:
        images: (1, S, 3, H, W) RGB 0..1.
        known: What is known of it.

    Returns:
        What `MapAnythingGraph` takes.
    """
    views, height, width = images.shape[1], images.shape[-2], images.shape[-1]
    ahead = images.new_tensor([0.0, 0.0, 1.0]).expand(1, views, height, width, 3)
    unturned = images.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(1, views, 4)
    return {
        "images": images,
        "rays": ahead if known.rays is None else known.rays,
        "rays_known": images.new_full((1,), float(known.rays is not None)),
        "distance": images.new_zeros(1, views, height, width) if known.distance is None else known.distance,
        "quat_xyzw": unturned if known.quat_xyzw is None else known.quat_xyzw,
        "centers": images.new_zeros(1, views, 3) if known.centers is None else known.centers,
        "posed": images.new_full((1,), float(known.quat_xyzw is not None)),
    }


def map_anything_output(named: dict[str, Tensor]) -> MapAnythingOutput:
    """Put together what a graph answered, as the network's own."""
    return MapAnythingOutput(*(named[name] for name in TOLERANCE))


def map_anything_graph(network: MapAnything, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe a MapAnything for pictures of one size.

    Args:
        network: In evaluation mode. It keeps its table of positions for such pictures from then on: interpolating it is no
            part of the graph.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for as many views as one of Depth Anything 3, whatever is known of them.
    """
    network.fix_grid((hw[0] // PATCH, hw[1] // PATCH))
    views = (1, "views")
    inputs: Shapes = {
        "images": (*views, 3, *hw), "rays": (*views, *hw, 3), "rays_known": (1,), "distance": (*views, *hw),
        "quat_xyzw": (*views, 4), "centers": (*views, 3), "posed": (1,),
    }  # fmt: skip
    outputs: Shapes = {
        "out_rays": (*views, *hw, 3), "out_distance": (*views, *hw), "confidence": (*views, *hw), "valid_logits": (*views, *hw),
        "out_quat_xyzw": (*views, 4), "out_centers": (*views, 3), "scale": (1,),
    }  # fmt: skip
    module = MapAnythingGraph(network)
    return graph_of_views("mapanything", module, _sample, inputs, outputs, tolerance=TOLERANCE, checksum=checksum)


def _sample(images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
    """Pictures of which all cameras and half of the depth are known, or nothing."""
    if cameras is None:
        return map_anything_inputs(images, KnownGeometry())
    views, height, width = images.shape[1], images.shape[-2], images.shape[-1]
    depth = 1 + torch.rand(views, height, width, generator=torch.Generator().manual_seed(views))
    depth[:, : height // 2] = 0
    cam_from_world, intrinsics = (item[0] for item in cameras)
    return map_anything_inputs(images, known_of_views((height, width), intrinsics, cam_from_world, depth))
