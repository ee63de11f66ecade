"""Bodies hold what was seen, reach further to where nobody looked, and are as sure as their covariance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from closed_meshes import gap, volume
from raycast_scene import Block, camera_ring
from remembered_scenes import remembered, seen, shown

from pan3d_core.config import PlanningConfig
from pan3d_core.geometry.boxes import upright_box
from pan3d_core.memory import ObjectState, WorldMemory
from pan3d_core.memory.surface import empty_surface, fuse
from pan3d_core.planning import collision_bodies, collision_body

BOX = Block((0.0, 0.0, 0.04), (0.12, 0.06, 0.08), 0.3)
EXACT = torch.zeros(3, 3)
SHAPES = ("box", "hull", "parts", "mesh")
BARE = PlanningConfig(padding_m=0.0, padding_sigmas=0.0, unseen_margin_m=0.03)
ALL_ROUND, ONE_SIDE = camera_ring(8, arc_deg=315.0), camera_ring(1)


def item(cameras=ALL_ROUND, covariance=EXACT):
    memory = WorldMemory()
    shown(memory, [BOX], 0.0, cameras=cameras)
    found = remembered(memory, 1)
    return replace(found, segment=replace(found.segment, position_covariance=covariance))


def body(config=BARE, support_height_m=0.0, **options):
    return collision_body(item(**options), config, support_height_m)


def reaches(found, direction):
    return float((found.world_corners @ np.asarray(direction, float)).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_body_holds_every_point_that_was_seen_and_little_more(shape):
    found = body(replace(BARE, shape=shape))
    points = item().surface.points.double().numpy()
    local = (points - found.world_from_body[:3, 3]) @ found.world_from_body[:3, :3]
    assert (np.abs(local) <= found.size_m / 2 + 1e-6).all()
    np.testing.assert_allclose(found.size_m, BOX.size, atol=0.02)
    np.testing.assert_allclose(found.world_from_body[:3, 3], BOX.center, atol=0.01)
    assert found.world_corners[:, 2].min() == pytest.approx(0.0, abs=1e-6) and len(found.unseen) == 0
    assert found.key == "pan3d/1" and found.seen_now and all(part.seen for part in found.parts)
    for part in found.parts:
        assert volume(part.corners, part.triangles) > 0 and gap(part.corners, part.triangles) < 1e-6
    assert bool(found.parts) == (shape != "box")


@pytest.mark.parametrize("shape", SHAPES)
def test_sides_that_nobody_saw_are_closed_further_away_and_marked(shape):
    found = body(replace(BARE, shape=shape), cameras=ONE_SIDE)
    eye = np.linalg.inv(ONE_SIDE[0].double().numpy())[:3, 3]
    away = -np.append(eye[:2], 0.0) / np.linalg.norm(eye[:2])
    near = body(replace(BARE, shape=shape, unseen_margin_m=0.0), cameras=ONE_SIDE)
    assert reaches(found, away) - reaches(near, away) == pytest.approx(0.03, abs=0.012)
    # A box grows along its own axes, and columns are as wide as they are.
    assert reaches(found, -away) - reaches(near, -away) <= {"box": 0.02, "mesh": 0.017}.get(shape, 0.009)
    assert len(found.unseen) == 5
    assert float((found.unseen @ found.world_from_body[:3, :3].T @ away).max()) > 0.9
    dark = [part for part in found.parts if not part.seen]
    assert bool(dark) == (shape != "box")
    for part in dark:
        assert volume(part.corners, part.triangles) > 0 and gap(part.corners, part.triangles) < 1e-6


def test_padding_is_as_wide_as_the_place_is_unsure():
    sigma = torch.diag(torch.tensor([0.01, 0.002, 0.004]) ** 2)
    config = replace(BARE, padding_m=0.001, padding_sigmas=2.0)
    plain, padded = body(BARE), body(config, covariance=sigma)
    turn = plain.world_from_body[:3, :3]
    wider = 0.001 + 2.0 * np.sqrt(np.diag(turn.T @ sigma.numpy() @ turn))
    np.testing.assert_allclose(padded.padding_m, wider, atol=1e-6)
    # Nothing is added below: there the support is.
    np.testing.assert_allclose(padded.size_m - plain.size_m, wider * [2, 2, 1], atol=1e-3)
    thing = item(covariance=sigma)
    unsure = replace(thing, segment=replace(thing.segment, size_sigma_m=torch.tensor([0.006, 0.008, 0.002])))
    both = 0.001 + 2.0 * np.sqrt(np.diag(turn.T @ sigma.numpy() @ turn) + np.array([0.003, 0.004, 0.001]) ** 2)
    np.testing.assert_allclose(collision_body(unsure, config, 0.0).padding_m, both, atol=1e-6)
    unknown = body(replace(config, max_padding_m=0.02), covariance=None)
    np.testing.assert_allclose(unknown.padding_m, 0.02)
    wild = body(replace(config, max_padding_m=0.02), covariance=torch.eye(3))
    np.testing.assert_allclose(wild.padding_m, 0.02)


def test_without_a_support_it_ends_where_it_was_seen_lowest():
    assert body(support_height_m=None).world_corners[:, 2].min() == pytest.approx(0.0, abs=0.02)
    assert body(support_height_m=-0.2).world_corners[:, 2].min() == pytest.approx(-0.2, abs=1e-6)
    above = body(support_height_m=0.5)  # a wrong height: a thin body is better than an inverted one
    assert all(volume(part.corners, part.triangles) > 0 for part in above.parts)


def test_an_object_without_a_surface_is_its_box():
    found = collision_body(replace(item(), surface=empty_surface()), BARE, 0.0)
    np.testing.assert_allclose(found.size_m[:2], item().box.size_m[:2], atol=2e-3)


def test_what_stands_somewhere_is_told_also_when_all_of_it_is_hidden():
    thing = item()
    states = {state: replace(thing, instance_id=number, state=state) for number, state in enumerate(ObjectState, start=1)}
    told = {found.instance_id for found in collision_bodies(states.values(), BARE, 0.0)}
    assert told == {states[state].instance_id for state in ObjectState if state.value not in ("gone", "held")}
    hidden = [replace(thing, state=ObjectState.OCCLUDED)]
    assert [found.seen_now for found in collision_bodies(hidden, BARE, 0.0)] == [False]


def test_noise_of_depth_hardly_changes_a_body():
    memory = WorldMemory()
    for step in range(4):
        memory.update(*seen([BOX], float(step), cameras=ALL_ROUND, noise_m=0.002))
    found = remembered(memory, 1)
    exact = replace(found.segment, position_covariance=EXACT)
    np.testing.assert_allclose(collision_body(replace(found, segment=exact), BARE, 0.0).size_m, body().size_m, atol=0.015)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flat", [(0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 0)])
def test_thin_things_and_single_points_are_closed_too(shape, flat):
    thing = item()
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(1)) * 0.1 * torch.tensor(flat) + torch.tensor(
        [0.3, 0.2, 0.0]
    )
    box = upright_box(points)
    thing = replace(
        thing,
        surface=fuse(empty_surface(), points, points, 100),
        segment=replace(thing.segment, box=box),
        rest=replace(thing.rest, center_m=box.world_from_box[:3, 3], size_m=box.size_m),
    )
    for sides in (0, 255):
        for support_m in (None, 0.0, 0.2):
            found = collision_body(replace(thing, sides=sides), replace(BARE, shape=shape), support_m)
            assert np.isfinite(found.world_corners).all() and (found.size_m >= 0).all()
            for part in found.parts:
                assert volume(part.corners, part.triangles) > 0 and gap(part.corners, part.triangles) < 1e-6
