"""FAST3DIS as a function of named tensors: pictures and, where they are known, cameras in, what decoding reads out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.models.da3.cameras import decoded_cameras
from pan3d_core.models.da3.graph import Shapes, da3_inputs, da3_output, fix_grids, graph_of_views
from pan3d_core.models.da3.network import Da3Output
from pan3d_core.models.fast3dis.anchor_decoder import AnchorPrediction
from pan3d_core.models.fast3dis.network import Fast3dis, Fast3disOutput, scene_geometry
from pan3d_core.runtime.networks.interface import Graph

# Relative to the range of each output where that is large: exponentials amplify rounding.
TOLERANCE = {
    "depth": 5e-3, "depth_conf": 5e-3, "pose_encoding": 1e-3, "class_logits": 2e-3, "mask_embedding": 2e-3, "mask_features": 2e-3,
}  # fmt: skip
MASK_STRIDE = 3.5  # pixels of a picture per pixel of a mask


class Fast3disGraph(nn.Module):
    """One scene of any number of views, whose cameras are known or not."""

    def __init__(self, network: Fast3dis) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: Tensor, cameras: Tensor, posed: Tensor, cam_from_world: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, ...]:
        """As `fast3dis_graph` names them; `cameras` is the code of the last two, which count where `posed` (1,) is 1."""
        network, image_hw = self.network, (images.shape[-2], images.shape[-1])
        plain, adapted = network.both_passes(images, network.da3.cam_enc.encoded(cameras), posed)
        with torch.autocast(images.device.type, enabled=False):  # half precision cannot say where an anchor projects to
            depth, depth_conf, code = network.da3.coded(plain, image_hw)
            geometry = Da3Output(depth, depth_conf, *decoded_cameras(code, image_hw))
            scene = scene_geometry(geometry, (cam_from_world, intrinsics), posed)
            layers, mask_features = network.described(adapted, scene, image_hw)
        last = layers[-1]
        return geometry.depth, geometry.depth_conf, code, last.class_logits, last.mask_embedding, mask_features


def fast3dis_inputs(images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
    """Name the tensors of one scene, those of Depth Anything 3 among them.

    Args:
        images: (1, S, 3, H, W) RGB 0..1.
        cameras: As for `da3_inputs`, or None.

    Returns:
        What `Fast3disGraph` takes.
    """
    leading = images.shape[:2]
    unknown = torch.eye(4, device=images.device).expand(*leading, 4, 4), torch.eye(3, device=images.device).expand(*leading, 3, 3)
    cam_from_world, intrinsics = unknown if cameras is None else cameras
    return {**da3_inputs(images, cameras), "cam_from_world": cam_from_world, "intrinsics": intrinsics}


def fast3dis_output(named: dict[str, Tensor]) -> Fast3disOutput:
    """Put together what a graph answered, as the network's own: its last layer alone, and neither anchors nor their unit."""
    nothing = named["depth"].new_zeros(0)
    last = AnchorPrediction(nothing, named["class_logits"], named["mask_embedding"], nothing)
    return Fast3disOutput(da3_output(named), (last,), named["mask_features"], nothing)


def fast3dis_graph(network: Fast3dis, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe a FAST3DIS for pictures of one size.

    Args:
        network: In evaluation mode.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for as many views as one of Depth Anything 3, with cameras or without.
    """
    fix_grids(network.da3, hw)
    queries, dim = network.settings.decoder.queries, network.settings.decoder.dim
    inputs: Shapes = {
        "images": (1, "views", 3, *hw),
        "cameras": (1, "views", 9),
        "posed": (1,),
        "cam_from_world": (1, "views", 4, 4),
        "intrinsics": (1, "views", 3, 3),
    }
    outputs: Shapes = {
        "depth": (1, "views", *hw),
        "depth_conf": (1, "views", *hw),
        "pose_encoding": (1, "views", 9),
        "class_logits": (1, queries, 2),
        "mask_embedding": (1, queries, dim),
        "mask_features": (1, "views", dim, int(hw[0] / MASK_STRIDE), int(hw[1] / MASK_STRIDE)),
    }
    module = Fast3disGraph(network)
    return graph_of_views("fast3dis", module, fast3dis_inputs, inputs, outputs, tolerance=TOLERANCE, checksum=checksum)
