"""Views of a panoptic map: colour, and labels blended along the rays."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.refine.losses import SMALLEST_ALPHA, RenderedLabels
from pan3d_core.refine.model import FEATURE_PARAMETERS, INSTANCE_CHANNELS, SEMANTIC_CHANNELS, Block, PanopticMap
from pan3d_core.rendering.project import Camera
from pan3d_core.rendering.rasterizer import OnScreen, Rendering, rasterize
from pan3d_core.structures import Gaussians

ATTENTIONS, BLENDINGS = ("local", "global"), ("labels", "features")
SURFACE_OPACITY = 0.5  # assumed: where less was rendered there is no surface


@dataclass(frozen=True)
class RenderChoices:
    """The two ideas of the paper that can be switched off to measure them."""

    attention: str = "local"  # between what the camera sees, or "global": between all Gaussians and queries
    blending: str = "labels"  # classified in 3D, then blended; "features": blended, then classified in 2D

    def __post_init__(self) -> None:
        for name, known in (("attention", ATTENTIONS), ("blending", BLENDINGS)):
            if getattr(self, name) not in known:
                raise ValueError(f"RenderChoices.{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")


@dataclass(frozen=True)
class MapView:
    """One view of a map, with labels of the K queries that took part."""

    image: RenderedLabels  # `instances` (K, H, W)
    queries: Tensor  # (K,) int64
    screen: OnScreen  # of the colours' rendering; rows of the whole map


def render_color(model: PanopticMap, camera: Camera) -> MapView:
    """Colour, depth and opacity alone; no query takes part, and the labels have no channels."""
    shown = _rasterized(model.gaussians(), camera, ())
    nothing = shown.colors.new_zeros(0, *camera.image_hw)
    queries = torch.zeros(0, dtype=torch.int64, device=nothing.device)
    return MapView(_assembled(shown, camera, nothing, nothing), queries, shown.screen[0])


def render_view(
    model: PanopticMap, camera: Camera, choices: RenderChoices | None = None, queries: Tensor | None = None
) -> MapView:
    """One view with labels of the queries that the camera sees, or of `queries` (K,) where they are given.

    Colour reaches all parameters of the Gaussians; labels reach features, queries and decoders alone, since what a surface is
    called should not bend it. Labels are blended with the weights T_i alpha_i of the Gaussians, as colours are.
    """
    choices = choices or RenderChoices()
    block = model.everything() if choices.attention == "global" else model.seen_by(camera)
    if queries is not None:
        block = replace(block, queries=queries)
    gaussians = model.gaussians(block.rows)
    if choices.blending == "labels":
        channels = (model.class_probs(block.rows), model.attention(block))
    else:
        channels = tuple(getattr(model, name).index_select(0, block.rows) for name in FEATURE_PARAMETERS)
    labelled = _rasterized(_detached(gaussians), camera, channels)
    # What is drawn twice looks the same; only gradients need the second time.
    shown = _rasterized(gaussians, camera, ()) if torch.is_grad_enabled() else labelled
    if choices.blending == "labels":
        semantics, instances = labelled.features[0].split([part.shape[1] for part in channels])
    else:
        semantics, instances = _classified(model, labelled, camera, block)
    screen = replace(shown.screen[0], rows=block.rows[shown.screen[0].rows])
    return MapView(_assembled(shown, camera, semantics, instances), block.queries, screen)


def _classified(model: PanopticMap, shown: Rendering, camera: Camera, block: Block) -> tuple[Tensor, Tensor]:
    """(C, H, W) and (K, H, W) from the mean features of each ray, classified there; the prior is taken at the rendered depth."""
    opacity = shown.opacity[0]
    mean = (shown.features[0] / opacity.clamp_min(SMALLEST_ALPHA)).flatten(1).T
    semantic_features, instance_features = mean.split([SEMANTIC_CHANNELS, INSTANCE_CHANNELS], dim=1)
    points = unproject_depth(shown.depth[0].detach(), camera.intrinsics, camera.cam_from_world).reshape(-1, 3)
    probs = model.assigned(instance_features, points, block.queries)
    classes = model.decoded(semantic_features)
    return tuple(part.T.unflatten(1, camera.image_hw) * opacity for part in (classes, probs))


def _rasterized(gaussians: Gaussians, camera: Camera, features: tuple[Tensor, ...]) -> Rendering:
    return rasterize(gaussians, camera.cam_from_world[None], camera.intrinsics[None], camera.image_hw, features)


def _detached(gaussians: Gaussians) -> Gaussians:
    return Gaussians(*(getattr(gaussians, name).detach() for name in ("means", "scales", "quats_wxyz", "opacities", "colors")))


def _assembled(shown: Rendering, camera: Camera, semantics: Tensor, instances: Tensor) -> RenderedLabels:
    # Shares are divided by the opacity: through it, labels would make Gaussians transparent.
    opacity = shown.opacity[0].detach()
    return RenderedLabels(
        color=shown.colors[0],
        depth=torch.where(opacity >= SURFACE_OPACITY, shown.depth[0].detach(), 0.0),
        alpha=opacity,
        semantics=semantics,
        instances=instances,
        intrinsics=camera.intrinsics,
        cam_from_world=camera.cam_from_world,
    )
