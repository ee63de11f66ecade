"""`pan3d-mini` and what stands on it as functions of named tensors: pictures and calibration in, what decoding reads out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pan3d_core.geometry.transforms import look_at
from pan3d_core.models.mini.calibration import GEOMETRY_CHANNELS, TOKEN_GEOMETRY, Calibration, MiniInputs
from pan3d_core.models.mini.eps3d import RAW_CHANNELS, Eps3dMini, Eps3dMiniOutputs, PixelMaps
from pan3d_core.models.mini.fast3dis import Fast3disMini
from pan3d_core.models.mini.network import DenseOutputs, MiniOutputs, PanMini
from pan3d_core.models.mini.plane import PlaneRays
from pan3d_core.models.mini.queries import QueryOutputs, QueryPrediction
from pan3d_core.models.mini.sweep import MAX_OTHERS, SweepGrid
from pan3d_core.runtime.networks.interface import Graph, TensorSpec

MAX_VIEWS = 8
AXES = {"views": (1, MAX_VIEWS), "others": (1, MAX_OTHERS)}
# Largest errors of float32 that no decision hangs on: of 1e-5 in the logarithm a depth of a metre is off by a hundredth of a mm.
TOLERANCE = {
    "log_ratio": 5e-5, "log_error": 1e-4, "foreground_logits": 5e-4, "center_offset": 1e-4, "view1_from_cam": 1e-4,
    "mask_logits": 1e-3, "objectness_logits": 5e-4, "quality_logits": 5e-4, "text_embedding": 5e-5,
    "raw": 5e-4, "semantics": 5e-4, "instances": 5e-4,
}  # fmt: skip


class MiniGraph(nn.Module):
    """One scene; the inputs are `images` and the fields of a `Calibration` that depend on them no more."""

    def __init__(self, network: PanMini) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """As `input_specs` and `output_specs` have them, in their order."""
        return _in_order(self.network.perceive(tensors[0], _calibration_of(tensors[1:])))


class Fast3disMiniGraph(nn.Module):
    """The same of a `Fast3disMini`, for scenes whose cameras are known; the last input are their intrinsics."""

    def __init__(self, network: Fast3disMini) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """As `input_specs` and `output_specs` have them, in their order."""
        images, *known, intrinsics = tensors
        calibration = _calibration_of(known)
        unused = intrinsics.new_zeros(0)
        return _in_order(self.network(MiniInputs(images, intrinsics, unused, unused, calibration.posed), calibration))


class Eps3dMiniGraph(nn.Module):
    """What an `Eps3dMini` says of every pixel of scenes whose cameras are known; its Gaussians are made of that in torch, as many
    as the values say."""

    def __init__(self, network: Eps3dMini) -> None:
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """As `mini_graph` has them, in their order."""
        images, *known = tensors
        calibration = _calibration_of(known)
        unused = images.new_zeros(0)
        inputs = MiniInputs(images, unused, unused, unused, calibration.posed)
        dense, _, maps = self.network.pixels(inputs, calibration)
        return *_dense_in_order(dense), maps.raw, maps.semantics, maps.instances


def _calibration_of(tensors: Sequence[Tensor]) -> Calibration:
    """From what follows the images."""
    geometry, token_geometry, camera_numbers, first_view, rotation, other, place, inside, seen, *others = tensors
    plane_depth4, rays_cam4, cam_from_plane, posed = others
    unused = posed.new_zeros(0)
    at_4 = PlaneRays(plane_depth4, unused, unused, rays_cam4, unused)
    at_1 = PlaneRays(unused, unused, unused, unused, unused)
    return Calibration(
        plane_from_world=unused, cam_from_plane=cam_from_plane, rays={1: at_1, 4: at_4},
        sweep=SweepGrid(other, place, inside, seen), geometry=geometry, token_geometry=token_geometry,
        camera_numbers=camera_numbers, first_view=first_view, rotation=rotation, posed=posed,
    )  # fmt: skip


def _dense_in_order(outputs: DenseOutputs) -> tuple[Tensor, ...]:
    return outputs.log_ratio, outputs.log_error, outputs.foreground_logits, outputs.center_offset, outputs.view1_from_cam


def _in_order(outputs: MiniOutputs) -> tuple[Tensor, ...]:
    queries = outputs.queries
    return (
        *_dense_in_order(outputs),
        queries.mask_logits, queries.layers[-1].objectness_logits, queries.quality_logits, queries.text_embedding,
    )  # fmt: skip


def input_specs(network: PanMini, hw: tuple[int, int]) -> tuple[TensorSpec, ...]:
    """Name what the graph takes for pictures of `hw` pixels, in the order of `MiniGraph.forward`."""
    (h4, w4), (h16, w16), levels = (hw[0] // 4, hw[1] // 4), (hw[0] // 16, hw[1] // 16), len(network.sweep.levels)
    shapes: dict[str, tuple[int | str, ...]] = {
        "images": (1, "views", 3, *hw),
        "geometry": (1, "views", GEOMETRY_CHANNELS, h4, w4),
        "token_geometry": (1, "views", h16, w16, TOKEN_GEOMETRY),
        "camera_numbers": (1, "views", 17),
        "first_view": (1, "views"),
        "rotation": (2, 1, "views", 1 + h16 * w16, network.head_dim // 2),
        "other": ("views", "others"),
        "place": (1, "views", "others", levels * h4, w4, 2),
        "inside": (1, "views", "others", levels, h4, w4),
        "seen": (1, "views", levels, h4, w4),
        "plane_depth4": (1, "views", h4, w4),
        "rays_cam4": (1, "views", h4, w4, 3),
        "cam_from_plane": (1, "views", 4, 4),
        "posed": (1,),
    }
    return tuple(TensorSpec(n, shape, torch.int64 if n == "other" else torch.float32) for n, shape in shapes.items())


def _dense_shapes(hw: tuple[int, int]) -> dict[str, tuple[int | str, ...]]:
    h2, w2 = hw[0] // 2, hw[1] // 2
    return {
        "log_ratio": (1, "views", h2, w2),
        "log_error": (1, "views", h2, w2),
        "foreground_logits": (1, "views", h2, w2),
        "center_offset": (1, "views", hw[0] // 4, hw[1] // 4, 3),
        "view1_from_cam": (1, "views", 9),
    }


def output_specs(network: PanMini, queries: int, hw: tuple[int, int]) -> tuple[TensorSpec, ...]:
    """Name what the graph gives for pictures of `hw` pixels, in the order of `MiniGraph.forward`."""
    h2, w2 = hw[0] // 2, hw[1] // 2
    shapes: dict[str, tuple[int | str, ...]] = {
        **_dense_shapes(hw),
        "mask_logits": (1, queries, "views", h2, w2),
        "objectness_logits": (1, queries),
        "quality_logits": (1, queries),
        "text_embedding": (1, queries, network.widths.text_dim),
    }
    return tuple(TensorSpec(name, shape) for name, shape in shapes.items())


def eps3d_specs(features: int, hw: tuple[int, int]) -> tuple[TensorSpec, ...]:
    """Name what `Eps3dMiniGraph` gives for pictures of `hw` pixels with so many features, in its order."""
    channels = {"raw": RAW_CHANNELS, "semantics": features, "instances": features}
    shapes = {**_dense_shapes(hw), **{name: (1, "views", count, *hw) for name, count in channels.items()}}
    return tuple(TensorSpec(name, shape) for name, shape in shapes.items())


def graph_inputs(inputs: MiniInputs, calibration: Calibration) -> dict[str, Tensor]:
    """Name the tensors of one scene.

    Args:
        inputs: One scene of S views.
        calibration: Of these views.

    Returns:
        What `MiniGraph` and `Fast3disMiniGraph` take.
    """
    sweep, at_4 = calibration.sweep, calibration.rays[4]
    return {
        "images": inputs.images, "geometry": calibration.geometry, "token_geometry": calibration.token_geometry,
        "camera_numbers": calibration.camera_numbers, "first_view": calibration.first_view, "rotation": calibration.rotation,
        "other": sweep.other, "place": sweep.place, "inside": sweep.inside, "seen": sweep.seen,
        "plane_depth4": at_4.plane_depth, "rays_cam4": at_4.rays_cam, "cam_from_plane": calibration.cam_from_plane,
        "posed": calibration.posed, "intrinsics": inputs.intrinsics,
    }  # fmt: skip


def graph_outputs(named: dict[str, Tensor], calibration: Calibration) -> MiniOutputs:
    """Put what a graph answered together.

    Args:
        named: What `MiniGraph` gives.
        calibration: That it was given.

    Returns:
        As the network's own; of the decoder's predictions only the last one's objectness is known.
    """
    nothing = calibration.posed.new_zeros(0)
    last = QueryPrediction(mask_logits=nothing, objectness_logits=named["objectness_logits"])
    return MiniOutputs(
        log_ratio=named["log_ratio"], log_error=named["log_error"], foreground_logits=named["foreground_logits"],
        plane_depth=calibration.rays[1].plane_depth, center_offset=named["center_offset"],
        plane_from_world=calibration.plane_from_world, view1_from_cam=named["view1_from_cam"], dense_text=nothing,
        queries=QueryOutputs((last,), named["mask_logits"], named["quality_logits"], named["text_embedding"]),
    )  # fmt: skip


def eps3d_mini_outputs(
    network: Eps3dMini, named: dict[str, Tensor], inputs: MiniInputs, calibration: Calibration
) -> Eps3dMiniOutputs:
    """Make Gaussians of what a graph answered.

    Args:
        network: Whose graph it is; averages over voxels.
        named: What `Eps3dMiniGraph` gives.
        inputs: One scene of S views, whose cameras are known.
        calibration: Of these views.

    Returns:
        As the network's own.
    """
    dense = DenseOutputs(
        log_ratio=named["log_ratio"], log_error=named["log_error"], foreground_logits=named["foreground_logits"],
        plane_depth=calibration.rays[1].plane_depth, center_offset=named["center_offset"],
        plane_from_world=calibration.plane_from_world, view1_from_cam=named["view1_from_cam"],
        dense_text=calibration.posed.new_zeros(0),
    )  # fmt: skip
    maps = PixelMaps(named["raw"], named["semantics"], named["instances"])
    return network.scenes(inputs, dense, calibration.cam_from_plane, maps)


def sample_inputs(views: int, hw: tuple[int, int], posed: bool = True) -> MiniInputs:
    """Make a scene of random pictures from cameras around a table, always the same one.

    Args:
        views: How many.
        hw: Pixels of a picture.
        posed: Whether cameras and support are known.

    Returns:
        Inputs on the CPU.
    """
    generator = torch.Generator().manual_seed(views)
    angles = 2 * torch.pi * torch.arange(views) / max(views, 3)
    eyes = torch.stack([0.6 * angles.cos(), 0.6 * angles.sin(), 0.45 + 0.02 * torch.arange(views)], dim=-1)
    focal, (height, width) = 0.9 * hw[1], hw
    intrinsics = torch.tensor([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
    return MiniInputs(
        images=torch.rand(1, views, 3, *hw, generator=generator),
        intrinsics=intrinsics.expand(1, views, 3, 3).contiguous(),
        cam_from_world=torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])[None],
        support_height=torch.zeros(1),
        posed=torch.full((1,), float(posed)),
    )


def mini_graph(engine: str, network: PanMini | Fast3disMini | Eps3dMini, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe a `pan3d-mini`, or a network on one, for pictures of one size.

    Args:
        engine: Its name.
        network: In evaluation mode.
        hw: Pixels of a picture.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views; of the first posed or not, of the others posed.
    """

    def samples(views: int, posed: bool) -> dict[str, Tensor]:
        scene = sample_inputs(views, hw, posed)
        device = next(network.parameters()).device
        with torch.no_grad():
            named = graph_inputs(scene, network.calibrate(scene))
        return {spec.name: named[spec.name].to(device) for spec in inputs}

    if isinstance(network, PanMini):
        inputs = input_specs(network, hw)
        outputs = output_specs(network, len(network.decoder.learned), hw)
        module: nn.Module = MiniGraph(network)
    elif isinstance(network, Eps3dMini):
        inputs = input_specs(network.base, hw)
        outputs = eps3d_specs(network.settings.features, hw)
        module = Eps3dMiniGraph(network)
    else:
        inputs = (*input_specs(network.base, hw), TensorSpec("intrinsics", (1, "views", 3, 3)))
        outputs = output_specs(network.base, network.settings.decoder.queries, hw)
        module = Fast3disMiniGraph(network)
    unposed = partial(samples, posed=False) if isinstance(network, PanMini) else None
    tolerance = {spec.name: TOLERANCE[spec.name] for spec in outputs}
    return Graph(
        engine, module.eval(), inputs, outputs, AXES, partial(samples, posed=True), tolerance, checksum, unposed_samples=unposed
    )
