"""Masks of views without poses onto the vertices of a scan: predicted points, moved by one similarity, vote.

Predicted cameras and depth take part, so this measures the whole system; `posed_transfer` is another experiment. A similarity
from predicted to true camera centres (Umeyama 1991) is refined by iterated closest points with scale, then every predicted
point votes for its instance at the nearest vertex. The published descriptions leave the details open; those here are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.geometry.alignment import Similarity
from pan3d_eval.metrics.trajectories import absolute_trajectory_error, fit_centers
from pan3d_eval.protocols.scannet import VertexMasks

GATES_M = (0.25,) * 5 + (0.10,) * 5  # one iteration each: pairs further apart take no part
MAX_SOURCE_POINTS = 20_000
VOTE_RADIUS_M = 0.05


@dataclass(frozen=True)
class UnposedMasks(VertexMasks):
    """Masks that were voted for; every vertex is in one at most."""

    world_from_predicted: Similarity
    share_voting: float  # of the predicted points, those with a vertex within the vote radius


def unposed_transfer(
    points: Tensor,
    query_index: Tensor,
    num_queries: int,
    predicted_cam_from_world: Tensor,
    true_cam_from_world: Tensor,
    vertices: Tensor,
) -> UnposedMasks:
    """Let predicted points vote for their instances at the vertices of a scan, after one similarity between the cameras.

    Args:
        points: (M, 3) in the predicted world.
        query_index: (M,) the instance of each, -1 = none.
        num_queries: How many instances there are.
        predicted_cam_from_world: (S, 4, 4).
        true_cam_from_world: (S, 4, 4).
        vertices: (N, 3) of the true scan, metres.

    Returns:
        Masks on the N vertices, which do not overlap, and the similarity that was fitted.

    Raises:
        ValueError: Shapes disagree, or the camera centres leave the similarity open.
    """
    if points.ndim != 2 or points.shape[1] != 3 or query_index.shape != points.shape[:1]:
        raise ValueError(
            f"points, query_index: expected shapes (M, 3) and (M,), got {tuple(points.shape)} and {tuple(query_index.shape)}"
        )
    if query_index.numel() and int(query_index.max()) >= num_queries:
        raise ValueError(f"query_index: expected values under {num_queries}, got {int(query_index.max())}")
    start = absolute_trajectory_error(predicted_cam_from_world, true_cam_from_world).world_from_predicted
    if start is None:
        raise ValueError("predicted_cam_from_world: expected three or more camera centres that are not on a line")
    source, target = points.double().cpu(), vertices.double().cpu()
    tree = cKDTree(target.numpy())
    fit = similarity_icp(source, target, start, tree)
    distance, nearest = map(np.asarray, tree.query(fit.apply(source).numpy(), distance_upper_bound=VOTE_RADIUS_M))
    close = np.isfinite(distance)
    voting = close & (query_index.cpu().numpy() >= 0)
    votes = np.zeros((num_queries + 1, len(target)), dtype=np.int64)  # the last row: nothing voted
    np.add.at(votes, (query_index.cpu().numpy()[voting], nearest[voting]), 1)
    winner = np.where(votes.any(axis=0), votes.argmax(axis=0), num_queries)
    masks = torch.from_numpy(winner == np.arange(num_queries)[:, None])
    return UnposedMasks(masks, f"unposed, votes within {VOTE_RADIUS_M:g} m", fit, float(close.mean()) if len(close) else 0.0)


def similarity_icp(source: Tensor, target: Tensor, start: Similarity, tree: cKDTree | None = None) -> Similarity:
    """Refine `target_from_source` of (M, 3) to (N, 3) points: nearest neighbours within each of `GATES_M`, then a closed fit.

    Ends early when the pairs in the gate leave the fit open.
    """
    tree = tree or cKDTree(target.numpy())
    thin = source[:: -(-len(source) // MAX_SOURCE_POINTS)] if len(source) else source
    fit = start
    for gate in GATES_M:
        distance, nearest = map(np.asarray, tree.query(fit.apply(thin).numpy(), distance_upper_bound=gate))
        near = np.isfinite(distance)
        refined = fit_centers(thin[torch.from_numpy(near)], target[torch.from_numpy(nearest[near])], "similarity")
        if refined is None:
            break
        fit = refined
    return fit
