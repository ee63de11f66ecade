"""What a viewer shows of a Gaussian scene: colour and visibility of every Gaussian, and facts about its objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pan3d_core.gaussians.editing import require_ids
from pan3d_core.gaussians.places import TRIM, rows_of
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.boxes import OrientedBox, upright_box
from pan3d_core.geometry.spherical_harmonics import harmonic_colors
from pan3d_core.pictures.palette import UNASSIGNED, Color, class_colors, instance_color

MODES = ("colour", "instances", "semantics")
HIGHLIGHT = (1.0, 0.85, 0.1)
HIGHLIGHT_SHARE = 0.55


@dataclass(frozen=True)
class Display:
    """The choices of the person who looks."""

    mode: str = "colour"  # one of `MODES`
    selected: int = 0  # instance id, 0 = none
    hidden: frozenset[int] = frozenset()  # not shown, but part of the scene
    removed: frozenset[int] = frozenset()  # shown as if they had been taken out of the scene
    classes: tuple[str, ...] = ()  # names that the semantic colours stand for

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}")

    @property
    def absent(self) -> frozenset[int]:
        return self.hidden | self.removed


@dataclass(frozen=True)
class ObjectFacts:
    """What is known of one object of a scene."""

    instance_id: int
    name: str
    num_gaussians: int
    box: OrientedBox  # upright along world z


def object_facts(scene: GaussianScene, instance_id: int) -> ObjectFacts:
    """Facts of one of the scene's ids; `ValueError` lists the known ones for another."""
    require_ids(scene, [instance_id])
    members = scene.gaussians.means[rows_of(scene, [instance_id])]
    return ObjectFacts(instance_id, scene.names[instance_id], len(members), upright_box(members, TRIM))


def visible_gaussians(scene: GaussianScene, display: Display) -> Tensor:
    """(N,) bool: does not belong to an object that is hidden or removed."""
    return ~rows_of(scene, sorted(display.absent))


def class_ids(scene: GaussianScene, texts: Tensor) -> Tensor:
    """(N,) int64 row of the text (T, E) that each Gaussian means most probably, -1 = none of them.

    Raises `ValueError` for a scene without semantic features or without the space they are compared in.
    """
    if scene.gaussians.semantic_features is None or scene.text_space is None:
        missing = "semantic features" if scene.gaussians.semantic_features is None else "text space"
        raise ValueError(f"scene: expected Gaussians that can be compared with texts, got a scene without {missing}")
    best = scene.text_space.probabilities(scene.gaussians.semantic_features, texts).argmax(-1)
    return torch.where(best == len(texts), -1, best)


def base_colors(scene: GaussianScene) -> Tensor:
    """(N, 3) RGB in 0..1, from every side: of harmonics only the constant part."""
    colors = scene.gaussians.colors
    if colors.ndim == 3:
        colors = harmonic_colors(colors[:, :1], torch.zeros_like(scene.gaussians.means))
    return colors.clamp(0.0, 1.0)


def shown_colors(scene: GaussianScene, display: Display, class_id: Tensor | None = None) -> Tensor:
    """(N, 3) RGB in 0..1 of every Gaussian, the selected object tinted.

    `class_id` (N,) is what `class_ids` found for `display.classes`; without it everything is grey in the semantic mode.
    """
    if display.mode == "colour":
        colors = base_colors(scene)
    elif display.mode == "instances":
        colors = _by_key(scene.instance_id, lambda key: instance_color(key) if key else UNASSIGNED)
    else:
        of_class = {-1: UNASSIGNED, **dict(enumerate(class_colors(display.classes)))}
        none = torch.full_like(scene.instance_id, -1)
        colors = _by_key(none if class_id is None else class_id, of_class.__getitem__)
    if display.selected:
        tint = torch.tensor(HIGHLIGHT)
        chosen = (scene.instance_id == display.selected)[:, None]
        colors = torch.where(chosen, torch.lerp(colors, tint.expand_as(colors), HIGHLIGHT_SHARE), colors)
    return colors


def _by_key(keys: Tensor, color_of: Callable[[int], Color]) -> Tensor:
    present, row = keys.unique(return_inverse=True)
    palette = torch.tensor([color_of(key) for key in present.tolist()]).reshape(-1, 3)
    return (palette / 255.0)[row]
