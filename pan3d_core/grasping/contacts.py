"""Where two pads could meet: contact pairs of five kinds, from what was seen and from what can be guessed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from pan3d_core.config import GraspConfig
from pan3d_core.grasping.object_cloud import ObjectCloud

# How a pair was found, and how far such a pair is to be trusted beside one whose both faces were seen.
ANTIPODAL, WALL, RIM, GUESSED, BOX = range(5)
PRIOR = np.array([1.0, 0.8, 0.8, 0.9, 0.6], np.float32)
NAMES = ("antipodal", "wall", "rim", "guessed", "box")
_MIN_PAIR_WIDTH_M = 0.012
_MAX_WALL_M = 0.012
_NORMAL_SLACK = 0.06  # measured normals are noisy: the friction cone's cosine is relaxed by this
_BIN_M = 0.012
_RIM_SECTORS = 16
_RIM_BAND_M = 0.010
_RIM_DEPTH_M = 0.008
_RIM_COVER_M = 0.006  # tips reach so far past that
_MAX_RIM_M = 0.04


@dataclass(frozen=True)
class ContactPairs:
    """P places for the two pads; float32, metres, world frame."""

    centers: np.ndarray  # (P, 3) between the contacts
    axes: np.ndarray  # (P, 3) unit, closing direction
    widths: np.ndarray  # (P,) between the contacts
    quality: np.ndarray  # (P,) 0..1 agreement of normals and axis
    source: np.ndarray  # (P,) ANTIPODAL, WALL, RIM, GUESSED or BOX

    def __len__(self) -> int:
        return len(self.widths)

    def __getitem__(self, rows: np.ndarray) -> ContactPairs:
        return ContactPairs(self.centers[rows], self.axes[rows], self.widths[rows], self.quality[rows], self.source[rows])


@dataclass(frozen=True)
class PairCounts:
    """What became of the pairs that were looked at."""

    sampled: int
    antipodal: int
    too_wide: int
    too_thin: int = 0  # of those that would be tried


def find_pairs(cloud: ObjectCloud, config: GraspConfig) -> tuple[ContactPairs, PairCounts]:
    """Diverse contact pairs, at most `config.num_pairs`, and counts for the report."""
    max_width = config.gripper.max_width_m * config.max_width_fraction
    antipodal, counts = _antipodal_pairs(cloud, config, max_width)
    found = [_spread(antipodal), _spread(_wall_pairs(cloud)), _rim_pairs(cloud), _box_pairs(cloud, config, max_width)]
    parts = [part[part.widths >= config.gripper.min_width_m] for part in found]
    counts = replace(counts, too_thin=sum(map(len, found)) - sum(map(len, parts)))
    # Seen pairs come first; the inferred kinds always keep a share.
    inferred = min(config.num_pairs // 2, sum(len(part) for part in parts[1:]))
    room = [config.num_pairs - inferred, config.num_pairs // 6, _RIM_SECTORS, config.num_pairs // 6]
    kept = [part[np.argsort(-part.quality, kind="stable")[:count]] for part, count in zip(parts, room)]
    return ContactPairs(*(np.concatenate([getattr(part, item.name) for part in kept]) for item in fields(ContactPairs))), counts


def _antipodal_pairs(cloud: ObjectCloud, config: GraspConfig, max_width: float) -> tuple[ContactPairs, PairCounts]:
    """All pairs of points whose connecting line lies in both friction cones (Nguyen 1988)."""
    points, normals = cloud.points, cloud.normals
    i, j = np.triu_indices(len(points), 1)
    offset = points[j] - points[i]
    width = np.linalg.norm(offset, axis=1)
    axis = offset / np.maximum(width, 1e-6)[:, None]
    entry, leaving = -np.einsum("ij,ij->i", normals[i], axis), np.einsum("ij,ij->i", normals[j], axis)
    cone = np.cos(np.arctan(config.friction)) - _NORMAL_SLACK
    facing = (entry > cone) & (leaving > cone) & (width > _MIN_PAIR_WIDTH_M)
    fits = facing & (width <= max_width)
    counts = PairCounts(len(i), int(facing.sum()), int((facing & ~fits).sum()))
    rows = np.flatnonzero(fits)
    centers = (points[i[rows]] + points[j[rows]]) / 2
    lever = np.linalg.norm(centers[:, :2] - cloud.center[:2], axis=1)
    quality = np.minimum(entry, leaving)[rows] * np.exp(-lever / 0.15)
    source = np.where(cloud.seen[i[rows]] & cloud.seen[j[rows]], ANTIPODAL, GUESSED)
    # Flat pads settle against the faces, so the faces' normals say more about the closing direction than the pair of points.
    axis = axis[rows] + (normals[j[rows]] - normals[i[rows]])
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    return _pairs(centers, axis, width[rows], quality * PRIOR[source], source), counts


def _wall_pairs(cloud: ObjectCloud) -> ContactPairs:
    """Pairs across a thin wall. Their distance is within the noise, so the axis comes from the normals."""
    points, normals = cloud.points, cloud.normals
    i, j = np.triu_indices(len(points), 1)
    offset = points[j] - points[i]
    near = np.einsum("ij,ij->i", offset, offset) < _MAX_WALL_M**2
    i, j, offset = i[near], j[near], offset[near]
    opposed = np.einsum("ij,ij->i", normals[i], normals[j]) < -0.75
    i, j, offset = i[opposed], j[opposed], offset[opposed]
    axis = normals[j] - normals[i]
    axis /= np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-6)
    thickness = np.einsum("ij,ij->i", offset, axis)
    aside = np.linalg.norm(offset - thickness[:, None] * axis, axis=1)
    rows = np.flatnonzero((thickness > -0.004) & (aside < 0.007))
    quality = -np.einsum("ij,ij->i", normals[i[rows]], normals[j[rows]])
    centers = (points[i[rows]] + points[j[rows]]) / 2
    return _pairs(centers, axis[rows], np.maximum(thickness[rows], 0.003), quality, WALL)


def _rim_pairs(cloud: ObjectCloud) -> ContactPairs:
    """One finger inside, one outside the rim of a hollow object that stands open side up (bowl, mug, cup, pan)."""
    points = cloud.points
    if len(points) < 40:
        return _no_pairs()
    top = np.percentile(points[:, 2], 98)
    low = points[:, 2].min() if cloud.support_height_m is None else cloud.support_height_m
    band_m, depth_m = (min(limit, share * (top - low)) for limit, share in ((_RIM_BAND_M, 0.35), (_RIM_DEPTH_M, 0.25)))
    upper = points[points[:, 2] > top - 2.5 * band_m]
    center = (upper[:, :2].min(0) + upper[:, :2].max(0)) / 2
    offset = points[:, :2] - center
    radius, angle = np.linalg.norm(offset, axis=1), np.arctan2(offset[:, 1], offset[:, 0])
    rim_radius = np.percentile(radius[points[:, 2] > top - 2.5 * band_m], 60)
    inside = radius < 0.55 * rim_radius
    if rim_radius < 0.02 or (inside & (points[:, 2] > top - 1.5 * band_m)).sum() > 0.03 * len(points):
        return _no_pairs()  # closed on top
    centers, axes, widths, radii = [], [], [], []
    for sector in np.linspace(-np.pi, np.pi, _RIM_SECTORS, endpoint=False):
        in_sector = np.abs(np.angle(np.exp(1j * (angle - sector)))) < np.pi / _RIM_SECTORS
        rows = in_sector & (radius > 0.7 * rim_radius)
        if rows.sum() < 4:
            continue
        edge = np.percentile(points[rows, 2], 95)
        band = rows & (points[:, 2] > edge - band_m) & (radius < 1.3 * rim_radius)
        if edge < top - 0.025 or band.sum() < 3:
            continue
        direction = np.array([np.cos(sector), np.sin(sector)])
        radii.append(np.median(radius[band]))
        # A wall that slopes is as wide as it is between the tips, which is where the jaws must not come down on it.
        wall = in_sector & (points[:, 2] > edge - depth_m - _RIM_COVER_M) & (np.abs(radius / rim_radius - 0.9) < 0.4)
        inner, outer = np.percentile(radius[wall], [4, 96])
        centers.append([*(center + direction * (inner + outer) / 2), edge - depth_m])
        axes.append([*direction, 0.0])
        widths.append(np.clip(outer - inner, 0.004, _MAX_RIM_M))
    if len(centers) < 0.6 * _RIM_SECTORS or np.std(radii) > 0.3 * np.mean(radii):
        return _no_pairs()  # no closed rim
    count = len(centers)
    return _pairs(np.array(centers), np.array(axes), np.array(widths), np.full(count, 0.8), RIM)


def _box_pairs(cloud: ObjectCloud, config: GraspConfig, max_width: float) -> ContactPairs:
    """Across the upright faces of the target's box, for sides that no camera saw."""
    world_from_box = cloud.box.world_from_box.cpu().numpy()
    size = cloud.box.size_m.cpu().numpy()
    if len(cloud.points) == 0:
        return _no_pairs()
    low, high = np.percentile(cloud.points[:, 2], [2, 98])
    if cloud.support_height_m is not None:
        low = min(low, cloud.support_height_m)
    heights = {max(high - 0.015, (low + high) / 2), (low + high) / 2, max(high - 0.04, (low + high) / 2)}
    upright = int(np.abs(world_from_box[2, :3]).argmax())
    horizontal = [axis for axis in range(3) if axis != upright]
    centers, axes, widths = [], [], []
    for closing, along in (horizontal, horizontal[::-1]):
        if size[closing] > max_width:
            continue
        for step in (0.0, -0.3, 0.3, -0.6, 0.6):
            place = world_from_box[:3, 3] + world_from_box[:3, along] * step * size[along] / 2
            for height in heights:
                centers.append([*place[:2], height])
                axes.append(world_from_box[:3, closing])
                widths.append(size[closing])
    if not centers:
        return _no_pairs()
    reach = np.linalg.norm(np.array(centers)[:, :2] - cloud.center[:2], axis=1)
    return _pairs(np.array(centers), np.array(axes), np.array(widths), 0.8 * np.exp(-reach / 0.1), BOX)


def _spread(pairs: ContactPairs) -> ContactPairs:
    """The best pair of each cell of place and direction."""
    if len(pairs) == 0:
        return pairs
    leading = np.take_along_axis(pairs.axes, np.abs(pairs.axes).argmax(1)[:, None], 1)
    direction = np.round(pairs.axes * np.sign(leading) * 2.5)
    cells = np.concatenate([np.floor(pairs.centers / _BIN_M), direction], axis=1).astype(np.int64)
    order = np.argsort(-pairs.quality, kind="stable")
    return pairs[order[np.unique(cells[order], axis=0, return_index=True)[1]]]


def _pairs(
    centers: np.ndarray, axes: np.ndarray, widths: np.ndarray, quality: np.ndarray, source: int | np.ndarray
) -> ContactPairs:
    centers, axes, widths, quality = (np.asarray(a, np.float32) for a in (centers, axes, widths, quality))
    return ContactPairs(centers, axes, widths, quality, np.broadcast_to(np.asarray(source), (len(widths),)))


def _no_pairs() -> ContactPairs:
    return _pairs(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0), BOX)
