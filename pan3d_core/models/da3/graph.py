"""Depth Anything 3 of calibrated views as a function of named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pan3d_core.geometry.transforms import invert_rigid, look_at
from pan3d_core.models.da3.backbone import PATCH_SIZE
from pan3d_core.models.da3.cameras import decoded_cameras, relative_to_first
from pan3d_core.models.da3.network import AnyViewDa3, Da3Output
from pan3d_core.models.vggt.network import imagenet_normalized
from pan3d_core.models.vggt.pose_encoding import pose_encoding_from_cameras
from pan3d_core.runtime.networks.interface import Graph, TensorSpec
from pan3d_core.structures import present

MAX_VIEWS = 8
TOLERANCE = {"depth": 5e-3, "depth_conf": 5e-3, "pose_encoding": 1e-3}


class Da3Graph(nn.Module):
    """One scene of any number of views whose cameras are known. Without them the network chooses a reference view by its values,
    which no graph does."""

    def __init__(self, network: AnyViewDa3) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, cameras: Tensor) -> tuple[Tensor, ...]:
        """(1, S, 3, H, W) RGB 0..1 and codes (1, S, 9) -> tensors as `da3_graph` names them."""
        network, image_hw = self.network, (images.shape[-2], images.shape[-1])
        tokens = network.backbone.pretrained(imagenet_normalized(images), network.cam_enc.encoded(cameras))
        code = network.cam_dec(present("BackboneTokens.camera", tokens.camera))
        raw, _ = network.head.predict([tap.flatten(0, 1) for tap in tokens.taps], image_hw, rays=False)
        raw = raw.unflatten(0, images.shape[:2])
        return raw[:, :, 0].exp(), 1 + raw[:, :, 1].exp(), code


def da3_inputs(images: Tensor, cam_from_world: Tensor, intrinsics: Tensor) -> dict[str, Tensor]:
    """Name the tensors of one scene.

    Args:
        images: (1, S, 3, H, W) RGB 0..1.
        cam_from_world: (1, S, 4, 4) as `relative_to_first` gives it.
        intrinsics: (1, S, 3, 3) pixels of the images.

    Returns:
        What `Da3Graph` takes.
    """
    code = pose_encoding_from_cameras(invert_rigid(cam_from_world), intrinsics, (images.shape[-2], images.shape[-1]))
    return {"images": images, "cameras": code}


def da3_output(named: dict[str, Tensor]) -> Da3Output:
    """Put together what a graph answered, as the network's own."""
    image_hw = (named["depth"].shape[-2], named["depth"].shape[-1])
    return Da3Output(named["depth"], named["depth_conf"], *decoded_cameras(named["pose_encoding"], image_hw))


def da3_graph(network: AnyViewDa3, hw: tuple[int, int], checksum: str) -> Graph:
    """Describe an any-view member for pictures of one size, of cameras that are known.

    Args:
        network: In evaluation mode.
        hw: Pixels of a picture, multiples of 14.
        checksum: Of the weights.

    Returns:
        The graph, for 1 to `MAX_VIEWS` views.
    """
    network.backbone.pretrained.fix_grid((hw[0] // PATCH_SIZE, hw[1] // PATCH_SIZE))

    def samples(views: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(views)
        device = next(network.parameters()).device
        angles = 2 * torch.pi * torch.arange(views) / max(views, 3)
        eyes = torch.stack([2 * angles.cos(), 2 * angles.sin(), torch.ones(views)], dim=-1)
        cameras = relative_to_first(torch.stack([look_at(eye, torch.zeros(3)) for eye in eyes])[None])[0]
        intrinsics = torch.tensor([[hw[1], 0.0, hw[1] / 2], [0.0, hw[1], hw[0] / 2], [0.0, 0.0, 1.0]]).expand(1, views, 3, 3)
        images = torch.rand(1, views, 3, *hw, generator=generator)
        return {name: value.to(device) for name, value in da3_inputs(images, cameras, intrinsics).items()}

    return Graph(
        engine="da3",
        module=Da3Graph(network).eval(),
        inputs=(TensorSpec("images", (1, "views", 3, *hw)), TensorSpec("cameras", (1, "views", 9))),
        outputs=(
            TensorSpec("depth", (1, "views", *hw)),
            TensorSpec("depth_conf", (1, "views", *hw)),
            TensorSpec("pose_encoding", (1, "views", 9)),
        ),
        axes={"views": (1, MAX_VIEWS)},
        samples=samples,
        tolerance=TOLERANCE,
        checksum=checksum,
    )
