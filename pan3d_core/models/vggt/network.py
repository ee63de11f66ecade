"""VGGT (Wang et al. 2025): several views of a scene -> cameras, depth maps and point maps in one pass.

Parameter names are those of the official checkpoints. The parts are given to the constructor, so a
small member of the family is a matter of smaller parts; `vggt_1b` builds the published one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.models.layers.dpt import DPT, dense_maps, dense_output
from pan3d_core.models.layers.patch_encoder import PatchEncoder
from pan3d_core.models.layers.transformer import Block, Dense, LinearBuilder, Mlp, Rope2d
from pan3d_core.models.vggt.pose_encoding import cameras_from_pose_encoding
from pan3d_core.runtime.exporting import is_functional
from pan3d_core.runtime.weights import load_weights

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def require_images(images: Tensor, patch_size: int) -> None:
    """Check that images have whole patches.

    Args:
        images: (B, S, 3, H, W).
        patch_size: Pixels, of which H and W must be multiples.

    Raises:
        ValueError: They have another shape, or are empty.
    """
    whole = images.ndim == 5 and images.shape[2] == 3 and not any(size % patch_size for size in images.shape[-2:])
    if not whole or 0 in images.shape:
        raise ValueError(
            f"images: expected shape (B, S, 3, H, W), H and W multiples of {patch_size}, none empty, got {tuple(images.shape)}"
        )


def imagenet_normalized(images: Tensor) -> Tensor:
    """Turn RGB 0..1 (..., 3, H, W) into what the encoders were trained on."""
    # Plain numbers, since a CUDA graph cannot record the copy of a tensor of constants.
    channels = zip(images.unbind(-3), IMAGE_MEAN, IMAGE_STD, strict=True)
    return torch.stack([(channel - mean) / std for channel, mean, std in channels], dim=-3)


class Aggregator(nn.Module):
    """Patch tokens of all views, mixed by turns within a frame and over all frames."""

    def __init__(self, patch_embed: PatchEncoder, *, depth: int = 24, num_heads: int = 16, linear: LinearBuilder = Dense) -> None:
        super().__init__()
        dim = patch_embed.cls_token.shape[-1]
        self.head_dim = dim // num_heads
        self.patch_embed = patch_embed
        # Slot 0 belongs to the first frame, slot 1 to all others: nothing else tells frames apart.
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, dim))
        self.register_token = nn.Parameter(torch.zeros(1, 2, 4, dim))
        self.frame_blocks = nn.ModuleList([Block(dim, num_heads, qk_norm=True, linear=linear) for _ in range(depth)])
        self.global_blocks = nn.ModuleList([Block(dim, num_heads, qk_norm=True, linear=linear) for _ in range(depth)])

    @property
    def num_special(self) -> int:
        """Camera and register tokens in front of the patches of each frame."""
        return 1 + self.register_token.shape[2]

    def first_tokens(self, images: Tensor) -> Tensor:
        """(B, S, 3, H, W) RGB 0..1 -> (B * S, P, dim): special tokens, then patches row by row."""
        batch, frames = images.shape[:2]
        patches = self.patch_embed(imagenet_normalized(images.flatten(0, 1)))
        special = torch.cat([self.camera_token, self.register_token], dim=2)
        special = special.index_select(1, (torch.arange(frames, device=special.device) > 0).long())
        return torch.cat([special.expand(batch, -1, -1, -1).flatten(0, 1), patches], dim=1)

    def forward(
        self,
        images: Tensor,
        keep_layers: Collection[int],
        on_layer: Callable[[int, Tensor], None] | None = None,
    ) -> dict[int, Tensor]:
        """(B, S, 3, H, W) RGB 0..1 -> {layer: (B, S, P, 2 dim)} for `keep_layers`.

        The first `dim` channels are the tokens after the layer's frame block, the others after its
        global block. `on_layer(layer, tokens)` sees the (B, S P, dim) tokens after every global block;
        it must copy what it keeps, because the next block changes them in place.
        """
        batch, frames = images.shape[:2]
        patch_size = self.patch_embed.patch_size
        grid_hw = (images.shape[-2] // patch_size, images.shape[-1] // patch_size)
        x = self.first_tokens(images)
        tokens, dim = x.shape[1:]
        frame_rope = Rope2d.for_grid(grid_hw, self.head_dim, num_special=self.num_special, like=x)
        global_rope = frame_rope.repeated(frames)
        features = {}
        for layer, (frame_block, global_block) in enumerate(zip(self.frame_blocks, self.global_blocks, strict=True)):
            x = frame_block(x.reshape(batch * frames, tokens, dim), frame_rope)
            after_frame = None
            if layer in keep_layers:
                after_frame = x if is_functional() else x.clone()
            x = global_block(x.reshape(batch, frames * tokens, dim), global_rope)
            if after_frame is not None:
                shape = (batch, frames, tokens, dim)
                features[layer] = torch.cat([after_frame.view(shape), x.view(shape)], dim=-1)
            if on_layer is not None:
                on_layer(layer, x)
        return features


class CameraHead(nn.Module):
    """Camera tokens of all frames -> camera codes, refined over a few iterations."""

    def __init__(self, dim: int = 2048, *, depth: int = 4, num_heads: int = 16, iterations: int = 4) -> None:
        super().__init__()
        self.iterations = iterations
        self.token_norm = nn.LayerNorm(dim)
        self.trunk = nn.ModuleList([Block(dim, num_heads) for _ in range(depth)])
        self.trunk_norm = nn.LayerNorm(dim)
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, 9))
        self.embed_pose = nn.Linear(9, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.pose_branch = Mlp(dim, dim // 2, 9)

    def forward(self, camera_tokens: Tensor) -> Tensor:
        """(B, S, dim) -> (iterations, B, S, 9) codes as in `pose_encoding`, the last one being the answer."""
        conditions = self.token_norm(camera_tokens)
        plain = F.layer_norm(conditions, conditions.shape[-1:], eps=1e-6)
        code, reported = None, []
        for _ in range(self.iterations):
            known = self.empty_pose_tokens.expand(*conditions.shape[:2], -1) if code is None else code.detach()
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(known)).chunk(3, dim=-1)
            x = conditions + gate * (plain * (1 + scale) + shift)
            for block in self.trunk:
                x = block(x)
            delta = self.pose_branch(self.trunk_norm(x))
            code = delta if code is None else known + delta
            # Only what is reported is clamped to a valid field of view; the iteration sees raw values.
            reported.append(torch.cat([code[..., :7], code[..., 7:].relu()], dim=-1))
        return torch.stack(reported)


@dataclass(frozen=True)
class VggtOutput:
    """Raw predictions for (B, S) views at image size; lengths in one unknown unit per scene."""

    pose_encodings: Tensor  # (iterations, B, S, 9), the last one being the answer
    depth: Tensor  # (B, S, H, W) z-depth
    depth_conf: Tensor  # (B, S, H, W) > 1, not a probability
    world_points: Tensor | None = None  # (B, S, H, W, 3) in the frame of the first camera
    world_points_conf: Tensor | None = None  # (B, S, H, W) > 1

    def cameras(self) -> tuple[Tensor, Tensor]:
        """cam_from_world (B, S, 4, 4) and intrinsics (B, S, 3, 3) in pixels."""
        return cameras_from_pose_encoding(self.pose_encodings[-1], (self.depth.shape[-2], self.depth.shape[-1]))


class VGGT(nn.Module):
    """The whole network; `point_head` may be left out."""

    def __init__(self, aggregator: Aggregator, camera_head: CameraHead, depth_head: DPT, point_head: DPT | None = None) -> None:
        super().__init__()
        self.aggregator = aggregator
        self.camera_head = camera_head
        self.depth_head = depth_head
        if point_head is not None:
            self.point_head = point_head

    @property
    def kept_layers(self) -> set[int]:
        """Layers whose tokens the heads read."""
        last = len(self.aggregator.frame_blocks) - 1
        point_layers = self.point_head.layers if "point_head" in self._modules else ()
        return {last, *self.depth_head.layers, *point_layers}

    def forward(self, images: Tensor, *, aggregator_dtype: torch.dtype | None = None) -> VggtOutput:
        """(B, S, 3, H, W) RGB 0..1 -> `VggtOutput`; see `features` for `aggregator_dtype`."""
        return self.predict(self.features(images, aggregator_dtype=aggregator_dtype), (images.shape[-2], images.shape[-1]))

    def features(
        self,
        images: Tensor,
        *,
        aggregator_dtype: torch.dtype | None = None,
        on_layer: Callable[[int, Tensor], None] | None = None,
    ) -> dict[int, Tensor]:
        """Tokens of the layers that the heads read.

        `aggregator_dtype` (bfloat16 or float16) runs the aggregator under autocast; the heads are always
        float32, because their exponentials amplify rounding.
        """
        require_images(images, self.aggregator.patch_embed.patch_size)
        with torch.autocast(images.device.type, dtype=aggregator_dtype, enabled=aggregator_dtype is not None):
            found: dict[int, Tensor] = self.aggregator(images, self.kept_layers, on_layer)
        return found

    def predict(self, features: dict[int, Tensor], image_hw: tuple[int, int]) -> VggtOutput:
        """Run the heads on the tokens of `features`, one head after the other."""
        last = features[max(self.kept_layers)]
        leading = last.shape[:2]
        patch_size = self.aggregator.patch_embed.patch_size
        grid_hw = (image_hw[0] // patch_size, image_hw[1] // patch_size)
        with torch.autocast(last.device.type, enabled=False):
            pose_encodings = self.camera_head(last[:, :, 0].float())
            raw = dense_maps(self.depth_head, features, image_hw, grid_hw).unflatten(0, leading)
            depth, depth_conf = raw[:, :, 0].exp(), 1 + raw[:, :, 1].exp()
            if "point_head" not in self._modules:
                return VggtOutput(pose_encodings, depth, depth_conf)
            raw = dense_maps(self.point_head, features, image_hw, grid_hw).unflatten(0, leading)
            points = raw[:, :, :3].sign() * raw[:, :, :3].abs().expm1()
            return VggtOutput(pose_encodings, depth, depth_conf, points.movedim(2, -1), 1 + raw[:, :, 3].exp())


def vggt_1b(*, point_head: bool = True, linear: LinearBuilder = Dense) -> VGGT:
    """Build the published size (1.19 billion parameters with both dense heads).

    Build it under `torch.device("meta")`, as `load_vggt` does: filling so many parameters with random
    numbers first takes a minute.

    Args:
        point_head: False leaves that head out.
        linear: What makes the linear layers of the aggregator.

    Returns:
        The network, not trained.
    """
    return VGGT(
        Aggregator(PatchEncoder(), linear=linear),
        CameraHead(),
        DPT(output_conv2=dense_output(256, 32, 2)),
        DPT(output_conv2=dense_output(256, 32, 4)) if point_head else None,
    )


def load_vggt(path: str | Path, *, point_head: bool = True) -> VGGT:
    """Load the published size with the weights of an official checkpoint.

    The checkpoint's own licence (VGGT License v1) applies to what is done with it.

    Args:
        path: The file. Its track head is skipped.
        point_head: Whether the head of point maps is loaded, too.

    Returns:
        The network, ready for inference on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or a name or shape does not agree.
    """
    with torch.device("meta"):
        model = vggt_1b(point_head=point_head)
    skipped = ("track_head.",) if point_head else ("track_head.", "point_head.")
    load_weights(model, path, ignored_prefixes=skipped)
    return model.eval()
