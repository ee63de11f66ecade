"""Masks onto a scan, by known and by predicted cameras: two experiments that cannot be mixed up."""

import math
from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.transforms import invert_rigid, look_at, rigid
from pan3d_core.views.scan_truth import MeshTruth
from pan3d_eval.metrics.average_precision import instance_ap
from pan3d_eval.metrics.trajectories import absolute_trajectory_error
from pan3d_eval.protocols.posed import (
    RELATIVE_GAP,
    PosedMasks,
    posed_transfer,
    superpoint_majority,
    visible_vertices,
)
from pan3d_eval.protocols.unposed import UnposedMasks, similarity_icp, unposed_transfer

INTRINSICS = torch.tensor([[20.0, 0, 10], [0, 20, 8], [0, 0, 1]])  # a depth image of 16 x 20


def plane(depth_m: float = 2.0, views: int = 1) -> MeshTruth:
    """Vertices that project to the middle of every pixel of a camera at the origin, `depth_m` in front of it."""
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(20), indexing="ij")
    xy = (torch.stack([columns, rows], -1).reshape(-1, 2) + 0.5 - torch.tensor([10.0, 8.0])) / 20 * depth_m
    vertices = torch.cat([xy, torch.full((320, 1), depth_m)], dim=1)
    ids = torch.where(columns.reshape(-1) < 10, 3001, 5002)
    return MeshTruth(
        vertices,
        ids,
        {3: 0, 5: 1},
        superpoints=columns.reshape(-1) // 5,
        sensor_depth=(torch.full((16, 20), depth_m),) * views,
        sensor_intrinsics=(INTRINSICS,) * views,
    )


def left_mask(columns: int, size: tuple[int, int] = (16, 20), views: int = 1) -> torch.Tensor:
    probs = torch.zeros(1, views, *size)
    probs[..., :columns] = 1.0
    return probs


IDENTITY = torch.eye(4)[None]


def test_masks_land_on_the_vertices_behind_their_pixels():
    result = posed_transfer(left_mask(7), IDENTITY, plane(), by_superpoint=False)
    assert isinstance(result, PosedMasks) and result.views_per_vertex.tolist() == [1] * 320
    assert result.masks.reshape(16, 20).all(0).tolist() == [True] * 7 + [False] * 13
    half = posed_transfer(left_mask(4, (8, 10)), IDENTITY, plane(), by_superpoint=False)  # a mask of half the size
    assert half.masks.reshape(16, 20).all(0).tolist() == [True] * 8 + [False] * 12
    assert not posed_transfer(left_mask(7) * 0.4, IDENTITY, plane()).masks.any()  # not over the threshold


def test_only_vertices_at_the_measured_depth_are_seen():
    mesh = plane()
    depth = torch.full((16, 20), 2.0)
    depth[0], depth[1], depth[2], depth[3] = 0.0, 2.09, 2.11, 2.6
    mesh = replace(mesh, sensor_depth=(depth,))
    fixed = posed_transfer(left_mask(20), IDENTITY, mesh, by_superpoint=False)
    assert fixed.masks.reshape(16, 20).all(1)[:5].tolist() == [False, True, False, False, True]
    relative = posed_transfer(left_mask(20), IDENTITY, mesh, by_superpoint=False, rule=RELATIVE_GAP)
    assert relative.masks.reshape(16, 20)[:5, 1:-1].all(1).tolist() == [False, True, True, True, True]  # 0.6 <= 0.65
    assert fixed.protocol != relative.protocol
    behind = torch.eye(4)
    behind[2, 3] = -4.0
    assert not visible_vertices(mesh, 0, behind, RELATIVE_GAP)[1].any()
    bordered = visible_vertices(plane(), 0, torch.eye(4), replace(RELATIVE_GAP, border_px=3))[1].reshape(16, 20)
    assert bordered.any(1).sum() == 10 and bordered.any(0).sum() == 14


def test_half_of_the_views_that_see_a_vertex_are_enough():
    masks = torch.cat([left_mask(20), left_mask(10), left_mask(0), left_mask(0)], dim=1)
    two = posed_transfer(masks[:, :2], IDENTITY.repeat(2, 1, 1), plane(views=2), by_superpoint=False)
    assert two.masks.reshape(16, 20).all(0).sum() == 20  # 1 of 2
    four = posed_transfer(masks, IDENTITY.repeat(4, 1, 1), plane(views=4), by_superpoint=False)
    assert four.masks.reshape(16, 20).all(0).tolist() == [True] * 10 + [False] * 10  # 2 of 4, 1 of 4
    blind = replace(plane(views=2), sensor_depth=(None, torch.full((16, 20), 2.0)))
    one = posed_transfer(masks[:, :2], IDENTITY.repeat(2, 1, 1), blind, by_superpoint=False)
    assert one.views_per_vertex.tolist() == [1] * 320 and one.masks.reshape(16, 20).all(0).sum() == 10


def test_pieces_join_with_more_than_half_of_their_vertices():
    masks = torch.tensor([[1, 1, 0, 1, 0, 0], [0, 0, 0, 1, 1, 0]]).bool()
    pieces = torch.tensor([7, 7, 7, 3, 3, 9])
    assert superpoint_majority(masks, pieces).long().tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]]
    voted = posed_transfer(left_mask(8), IDENTITY, plane())  # 3 of 5 columns of the second piece
    assert voted.masks.reshape(16, 20).all(0).tolist() == [True] * 10 + [False] * 10
    assert voted.protocol.endswith("superpoints")
    with pytest.raises(ValueError, match=r"superpoints: expected shape \(6,\), got \(3,\)"):
        superpoint_majority(masks, pieces[:3])


def cameras() -> torch.Tensor:
    eyes = [torch.tensor([2.0 + math.cos(k), math.sin(k), 2.0 + 0.3 * k], dtype=torch.float64) for k in range(5)]
    return torch.stack([look_at(eye, torch.tensor([0.5, 0.4, 0.0], dtype=torch.float64)) for eye in eyes])


def room(seed: int = 0) -> torch.Tensor:
    """Points on three planes, so that nearest neighbours fix every motion."""
    points = torch.rand(3, 3000, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for axis in range(3):
        points[axis, :, axis] = 0.0
    return points.reshape(-1, 3)


def moved_cameras(true: torch.Tensor, world_from_predicted: Similarity, noise_m: float) -> torch.Tensor:
    """What a network would report for these cameras in its own world; `noise_m` in the true world."""
    rotation = world_from_predicted.rotation
    centers = invert_rigid(true)[:, :3, 3]
    centers = centers + noise_m * torch.randn(centers.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    centers = (centers - world_from_predicted.translation) @ rotation / world_from_predicted.scale
    world_from_cam = invert_rigid(true)
    return invert_rigid(rigid(rotation.T @ world_from_cam[:, :3, :3], centers))


@pytest.fixture
def world_from_predicted() -> Similarity:
    angle = math.radians(50.0)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]).double()
    return Similarity(2.5, turn, torch.tensor([1.0, -2.0, 0.5]).double())


def to_predicted(points: torch.Tensor, fit: Similarity) -> torch.Tensor:
    return (points - fit.translation) @ fit.rotation / fit.scale


def test_votes_go_to_the_nearest_vertex_after_the_fit(world_from_predicted):
    vertices = room()
    query = torch.arange(9000) // 3000
    predicted = to_predicted(vertices, world_from_predicted)
    result = unposed_transfer(predicted, query, 4, moved_cameras(cameras(), world_from_predicted, 0.0), cameras(), vertices)
    assert isinstance(result, UnposedMasks) and result.share_voting == 1.0
    assert result.world_from_predicted.scale == pytest.approx(2.5)
    assert result.masks.sum(1).tolist() == [3000, 3000, 3000, 0]
    assert torch.equal(result.masks[:3].long().argmax(0), query)


def test_most_votes_win_and_nothing_votes_from_afar(world_from_predicted):
    vertices = room()
    seen = vertices[:500].repeat(3, 1)
    query = torch.tensor([0, 1, 1]).repeat_interleave(500)
    far = torch.cat([seen, vertices[:500] - torch.tensor([0.5, 0.0, 0.0])])
    query = torch.cat([query, torch.full((500,), 2)])
    far_cameras = moved_cameras(cameras(), world_from_predicted, 0.0)
    result = unposed_transfer(to_predicted(far, world_from_predicted), query, 3, far_cameras, cameras(), vertices)
    assert result.masks[1, :500].all() and not result.masks[0].any()
    unowned = unposed_transfer(
        to_predicted(seen, world_from_predicted), query[:1500] * 0 - 1, 3, far_cameras, cameras(), vertices
    )
    assert not unowned.masks.any() and unowned.share_voting == 1.0


def test_closest_points_repair_what_noisy_cameras_leave(world_from_predicted):
    vertices, source = room(0), room(1)
    noisy = moved_cameras(cameras(), world_from_predicted, 0.03)
    result = unposed_transfer(to_predicted(source, world_from_predicted), torch.zeros(9000).long(), 1, noisy, cameras(), vertices)
    start = absolute_trajectory_error(noisy, cameras()).world_from_predicted
    errors = [
        float((fit.apply(to_predicted(source, world_from_predicted)) - source).norm(dim=1).mean())
        for fit in (start, result.world_from_predicted)
    ]
    assert errors[1] < 0.6 * errors[0] and errors[1] < 0.03


def test_a_mirrored_world_gets_a_rotation_not_a_reflection(world_from_predicted):
    mirrored = cameras()
    mirrored_centers = invert_rigid(mirrored)[:, :3, 3] * torch.tensor([1.0, 1.0, -1.0]).double()
    mirrored[:, :3, 3] = -(mirrored[:, :3, :3] @ mirrored_centers[..., None])[..., 0]
    result = unposed_transfer(room(), torch.zeros(9000).long(), 1, mirrored, cameras(), room())
    assert torch.linalg.det(result.world_from_predicted.rotation) == pytest.approx(1.0)


def test_no_point_in_the_gate_leaves_the_start():
    start = Similarity(1.0, torch.eye(3).double(), torch.tensor([50.0, 0, 0]).double())
    assert similarity_icp(room(), room(), start) == start
    assert similarity_icp(room()[:0], room(), start) == start


def test_the_two_experiments_never_share_a_figure(world_from_predicted):
    mesh = plane()
    mesh = replace(mesh, vertices=mesh.vertices.repeat(2, 1), ids=mesh.ids.repeat(2), superpoints=mesh.superpoints.repeat(2))
    posed = posed_transfer(torch.cat([left_mask(10), 1 - left_mask(10)]), IDENTITY, mesh)
    points = to_predicted(mesh.vertices.double(), world_from_predicted)
    moved = moved_cameras(cameras(), world_from_predicted, 0.0)
    unposed = unposed_transfer(points, (mesh.ids == 5002).long(), 2, moved, cameras(), mesh.vertices)
    scores, labels = torch.tensor([0.9, 0.8]), torch.tensor([3, 5])
    overlaps = [item.overlaps(scores, mesh, labels) for item in (posed, unposed)]
    assert instance_ap([overlaps[0]], class_aware=True).ap == 1.0
    assert instance_ap([overlaps[0]]).protocol.startswith("posed") and instance_ap([overlaps[1]]).protocol.startswith("unposed")
    with pytest.raises(ValueError, match="scenes: expected one protocol, got posed, .*; unposed, "):
        instance_ap(overlaps)
    other_rule = posed_transfer(left_mask(10), IDENTITY, mesh, rule=RELATIVE_GAP).overlaps(scores[:1], mesh)
    with pytest.raises(ValueError, match="scenes: expected one protocol"):
        instance_ap([overlaps[0], other_rule])


def test_empty_prediction():
    mesh = plane()
    nothing = posed_transfer(torch.zeros(0, 1, 16, 20), IDENTITY, mesh)
    assert nothing.masks.shape == (0, 320)
    assert instance_ap([nothing.overlaps(torch.zeros(0), mesh)]).ap == 0.0
    bare = unposed_transfer(torch.zeros(0, 3), torch.zeros(0).long(), 0, cameras(), cameras(), mesh.vertices)
    assert bare.masks.shape == (0, 320) and bare.share_voting == 0.0


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="mask_probs, cam_from_world, mesh.sensor_depth: expected"):
        posed_transfer(left_mask(3, views=2), IDENTITY, plane())
    with pytest.raises(ValueError, match="mesh.sensor_depth: expected the depth of one view at least"):
        posed_transfer(left_mask(3), IDENTITY, replace(plane(), sensor_depth=(None,)))
    with pytest.raises(ValueError, match="mesh.superpoints: expected an over-segmentation"):
        posed_transfer(left_mask(3), IDENTITY, replace(plane(), superpoints=None))
    with pytest.raises(ValueError, match="three or more camera centres"):
        unposed_transfer(room(), torch.zeros(9000).long(), 1, cameras()[:2], cameras()[:2], room())
    with pytest.raises(ValueError, match="query_index: expected values under 1, got 1"):
        unposed_transfer(room(), torch.ones(9000).long(), 1, cameras(), cameras(), room())
    with pytest.raises(ValueError, match="points, query_index: expected shapes"):
        unposed_transfer(room(), torch.ones(3).long(), 1, cameras(), cameras(), room())
