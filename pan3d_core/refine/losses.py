"""Objective of PanopticSplatting: one scene optimised from its views and their unaligned 2D masks.

The paper names the terms and leaves formulas and weights out. What is assumed follows Mask2Former (mask terms, no-object
weight), 3D Gaussian splatting (colour) and the sister system PanopticRecon++ (equal costs); the dataclass says which.
Label maps are rendered probabilities: blended along the ray and divided by the accumulated alpha.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.geometry.cameras import project, unproject_depth
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.models.losses import classification_loss

SMALLEST_ALPHA, SMALLEST_SHARE = 1e-6, 1e-6


@dataclass(frozen=True)
class PanopticSplattingLossWeights:
    """Weights, and the iterations from which terms count. `ssim` is 3DGS's; all others are assumed."""

    color: float = 1.0
    ssim: float = 0.2  # share of the structural term within the colour
    semantics: float = 1.0
    instances: float = 1.0
    warp: float = 0.1
    no_object: float = 0.1  # weight of queries without a mask in the class loss
    labels_from: int = 3_000  # semantics and instances join the colour
    warp_from: int = 7_000
    depth_tolerance: float = 0.05  # share of the depth by which a warped pixel may miss the other view's surface
    min_overlap: float = 0.3  # share of pixels that a neighbouring view must see

    def at(self, iteration: int) -> PanopticSplattingLossWeights:
        """The weights with those terms at 0 that have not started yet."""
        labels, warp = iteration >= self.labels_from, iteration >= self.warp_from
        return replace(
            self,
            semantics=self.semantics if labels else 0.0,
            instances=self.instances if labels else 0.0,
            warp=self.warp if warp else 0.0,
        )


PANOPTICSPLATTING_WEIGHTS = PanopticSplattingLossWeights()


@dataclass(frozen=True)
class RenderedLabels:
    """One view's rendering."""

    color: Tensor  # (3, H, W) 0..1
    depth: Tensor  # (H, W) z-depth, 0 = nothing there
    alpha: Tensor  # (H, W) accumulated opacity
    semantics: Tensor  # (C, H, W) blended class probabilities, not divided by alpha
    instances: Tensor  # (Q, H, W) blended probabilities of the queries, likewise; not exclusive
    intrinsics: Tensor  # (3, 3)
    cam_from_world: Tensor  # (4, 4)

    @property
    def semantic_shares(self) -> Tensor:
        """(C, H, W) distribution over classes where anything is."""
        return self.semantics / self.alpha.clamp_min(SMALLEST_ALPHA)

    @property
    def instance_probs(self) -> Tensor:
        """(Q, H, W) in 0..1."""
        return (self.instances / self.alpha.clamp_min(SMALLEST_ALPHA)).clamp(0, 1)


@dataclass(frozen=True)
class ViewLabels:
    """One view's image and what the 2D models say about it."""

    image: Tensor  # (3, H, W) 0..1
    semantics: Tensor  # (H, W) int64 classes, -1 = void
    masks: Tensor  # (M, H, W) 0 or 1, one per instance of this view alone
    class_id: Tensor  # (M,) int64 class of each mask, numbered as the semantics and one of the things; -1 = unknown


def color_loss(rendered: Tensor, image: Tensor, ssim_share: float = 0.2) -> Tensor:
    """(1 - share) L1 + share (1 - SSIM) of (3, H, W) images, as in 3D Gaussian splatting (Eq. 7 of Kerbl et al. 2023)."""
    return (1 - ssim_share) * (rendered - image).abs().mean() + ssim_share * (1 - ssim(rendered, image))


def ssim(first: Tensor, second: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004) of (C, H, W) images in 0..1, Gaussian window, zero padding, mean."""
    steps = torch.arange(window, dtype=first.dtype, device=first.device) - window // 2
    line = torch.exp(-steps.square() / (2 * sigma**2))
    line = line / line.sum()
    kernel = (line[:, None] * line[None]).expand(first.shape[0], 1, window, window)

    def blur(values: Tensor) -> Tensor:
        return F.conv2d(values[None], kernel, padding=window // 2, groups=len(values))[0]

    mean_a, mean_b = blur(first), blur(second)
    var_a, var_b = blur(first * first) - mean_a**2, blur(second * second) - mean_b**2
    shared = blur(first * second) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * shared + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return similarity.mean()


def semantic_loss(shares: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of class shares (C, H, W) with labels (H, W), -1 = void; 0 where all is void."""
    known = labels >= 0
    if not bool(known.any()):
        return shares.sum() * 0.0
    picked = shares.gather(0, labels.clamp_min(0)[None])[0]
    return -picked[known].clamp_min(SMALLEST_SHARE).log().mean()


def pairwise_mask_losses(probs: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and Dice of all pairs: probabilities (Q, N) and masks (M, N) 0/1 -> two (Q, M)."""
    masks = masks.to(probs.dtype)
    probs = probs.clamp(SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    yes, no = probs.log(), (1 - probs).log()
    bce = -(yes @ masks.T + no @ (1 - masks).T) / max(probs.shape[-1], 1)
    dice = 1 - (2 * probs @ masks.T + 1) / (probs.sum(-1, keepdim=True) + masks.sum(-1) + 1)
    return bce, dice


def instance_cost(probs: Tensor, masks: Tensor) -> Tensor:
    """Matching cost (Q, M) of one view: binary cross-entropy + Dice; probs (Q, H, W), masks (M, H, W)."""
    bce, dice = pairwise_mask_losses(probs.flatten(1), masks.flatten(1))
    return bce + dice


def instance_loss(
    probs: Tensor,
    masks: Tensor,
    match: tuple[Tensor, Tensor],
    classes: tuple[Tensor, Tensor],
    weights: PanopticSplattingLossWeights = PANOPTICSPLATTING_WEIGHTS,
) -> Tensor:
    """Matched masks of one view, mean over pairs of binary cross-entropy + Dice, and the class of every query -> scalar.

    classes: logits (Q, K + 1), last column = no object, and the masks' classes (M,). Ids are of this view alone, so a query
    without a mask here gets no mask loss, only the no-object class with a small weight: another view may show its object.
    """
    query, target = match
    class_logits, class_id = classes
    # A mean over nothing is no number: without queries, or where all have masks of unknown class, there is nothing to name.
    if len(query) < len(class_logits) or bool((class_id[target] >= 0).any()):
        naming = classification_loss(class_logits, class_id[target], query, no_match_weight=weights.no_object)
    else:
        naming = class_logits.sum() * 0.0
    if len(query) == 0:  # the mean over the queries forgot that all of them have the small weight
        return weights.no_object * naming + probs.sum() * 0.0
    bce, dice = pairwise_mask_losses(probs[query].flatten(1), masks[target].flatten(1))
    return (bce + dice).diagonal().mean() + naming


def warp_pixels(source: RenderedLabels, other: RenderedLabels, tolerance: float) -> tuple[Tensor, Tensor]:
    """Where another view sees each pixel of `source` -> (H, W, 2) pixels there, and (H, W) bool whether it does see it:
    in front of the camera, inside the image, and no farther than `tolerance` times the depth from its surface there."""
    points = unproject_depth(source.depth.detach(), source.intrinsics, source.cam_from_world).reshape(-1, 3)
    pixels, z = project(transform_points(other.cam_from_world, points), other.intrinsics)
    height, width = other.depth.shape
    inside = (z > 0) & (pixels >= 0).all(-1) & (pixels[:, 0] <= width - 1) & (pixels[:, 1] <= height - 1)
    place = pixels.round().long()
    surface = other.depth.detach()[place[:, 1].clamp(0, height - 1), place[:, 0].clamp(0, width - 1)]
    seen = inside & (source.depth.flatten() > 0) & (surface > 0) & ((z - surface).abs() < tolerance * z)
    return pixels.reshape(*source.depth.shape, 2), seen.reshape(source.depth.shape)


def warp_loss(
    source: RenderedLabels, other: RenderedLabels, weights: PanopticSplattingLossWeights = PANOPTICSPLATTING_WEIGHTS
) -> Tensor:
    """Label warping: the labels of `source` should be those that `other` shows of the same surface -> scalar.

    KL divergence from the other view's class shares plus the absolute differences of the queries' probabilities, mean over
    the pixels that both see; the other view is a constant. 0 where they share none. The paper names the idea; the form is
    assumed.
    """
    pixels, seen = warp_pixels(source, other, weights.depth_tolerance)
    if not bool(seen.any()):
        return (source.semantics.sum() + source.instances.sum()) * 0.0
    height, width = other.depth.shape
    grid = pixels[seen] / pixels.new_tensor([max(width - 1, 1), max(height - 1, 1)]) * 2 - 1
    wanted = torch.cat([other.semantic_shares, other.instance_probs]).detach()
    wanted = F.grid_sample(wanted[None], grid[None, None], mode="bilinear", align_corners=True)[0, :, 0]
    shares, probs = source.semantic_shares[:, seen], source.instance_probs[:, seen]
    wanted_shares, wanted_probs = wanted.split([len(shares), len(probs)])
    logs = wanted_shares.clamp_min(SMALLEST_SHARE).log() - shares.clamp_min(SMALLEST_SHARE).log()
    loss: Tensor = (wanted_shares * logs).sum(0).mean() + (wanted_probs - probs).abs().sum(0).mean()
    return loss


def neighbour_view(views: list[RenderedLabels], index: int, weights: PanopticSplattingLossWeights) -> int | None:
    """The view whose camera is nearest to that of `index` among those that see enough of its pixels; None without one."""
    centers = torch.stack([invert_rigid(view.cam_from_world)[:3, 3] for view in views])
    nearest: list[int] = torch.argsort((centers - centers[index]).norm(dim=-1)).tolist()
    for other in nearest:
        if other == index:
            continue
        _, seen = warp_pixels(views[index], views[other], weights.depth_tolerance)
        if float(seen.float().mean()) >= weights.min_overlap:
            return other
    return None


def panopticsplatting_losses(
    view: RenderedLabels,
    labels: ViewLabels,
    class_logits: Tensor,
    match: tuple[Tensor, Tensor],
    neighbour: RenderedLabels | None,
    weights: PanopticSplattingLossWeights = PANOPTICSPLATTING_WEIGHTS,
) -> dict[str, Tensor]:
    """Objective of one view -> `color`, `semantics`, `instances`, `warp` and weighted `total`.

    class_logits (Q, K + 1) of the queries; match from `matching.match_queries(instance_cost(...))`; neighbour: rendering of
    the view that `neighbour_view` names. Use `weights.at(iteration)`: terms of weight 0 are not computed.
    """
    zero = view.color.sum() * 0.0
    losses = {"color": color_loss(view.color, labels.image, weights.ssim)}
    losses["semantics"] = semantic_loss(view.semantic_shares, labels.semantics) if weights.semantics else zero
    losses["instances"] = zero
    # Nothing is there to learn from a view that says nothing, neither objects nor that there are none.
    if weights.instances and (len(labels.masks) or bool((labels.semantics >= 0).any())):
        classes = (class_logits, labels.class_id)
        losses["instances"] = instance_loss(view.instance_probs, labels.masks, match, classes, weights)
    losses["warp"] = warp_loss(view, neighbour, weights) if weights.warp and neighbour is not None else zero
    losses["total"] = (
        weights.color * losses["color"] + weights.semantics * losses["semantics"]
        + weights.instances * losses["instances"] + weights.warp * losses["warp"]
    )  # fmt: skip
    return losses
