"""How far an object's place may be off, as a covariance that a planner can pad with.

The model is plain on purpose, and fitted: along each axis of the box the error has a share that is the same for all objects and a
share of the extent, since the side that no camera saw is guessed; it grows as the network is less sure of the object and of its
name, and as fewer views show it. For predicted depth it is fitted by maximum likelihood to the found objects of thirteen rendered
worlds, kinds and things that no training shows among them (`pan3d bench warranty --write`); for measured depth, the place to
those of six of them, and the sides are taken to be twice as uncertain as the middle, as with predicted depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pan3d_core.structures import Segment

USUAL_VIEWS = 4
USUAL_NAME = 0.7  # probability of a name, which is assumed where there is none


@dataclass(frozen=True)
class PlaceErrors:
    """Standard deviations of a box's centre, or of its sides, along an axis of the box."""

    of_all_m: float
    of_extent: float  # share of the extent along the axis
    of_doubt: float  # by how much both grow, relatively, from a score of 1 to one of 0
    of_name: float = 0.0  # likewise from a name that is certain to one that is not


PREDICTED = PlaceErrors(of_all_m=0.0053, of_extent=0.058, of_doubt=0.81, of_name=2.0)
MEASURED = PlaceErrors(of_all_m=0.0025, of_extent=0.054, of_doubt=3.1)
PREDICTED_SIDES = PlaceErrors(of_all_m=0.0102, of_extent=0.132, of_doubt=1.01, of_name=2.07)
MEASURED_SIDES = PlaceErrors(of_all_m=0.005, of_extent=0.108, of_doubt=3.1)


def with_uncertainty(segment: Segment, *, measured: bool) -> Segment:
    """Say of an object how far its place and its sides may be off.

    Args:
        segment: In a metric world.
        measured: Whether its depth was measured, rather than predicted by a network.

    Returns:
        The object with covariance and deviations.
    """
    place, sides = position_covariance(segment, measured=measured), size_deviations(segment, measured=measured)
    return replace(segment, position_covariance=place, size_sigma_m=sides)


def size_deviations(segment: Segment, *, measured: bool) -> Tensor:
    """Estimate how far the sides of an object's box are from what they are said to be.

    Args:
        segment: In a metric world.
        measured: Whether its depth was measured, rather than predicted by a network.

    Returns:
        (3,) metres, standard deviations along the axes of the box.
    """
    return _variance(segment, MEASURED_SIDES if measured else PREDICTED_SIDES).sqrt()


def position_covariance(segment: Segment, *, measured: bool) -> Tensor:
    """Estimate how far the middle of an object's box is from where it is said to be.

    Args:
        segment: In a metric world.
        measured: Whether its depth was measured, rather than predicted by a network.

    Returns:
        (3, 3) m^2 covariance in world axes, of the box's centre.
    """
    variance = _variance(segment, MEASURED if measured else PREDICTED)
    world_from_axes = segment.box.world_from_box[:3, :3]
    return world_from_axes @ torch.diag(variance) @ world_from_axes.T


def _variance(segment: Segment, errors: PlaceErrors) -> Tensor:
    """(3,) m^2 along the axes of the box."""
    name = segment.class_score if segment.class_id >= 0 else USUAL_NAME
    doubt = 1.0 + errors.of_doubt * (1.0 - segment.score) + errors.of_name * (USUAL_NAME - name)
    variance = errors.of_all_m**2 + (errors.of_extent * segment.box.size_m).square()
    grown: Tensor = variance * doubt**2 * (USUAL_VIEWS / max(segment.num_views, 1)) ** 0.5
    return grown
