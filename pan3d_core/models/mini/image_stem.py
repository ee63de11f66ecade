"""The first eleven blocks of EfficientNet-Lite0 (Tan & Le 2019, in the form without squeeze-and-excitation), frozen: features
that were learnt from photographs, offered to the stem of `pan3d-mini` beside its own. Padding and the order of layers are
TensorFlow's, with which the published weights were trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.runtime.checksums import checksum_of

EPSILON = 1e-3  # of the batch normalisations
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of each block: input and output channels, kernel, stride, expansion.
BLOCKS = (
    (32, 16, 3, 1, 1),
    (16, 24, 3, 2, 6), (24, 24, 3, 1, 6),
    (24, 40, 5, 2, 6), (40, 40, 5, 1, 6),
    (40, 80, 3, 2, 6), (80, 80, 3, 1, 6), (80, 80, 3, 1, 6),
    (80, 112, 5, 1, 6), (112, 112, 5, 1, 6), (112, 112, 5, 1, 6),
)  # fmt: skip
TAPS = {2: 24, 4: 40, 10: 112}  # blocks whose answers are used, at strides 4, 8 and 16, and their channels


class HalvingConv2d(nn.Conv2d):
    """Strides by 2 over maps of even size, with one row and column of zeros less above and left than below and right of them.

    The kernel gets a row and a column of zeros instead, which is the same and copies no map.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=2, padding=(kernel - 1) // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, F.pad(self.weight, (1, 0, 1, 0)), self.bias, self.stride, self.padding, groups=self.groups)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that gives a cell for each `stride`, and batch normalisation."""
    convolution = (
        nn.Conv2d(inputs, outputs, kernel, padding=(kernel - 1) // 2, groups=groups, bias=False)
        if stride == 1
        else HalvingConv2d(inputs, outputs, kernel, groups)
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=EPSILON))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = _conv(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _conv(wide, wide, kernel, stride, groups=wide)
        self.project = _conv(wide, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if isinstance(self.expand, nn.Identity) else F.relu6(self.expand(x), inplace=True)
        projected: Tensor = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return x + projected if self.skip else projected


class ImageStem(nn.Module):
    """Pictures to features at strides 4, 8 and 16; never trained, and in evaluation mode at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.start = _conv(3, 32, 3, stride=2)
        self.blocks = nn.ModuleList(InvertedResidual(*facts) for facts in BLOCKS)
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> ImageStem:
        """Statistics are frozen like the weights."""
        return super().train(False)

    def checksum(self) -> str:
        """Of the weights as they were published, whatever network holds them and in which precision."""
        return checksum_of({name: tensor.cpu().half() for name, tensor in self.state_dict().items()}, {})

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W), RGB 0..1, H and W multiples of 16 -> maps (N, 24, H/4, W/4), (N, 40, H/8, W/8),
        (N, 112, H/16, W/16)."""
        mean, deviation = images.new_tensor(MEAN)[:, None, None], images.new_tensor(DEVIATION)[:, None, None]
        x = F.relu6(self.start((images - mean) / deviation), inplace=True)
        taken = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                taken.append(x)
        return taken


class JoinImageStem(nn.Module):
    """The features that `pan3d-mini` adds to its own at strides 4, 8 and 16: of a frozen `ImageStem`, nothing at first."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.stem = ImageStem()
        self.join = nn.ModuleList(nn.Conv2d(own, out, 1) for own, out in zip(TAPS.values(), channels, strict=True))
        for parameter in self.join.parameters():
            nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> list[Tensor]:
        """As `ImageStem` -> maps of the given channels."""
        return [project(maps) for project, maps in zip(self.join, self.stem(images), strict=True)]


def published_names(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of an `ImageStem` from those of a whole EfficientNet-Lite0 as the Python package holds it.

    Args:
        published: The state dict of `efficientnet_lite_pytorch`.

    Returns:
        By the names of `ImageStem`.

    Raises:
        ValueError: One that is needed is not there.
    """
    names = {"start.0": "_conv_stem", "start.1": "_bn0"}
    for number, (_, _, _, _, expansion) in enumerate(BLOCKS):
        parts = ("expand", "depthwise", "project")[0 if expansion > 1 else 1 :]
        norms = ("_bn0", "_bn1", "_bn2")[0 if expansion > 1 else 1 :]
        for part, norm in zip(parts, norms, strict=True):
            names[f"blocks.{number}.{part}.0"] = f"_blocks.{number}._{part}_conv"
            names[f"blocks.{number}.{part}.1"] = f"_blocks.{number}.{norm}"
    found = {}
    for own, theirs in names.items():
        for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")[: 1 if own.endswith(".0") else 5]:
            if f"{theirs}.{kind}" not in published:
                raise ValueError(f"image stem: expected the weights of EfficientNet-Lite0, got none named {theirs}.{kind}")
            found[f"{own}.{kind}"] = published[f"{theirs}.{kind}"]
    return found
