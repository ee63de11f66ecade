"""SegVGGT as a function of named tensors: pictures in, what decoding reads out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pan3d_core.models.vggt.network import VggtOutput
from pan3d_core.models.vggt.segvggt import SegVGGT, SegVggtOutput
from pan3d_core.runtime.networks.interface import Graph, TensorSpec

MAX_VIEWS = 8
# Relative to the range of each output where that is large: exponentials amplify rounding.
TOLERANCE = {
    "pose_encoding": 1e-3, "depth": 5e-3, "depth_conf": 5e-3, "query_embeddings": 1e-3, "feature_map": 1e-3, "class_logits": 1e-3,
    "raw": 5e-3, "semantics": 2e-3, "instances": 2e-3,
}  # fmt: skip


class SegVggtGraph(nn.Module):
    """One scene of any number of views."""

    def __init__(self, network: SegVGGT) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(1, S, 3, H, W) RGB 0..1 -> tensors as `segvggt_graph` names them."""
        output = self.network(images)
        geometry = output.geometry
        return (
            geometry.pose_encodings[-1], geometry.depth, geometry.depth_conf, output.query_embeddings, output.feature_map,
            output.class_logits,
        )  # fmt: skip


def segvggt_output(named: dict[str, Tensor]) -> SegVggtOutput:
    """Put together what a graph answered, as the network's own."""
    geometry = VggtOutput(named["pose_encoding"][None], named["depth"], named["depth_conf"])
    return SegVggtOutput(geometry, named["query_embeddings"], named["feature_map"], named["class_logits"])


def graph_of_pictures(
    engine: str, module: nn.Module, hw: tuple[int, int], shapes: Mapping[str, tuple[int | str, ...]], checksum: str
) -> Graph:
    """Describe a network on VGGT that takes pictures and nothing else.

    Args:
        engine: Whose it is.
        module: Pictures (1, S, 3, H, W) in, tensors of `shapes` out.
        hw: Pixels of a picture.
        shapes: Name of each output, one of `TOLERANCE` -> its shape, in which "views" is their number.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views.
    """

    def samples(views: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(views)
        return {"images": torch.rand(1, views, 3, *hw, generator=generator).to(next(module.parameters()).device)}

    return Graph(
        engine=engine,
        module=module.eval(),
        inputs=(TensorSpec("images", (1, "views", 3, *hw)),),
        outputs=tuple(TensorSpec(name, shape) for name, shape in shapes.items()),
        axes={"views": (1, MAX_VIEWS)},
        samples=samples,
        tolerance={name: TOLERANCE[name] for name in shapes},
        checksum=checksum,
    )


def segvggt_graph(network: SegVGGT, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe a SegVGGT for pictures of one size.

    Args:
        network: In evaluation mode, low-rank corrections merged.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views.
    """
    network.vggt.aggregator.patch_embed.fix_size(hw)
    decoder = network.query_decoder
    queries, embedding = decoder.token.shape[1], decoder.project.out_features
    classes = len(network.semantic_head.scratch.output_instance.get_parameter("2.bias"))
    shapes: dict[str, tuple[int | str, ...]] = {
        "pose_encoding": (1, "views", 9),
        "depth": (1, "views", *hw),
        "depth_conf": (1, "views", *hw),
        "query_embeddings": (1, queries, embedding),
        "feature_map": (1, "views", hw[0] // 2, hw[1] // 2, embedding),
        "class_logits": (1, queries, classes),
    }
    return graph_of_pictures("segvggt", SegVggtGraph(network), hw, shapes, checksum)
