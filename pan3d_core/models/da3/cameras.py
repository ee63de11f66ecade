"""Cameras of Depth Anything 3: known ones in, predicted ones out.

The 9-number code is that of VGGT (`pose_encoding`) for `world_from_cam` instead of `cam_from_world`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.layers.transformer import Block, Mlp
from pan3d_core.models.vggt.pose_encoding import cameras_from_pose_encoding, pose_encoding_from_cameras

MIN_MEDIAN_DISTANCE = 0.1


def relative_to_first(cam_from_world: Tensor) -> tuple[Tensor, Tensor]:
    """Cameras (B, S, 4, 4) as the network was trained on them, and the unit (B,) that their translations were divided by.

    The first camera becomes the world; the unit is the median distance of all camera centres from it (the lower one, the first
    itself included), at least `MIN_MEDIAN_DISTANCE` of the given unit. With two cameras it is therefore always that minimum.
    """
    relative = cam_from_world @ invert_rigid(cam_from_world[:, :1])
    distances = invert_rigid(relative)[..., :3, 3].norm(dim=-1)
    unit = distances.median(dim=-1).values.clamp_min(MIN_MEDIAN_DISTANCE)
    scaled = relative.clone()
    scaled[..., :3, 3] = relative[..., :3, 3] / unit[:, None, None]
    return scaled, unit


class CameraEncoder(nn.Module):
    """Known cameras -> one token per view, mixed over the views."""

    def __init__(self, dim: int, *, num_heads: int = 16, depth: int = 4) -> None:
        super().__init__()
        self.pose_branch = Mlp(9, dim // 2, dim)
        self.token_norm = nn.LayerNorm(dim)
        self.trunk = nn.Sequential(*[Block(dim, num_heads) for _ in range(depth)])
        self.trunk_norm = nn.LayerNorm(dim)

    def forward(self, cam_from_world: Tensor, intrinsics: Tensor, image_hw: tuple[int, int]) -> Tensor:
        """(B, S, 4, 4) as `relative_to_first` gives them and (B, S, 3, 3) in pixels of the image -> (B, S, dim). The principal
        point is not used."""
        return self.encoded(pose_encoding_from_cameras(invert_rigid(cam_from_world), intrinsics, image_hw))

    def encoded(self, code: Tensor) -> Tensor:
        """(B, S, 9) codes of `world_from_cam` -> (B, S, dim)."""
        tokens: Tensor = self.trunk_norm(self.trunk(self.token_norm(self.pose_branch(code))))
        return tokens


class CameraDecoder(nn.Module):
    """Camera tokens -> cameras."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.fc_t = nn.Linear(dim, 3)
        self.fc_qvec = nn.Linear(dim, 4)
        self.fc_fov = nn.Sequential(nn.Linear(dim, 2), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, S, dim) -> (B, S, 9) codes of `world_from_cam`."""
        x = self.backbone(tokens)
        return torch.cat([self.fc_t(x), self.fc_qvec(x), self.fc_fov(x)], dim=-1)


def decoded_cameras(code: Tensor, image_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Decode cameras of Depth Anything 3.

    Args:
        code: (..., 9) of `world_from_cam`, as `CameraDecoder` gives them.
        image_hw: Rows and columns of the image that pixels are counted in.

    Returns:
        cam_from_world (..., 4, 4) in the unit of the code, and intrinsics (..., 3, 3) in pixels.
    """
    world_from_cam, intrinsics = cameras_from_pose_encoding(code, image_hw)
    return invert_rigid(world_from_cam), intrinsics


def pixel_centred(intrinsics: Tensor) -> Tensor:
    """Decoded intrinsics (..., 3, 3), which count from the image's corner, with integers at pixel centres."""
    moved = intrinsics.clone()
    moved[..., :2, 2] -= 0.5
    return moved
