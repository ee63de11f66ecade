"""The stem of EfficientNet-Lite0: its strides, its frozen state, its names, and how the network takes it in."""

import pytest
import torch

from pan3d_core.models.mini import MiniArchitecture, PanMini
from pan3d_core.models.mini.image_stem import BLOCKS, ImageStem, published_names


def published(stem: ImageStem) -> dict[str, torch.Tensor]:
    """The weights of a stem by the names of the published file, with others that the stem has no use for."""
    state = stem.state_dict()
    names = {"start.0": "_conv_stem", "start.1": "_bn0"}
    for number, (*_, expansion) in enumerate(BLOCKS):
        first = 0 if expansion > 1 else 1
        for part, norm in zip(("expand", "depthwise", "project")[first:], ("_bn0", "_bn1", "_bn2")[first:]):
            names |= {
                f"blocks.{number}.{part}.0": f"_blocks.{number}._{part}_conv",
                f"blocks.{number}.{part}.1": f"_blocks.{number}.{norm}",
            }
    renamed = {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value for name, value in state.items()}
    return renamed | {"_conv_head.weight": torch.zeros(1)}


def test_maps_have_the_strides_and_channels_that_are_joined():
    maps = ImageStem()(torch.rand(2, 3, 48, 64))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 12, 16), (2, 40, 6, 8), (2, 112, 3, 4)]


def test_each_block_has_its_own_published_weights():
    torch.manual_seed(0)
    given, taken = ImageStem(), ImageStem()
    taken.load_state_dict(published_names(published(given)))
    image = torch.rand(1, 3, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(given(image), taken(image)))
    with pytest.raises(ValueError, match="expected the weights of EfficientNet-Lite0, got none named _conv_stem.weight"):
        published_names({"other": torch.zeros(1)})


def test_it_is_frozen_and_stays_in_evaluation_mode_within_a_network_that_trains():
    model = PanMini(
        MiniArchitecture(
            dim=48, heads=3, blocks=2, stem=(8, 16, 24), pyramid=(8, 16, 24), queries=6, text_dim=16, image_stem=True
        )
    )
    model.train()
    stem = model.image_stem.stem
    assert not any(module.training for module in stem.modules()) and not any(p.requires_grad for p in stem.parameters())
    assert all(p.requires_grad and not p.any() for p in model.image_stem.join.parameters())
