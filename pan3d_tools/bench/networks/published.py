"""Networks of the published sizes with random weights, and what each must compute and move at least.

Weights depend on the names of parameters alone, so a network of a name is the same on every machine, and what was built of it
serves again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from pan3d_core.models.da3.graph import da3_graph
from pan3d_core.models.da3.network import DA3_VARIANTS, AnyViewDa3, Da3Settings
from pan3d_core.models.eps3d.graph import eps3d_graph
from pan3d_core.models.eps3d.network import eps3d_1b
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.graph import fast3dis_graph
from pan3d_core.models.layers.transformer import merge_lora
from pan3d_core.models.vggt.graph import segvggt_graph
from pan3d_core.models.vggt.segvggt import segvggt_1b
from pan3d_core.runtime.networks import Graph
from pan3d_tools.bench.cost.da3 import Cost, da3_cost, fast3dis_cost
from pan3d_tools.bench.cost.eps3d import eps3d_cost, segvggt_cost
from pan3d_tools.bench.networks.fast3dis import random_network
from pan3d_tools.bench.official.side_worker import fill_by_name

Model = TypeVar("Model", bound=nn.Module)

VGGT_HW, DA3_HW, EPS3D_HW = (392, 518), (378, 504), (448, 448)  # of 4:3 pictures; what EPS3D was published with
SCANNET_CLASSES = 18


@dataclass(frozen=True)
class Published:
    """A network of a published size."""

    graph: Graph
    cost: Callable[[int], Cost]  # of so many views


def published(name: str, device: torch.device) -> Published:
    """Build a network with random weights.

    Args:
        name: One of `PUBLISHED`.
        device: On which it is to run in torch.

    Returns:
        The network as other runtimes take it, and its cost.
    """
    return PUBLISHED[name](device, hashlib.sha256(f"random weights of {name}".encode()).hexdigest())


def _segvggt(device: torch.device, checksum: str) -> Published:
    model = _filled(lambda: segvggt_1b(SCANNET_CLASSES), device)
    merge_lora(model)
    return Published(segvggt_graph(model, VGGT_HW, checksum), lambda views: segvggt_cost(model, views, VGGT_HW))


def any_view_da3(settings: Da3Settings) -> Callable[[torch.device, str], Published]:
    """The builder of an any-view member of Depth Anything 3."""

    def build(device: torch.device, checksum: str) -> Published:
        model = _filled(lambda: AnyViewDa3(settings), device)
        return Published(da3_graph(model, DA3_HW, checksum), lambda views: da3_cost(settings, views, DA3_HW))

    return build


def _fast3dis(device: torch.device, checksum: str) -> Published:
    torch.manual_seed(0)  # of the frequencies, which are no parameters
    model = random_network(DA3_VARIANTS["da3-large"], AnchorSettings()).to(device)
    return Published(fast3dis_graph(model, DA3_HW, checksum), lambda views: fast3dis_cost(model.settings, views, DA3_HW))


def _eps3d(device: torch.device, checksum: str) -> Published:
    model = _filled(eps3d_1b, device)
    return Published(eps3d_graph(model, EPS3D_HW, checksum), lambda views: eps3d_cost(model, views, EPS3D_HW))


PUBLISHED: dict[str, Callable[[torch.device, str], Published]] = {
    "segvggt": _segvggt,
    "da3-large": any_view_da3(DA3_VARIANTS["da3-large"]),
    "da3-giant": any_view_da3(DA3_VARIANTS["da3-giant"]),
    "fast3dis": _fast3dis,
    "eps3d": _eps3d,
}


def _filled(build: Callable[[], Model], device: torch.device) -> Model:
    """A network for inference; nothing is computed for weights that are written over."""
    with torch.device("meta"):
        model = build()
    model = model.to_empty(device="cpu").eval()
    fill_by_name(model)
    return model.to(device)
