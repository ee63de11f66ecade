"""Surfaces of points as convex parts: what is convex stays whole, hollows stay hollow."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from surface_scenes import as_scene, bowl_surface, box_surface, cylinder_surface

from pan3d_sim.rehearsal.parts import TOLERANCE_M, WALL_M, convex_parts
from pan3d_sim.rehearsal.perceived import Unseen, perceived_objects


def parts_of(points, normals, most=16):
    return convex_parts(points, normals, np.zeros(len(points), bool), np.eye(3), most)


def inside(parts, place):
    """How deep a place is in the parts, metres; negative = outside of all."""
    faces = [ConvexHull(corners).equations for corners in parts.corners]
    return max(-(place @ equations[:, :3].T + equations[:, 3]).max() for equations in faces)


def test_a_box_is_one_part_with_its_volume():
    parts = parts_of(*box_surface(np.array([0.1, 0.0, 0.05]), np.array([0.05, 0.07, 0.10]), np.random.default_rng(0)))
    assert len(parts.corners) == 1 and parts.volumes_m3[0] == pytest.approx(0.05 * 0.07 * 0.10, rel=0.05)


def test_a_corner_is_cut_where_its_sides_meet():
    rng = np.random.default_rng(1)
    faces = [box_surface(np.array([0.0, 0.0, 0.02]), np.array([0.16, 0.04, 0.04]), rng),
             box_surface(np.array([-0.06, 0.06, 0.02]), np.array([0.04, 0.08, 0.04]), rng)]  # fmt: skip
    points, normals = (np.concatenate(values) for values in zip(*faces))
    outside = (np.abs(points[:, 1] - 0.02) > 1e-6) | (points[:, 0] > -0.04)  # where the two are joined there is no surface
    parts = parts_of(points[outside], normals[outside])
    assert 2 <= len(parts.corners) <= 8
    assert inside(parts, np.array([0.04, 0.06, 0.02])) < 0 < inside(parts, np.array([0.04, 0.0, 0.02]))
    assert inside(parts, np.array([-0.06, 0.08, 0.02])) > 0.01


@pytest.mark.slow
def test_a_bowl_stays_hollow_and_its_wall_closed():
    points, normals = bowl_surface(np.array([0.0, 0.0, 0.03]), 0.07, 0.06, np.random.default_rng(2))
    parts = parts_of(points, normals)
    assert 4 < len(parts.corners) <= 16 and inside(parts, np.array([0.0, 0.0, 0.05])) < -0.01
    depth = np.array([inside(parts, point) for point in points[::10]])
    assert (depth > -1e-6).all() and np.quantile(depth, 0.9) < 2 * TOLERANCE_M


def test_points_in_a_plane_have_the_thickness_of_a_wall():
    flat = np.column_stack([np.random.default_rng(3).uniform(-0.05, 0.05, (60, 2)), np.zeros(60)])
    (corners,) = parts_of(flat, np.tile([0.0, 0.0, 1.0], (60, 1))).corners
    assert np.ptp(corners[:, 2]) == pytest.approx(WALL_M)
    line = np.column_stack([np.linspace(0, 0.1, 20), np.zeros((20, 2))])  # no solid at all: joggled into one
    assert len(parts_of(line, np.tile([0.0, 0.0, 1.0], (20, 1))).corners) == 1


def from_above(points, normals):
    seen = normals[:, 2] > 0.5
    return points[seen], normals[seen]


def test_what_stands_on_another_thing_ends_there():
    """Only tops are seen: the upper box may go on down to the lower one's top, the lower one to the support."""
    rng = np.random.default_rng(4)
    lower = from_above(*box_surface(np.array([0.0, 0.0, 0.02]), np.array([0.12, 0.12, 0.04]), rng))
    upper = from_above(*box_surface(np.array([0.0, 0.0, 0.08]), np.array([0.06, 0.06, 0.08]), rng))
    bare = np.abs(lower[0][:, :2]).max(1) > 0.03
    found = perceived_objects(as_scene(upper, (lower[0][bare], lower[1][bare])), 1, 0.0)
    assert [item.instance_id for item in found] == [1, 2]
    assert 0.039 < np.quantile(found[0].guessed[:, 2], 0.05) < 0.06 and found[1].guessed[:, 2].min() < 0.01
    likely, nothing, more = (found[0].parts(unseen, 8) for unseen in Unseen)
    assert max(likely.guessed) > 0.3 and max(nothing.guessed) == 0.0
    assert sum(nothing.volumes_m3) < sum(likely.volumes_m3) < sum(more.volumes_m3)


def test_neighbours_far_away_and_unknown_ids():
    rng = np.random.default_rng(5)
    can = cylinder_surface(np.array([0.0, 0.0, 0.05]), 0.03, 0.10, rng)
    far = cylinder_surface(np.array([0.5, 0.0, 0.05]), 0.03, 0.10, rng)
    assert [item.instance_id for item in perceived_objects(as_scene(can, far), 1, 0.0)] == [1]
    with pytest.raises(KeyError, match="instance_id: expected one of"):
        perceived_objects(as_scene(can), 7, 0.0)
