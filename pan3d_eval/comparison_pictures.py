"""Predicted instances and depth beside the true ones, one picture per view."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pan3d_core.pictures import overlays
from pan3d_core.pictures.overlays import ids_on_image
from pan3d_core.structures import PerceptionResult
from pan3d_core.views.scene_folder import Scene
from pan3d_eval.metrics.objects import ObjectErrors
from pan3d_eval.runner import truth_at_network

DEPTH_ERROR_LIMIT_M = 0.05
CAPTIONS = (
    "predicted",
    "true",
    "depth",
    "true depth",
    f"error, +-{DEPTH_ERROR_LIMIT_M * 100:.0f} cm: red too far, blue too near",
)


def ids_on_picture(ids: Tensor, network_from_original: Tensor, original_hw: tuple[int, int], width: int) -> np.ndarray:
    """(h, w) ids of the network -> (H, `width`) ids on the enlarged original, with smooth outlines."""
    factor = original_hw[1] / width
    hw = round(original_hw[0] / factor), width
    shift = 0.5 * factor - 0.5  # integer coordinates are pixel centres
    original_from_picture = torch.tensor([[factor, 0.0, shift], [0.0, factor, shift], [0.0, 0.0, 1.0]])
    return ids_on_image(ids, network_from_original.cpu().float() @ original_from_picture, hw)


def in_true_colors(instance_id: Tensor, objects: tuple[ObjectErrors, ...]) -> tuple[Tensor, dict[int, int]]:
    """Predicted ids renumbered so that a segment has the number, hence the colour, of the true object that it is.

    Segments that are no true object get numbers after the true ones. Also the number of each predicted id.
    """
    numbers = {item.segment_id: item.instance_id for item in objects if item.found}
    following = max((item.instance_id for item in objects), default=0) + 1
    for predicted in instance_id.unique().tolist():
        if predicted > 0 and predicted not in numbers:
            numbers[predicted] = following
            following += 1
    renumbered = torch.zeros_like(instance_id)
    for predicted, number in numbers.items():
        renumbered[instance_id == predicted] = number
    return renumbered, numbers


def instance_pictures(
    scene: Scene, result: PerceptionResult, objects: tuple[ObjectErrors, ...], width: int, *, named: bool = True
) -> list[np.ndarray]:
    """Each view with the predicted instances drawn on it, in the colours of the true objects that they are."""
    renumbered, numbers = in_true_colors(result.panoptic.instance_id.cpu(), objects)
    labels = result.panoptic.labels
    names = {
        numbers[segment.instance_id]: f"{labels.name(segment.class_id) or 'object'} {segment.score:.2f}"
        for segment in result.panoptic.segments
        if segment.instance_id in numbers
    }
    return _drawn(scene, renumbered, result.views.network_from_original, names if named else {}, width)


def true_instance_pictures(scene: Scene, result: PerceptionResult, width: int, *, named: bool = True) -> list[np.ndarray]:
    """Each view with the true instances."""
    truth = scene.known_truth()
    names = {item.instance_id: truth.labels.name(item.class_id) or item.name for item in truth.objects}
    return _drawn(scene, truth_at_network(result, truth)[0], result.views.network_from_original, names if named else {}, width)


def view_rows(scene: Scene, result: PerceptionResult, objects: tuple[ObjectErrors, ...], width: int) -> list[np.ndarray]:
    """One picture per view: predicted and true instances, predicted and true depth, and the error of the depth.

    Depth of a result that is not metric is shown after one scale for the scene.
    """
    instances = instance_pictures(scene, result, objects, width)
    true_instances = true_instance_pictures(scene, result, width)
    true_depths = truth_at_network(result, scene.known_truth())[1].numpy()
    depths = result.reconstruction.depth.numpy(force=True)
    if not result.is_metric:
        known = (true_depths > 0) & (depths > 0)
        depths = depths * (np.median(true_depths[known] / depths[known]) if known.any() else 1.0)
    near, far = overlays.depth_range(true_depths)
    rows = []
    for index, (depth, true_depth) in enumerate(zip(depths, true_depths)):
        maps = [
            overlays.depth_picture(depth, near, far),
            overlays.depth_picture(true_depth, near, far),
            overlays.error_picture(depth, true_depth, DEPTH_ERROR_LIMIT_M),
        ]
        tiles = [instances[index], true_instances[index], *(overlays.enlarge(item, width, smooth=False) for item in maps)]
        rows.append(overlays.montage(tiles, len(tiles), CAPTIONS if index == 0 else ()))
    return rows


def _drawn(scene: Scene, ids: Tensor, mappings: Tensor, names: dict[int, str], width: int) -> list[np.ndarray]:
    pictures = []
    for view, ids_of_view, mapping in zip(scene.views, ids, mappings):
        placed = ids_on_picture(ids_of_view, mapping, view.hw, width)
        picture = overlays.enlarge(overlays.to_picture(view.image), width)
        pictures.append(overlays.overlay(picture, placed, names))
    return pictures
