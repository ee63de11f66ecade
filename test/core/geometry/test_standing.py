"""What stands on the table of the ray-cast cell, in depth that errs."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.geometry.standing import StandingPoints, seen_through, standing_points


def found(views, support_height_m=0.0) -> StandingPoints:
    stacked = (torch.stack([getattr(view, name) for view in views]) for name in ("depth", "intrinsics", "cam_from_world"))
    return standing_points(*stacked, support_height_m, clearance_m=0.003, ceiling_m=0.75, margin_m=0.006)


def agreement(standing: StandingPoints, cell) -> float:
    """IoU of what stands for sure with the pixels of blocks."""
    mask = np.zeros(cell.ids.numel(), bool)
    mask[standing.pixel[standing.sure]] = True
    true = cell.ids.flatten().numpy() > 0
    return (mask & true).sum() / (mask | true).sum()


def test_exact_depth_shows_the_blocks(cell):
    standing = found(cell.views)
    assert agreement(standing, cell) > 0.93
    assert standing.plane is not None and standing.level_m is None


@pytest.mark.parametrize("offset_m", [0.008, -0.008])
def test_a_camera_whose_depth_is_off_does_not_lift_the_table(cell, offset_m):
    views = [replace(view, depth=view.depth + offset_m * (view.depth > 0)) for view in cell.views[:1]]
    assert agreement(found([*views, *cell.views[1:]]), cell) > 0.9


def test_noise_of_the_table_is_not_an_object_but_may_be_one(cell):
    generator = torch.Generator().manual_seed(0)
    noisy = [
        replace(view, depth=view.depth * (1 + 0.006 * torch.randn(view.depth.shape, generator=generator))) for view in cell.views
    ]
    standing = found(noisy)
    flat = cell.ids.flatten().numpy()[standing.pixel] == 0
    assert flat[standing.sure].mean() < 0.05 < flat[~standing.sure].mean()


@pytest.mark.parametrize("given_m", [None, 0.3])
def test_a_height_at_which_nothing_was_measured_is_looked_for(cell, given_m):
    standing = found(cell.views, given_m)
    assert standing.level_m == pytest.approx(0.0, abs=0.002) and agreement(standing, cell) > 0.9


def test_what_hangs_in_the_air_is_looked_through_and_what_is_hidden_is_not(cell):
    views = cell.views
    depth, intrinsics, poses = (
        torch.stack([getattr(v, name) for v in views]) for name in ("depth", "intrinsics", "cam_from_world")
    )
    places = np.array([[0.0, 0.0, 0.06], [-0.12, 0.05, 0.04]])  # over the table, and inside a block
    assert seen_through(places, np.zeros(2, np.int64), depth, intrinsics, poses).tolist() == [True, False]
    blind = torch.zeros_like(depth)
    assert not seen_through(places, np.zeros(2, np.int64), blind, intrinsics, poses).any()
