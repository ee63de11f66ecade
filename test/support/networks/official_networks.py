"""Small members of the large families as official files hold them, and the settings of runs that begin with them."""

from pathlib import Path

import torch
from procedural_models import fill, tiny_eps3d, tiny_segvggt
from safetensors.torch import save_file
from torch import Tensor

from pan3d_core.models.da3.network import AnyViewDa3
from pan3d_core.models.eps3d.network import official_name as name_of_eps3d
from pan3d_core.models.vggt.segvggt import official_name
from training.families.fast3dis_settings import Fast3disFamilySettings

_VGGT = {
    "height": 56, "width": 70, "native_grid": 6, "dim": 48, "encoder_depth": 3, "depth": 6, "heads": 3, "camera_depth": 2,
    "camera_heads": 4, "features": 32, "out_channels": [16, 24, 32, 40], "layers": [1, 2, 4, 5],
}  # fmt: skip
OFFICIAL_TINY = {**_VGGT, "queries": 10, "class_hidden": 8, "lora_rank": 4, "lora_alpha": 8.0, "geometry": "none"}
# Another text space than that of the official member, whose semantics lead into 512 channels.
OFFICIAL_TINY_EPS3D = {**_VGGT, "text_channels": 16, "voxel_size": 0.05, "context_views": [2, 2], "rendered_views": 2}


def official_segvggt(path: Path, num_classes: int = 18) -> dict[str, Tensor]:
    """Write a checkpoint of SegVGGT; its tensors."""
    model = fill(tiny_segvggt(num_classes), official_name)
    state = {official_name(name): value for name, value in model.state_dict().items()}
    torch.save({"model": state}, path)
    return state


def official_eps3d(path: Path) -> dict[str, Tensor]:
    """Write a checkpoint of EPS3D; its tensors."""
    model = fill(tiny_eps3d(), name_of_eps3d)
    tensors = {name_of_eps3d(name): value.clone().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, path)
    return tensors


def official_da3(path: Path, model: dict) -> AnyViewDa3:
    """Write a checkpoint of the Depth Anything 3 that a run of `fast3dis` stands on, with random weights; its network."""
    torch.manual_seed(5)
    base = AnyViewDa3(Fast3disFamilySettings.from_dict(model).network.base).eval()
    save_file({f"model.{name}": value.clone() for name, value in base.state_dict().items()}, path)
    return base
