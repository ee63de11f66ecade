"""MapAnything (Keetha et al. 2025): pictures, and whatever is known of rays, depth and cameras, to metric geometry of all views.

Parameter names are the official ones, of which the checkpoints have some twice (`files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.geometry.rotations import matrix_from_quat_xyzw
from pan3d_core.models.layers import Dense, LinearBuilder
from pan3d_core.models.mapanything.parts import (
    EPS,
    PATCH,
    DenseValues,
    MapEncoder,
    NumberEncoder,
    PictureEncoder,
    PoseHead,
    Pyramid,
    ScaleHead,
    SharedTokens,
)
from pan3d_core.models.vggt.network import imagenet_normalized, require_images

HEAD_CHANNELS = 64  # of every published member
VALUES = 6  # of a pixel: direction of its ray, log of its distance, log of its confidence, logit of its validity
TINY = 1e-8


@dataclass(frozen=True)
class MapAnythingSizes:
    """Which member; the defaults are those of the first published one."""

    dim: int = 1024
    encoder_depth: int = 24
    encoder_heads: int = 16
    native_grid: int = 37  # patches on a side of the pictures that the position table was learnt for
    gated: bool = False  # MLPs of all blocks are DINOv2's gated ones
    encoder_norm: bool = True  # the encoder's last norm is applied; without it blocks of DINOv2 go on in what is shared
    first_tokens: bool = False  # each view's first token of the encoder is shared, too
    shared_dim: int = 768
    depth: int = 24
    heads: int = 12
    scaled: bool = False  # factors on the additions of shared blocks
    taps: tuple[int, int] = (11, 17)  # shared blocks that the dense head reads
    channels: tuple[int, ...] = (96, 192, 384, 768)  # of its levels
    features: int = 256
    map_widths: tuple[int, ...] = (588, 768, 1024)
    number_widths: tuple[int, ...] = (128, 256, 512)

    @classmethod
    def of_weights(cls, found: Mapping[str, Tensor], origin: str | Path) -> MapAnythingSizes:
        """Read off the tensors of a file in canonical names. `ValueError` where those that tell are missing."""
        telling = ("encoder.model.pos_embed", "info_sharing.norm.weight", "dense_head.1.conv1.weight", "scale_token")
        if missing := [name for name in telling if name not in found]:
            raise ValueError(f"weights: expected those of MapAnything with {missing[0]}, got none in {origin}")
        dim, shared = len(found["scale_token"]), len(found["info_sharing.norm.weight"])
        encoder, info = "encoder.model.blocks.", "info_sharing.self_attention_blocks."
        depth = _count(found, info, 2)
        levels = [f"dense_head.0.input_process.{level}.1.weight" for level in range(4)]
        widths = [len(found["depth_encoder.conv_in.weight"])]
        while (name := f"depth_encoder.encoder.{len(widths) - 1}.conv1.weight") in found:
            widths.append(len(found[name]))
        numbers = [name for name in found if name.startswith("cam_rot_encoder.encoder.") and name.endswith(".weight")]
        numbers.sort(key=lambda name: -name.count("."))  # each layer holds the earlier ones
        normed = "encoder.model.norm.weight" in found
        return cls(
            dim=dim, encoder_depth=_count(found, encoder, 3), encoder_heads=dim // HEAD_CHANNELS,
            native_grid=round((found["encoder.model.pos_embed"].shape[1] - 1) ** 0.5),
            gated=f"{encoder}0.mlp.w12.weight" in found, encoder_norm=normed, first_tokens=not normed,
            shared_dim=shared, depth=depth, heads=shared // HEAD_CHANNELS, scaled=f"{info}0.ls1.gamma" in found,
            taps=(depth // 2 - 1, 3 * depth // 4 - 1), channels=tuple(found[name].shape[1] for name in levels),
            features=found["dense_head.1.conv1.weight"].shape[1], map_widths=tuple(widths),
            number_widths=tuple(len(found[name]) for name in numbers[:-1]),
        )  # fmt: skip


def _count(names: Mapping[str, object], prefix: str, place: int) -> int:
    """Different words at this place of the names that begin so."""
    return len({name.split(".")[place] for name in names if name.startswith(prefix)})


@dataclass(frozen=True)
class KnownGeometry:
    """What is known of B scenes of S views; any of it may be None. Lengths in metres."""

    rays: Tensor | None = None  # (B, S, H, W, 3) unit directions in the cameras' frames
    distance: Tensor | None = None  # (B, S, H, W) along the rays, 0 = not measured; a view may have none
    quat_xyzw: Tensor | None = None  # (B, S, 4) turn of world_from_cam, unit
    centers: Tensor | None = None  # (B, S, 3) of the cameras in the world; both or neither
    counts: tuple[Tensor, Tensor] | None = None  # (B,) 1 or 0 each, for graphs: whether rays, and whether cameras, are known


@dataclass(frozen=True)
class MapAnythingOutput:
    """Geometry of (B, S) views in the frame of the first one, in metres."""

    rays: Tensor  # (B, S, H, W, 3) unit directions in the cameras' frames
    distance: Tensor  # (B, S, H, W) along the rays
    confidence: Tensor  # (B, S, H, W) > 1, not a probability
    valid_logits: Tensor  # (B, S, H, W) of the probability that a pixel shows a surface
    quat_xyzw: Tensor  # (B, S, 4) turn of first_from_cam, unit
    centers: Tensor  # (B, S, 3)
    scale: Tensor  # (B,) metres of the network's unit; the lengths above have it in them


@dataclass(frozen=True)
class ViewTokens:
    """What is known of B scenes of S views, before they see each other."""

    patches: Tensor  # (B, S, patches, dim)
    shared: Tensor  # (B, S, T, dim) for the shared blocks: patches, and behind them the first token where it is shared


class MapAnything(nn.Module):
    """The network. `linear` builds the linear layers of attention in the shared blocks."""

    def __init__(self, sizes: MapAnythingSizes | None = None, linear: LinearBuilder = Dense) -> None:
        super().__init__()
        sizes = sizes or MapAnythingSizes()
        self.sizes, dim, shared = sizes, sizes.dim, sizes.shared_dim
        self.encoder = nn.Module()
        self.encoder.model = PictureEncoder(
            dim, sizes.encoder_depth, sizes.encoder_heads, sizes.native_grid, gated=sizes.gated, normed=sizes.encoder_norm
        )
        self.ray_dirs_encoder = MapEncoder(3, dim, sizes.map_widths)
        self.depth_encoder = MapEncoder(1, dim, sizes.map_widths)
        self.depth_scale_encoder, self.cam_trans_scale_encoder = (NumberEncoder(1, dim, sizes.number_widths) for _ in range(2))
        self.cam_rot_encoder = NumberEncoder(4, dim, sizes.number_widths)
        self.cam_trans_encoder = NumberEncoder(3, dim, sizes.number_widths)
        self.fusion_norm_layer = nn.LayerNorm(dim, eps=EPS)
        self.scale_token = nn.Parameter(torch.zeros(dim))
        self.info_sharing = SharedTokens(
            dim, shared, sizes.depth, sizes.heads, scaled=sizes.scaled, gated=sizes.gated, linear=linear
        )
        pyramid = Pyramid((dim, shared, shared, shared), sizes.channels, sizes.features)
        self.dense_head = nn.ModuleList([pyramid, DenseValues(sizes.features, VALUES)])
        self.pose_head, self.scale_head = PoseHead(shared), ScaleHead(shared)

    def forward(
        self, images: Tensor, known: KnownGeometry | None = None, *, backbone_dtype: torch.dtype | None = None
    ) -> MapAnythingOutput:
        """Reconstruct views.

        Args:
            images: (B, S, 3, H, W) RGB 0..1, sides in multiples of 14.
            known: What is known of them.
            backbone_dtype: Precision of encoder and shared blocks under autocast; None = float32.

        Returns:
            Geometry of all views.
        """
        tokens = self.view_tokens(images, known, backbone_dtype)
        levels, scale = self.mixed(tokens, self.sizes.taps, backbone_dtype)
        return self.read(tokens.patches, levels, scale, (images.shape[-2], images.shape[-1]))

    def fix_grid(self, grid_hw: tuple[int, int]) -> None:
        """Keep the encoder's table of places for pictures of so many patches; see `PictureEncoder.fix_grid`."""
        for part in self.modules():
            if isinstance(part, PictureEncoder):
                part.fix_grid(grid_hw)

    def view_tokens(self, images: Tensor, known: KnownGeometry | None, backbone_dtype: torch.dtype | None) -> ViewTokens:
        """Tokens of every view on its own, told what is known; arguments as `forward` has them."""
        require_images(images, PATCH)
        device = images.device.type
        with torch.autocast(device, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            tokens = self.encoder.get_submodule("model")(imagenet_normalized(images.flatten(0, 1)))
        with torch.autocast(device, enabled=False):
            tokens = tokens.float().unflatten(0, images.shape[:2])
            patches = self.fusion_norm_layer(self._told(tokens[:, :, 1:], known or KnownGeometry()))
        return ViewTokens(patches, torch.cat([patches, tokens[:, :, :1]], dim=2) if self.sizes.first_tokens else patches)

    def mixed(self, tokens: ViewTokens, taps: tuple[int, ...], backbone_dtype: torch.dtype | None) -> tuple[list[Tensor], Tensor]:
        """Patches (B, S, patches, shared_dim) after the shared blocks `taps` and after the last one, and the scale's token
        (B, 1, shared_dim); all in float32."""
        device, patches = tokens.shared.device.type, tokens.patches.shape[2]
        with torch.autocast(device, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            scale = self.scale_token.expand(len(tokens.shared), 1, -1)
            levels, scale = self.info_sharing(tokens.shared, scale, taps)
        return [level[:, :, :patches].float() for level in levels], scale.float()

    def read(self, patches: Tensor, levels: list[Tensor], scale: Tensor, image_hw: tuple[int, int]) -> MapAnythingOutput:
        """Geometry from the patches of `view_tokens`, and levels and scale of `mixed` at the sizes' own taps."""
        grid, leading = (image_hw[0] // PATCH, image_hw[1] // PATCH), (patches.shape[0], patches.shape[1])
        with torch.autocast(patches.device.type, enabled=False):
            return self._read([_as_grid(level, grid) for level in (patches, *levels)], scale, leading, image_hw)

    def _told(self, image_tokens: Tensor, known: KnownGeometry) -> Tensor:
        """Tokens of patches (B, S, T, dim) with what is known added."""
        patches, leading = image_tokens, image_tokens.shape[:2]
        if known.rays is not None:
            rays = known.rays.flatten(0, 1).permute(0, 3, 1, 2)
            patches = patches + _counted(self.ray_dirs_encoder(rays).unflatten(0, leading), known.counts, 0)
        if known.distance is not None:
            measured = known.distance > 0
            mean = (known.distance * measured).sum((-2, -1)) / (measured.sum((-2, -1)) + TINY)
            unit = mean.clamp_min(TINY)
            seen = measured.any(-1).any(-1).to(patches.dtype)[..., None, None]
            maps = torch.log1p(known.distance / unit[..., None, None]).flatten(0, 1)[:, None]
            told = self.depth_encoder(maps).unflatten(0, leading)
            told = told + self.depth_scale_encoder((unit + TINY).log()[..., None])[:, :, None]
            patches = patches + seen * told
        if known.quat_xyzw is not None and known.centers is not None:
            patches = patches + _counted(self._cameras(known.quat_xyzw, known.centers)[:, :, None], known.counts, 1)
        return patches

    def _cameras(self, quat_xyzw: Tensor, centers: Tensor) -> Tensor:
        """(B, S, dim) of cameras as the first one sees them."""
        back = quat_xyzw[:, :1] * quat_xyzw.new_tensor([-1.0, -1.0, -1.0, 1.0])
        turned = quat_product(back.expand_as(quat_xyzw), quat_xyzw)
        first = matrix_from_quat_xyzw(back)
        placed = (first @ (centers - centers[:, :1])[..., None])[..., 0]
        away = placed.norm(dim=-1)
        unit = (away.sum(-1) / ((away > 0).sum(-1) + TINY)).clamp_min(TINY)
        scale = self.cam_trans_scale_encoder((unit + TINY).log()[:, None])[:, None]
        told: Tensor = self.cam_rot_encoder(turned) + self.cam_trans_encoder(placed / unit[:, None, None]) + scale
        return told

    def _read(
        self, levels: list[Tensor], scale_token: Tensor, leading: tuple[int, int], image_hw: tuple[int, int]
    ) -> MapAnythingOutput:
        """The heads on maps (B S, dim, h, w) of the four levels."""
        pyramid, values = self.dense_head
        dense = values(pyramid(levels), image_hw).unflatten(0, leading)
        centers, quat_xyzw = (item.unflatten(0, leading) for item in self.pose_head(levels[-1]))
        scale = self.scale_head(scale_token)
        rays = dense[:, :, :3]
        return MapAnythingOutput(
            rays=(rays / rays.norm(dim=2, keepdim=True).clamp_min(TINY)).movedim(2, -1),
            distance=dense[:, :, 3].exp() * scale[:, None, None, None],
            confidence=1 + dense[:, :, 4].exp(),
            valid_logits=dense[:, :, 5],
            quat_xyzw=quat_xyzw,
            centers=centers * scale[:, None, None],
            scale=scale,
        )


def _counted(told: Tensor, counts: tuple[Tensor, Tensor] | None, which: int) -> Tensor:
    """What is told (B, S, T, dim), 0 in scenes in which it does not count."""
    return told if counts is None else told * counts[which][:, None, None, None]


def _as_grid(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, S, patches, dim) -> (B S, dim, rows, columns)."""
    made: Tensor = tokens.flatten(0, 1).transpose(1, 2).unflatten(2, grid)
    return made


def quat_product(a_xyzw: Tensor, b_xyzw: Tensor) -> Tensor:
    """Multiply quaternions.

    Args:
        a_xyzw: (..., 4), the turn that comes last.
        b_xyzw: (..., 4), the one that comes first.

    Returns:
        (..., 4), scalar last.
    """
    a, b = a_xyzw[..., :3], b_xyzw[..., :3]
    wa, wb = a_xyzw[..., 3:], b_xyzw[..., 3:]
    vector = wa * b + wb * a + torch.linalg.cross(a, b)
    return torch.cat([vector, wa * wb - (a * b).sum(-1, keepdim=True)], dim=-1)
