"""Where queries look: the network's own attention, patch by patch, in the layers in which queries read."""

import pytest
import torch

from pan3d_core.models.vggt.files import SegVggtSizes, build_segvggt
from pan3d_core.models.vggt.query_attention import query_attention

SIZES = {
    "native_grid": 5, "dim": 48, "encoder_depth": 1, "depth": 3, "heads": 3, "camera_depth": 1, "camera_heads": 4, "features": 16,
    "out_channels": (8, 12, 16, 16), "layers": (0, 1, 2, 2), "queries": 8, "class_hidden": 8, "lora_rank": 0,
}  # fmt: skip


@pytest.mark.parametrize("query_layers", [0, 2])
def test_attention_is_what_the_frames_get(query_layers):
    torch.manual_seed(0)
    model = build_segvggt(SegVggtSizes(**SIZES, query_layers=query_layers), 3).eval()
    torch.nn.init.normal_(model.query_decoder.token)
    images = torch.rand(1, 3, 3, 42, 56)
    with torch.no_grad():
        output = model(images, frame_attention=True)
    rows = [5, 2]
    found = query_attention(model, images, rows)
    layers = query_layers or 3
    assert found.shape == (layers, 2, 3, 3, 4) and output.frame_attention.shape == (layers, 1, 8, 3)
    # The frames' masses are means over their tokens, of which five are no patches.
    masses = output.frame_attention[:, 0, rows] * (3 * 4 + 5)
    torch.testing.assert_close(masses.sum(-1), torch.ones(layers, 2), atol=1e-5, rtol=0)
    assert bool((found.sum((-1, -2)) <= masses + 1e-6).all()) and float(found.min()) >= 0
    torch.testing.assert_close(found.sum((-1, -2)) / masses, torch.full((layers, 2, 3), 12 / 17), atol=0.25, rtol=0)


def test_queries_that_read_the_last_layers_have_blocks_for_these_alone():
    sizes = SegVggtSizes(**SIZES, query_layers=2)
    assert len(build_segvggt(sizes, 3).query_decoder.cross_blocks) == 2
    with pytest.raises(ValueError, match="query_layers: expected 0 to 3 as there are layers, got 4"):
        SegVggtSizes(**SIZES, query_layers=4)
