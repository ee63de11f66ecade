"""`pan3d-mini-eps3d`: EPS3D (Zhu et al. 2026) at the size of `pan3d-mini`, whose frozen network takes the place of VGGT.

Three heads read its tokens and the images; every pixel becomes a Gaussian at the depth that the base gives, Gaussians that share
a voxel are averaged by their confidence, and Sem2Ins joins semantics to instance features before that, as published. Departures,
all to learn from few samples: heads are feature pyramids instead of DPTs and are told each pixel's point and voted centre; sizes
are relative to a pixel's footprint and colours to its colour, without harmonics; the text space is that of the sentence encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.geometry.transforms import invert_rigid
from pan3d_core.models.eps3d.gaussians import VoxelAverage, voxel_grid
from pan3d_core.models.eps3d.heads import Sem2Ins, TextDecoder
from pan3d_core.models.mini.calibration import Calibration, MiniInputs
from pan3d_core.models.mini.geometry import SceneGeometry, scene_geometry
from pan3d_core.models.mini.layers import Pyramid
from pan3d_core.models.mini.network import DenseOutputs, MiniBasedSettings, OnPanMini, SingleViews
from pan3d_core.models.mini.plane import fourier_features
from pan3d_core.models.mini.queries import POINT_WAVELENGTHS_M
from pan3d_core.structures import Gaussians

PLACE_CHANNELS = 2 * (2 * 3 * len(POINT_WAVELENGTHS_M)) + 1  # point, voted centre, foreground
RAW_CHANNELS = 12  # opacity, 3 of size, 4 of rotation, 3 of colour, confidence
FIRST_OPACITY_LOGIT = 2.0
FOOTPRINT = 0.7  # first standard deviation of a Gaussian in pixels of its view
MAX_LOG_SIZE = 2.0  # of a size over the footprint


@dataclass(frozen=True)
class Eps3dMiniSettings(MiniBasedSettings):
    """One network."""

    width: int = 32  # channels of the heads at full resolution
    features: int = 32  # semantic and instance channels of a Gaussian
    voxel_size_m: float = 0.004
    sem2ins: bool = True


@dataclass(frozen=True)
class PixelMaps:
    """What the heads say about every pixel of B scenes of S views."""

    raw: Tensor  # (B, S, RAW_CHANNELS, H, W)
    semantics: Tensor  # (B, S, features, H, W)
    instances: Tensor  # (B, S, features, H, W) after Sem2Ins


@dataclass(frozen=True)
class Eps3dMiniOutputs:
    """B scenes, each in a frame of its own: the plane frame, or without poses one that is turned as the first camera."""

    geometry: DenseOutputs  # of the base
    cam_from_scene: Tensor  # (B, S, 4, 4) metres
    world_from_scene: Tensor  # (B, 4, 4) the world is the first camera without poses
    maps: PixelMaps
    gaussians: tuple[Gaussians, ...]  # one per scene


class PixelHead(nn.Module):
    """Tokens, image and place of every pixel -> channels at full resolution."""

    def __init__(self, dim: int, stem: tuple[int, int, int], pyramid: tuple[int, int, int], width: int, channels: int) -> None:
        super().__init__()
        self.pyramid = Pyramid(dim, (*stem, dim), pyramid)
        self.from2 = nn.Conv2d(pyramid[0], 4 * width, 1)  # pixel shuffle
        self.from4 = nn.Conv2d(pyramid[1], width, 1)
        self.from8 = nn.Conv2d(pyramid[2], width, 1)
        self.place = nn.Sequential(nn.Conv2d(PLACE_CHANNELS, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, width, 1))
        self.input_merger = nn.Sequential(nn.Conv2d(3, width, 5, padding=2), nn.ReLU())
        self.output = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, channels, 1))

    def forward(self, grid: Tensor, stem: tuple[Tensor, Tensor, Tensor, Tensor], place4: Tensor, images: Tensor) -> Tensor:
        """Tokens (N, dim, h16, w16), the stem's features, places (N, PLACE_CHANNELS, h4, w4), images (N, 3, H, W) 0..1
        -> (N, channels, H, W)."""
        p2, p4, p8 = self.pyramid(grid, stem)
        coarse = self.from4(p4) + self.place(place4)
        coarse = coarse + F.interpolate(self.from8(p8), size=coarse.shape[-2:], mode="bilinear")
        fine = F.pixel_shuffle(self.from2(p2), 2) + self.input_merger((images - 0.45) / 0.25)
        channels: Tensor = self.output(fine + F.interpolate(coarse, size=images.shape[-2:], mode="bilinear"))
        return channels.float()


class Eps3dMini(OnPanMini):
    """The whole network; `base` is frozen."""

    def __init__(self, settings: Eps3dMiniSettings | None = None) -> None:
        settings = settings or Eps3dMiniSettings()
        super().__init__(settings.base)
        self.settings = settings
        widths = self.base.widths
        sizes = (widths.dim, widths.stem, widths.pyramid, settings.width)
        self.gaussian_head = PixelHead(*sizes, RAW_CHANNELS)
        self.semantic_head = PixelHead(*sizes, settings.features)
        self.instance_head = PixelHead(*sizes, settings.features)
        if settings.sem2ins:
            self.sem2ins = Sem2Ins(settings.features)
        self.text_decoder = TextDecoder(settings.features, widths.text_dim)
        for parameter in self.gaussian_head.output[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, inputs: MiniInputs, calibration: Calibration | None = None) -> Eps3dMiniOutputs:
        """B scenes, and what `calibrate` gives for them where that is known -> all that the network says."""
        return self.scenes(inputs, *self.pixels(inputs, calibration or self.calibrate(inputs)))

    def pixels(self, inputs: MiniInputs, calibration: Calibration) -> tuple[DenseOutputs, Tensor, PixelMaps]:
        """What is said of every pixel: the base's outputs, cameras (B, S, 4, 4) as in `Eps3dMiniOutputs`, and the heads' maps."""
        with torch.no_grad():
            single = self.base.single_views(inputs.images, calibration)
            tokens = self.base.cross_views(single.tokens, calibration.rotation)
            dense, scene = self.base.dense(single, tokens)
            geometry = scene_geometry(self.base, inputs, single, (dense, scene))
        return dense, geometry.cam_from_scene, self._pixel_maps(tokens, single, geometry, inputs.images)

    def scenes(self, inputs: MiniInputs, dense: DenseOutputs, cam_from_scene: Tensor, maps: PixelMaps) -> Eps3dMiniOutputs:
        """Gaussians of what `pixels` gave for the same inputs, and all of it together."""
        with torch.no_grad():
            points = unproject_depth(dense.depth(), inputs.intrinsics, cam_from_scene)
        with torch.autocast(inputs.images.device.type, enabled=False):  # half precision cannot say where a Gaussian is
            scenes = tuple(self._scene(b, maps, points[b], dense, inputs) for b in range(len(points)))
        first = cam_from_scene[:, 0]
        known = (inputs.posed > 0)[:, None, None]
        world_from_scene = torch.where(known, invert_rigid(dense.plane_from_world), first)
        return Eps3dMiniOutputs(dense, cam_from_scene, world_from_scene, maps, scenes)

    def _pixel_maps(self, tokens: Tensor, single: SingleViews, geometry: SceneGeometry, images: Tensor) -> PixelMaps:
        grid = tokens[:, :, 1:].flatten(0, 1).transpose(1, 2).unflatten(2, single.stem[3].shape[-2:])
        places = [fourier_features(at, POINT_WAVELENGTHS_M) for at in (geometry.points4, geometry.centers4)]
        place4 = torch.cat([*places, geometry.foreground4[..., None]], dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
        given = (grid, single.stem, place4, images.flatten(0, 1))
        raw, semantics, instances = (head(*given) for head in (self.gaussian_head, self.semantic_head, self.instance_head))
        if self.settings.sem2ins:
            instances = self.sem2ins(instances.movedim(1, -1), semantics.movedim(1, -1)).movedim(-1, 1)
        return PixelMaps(*(maps.unflatten(0, images.shape[:2]) for maps in (raw, semantics, instances)))

    def _scene(self, b: int, maps: PixelMaps, points: Tensor, dense: DenseOutputs, inputs: MiniInputs) -> Gaussians:
        """Gaussians of scene `b` from points (S, H, W, 3): pixels averaged over voxels, then activated."""
        size = points.shape[1:3]
        footprint = FOOTPRINT * dense.depth()[b] / inputs.intrinsics[b, :, 0, 0, None, None]
        log_error = F.interpolate(dense.log_error[b : b + 1], size=size, mode="bilinear")[0]
        opacity, log_size, rotation, color, confidence = maps.raw[b].movedim(1, -1).flatten(0, 2).split([1, 3, 4, 3, 1], dim=-1)
        values = (
            points.flatten(0, 2),
            opacity,
            footprint.flatten()[:, None].log() + log_size.clamp(-MAX_LOG_SIZE, MAX_LOG_SIZE),
            rotation,
            inputs.images[b].movedim(1, -1).flatten(0, 2) + color,
            *(of_pixel[b].movedim(1, -1).flatten(0, 2) for of_pixel in (maps.semantics, maps.instances)),
        )
        grid = voxel_grid(values[0], self.settings.voxel_size_m)
        average = VoxelAverage(len(grid), tuple(value.shape[1] for value in values), points)
        average.add(grid.voxel_of_point, confidence[:, 0] - log_error.flatten(), *values)
        means, opacity, log_size, rotation, color, semantics, instances = average.averages()
        return Gaussians(
            means=means,
            scales=log_size.exp(),
            quats_wxyz=rotation + rotation.new_tensor([1.0, 0.0, 0.0, 0.0]),
            opacities=(opacity[:, 0] + FIRST_OPACITY_LOGIT).sigmoid(),
            colors=color.clamp(0.0, 1.0),
            semantic_features=semantics,
            instance_features=instances,
        )
