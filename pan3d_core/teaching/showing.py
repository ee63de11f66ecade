"""From an object of a result to one that is taught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.labels import best_taught
from pan3d_core.language.prompts import name_segments
from pan3d_core.language.selection import Selection
from pan3d_core.pictures.cloud_files import Cloud
from pan3d_core.pictures.palette import Picture
from pan3d_core.structures import CameraView, PerceptionResult
from pan3d_core.teaching.describing import Masked, masked_pictures
from pan3d_core.teaching.looks import Looks
from pan3d_core.teaching.objects import TaughtObject, checked_name, key_of
from pan3d_core.views.picture_checks import picture_faults

MIN_VIEWS = 2  # fewer show one side, which may be that of another thing
_MARGIN = 0.15  # around an object in its thumbnail, in sides of its box


@dataclass(frozen=True)
class Seen:
    """A view set that objects can be taught from."""

    result: PerceptionResult
    views: tuple[CameraView, ...]  # the original pictures
    looks: dict[int, Looks]  # instance id -> appearance


def chosen_object(result: PerceptionResult, selection: Selection | None = None) -> int:
    """Say which object is shown: the one that is selected, or the only one that is there.

    Args:
        result: That shows it.
        selection: Of its objects; None = nothing was said.

    Returns:
        Its id.

    Raises:
        ValueError: There is none, or there are several; lists them.
    """
    names = name_segments(result.panoptic)
    ids = tuple(names) if selection is None else selection.instance_ids
    if len(ids) == 1:
        return ids[0]
    if not ids:
        why = selection.message if selection is not None and names else "none was found"
        raise ValueError(f"object: expected one in the views, got none: {why}")
    listed = ", ".join(f"{key} ({names[key]})" for key in ids)
    raise ValueError(
        f"object: expected to be told which one is shown, got {len(ids)}: {listed}; say it by id, prompt, pixel or box"
    )


def show_object(seen: Seen, instance_id: int, name: str, engine: str = "") -> TaughtObject:
    """Make an object of a result one that is taught.

    Args:
        seen: Views with a metric result.
        instance_id: Of the object.
        name: That it gets.
        engine: That found it.

    Returns:
        The object, in no library yet.

    Raises:
        ValueError: The name is none, nothing is known in metres, there is no such object, too few views show enough of it, or too
            few are clear.
    """
    result, tidy = seen.result, checked_name(name)
    panoptic = result.panoptic
    if not result.is_metric:
        why = result.reconstruction.alignment or "no camera poses are known"
        raise ValueError(f"views: expected known poses, so that sizes are metres, got none that can be used: {why}")
    descriptions = name_segments(panoptic)
    if instance_id not in descriptions:
        raise ValueError(f"object: expected one of {sorted(descriptions)}, got {instance_id}")
    looks = seen.looks.get(instance_id)
    count = 0 if looks is None else len(looks.pixels)
    if looks is None or count < MIN_VIEWS:
        raise ValueError(f"views: expected at least {MIN_VIEWS} that show enough of object {instance_id}, got {count}")
    if len(faults := picture_faults(seen.views)) > len(seen.views) - MIN_VIEWS:
        listed = "; ".join(f"{seen.views[row].camera}: {why}" for row, why in faults.items())
        raise ValueError(f"views: expected at least {MIN_VIEWS} that are clear, got {len(seen.views) - len(faults)}: {listed}")
    pictures = masked_pictures(panoptic, result.views, seen.views)
    thumbnails = tuple(picture for item in pictures if (picture := _thumbnail(item, instance_id)) is not None)
    stamp_ns = max(result.views.stamps_ns)
    return TaughtObject(tidy, looks, _cloud(result, instance_id), thumbnails, descriptions[instance_id], engine, stamp_ns)


def same_as_taught(seen: Seen, instance_id: int, name: str) -> str:
    """Look whether an object is taught already by another name.

    Args:
        seen: Views, their segments compared with what was taught.
        instance_id: Of the object.
        name: That it gets; the taught object of this name does not count.

    Returns:
        The other name; empty = it looks like no other object.
    """
    segment = seen.result.panoptic.segment(instance_id)
    best = best_taught(tuple(fit for fit in segment.taught if key_of(fit.name) != key_of(name)))
    return "" if best is None else best.name


def _thumbnail(item: Masked, instance_id: int) -> Picture | None:
    rows, columns = np.nonzero(item.ids == instance_id)
    if not len(rows):
        return None
    height, width = item.ids.shape
    margin = round(_MARGIN * max(np.ptp(rows), np.ptp(columns))) + 2
    top, bottom = max(0, rows.min() - margin), min(height, rows.max() + margin + 1)
    left, right = max(0, columns.min() - margin), min(width, columns.max() + margin + 1)
    return item.picture[top:bottom, left:right]


def _cloud(result: PerceptionResult, instance_id: int) -> Cloud:
    panoptic = result.panoptic
    box_from_world = invert_rigid(panoptic.segment(instance_id).box.world_from_box.cpu())
    mine = (panoptic.point_instance_id == instance_id).cpu()
    normals = panoptic.point_normals.cpu()[mine] @ box_from_world[:3, :3].T
    colors = (panoptic.point_colors.cpu()[mine] * 255).round().clamp(0, 255).to(torch.uint8)
    points = transform_points(box_from_world, panoptic.points.cpu()[mine])
    return Cloud(points.float().numpy(), normals.float().numpy(), colors.numpy(), np.ones(int(mine.sum()), np.int32))
