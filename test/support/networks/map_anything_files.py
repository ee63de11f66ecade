"""A small MapAnything as a file of PyTorch's."""

from pathlib import Path

import torch

from pan3d_core.models.mapanything import MapAnything, MapAnythingSizes

SIZES = MapAnythingSizes(
    dim=64, encoder_depth=2, encoder_heads=1, native_grid=5, shared_dim=64, depth=4, heads=1, taps=(1, 2),
    channels=(8, 8, 8, 8), features=8, map_widths=(12, 16), number_widths=(8, 12),
)  # fmt: skip


def write_map_anything(path: Path) -> str:
    """Write one with heads of 64 channels, whose rays look forward and whose pixels show surfaces."""
    torch.manual_seed(0)
    model = MapAnything(SIZES)
    torch.nn.init.constant_(model.dense_head[1].conv2[2].bias, 2.0)
    torch.save({"model": model.state_dict()}, path)
    return str(path)
