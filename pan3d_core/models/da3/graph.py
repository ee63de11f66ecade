"""Every member of Depth Anything 3 as a function of named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.models.da3.backbone import PATCH_SIZE
from pan3d_core.models.da3.cameras import decoded_cameras, relative_to_first
from pan3d_core.models.da3.network import AnyViewDa3, Da3Output, MonocularDa3, MonocularOutput, NestedDa3
from pan3d_core.models.vggt.network import imagenet_normalized
from pan3d_core.models.vggt.pose_encoding import pose_encoding_from_cameras
from pan3d_core.runtime.networks.interface import Graph, TensorSpec

MAX_VIEWS = 8
Shapes = Mapping[str, tuple[int | str, ...]]
NameInputs = Callable[[Tensor, tuple[Tensor, Tensor] | None], dict[str, Tensor]]
# Relative to the range of each output where that is large: exponentials amplify rounding.
TOLERANCE = {"depth": 5e-3, "depth_conf": 5e-3, "pose_encoding": 1e-3, "metric_depth": 5e-3, "sky": 1e-3}
OUTPUTS = {
    AnyViewDa3: ("depth", "depth_conf", "pose_encoding"),
    MonocularDa3: ("metric_depth", "sky"),
    NestedDa3: ("depth", "depth_conf", "pose_encoding", "metric_depth", "sky"),
}


class Da3Graph(nn.Module):
    """One scene of any number of views, whose cameras are known or not; which of the members it is decides what it gives."""

    def __init__(self, network: AnyViewDa3 | MonocularDa3 | NestedDa3) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, *cameras: Tensor) -> tuple[Tensor, ...]:
        """(1, S, 3, H, W) RGB 0..1 and, where views meet, codes (1, S, 9) and posed (1,) -> tensors as `OUTPUTS` has them."""
        network = self.network
        if isinstance(network, AnyViewDa3):
            return _any_view(network, images, *cameras)
        if isinstance(network, MonocularDa3):
            return _view_by_view(network, images)
        return *_any_view(network.da3, images, *cameras), *_view_by_view(network.da3_metric, images)


def _any_view(network: AnyViewDa3, images: Tensor, cameras: Tensor, posed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    image_hw = (images.shape[-2], images.shape[-1])
    tokens = network.backbone.pretrained(imagenet_normalized(images), network.cam_enc.encoded(cameras), posed=posed)
    depth, depth_conf, code = network.coded(tokens, image_hw)
    return depth, depth_conf, code


def _view_by_view(network: MonocularDa3, images: Tensor) -> tuple[Tensor, Tensor]:
    output: MonocularOutput = network(images)
    return output.depth, output.sky


def da3_inputs(images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
    """Name the tensors of one scene.

    Args:
        images: (1, S, 3, H, W) RGB 0..1.
        cameras: `cam_from_world` (1, S, 4, 4) as `relative_to_first` gives it, and intrinsics (1, S, 3, 3) in pixels of the
            images; None where they are unknown.

    Returns:
        What `Da3Graph` takes, for members in which views meet and those in which they do not.
    """
    if cameras is None:
        return {"images": images, "cameras": images.new_zeros(*images.shape[:2], 9), "posed": images.new_zeros(1)}
    cam_from_world, intrinsics = cameras
    code = pose_encoding_from_cameras(invert_rigid(cam_from_world), intrinsics, (images.shape[-2], images.shape[-1]))
    return {"images": images, "cameras": code, "posed": images.new_ones(1)}


def da3_output(named: dict[str, Tensor]) -> Da3Output:
    """Put together what a graph answered of views that meet, as the network's own."""
    image_hw = (named["depth"].shape[-2], named["depth"].shape[-1])
    return Da3Output(named["depth"], named["depth_conf"], *decoded_cameras(named["pose_encoding"], image_hw))


def monocular_output(named: dict[str, Tensor]) -> MonocularOutput:
    """Put together what a graph answered of every view alone, as the network's own."""
    return MonocularOutput(named["metric_depth"], named["sky"])


def around_a_table(views: int, hw: tuple[int, int]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Make random pictures (1, S, 3, H, W) of cameras in a circle, and those cameras as `da3_inputs` takes them."""
    generator = torch.Generator().manual_seed(views)
    angles = 2 * torch.pi * torch.arange(views) / max(views, 3)
    eyes = torch.stack([2 * angles.cos(), 2 * angles.sin(), torch.ones(views)], dim=-1)
    cameras = relative_to_first(torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])[None])[0]
    intrinsics = torch.tensor([[hw[1], 0.0, hw[1] / 2], [0.0, hw[1], hw[0] / 2], [0.0, 0.0, 1.0]]).expand(1, views, 3, 3)
    return torch.rand(1, views, 3, *hw, generator=generator), (cameras, intrinsics)


def fix_grids(network: AnyViewDa3 | MonocularDa3 | NestedDa3, hw: tuple[int, int]) -> None:
    """Let every backbone below `network` keep its table of positions for pictures of `hw` pixels."""
    parts = (network.da3, network.da3_metric) if isinstance(network, NestedDa3) else (network,)
    for part in parts:
        part.backbone.pretrained.fix_grid((hw[0] // PATCH_SIZE, hw[1] // PATCH_SIZE))


def graph_of_views(
    engine: str,
    module: nn.Module,
    name_inputs: NameInputs,
    inputs: Shapes,
    outputs: Shapes,
    *,
    tolerance: Mapping[str, float],
    checksum: str,
) -> Graph:
    """Describe a network that is told which cameras are known.

    Args:
        engine: Whose it is.
        module: Tensors of `inputs` in their order in, those of `outputs` out.
        name_inputs: Pictures and cameras, or None, to at least the tensors of `inputs`.
        inputs: Name to shape, in which "views" is their number; the pictures' are "images".
        outputs: Likewise.
        tolerance: Of each output.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views, with cameras or without.
    """
    height, width = inputs["images"][-2:]

    def samples(views: int, posed: bool) -> dict[str, Tensor]:
        images, cameras = around_a_table(views, (int(height), int(width)))
        named = name_inputs(images, cameras if posed else None)
        return {name: named[name].to(next(module.parameters()).device) for name in inputs}

    return Graph(
        engine=engine,
        module=module.eval(),
        inputs=tuple(TensorSpec(name, shape) for name, shape in inputs.items()),
        outputs=tuple(TensorSpec(name, shape) for name, shape in outputs.items()),
        axes={"views": (1, MAX_VIEWS)},
        samples=partial(samples, posed=True),
        unposed_samples=partial(samples, posed=False),
        tolerance=tolerance,
        checksum=checksum,
    )


def da3_graph(network: AnyViewDa3 | MonocularDa3 | NestedDa3, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe a member for pictures of one size.

    Args:
        network: In evaluation mode.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views, with cameras or without.
    """
    fix_grids(network, hw)
    shapes: Shapes = {"images": (1, "views", 3, *hw), "cameras": (1, "views", 9), "posed": (1,)}
    if isinstance(network, MonocularDa3):
        shapes = {"images": shapes["images"]}
    outputs = OUTPUTS[type(network)]
    given = {name: (1, "views", *((9,) if name == "pose_encoding" else hw)) for name in outputs}
    tolerance = {name: TOLERANCE[name] for name in outputs}
    graph = graph_of_views("da3", Da3Graph(network), da3_inputs, shapes, given, tolerance=tolerance, checksum=checksum)
    return replace(graph, unposed_samples=None) if isinstance(network, MonocularDa3) else graph
