"""Objects of a Gaussian scene removed, recoloured, moved, copied, taken to another scene. Every function makes a new scene.

Gaussians hold surfaces that cameras saw: where an object is taken away there is a hole, in what it stood on and what it hid.
Places are in the scene's world frame and unit. An unknown id raises `ValueError` that lists the known ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pan3d_core.gaussians.places import extent_of, foot_of, rows_of, scene_up
from pan3d_core.gaussians.ply import harmonics_of
from pan3d_core.gaussians.recoloring import recolored
from pan3d_core.gaussians.scene import GAUSSIAN_FIELDS, GaussianScene
from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.rotations import matrix_between, matrix_from_quat_xyzw
from pan3d_core.language.colors import canonical_color, name_color
from pan3d_core.language.text_space import TextSpace
from pan3d_core.rendering.motion import moved_gaussians
from pan3d_core.structures import Gaussians


@dataclass(frozen=True)
class Motion:
    """How an object is moved."""

    offset: tuple[float, float, float]  # in the scene's unit, along its world axes
    turn_deg: float = 0.0  # about the upright axis through the object's middle, counter-clockwise from above

    def __post_init__(self) -> None:
        if len(self.offset) != 3 or not all(map(math.isfinite, (*self.offset, self.turn_deg))):
            raise ValueError(f"Motion: expected three finite lengths and a finite angle, got {self.offset}, {self.turn_deg}")


@dataclass(frozen=True)
class Insertion:
    """Where and how large instances come into another scene."""

    at: tuple[float, float, float] | None = None  # where their foot comes to stand; None: the coordinates stay
    scale: float | None = None  # unit of the other scene per unit of their own; None: 1, where both are metric or both are not

    def __post_init__(self) -> None:
        if self.at is not None and not (len(self.at) == 3 and all(map(math.isfinite, self.at))):
            raise ValueError(f"at: expected three finite lengths, got {self.at}")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise ValueError(f"scale: expected a positive factor, got {self.scale:g}")


def require_ids(scene: GaussianScene, ids: Sequence[int]) -> None:
    """Raise `ValueError` unless every id is one of the scene, which the error lists."""
    known = scene.ids()
    wrong = [value for value in ids if value not in known]
    if wrong or not ids:
        listed = ", ".join(f"{key} ({scene.names[key]})" for key in known) or "none, since this scene has no objects"
        raise ValueError(f"instance: expected one of {listed}, got {', '.join(map(str, wrong)) or 'none'}")


def without_instances(scene: GaussianScene, ids: Sequence[int]) -> GaussianScene:
    """Take objects away; what they hid was never seen and is a hole.

    Args:
        scene: Is not changed.
        ids: Objects of the scene.

    Returns:
        A new scene.

    Raises:
        ValueError: An id is not in the scene; the message lists those that are.
    """
    require_ids(scene, ids)
    names = {key: name for key, name in scene.names.items() if key not in set(ids)}
    kept = ~rows_of(scene, ids)
    return replace(scene, gaussians=scene.gaussians.select(kept), instance_id=scene.instance_id[kept], names=names)


def with_color(scene: GaussianScene, instance_id: int, rgb: npt.NDArray[np.floating]) -> GaussianScene:
    """Paint an object in the hue of `rgb` (3,) sRGB 0..1, see `recolored`; a colour at the start of its name changes too.

    Args:
        scene: Is not changed.
        instance_id: An object of it.
        rgb: See `color_of_text`.

    Returns:
        A new scene.

    Raises:
        ValueError: The id is not in the scene.
    """
    rows = _rows_of_known(scene, instance_id)
    colors = scene.gaussians.colors.clone()
    colors[rows] = recolored(colors[rows], rgb)
    first, _, rest = scene.names[instance_id].partition(" ")
    name = f"{name_color(rgb)} {rest}" if canonical_color(first) and rest else scene.names[instance_id]
    return replace(scene, gaussians=replace(scene.gaussians, colors=colors), names={**scene.names, instance_id: name})


def with_motion(scene: GaussianScene, instance_id: int, motion: Motion) -> GaussianScene:
    """Move an object, colours that depend on the view turned with it. Where it stood is a hole; light stays on it.

    Args:
        scene: Is not changed.
        instance_id: An object of it.
        motion: Along the world's axes in the scene's unit, and about the upright axis through the object.

    Returns:
        A new scene.

    Raises:
        ValueError: The id is not in the scene.
    """
    rows = _rows_of_known(scene, instance_id)
    moved = moved_gaussians(scene.gaussians.select(rows), _similarity(scene, instance_id, motion))
    changed: dict[str, Tensor] = {}
    for name in GAUSSIAN_FIELDS:
        changed[name] = getattr(scene.gaussians, name).clone()
        changed[name][rows] = getattr(moved, name)
    return replace(scene, gaussians=replace(scene.gaussians, **changed))


def with_copy(scene: GaussianScene, instance_id: int, motion: Motion) -> tuple[GaussianScene, int]:
    """Put an object there once more, moved from where it is; its copy has the same name.

    Both have the same instance features, so grouping by these would find one object in two places.

    Args:
        scene: Is not changed.
        instance_id: An object of it.
        motion: From the object to its copy.

    Returns:
        A new scene, and the id of the copy.

    Raises:
        ValueError: The id is not in the scene.
    """
    rows = _rows_of_known(scene, instance_id)
    copy = moved_gaussians(scene.gaussians.select(rows), _similarity(scene, instance_id, motion))
    new_id = _free_id(scene)
    changed = replace(
        scene,
        gaussians=_joined(scene.gaussians, copy),
        instance_id=torch.cat([scene.instance_id, scene.instance_id.new_full((len(copy),), new_id)]),
        names={**scene.names, new_id: scene.names[instance_id]},
    )
    return changed, new_id


def with_instances_of(
    scene: GaussianScene, source: GaussianScene, ids: Sequence[int], insertion: Insertion | None = None
) -> tuple[GaussianScene, dict[int, int]]:
    """Put instances of another scene into this one, and say which id each has here.

    They keep their places among each other and stand upright as before. Their features mean nothing in another text space, or
    beside instance features of another network: where the text spaces differ, semantic features become 0, and instance
    features where their number differs. Raises `ValueError` for unknown ids, and where one scene is metric, the other is not,
    and no scale says how the units compare.

    Args:
        scene: Is not changed, and keeps its unit.
        source: The scene that instances are taken from.
        ids: Objects of `source`.
        insertion: Where they come to stand, and at which scale; None = at their own places.

    Returns:
        A new scene, and id in `source` -> id in it.
    """
    require_ids(source, ids)
    insertion = insertion or Insertion()
    if insertion.scale is None and scene.is_metric != source.is_metric:
        raise ValueError("scale: expected a factor, since one scene is metric and the other is not, got none")
    scale = 1.0 if insertion.scale is None else insertion.scale
    turn = matrix_between(scene_up(source), scene_up(scene))
    foot = foot_of(source, ids)
    at = foot if insertion.at is None else foot.new_tensor(insertion.at)
    rows = rows_of(source, ids)
    guests = moved_gaussians(source.gaussians.select(rows), _placed(scale, turn, foot, at, source.gaussians.means))
    guests = _in_features_of(scene, guests, _same_space(scene.text_space, source.text_space))
    first = _free_id(scene)
    new_ids = {value: first + index for index, value in enumerate(dict.fromkeys(ids))}
    numbers = source.instance_id[rows].clone()
    for old, new in new_ids.items():
        numbers[source.instance_id[rows] == old] = new
    changed = replace(
        scene,
        gaussians=_joined(scene.gaussians, guests),
        instance_id=torch.cat([scene.instance_id, numbers.to(scene.instance_id)]),
        names={**scene.names, **{new: source.names[old] for old, new in new_ids.items()}},
    )
    return changed, new_ids


def _free_id(scene: GaussianScene) -> int:
    """Above every id that has Gaussians or a name, so that no number is used again for something else."""
    return max((*scene.names, *scene.ids()), default=0) + 1


def _similarity(scene: GaussianScene, instance_id: int, motion: Motion) -> Similarity:
    half = math.radians(motion.turn_deg) / 2
    up, center = scene_up(scene), extent_of(scene, [instance_id]).center
    turn = matrix_from_quat_xyzw(torch.cat([math.sin(half) * up, up.new_tensor([math.cos(half)])]))
    return _placed(1.0, turn, center, center + up.new_tensor(motion.offset), scene.gaussians.means)


def _placed(scale: float, turn: Tensor, origin: Tensor, at: Tensor, like: Tensor) -> Similarity:
    """Turned and scaled about `origin`, which goes to `at`."""
    return Similarity(scale, turn.to(like), (at - scale * turn @ origin).to(like))


def _joined(first: Gaussians, second: Gaussians) -> Gaussians:
    """Both, colours as harmonics of the higher degree where one has harmonics; features as in the first."""
    colors, others = first.colors, second.colors
    if colors.shape[1:] != others.shape[1:]:
        colors, others = harmonics_of(colors), harmonics_of(others)
        count = max(colors.shape[1], others.shape[1])
        colors, others = (torch.cat([c, c.new_zeros(len(c), count - c.shape[1], 3)], dim=1) for c in (colors, others))

    def both(one: Tensor, other: Tensor | None) -> Tensor:
        if other is None:
            raise ValueError("Gaussians: expected the features of the first in the second, got none")
        return torch.cat([one, other.to(one)])

    return Gaussians(
        means=both(first.means, second.means),
        scales=both(first.scales, second.scales),
        quats_wxyz=both(first.quats_wxyz, second.quats_wxyz),
        opacities=both(first.opacities, second.opacities),
        colors=both(colors, others),
        semantic_features=None if first.semantic_features is None else both(first.semantic_features, second.semantic_features),
        instance_features=None if first.instance_features is None else both(first.instance_features, second.instance_features),
    )


def _in_features_of(scene: GaussianScene, guests: Gaussians, same_space: bool) -> Gaussians:
    """Guests with as many features as the scene has, 0 where theirs mean something else."""

    def fitted(own: Tensor | None, theirs: Tensor | None, comparable: bool) -> Tensor | None:
        if own is None:
            return None
        if theirs is not None and theirs.shape[1] == own.shape[1] and comparable:
            return theirs
        return own.new_zeros(len(guests), own.shape[1])

    return replace(
        guests,
        semantic_features=fitted(scene.gaussians.semantic_features, guests.semantic_features, same_space),
        instance_features=fitted(scene.gaussians.instance_features, guests.instance_features, True),
    )


def _same_space(first: TextSpace | None, second: TextSpace | None) -> bool:
    if first is None or second is None:
        return False
    return first.encoder == second.encoder and all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in ("weight", "bias")
    )


def _rows_of_known(scene: GaussianScene, instance_id: int) -> Tensor:
    """(N,) bool: the Gaussians of an object that must be there."""
    require_ids(scene, [instance_id])
    return rows_of(scene, [instance_id])
