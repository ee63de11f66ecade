"""The small official member of SegVGGT (`procedural_models.tiny_segvggt`) as a run's settings, and as files."""

from pathlib import Path

import torch
from procedural_models import fill, tiny_segvggt
from torch import Tensor

from pan3d_core.models.vggt.segvggt import official_name

OFFICIAL_TINY = {
    "height": 56, "width": 70, "native_grid": 6, "dim": 48, "encoder_depth": 3, "depth": 6, "heads": 3, "camera_depth": 2,
    "camera_heads": 4, "features": 32, "out_channels": [16, 24, 32, 40], "layers": [1, 2, 4, 5], "queries": 10,
    "class_hidden": 8, "lora_rank": 4, "lora_alpha": 8.0, "geometry": "none",
}  # fmt: skip


def official_segvggt(path: Path, num_classes: int = 18) -> dict[str, Tensor]:
    """Write a checkpoint as the official ones are; its tensors."""
    model = fill(tiny_segvggt(num_classes), official_name)
    state = {official_name(name): value for name, value in model.state_dict().items()}
    torch.save({"model": state}, path)
    return state
