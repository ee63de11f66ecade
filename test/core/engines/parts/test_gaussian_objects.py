"""From rendered panoptic Gaussians to objects."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pan3d_core.engines.parts.gaussian_objects import rendered_objects
from pan3d_core.language.text_space import TextSpace
from pan3d_core.models.eps3d.network import PanopticRendering

# Three regions of (2, 24, 32): everything, a square in both views, a square in the second alone.
REGIONS = torch.zeros(2, 24, 32, dtype=torch.long)
REGIONS[:, 4:12, 4:14] = 1
REGIONS[1, 14:22, 18:28] = 2
SPACE = TextSpace(torch.randn(16, 4, generator=torch.Generator().manual_seed(1)), torch.zeros(16), encoder="minilm")


def rendering(regions=REGIONS, opacity=1.0) -> PanopticRendering:
    """Every region with an instance feature and semantics of its own."""
    generator = torch.Generator().manual_seed(0)
    instances = F.one_hot(regions, 8).movedim(-1, 1).float() + 0.05 * torch.randn(
        len(regions), 8, *regions.shape[1:], generator=generator
    )
    semantics = F.one_hot(regions, 4).movedim(-1, 1).float()
    filled = torch.full(regions.shape, float(opacity))
    return PanopticRendering(filled[:, None].expand(-1, 3, -1, -1), semantics, instances, filled, filled)


@pytest.mark.parametrize("readout", ["cells", "pixels"])
def test_groups_are_the_regions_with_their_semantics(readout, monkeypatch):
    if readout == "pixels":  # the published smallest cluster is larger than this picture's regions
        from pan3d_core.models.eps3d.readout import READOUTS, PixelReadout, read_by_pixels

        small = PixelReadout(min_cluster_size=30)
        monkeypatch.setitem(READOUTS, "pixels", lambda maps, generator: read_by_pixels(maps, generator, small))
    found = rendered_objects(rendering(), SPACE, readout)
    assert len(found.certainty) == 3 and float(found.certainty.min()) > 0.95
    masks = found.mask_logits > 0
    for region in range(3):
        own = [k for k in range(3) if torch.equal(masks[k], region == REGIONS)]
        assert len(own) == 1
        torch.testing.assert_close(found.vectors[own[0]], F.normalize(SPACE.weight[:, region], dim=0), atol=1e-3, rtol=0)


def test_where_nothing_was_rendered_there_is_no_object():
    half = rendering()
    opacity = half.opacity.clone()
    opacity[0] = 0.1
    found = rendered_objects(replace(half, opacity=opacity), SPACE)
    assert not bool((found.mask_logits[:, 0] > 0).any()) and bool((found.mask_logits[:, 1] > 0).any())
    assert len(rendered_objects(rendering(opacity=0.0), SPACE).certainty) == 0
    empty = replace(half, instances=torch.zeros_like(half.instances))
    assert len(rendered_objects(empty, SPACE).certainty) == 0


def test_one_group_owns_everything_and_unknown_ways_are_refused():
    found = rendered_objects(rendering(torch.zeros(1, 24, 32, dtype=torch.long)), SPACE)
    assert found.mask_logits.shape == (1, 1, 24, 32) and bool((found.mask_logits > 0).all())
    with pytest.raises(ValueError, match="readout: expected one of pixels, cells, got 'voxels'"):
        rendered_objects(rendering(), SPACE, "voxels")


def two_alike(gap_m: float) -> tuple[PanopticRendering, torch.Tensor, torch.Tensor]:
    """Two squares with one feature on a table, so far from each other; one pixel per millimetre, both views from above."""
    regions = torch.zeros(2, 40, 64, dtype=torch.long)
    regions[:, 10:26, 8:24] = regions[:, 10:26, 40:56] = 1
    across, down = torch.meshgrid(torch.arange(64.0), torch.arange(40.0), indexing="xy")
    across = across * 0.001 + (across >= 32) * (gap_m - 0.016)
    points = torch.stack([across, down * 0.001, torch.zeros(40, 64)], -1).expand(2, -1, -1, -1).clone()
    points[regions == 1, 2] = 0.5  # above the table, which would connect them
    return rendering(regions), points, regions


def test_objects_with_one_feature_are_told_apart_by_where_they_are():
    views, points, regions = two_alike(gap_m=0.1)
    assert len(rendered_objects(views, SPACE).certainty) == 2  # with the table
    found = rendered_objects(views, SPACE, points=points)
    masks = found.mask_logits > 0
    left, right = regions.clone(), regions.clone()
    left[..., 32:], right[..., :32] = 0, 0
    own = [[k for k in range(len(masks)) if torch.equal(masks[k], side == 1)] for side in (left, right)]
    assert len(own[0]) == len(own[1]) == 1  # one mask over both views each, with its semantics
    torch.testing.assert_close(found.vectors[own[0][0]], found.vectors[own[1][0]], atol=1e-3, rtol=0)
    assert not bool((masks.sum(0) > 1).any())


def test_what_is_near_stays_together_and_stray_pixels_are_no_object():
    views, points, _ = two_alike(gap_m=0.01)
    assert len(rendered_objects(views, SPACE, points=points).certainty) == 2
    stray = points.clone()
    stray[0, 10:12, 8:11, 2] = 2.0  # six pixels of an object on whatever is behind it
    found = rendered_objects(views, SPACE, points=stray)
    assert len(found.certainty) == 2 and bool((found.mask_logits > 0)[:, 0, 10:12, 8:11].any(0).all())
