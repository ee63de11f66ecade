"""Small members of the model families, with weights and images that a formula makes from their names."""

import json
import zlib
from collections.abc import Callable
from functools import partial
from gzip import decompress

import numpy as np
import pytest
import torch
from stored_arrays import DATA, read_arrays
from torch import Tensor, nn

from pan3d_core.models.eps3d.heads import ImageDpt, Sem2Ins, TextDecoder
from pan3d_core.models.eps3d.network import Eps3d, PanopticHeads, raw_channels
from pan3d_core.models.layers.dpt import DPT, dense_output
from pan3d_core.models.layers.patch_encoder import PatchEncoder
from pan3d_core.models.layers.transformer import LoraLinear
from pan3d_core.models.vggt.network import VGGT, Aggregator, CameraHead
from pan3d_core.models.vggt.segvggt import QueryDecoder, SegVGGT, class_head


def uniform(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float64 values in 0..1 that depend on the name only."""
    return np.random.RandomState(zlib.crc32(name.encode())).random_sample(int(np.prod(shape))).reshape(shape)


def procedural_value(name: str, shape: tuple[int, ...]) -> Tensor:
    """Value of the parameter `name`, by the rule the stored results of the official code were made with."""
    z = (2 * uniform(name, shape) - 1) * np.sqrt(3.0)
    last = name.rsplit(".", 1)[-1]
    if last == "gamma":
        value = 0.25 + 0.05 * z
    elif last == "bias":
        value = 0.1 * z
    elif last == "weight":
        value = 1 + 0.1 * z if len(shape) == 1 else z / np.sqrt(np.prod(shape[1:]))
    else:
        value = 0.5 * z
    if name.endswith("pose_branch.fc2.weight"):
        value = 0.15 * value
    if name.endswith("output_conv2.2.weight"):
        value = 0.5 * value
    if name.endswith("pose_branch.fc2.bias"):
        value[6:8] += 0.25
        value[8] += 0.3
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def fill(model: nn.Module, name_in_file: Callable[[str], str] = str) -> nn.Module:
    """Give every parameter its procedural value; the model may live on the meta device."""
    state = {name: procedural_value(name_in_file(name), tuple(value.shape)) for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def tiny_dpt(**outputs: nn.Module) -> DPT:
    return DPT(dim=96, features=32, out_channels=(16, 24, 32, 40), layers=(1, 2, 4, 5), **outputs)


def tiny_vggt(*, point_head: bool = True, linear: Callable[..., nn.Module] = nn.Linear) -> VGGT:
    encoder = PatchEncoder(native_grid=6, dim=48, depth=3, num_heads=3)
    return VGGT(
        Aggregator(encoder, depth=6, num_heads=3, linear=linear),
        CameraHead(96, depth=2, num_heads=4),
        tiny_dpt(output_conv2=dense_output(32, 32, 2)),
        tiny_dpt(output_conv2=dense_output(32, 32, 4)) if point_head else None,
    )


def tiny_segvggt(num_classes: int = 5) -> SegVGGT:
    vggt = tiny_vggt(point_head=False, linear=partial(LoraLinear, rank=4, alpha=8))
    decoder = QueryDecoder(48, num_queries=10, depth=6, num_heads=3, embedding_dim=16)
    return SegVGGT(vggt, decoder, tiny_dpt(output_instance=class_head(16, 8, num_classes)))


def tiny_image_dpt(channels: int) -> ImageDpt:
    return ImageDpt(channels, dim=96, features=32, out_channels=(16, 24, 32, 40), layers=(1, 2, 4, 5))


def tiny_eps3d(*, panoptic: bool = True, voxel_size: float = 0.05) -> Eps3d:
    """EPS3D, or without `panoptic` AnySplat."""
    heads = PanopticHeads(tiny_image_dpt(32), tiny_image_dpt(32), Sem2Ins(), TextDecoder()) if panoptic else None
    return Eps3d(tiny_vggt(point_head=False), tiny_image_dpt(raw_channels()), heads, voxel_size=voxel_size)


def load_case(path: str) -> dict[str, Tensor]:
    """Stored results of the official code."""
    return {name: torch.from_numpy(value) for name, value in read_arrays(path).items()}


def case_images(name: str, case: dict[str, Tensor]) -> Tensor:
    return torch.from_numpy(uniform(f"image/{name}", tuple(case["images_shape"].tolist())).astype(np.float32))


class Procedural:
    """The functions above, handed to tests as one fixture."""

    value = staticmethod(procedural_value)
    uniform = staticmethod(uniform)
    fill = staticmethod(fill)
    tiny_vggt = staticmethod(tiny_vggt)
    tiny_segvggt = staticmethod(tiny_segvggt)
    tiny_eps3d = staticmethod(tiny_eps3d)
    load_case = staticmethod(load_case)
    case_images = staticmethod(case_images)


@pytest.fixture(scope="session")
def procedural() -> type[Procedural]:
    return Procedural


@pytest.fixture(scope="session")
def official_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Checkpoint -> name -> shape, as the official model classes define them."""
    lists = json.loads(decompress((DATA / "vggt" / "official_names_and_shapes.json.gz").read_bytes()))
    return {model: {name: tuple(shape) for name, shape in names.items()} for model, names in lists.items()}
