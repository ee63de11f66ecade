"""The appearance of every object of a result, from its pixels in the original pictures, its points and the network's features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import binary_erosion
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from pan3d_core.pictures.overlays import ids_on_image, to_picture
from pan3d_core.structures import CameraView, Panoptic3D, Segment, ViewBatch, unit_range
from pan3d_core.teaching.crops import CropSource, crop_of, features_of, shipped_projection
from pan3d_core.teaching.looks import MIN_PIXELS, Floats, Looks, Patch, shape_of, surface_looks

_LONGEST_SIDE = 640  # pictures are thinned to so many pixels: colours need no more
_RIM_PIXELS = 2  # of an object's outline, whose pixels are partly of what is behind it
_FEWEST_POINTS = 10
_LEAST_SHARE = 0.25  # of a cell of the feature map that an object must fill in one place at least

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NetworkLooks:
    """What a network says of the look of every place of the views."""

    features: Tensor | None = None  # (S, F, h, w) of any size; None = it gives none
    checkpoint: str = ""  # checksum of its weights; empty = unknown
    crops: CropSource | None = None  # what it says of pictures of single objects; None = nothing


@dataclass(frozen=True)
class Masked:
    """The original picture of one view, perhaps thinned, and which object each pixel shows."""

    picture: Pixels  # (H, W, 3)
    ids: npt.NDArray[np.int64]  # (H, W), 0 = none


def masked_pictures(panoptic: Panoptic3D, batch: ViewBatch, views: Sequence[CameraView]) -> list[Masked]:
    """Bring the ids of a result to the pictures that it was made from.

    Args:
        panoptic: The result.
        batch: Its views at network size.
        views: The original ones; those that the batch left out may be among them.

    Returns:
        One for each view of the batch, its longest side at most `_LONGEST_SIDE` pixels.
    """
    original = {(view.camera, view.stamp_ns): view for view in views}
    found = []
    for index, key in enumerate(zip(batch.cameras, batch.stamps_ns)):
        view = original[key]
        step = max(1, -(-max(view.hw) // _LONGEST_SIDE))
        picture = to_picture(unit_range(view.image[:, ::step, ::step]))
        thinned = torch.diag(torch.tensor([float(step), float(step), 1.0]))
        network_from_thinned = batch.network_from_original[index].cpu() @ thinned
        ids = ids_on_image(panoptic.instance_id[index].cpu(), network_from_thinned, (picture.shape[0], picture.shape[1]))
        found.append(Masked(picture, ids))
    return found


def describe_objects(
    panoptic: Panoptic3D, batch: ViewBatch, views: Sequence[CameraView], network: NetworkLooks, *, is_metric: bool
) -> dict[int, Looks]:
    """Take the appearance of all objects of a result.

    Args:
        panoptic: The result.
        batch: Its views at network size.
        views: The pictures that it was made from.
        network: What the network says of their look.
        is_metric: Whether lengths are metres; else sizes are left out.

    Returns:
        Instance id -> appearance; objects of which too few pixels are seen are left out.
    """
    pictures = masked_pictures(panoptic, batch, views)
    vectors = _scene_vectors(network.features)
    points, owners = panoptic.points.numpy(force=True), panoptic.point_instance_id.numpy(force=True)
    found, shown = {}, {}
    for segment in panoptic.segments:
        patches = [_patch(item, segment.instance_id) for item in pictures]
        try:
            surface = surface_looks(patches)
        except ValueError:  # too small in all pictures to be told from others
            continue
        shown[segment.instance_id] = [
            crop_of(_patch(item, segment.instance_id, whole=True))
            for item, patch in zip(pictures, patches)
            if patch.mask.sum() >= MIN_PIXELS
        ]
        mine = points[owners == segment.instance_id]
        spread, distances = shape_of(mine) if len(mine) >= _FEWEST_POINTS else (None, None)
        found[segment.instance_id] = replace(
            surface,
            size_m=_sides(segment) if is_metric else None,
            spread_m=spread if is_metric else None,
            distances=distances,
            vectors=_pooled(vectors, panoptic.instance_id == segment.instance_id),
            meaning=None if segment.text_embedding is None else segment.text_embedding.numpy(force=True).astype(np.float32),
            checkpoint=network.checkpoint,
        )
    return _with_crops(found, shown, network.crops)


def _with_crops(found: Mapping[int, Looks], shown: Mapping[int, Sequence[Patch]], source: CropSource | None) -> dict[int, Looks]:
    """With vectors of the objects' pictures, where there is a network that the learnt space is of."""
    if source is None or not found or shipped_projection().stem != source.checkpoint:
        return dict(found)
    projection = shipped_projection()
    rows = projection(features_of([patch for key in found for patch in shown[key]], source.features))
    ends = np.cumsum([len(shown[key]) for key in found])
    parts = np.split(rows, ends[:-1])
    return {key: replace(looks, crops=part, space=projection.space) for (key, looks), part in zip(found.items(), parts)}


def _patch(item: Masked, instance_id: int, *, whole: bool = False) -> Patch:
    """The object, or all of it but its rim, with a few pixels around it, so that steps there are those of the picture."""
    mask = item.ids == instance_id if whole else inner(item.ids == instance_id)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Patch(item.picture[:1, :1], mask[:1, :1])
    top, left = max(0, rows[0] - 2), max(0, columns[0] - 2)
    part = slice(top, rows[-1] + 3), slice(left, columns[-1] + 3)
    return Patch(item.picture[part], mask[part])


def inner(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Leave out the rim of a mask (H, W), as far as something stays."""
    smaller: npt.NDArray[np.bool_] = binary_erosion(mask, iterations=_RIM_PIXELS)
    return smaller if smaller.sum() > mask.sum() / 4 else mask


def _sides(segment: Segment) -> Floats:
    sides: Floats = np.sort(segment.box.size_m.numpy(force=True))[::-1].astype(np.float32)
    return sides


def _scene_vectors(features: Tensor | None) -> Tensor | None:
    """Features (S, F, h, w) with the scene's own mean and spread taken out: light and table change them all alike."""
    if features is None:
        return None
    flat = features.float().permute(1, 0, 2, 3).flatten(1)
    mean, spread = flat.mean(1), flat.std(1) + 1e-6
    return (features.float() - mean[:, None, None]) / spread[:, None, None]


def _pooled(vectors: Tensor | None, masks: Tensor) -> Floats | None:
    """(V, F) unit vectors of an object in the views that show it; `masks` (S, h, w)."""
    if vectors is None:
        return None
    shares = adaptive_avg_pool2d(masks.to(vectors.device).float(), (vectors.shape[-2], vectors.shape[-1]))
    shown = shares.flatten(1).amax(1) >= _LEAST_SHARE
    if not bool(shown.any()):
        return None
    kept, weights = vectors[shown], shares[shown][:, None]
    rows: Floats = normalize((kept * weights).sum((2, 3)) / weights.sum((2, 3)), dim=1).numpy(force=True)
    return rows
