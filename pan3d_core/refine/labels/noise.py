"""What 2D models get wrong, put into right labels: for tests and benchmarks.

The order of the masks changes in every view, whatever the strengths: ids of 2D models mean nothing across views. Pixels that no
mask covers any more take the class of the nearest pixel that never was in a mask, as the mask of a table closes over an object
that was missed. Everything is drawn from the generator alone, so a seed gives the same labels. Labels are on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn.functional import interpolate

from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import VOID, SceneLabels, maps_of_labels
from pan3d_core.refine.losses import ViewLabels

TOUCH_PX = 3.0  # masks nearer to each other than this may be taken for one


@dataclass(frozen=True)
class LabelNoise:
    """How much goes wrong; all assumed. Probabilities are per mask and view."""

    dropped: float = 0.1  # probability that an object is missed
    wrong_class: float = 0.1  # probability of another class, drawn evenly from the other things
    merged: float = 0.05  # probability that a mask swallows the nearest one, where they touch
    split: float = 0.05  # probability that a mask is cut in two through its middle
    ragged_px: float = 1.0  # standard deviation of how far borders move out or in
    ragged_length_px: float = 8.0  # along the border, over which that changes
    unknown: float = 0.0  # probability that nothing is said about an object: no mask, and its pixels are void
    unlabelled: float = 0.0  # share of a scene's views that nothing is said about

    def __post_init__(self) -> None:
        for name in ("dropped", "wrong_class", "merged", "split", "unknown", "unlabelled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"LabelNoise.{name}: expected a probability in 0..1, got {getattr(self, name):g}")
        if self.ragged_px < 0 or self.ragged_length_px < 1:
            got = f"{self.ragged_px:g}, {self.ragged_length_px:g}"
            raise ValueError(f"LabelNoise.ragged_px, ragged_length_px: expected at least 0 and 1, got {got}")

    def times(self, factor: float) -> LabelNoise:
        """All strengths times `factor`, probabilities at most 1; the length along the border stays."""
        scaled = {item.name: getattr(self, item.name) * factor for item in fields(self) if item.name != "ragged_length_px"}
        return replace(self, **{name: value if name == "ragged_px" else min(value, 1.0) for name, value in scaled.items()})


NO_NOISE = LabelNoise(dropped=0.0, wrong_class=0.0, merged=0.0, split=0.0, ragged_px=0.0)


def noisy_labels(scene: SceneLabels, noise: LabelNoise, generator: torch.Generator) -> SceneLabels:
    """Label all views of a scene as a worse 2D model would; the views' images and their order stay.

    Args:
        scene: Is left as it is.
        noise: What goes wrong, and how often.
        generator: On the CPU.

    Returns:
        The worse labels, in the same classes.
    """
    views = tuple(noisy_view(view, noise, scene.labels, generator) for view in scene.views)
    return with_unlabelled_views(replace(scene, views=views), noise.unlabelled, generator)


def noisy_view(view: ViewLabels, noise: LabelNoise, labels: LabelSpace, generator: torch.Generator) -> ViewLabels:
    """One view: masks split, merged, dropped, their borders moved, classes changed, some forgotten, and their order changed."""
    view = with_split_masks(view, noise.split, generator)
    view = with_merged_masks(view, noise.merged, generator)
    view = with_dropped_masks(view, noise.dropped, generator)
    view = with_ragged_borders(view, noise.ragged_px, noise.ragged_length_px, generator)
    view = with_wrong_classes(view, noise.wrong_class, labels, generator)
    view = with_unknown_objects(view, noise.unknown, generator)
    return with_shuffled_masks(view, generator)


def with_unlabelled_views(scene: SceneLabels, share: float, generator: torch.Generator) -> SceneLabels:
    """Some views, a share of them to the nearest whole number, have no masks and are void everywhere."""
    if share == 0:
        return scene
    silent = set(torch.randperm(len(scene.views), generator=generator)[: round(share * len(scene.views))].tolist())
    views = tuple(_silent(view) if index in silent else view for index, view in enumerate(scene.views))
    return replace(scene, views=views)


def with_unknown_objects(view: ViewLabels, probability: float, generator: torch.Generator) -> ViewLabels:
    """Some masks are gone and nothing is said about their pixels, unlike those of `with_dropped_masks`."""
    if probability == 0:
        return view
    kept = torch.rand(len(view.masks), generator=generator) >= probability
    forgotten = view.masks[~kept].bool().any(0)
    semantics = torch.where(forgotten, VOID, view.semantics)
    return replace(view, semantics=semantics, masks=view.masks[kept], class_id=view.class_id[kept])


def with_shuffled_masks(view: ViewLabels, generator: torch.Generator) -> ViewLabels:
    """The same masks in another order."""
    order = torch.randperm(len(view.masks), generator=generator)
    return replace(view, masks=view.masks[order], class_id=view.class_id[order])


def with_dropped_masks(view: ViewLabels, probability: float, generator: torch.Generator) -> ViewLabels:
    """Some masks are gone."""
    kept = torch.rand(len(view.masks), generator=generator) >= probability
    return _with_masks(view, view.masks[kept].bool(), view.class_id[kept])


def with_wrong_classes(view: ViewLabels, probability: float, labels: LabelSpace, generator: torch.Generator) -> ViewLabels:
    """Some masks, and their pixels, have another class of things. Nothing changes where there is only one."""
    num_things = sum(labels.is_thing)
    wrong = torch.rand(len(view.masks), generator=generator) < probability
    others = torch.randint(max(num_things - 1, 1), (len(view.masks),), generator=generator)
    others = others + (others >= view.class_id).long()  # all things but the mask's own
    wrong &= (view.class_id >= 0) & (num_things > 1)
    return _with_masks(view, view.masks.bool(), torch.where(wrong, others, view.class_id))


def with_split_masks(view: ViewLabels, probability: float, generator: torch.Generator) -> ViewLabels:
    """Some masks are two, cut along a line of any direction through their middle; both have the class."""
    masks, classes = [], []
    chosen = torch.rand(len(view.masks), generator=generator) < probability
    angles = torch.rand(len(view.masks), generator=generator) * torch.pi
    for mask, class_id, is_cut, angle in zip(view.masks.bool(), view.class_id, chosen.tolist(), angles, strict=True):
        pixels = mask.nonzero().float()
        across = (pixels - pixels.mean(0)) @ torch.stack([angle.cos(), angle.sin()]) > 0
        if is_cut and bool(across.any()) and not bool(across.all()):
            half = torch.zeros_like(mask)
            half[tuple(pixels[across].long().T)] = True
            masks += [half, mask & ~half]
            classes += [class_id, class_id]
        else:
            masks.append(mask)
            classes.append(class_id)
    return _with_masks(view, *_stacked(view, masks, classes))


def with_merged_masks(view: ViewLabels, probability: float, generator: torch.Generator) -> ViewLabels:
    """Some masks become one with the nearest that touches them; it has the class of the larger one."""
    masks, classes = list(view.masks.bool()), list(view.class_id)
    chosen = torch.rand(len(masks), generator=generator) < probability
    alive = [True] * len(masks)
    for row in chosen.nonzero()[:, 0].tolist():
        others = [other for other, lives in enumerate(alive) if lives and other != row]
        gaps = [_gap_px(masks[row], masks[other]) for other in others]
        if not alive[row] or min(gaps, default=TOUCH_PX + 1) > TOUCH_PX:
            continue
        other = others[gaps.index(min(gaps))]
        if masks[other].sum() > masks[row].sum():
            classes[row] = classes[other]
        masks[row] = masks[row] | masks[other]
        alive[other] = False
    left = [row for row, lives in enumerate(alive) if lives]
    return _with_masks(view, *_stacked(view, [masks[row] for row in left], [classes[row] for row in left]))


def with_ragged_borders(view: ViewLabels, sigma_px: float, length_px: float, generator: torch.Generator) -> ViewLabels:
    """Borders move by a smooth random field of standard deviation `sigma_px`, one of its own per mask.

    A pixel is in a mask when its depth inside the border plus the field is positive; in several, when it is deepest in this
    one. A mask that would vanish stays as it is.
    """
    if sigma_px == 0 or len(view.masks) == 0:
        return view
    height, width = view.masks.shape[1:]
    coarse = (max(2, round(height / length_px) + 1), max(2, round(width / length_px) + 1))
    drawn = torch.randn(len(view.masks), 1, *coarse, generator=generator)
    field = interpolate(drawn, (height, width), mode="bilinear", align_corners=True)[:, 0]
    field = field / field.std().clamp_min(1e-6) * sigma_px  # blending made it smaller
    reach = torch.stack([_depth_inside_px(mask) for mask in view.masks.bool()]) + field
    best, owner = reach.max(0)
    masks = (owner[None] == torch.arange(len(reach))[:, None, None]) & (best > 0)
    gone = ~masks.flatten(1).any(1)
    lost = view.masks[gone].bool()
    masks[~gone] &= ~lost.any(0)
    masks[gone] = lost
    kept = masks.flatten(1).any(1)
    return _with_masks(view, masks[kept], view.class_id[kept])


def _with_masks(view: ViewLabels, masks: Tensor, class_id: Tensor) -> ViewLabels:
    """The view with other masks: their pixels have their classes, pixels of old masks that are free now what lies nearest."""
    semantics, was_owner = maps_of_labels(view)
    was_object, is_object = was_owner > 0, masks.any(0)
    freed = was_object & ~is_object
    if bool(freed.any()):
        semantics = torch.where(freed, _nearest(semantics, ~was_object), semantics)
    class_map = torch.full_like(semantics, VOID)
    for mask, value in zip(masks, class_id.tolist(), strict=True):
        class_map[mask] = value
    known = is_object & (class_map >= 0)
    return replace(view, semantics=torch.where(known, class_map, semantics), masks=masks, class_id=class_id)


def _silent(view: ViewLabels) -> ViewLabels:
    """The image alone."""
    return replace(view, semantics=torch.full_like(view.semantics, VOID), masks=view.masks[:0], class_id=view.class_id[:0])


def _nearest(values: Tensor, known: Tensor) -> Tensor:
    """(H, W) the value of the nearest known pixel; void where none is known."""
    if not bool(known.any()):
        return torch.full_like(values, VOID)
    rows, columns = distance_transform_edt(~known.numpy(), return_distances=False, return_indices=True)
    return values[torch.from_numpy(rows).long(), torch.from_numpy(columns).long()]


def _depth_inside_px(mask: Tensor) -> Tensor:
    """(H, W) float32 distance to the border between pixels, positive inside; a mask without pixels is infinitely far."""
    inside = mask.numpy()
    if not inside.any():
        return torch.full(mask.shape, -torch.inf)
    outward = distance_transform_edt(~inside)
    inward = distance_transform_edt(inside) if not inside.all() else np.full(inside.shape, float(max(inside.shape)))
    return torch.from_numpy(np.where(inside, inward - 0.5, 0.5 - outward)).float()


def _gap_px(first: Tensor, second: Tensor) -> float:
    """Smallest distance of pixels of two masks; infinite for an empty one."""
    if not (bool(first.any()) and bool(second.any())):
        return float("inf")
    return float(distance_transform_edt(~first.numpy())[second.numpy()].min())


def _stacked(view: ViewLabels, masks: list[Tensor], classes: list[Tensor]) -> tuple[Tensor, Tensor]:
    """(M, H, W) bool and (M,), also of none."""
    if not masks:
        return view.masks[:0].bool(), view.class_id[:0]
    return torch.stack(masks), torch.stack(classes)
