"""Sizes that files name: the defaults are the networks that were published, tensor by tensor."""

import pytest
import torch

from pan3d_core.models.eps3d.files import Eps3dSizes, build_eps3d
from pan3d_core.models.eps3d.network import eps3d_1b
from pan3d_core.models.vggt.files import SegVggtSizes, build_segvggt
from pan3d_core.models.vggt.segvggt import official_name


@pytest.mark.parametrize(("checkpoint", "classes"), [("segvggt_scannetv2", 18), ("segvggt_scannet200", 198)])
def test_segvggt_of_the_default_sizes_is_the_published_one(official_shapes, checkpoint, classes):
    with torch.device("meta"):
        model = build_segvggt(SegVggtSizes(), classes)
    assert {official_name(name): tuple(value.shape) for name, value in model.state_dict().items()} == official_shapes[checkpoint]


def test_eps3d_of_the_default_sizes_is_the_published_one():
    with torch.device("meta"):
        own, published = build_eps3d(Eps3dSizes()), eps3d_1b()
    assert own.voxel_size == published.voxel_size
    ours, theirs = ({name: value.shape for name, value in model.state_dict().items()} for model in (own, published))
    assert ours == theirs and len(ours) > 1000
