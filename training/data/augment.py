"""Changes of a training batch that keep image, geometry and truth consistent. All functions are pure given a generator."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from pan3d_core.geometry.transforms import invert_rigid, rigid
from pan3d_core.models.mini.calibration import MiniInputs
from training.data.arrays import SceneBatch, TeacherMaps
from training.data.repaint import repaint


@dataclass(frozen=True)
class Noise:
    """One of several strengths, drawn for each scene: real rigs are exact, good or bad."""

    shares: tuple[float, ...]
    strengths: tuple[float, ...]

    def draw(self, count: int, generator: Generator) -> Tensor:
        """(count,) strengths."""
        row = torch.multinomial(torch.tensor(self.shares), count, replacement=True, generator=generator)
        return torch.tensor(self.strengths)[row]


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths; every amount is the half width of a uniform range unless it says otherwise."""

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.5
    hue: float = 0.1  # radians of rotation about the grey axis times pi
    gamma: float = 0.35  # of the logarithm of the exponent
    cast: float = 0.12  # of the light's colour, per scene and channel
    channel_gain: float = 0.06  # per view and channel
    gray_probability: float = 0.12  # share of the scenes that are seen without colour
    noise: float = 0.03  # largest standard deviation, 0..1
    blur_probability: float = 0.3
    flip_probability: float = 0.5
    repaint_surroundings: float = 0.5  # share of the scenes whose table and surroundings get other colours and prints
    repaint_objects: float = 0.25  # share of the objects
    pose_dropout: float = 0.3  # share of the samples that see no poses
    support_noise: Noise = Noise((0.6, 0.25, 0.15), (0.005, 0.03, 0.1))  # metres, half widths
    pose_noise: Noise = Noise((0.4, 0.35, 0.25), (0.0, 0.003, 0.008))  # metres per axis, standard deviations
    pose_noise_rad_per_m: float = 1.5  # of the cameras' directions beside it


def _uniform(shape: tuple[int, ...], half_width: float, generator: Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) * 2 - 1) * half_width


def _about_gray(angle: Tensor, saturation: Tensor) -> Tensor:
    """(B,) angle and gain -> (B, 3, 3) colour matrices: rotation about the grey axis, then scaling towards it."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    eye = torch.eye(3)
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    gray = torch.full((3, 3), 1 / 3)
    rotation = cos * eye + sin * cross + (1 - cos) * gray
    gain = saturation[:, None, None]
    return (gain * eye + (1 - gain) * gray) @ rotation


def _color_matrices(count: int, config: AugmentConfig, generator: Generator) -> Tensor:
    """(count, 3, 3): hue and saturation, some without colour, and the colour of the light."""
    saturation = 1 + _uniform((count,), config.saturation, generator)
    saturation = torch.where(torch.rand(count, generator=generator) < config.gray_probability, 0.0, saturation)
    colors = _about_gray(_uniform((count,), config.hue * math.pi, generator), saturation)
    cast = 1 + _uniform((count, 3, 1), config.cast, generator)
    return torch.where(saturation[:, None, None] == 0, 1.0, cast) * colors


def _blurred(images: Tensor) -> Tensor:
    """(B, S, 3, H, W) under a kernel of three pixels."""
    kernel = images.new_tensor([0.25, 0.5, 0.25])
    flat = F.pad(images.flatten(0, 2)[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(flat, kernel.view(1, 1, 1, 3)), kernel.view(1, 1, 3, 1))[:, 0].reshape(images.shape)


def jitter_colors(images: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Light, colour, blur and noise of (B, S, 3, H, W); colour alike in all views of a scene, gains per view."""
    batch, views = images.shape[:2]
    out = torch.einsum("bij,bsjhw->bsihw", _color_matrices(batch, config, generator), images)
    gain = 1 + _uniform((batch, 1, 1, 1, 1), config.contrast, generator)
    gain = gain * (1 + _uniform((batch, views, 3, 1, 1), config.channel_gain, generator))
    shift = _uniform((batch, 1, 1, 1, 1), config.brightness * 0.5, generator) + _uniform((batch, views, 1, 1, 1), 0.05, generator)
    out = (out - 0.5) * gain + 0.5 + shift
    out = out.clamp_min(1e-4) ** _uniform((batch, 1, 1, 1, 1), config.gamma, generator).exp()
    if torch.rand((), generator=generator) < config.blur_probability:
        out = _blurred(out)
    strength = torch.rand((batch, 1, 1, 1, 1), generator=generator) * config.noise
    return (out + strength * torch.randn(out.shape, generator=generator)).clamp(0, 1)


def flip_batch(batch: SceneBatch) -> SceneBatch:
    """Mirror every image left-right; the world is mirrored in x: cam' = S cam S with S = diag(-1, 1, 1, 1)."""
    width = batch.images.shape[-1]
    intrinsics = batch.intrinsics.clone()
    intrinsics[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    intrinsics[..., 0, 1] = -intrinsics[..., 0, 1]
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    return replace(
        batch,
        images=batch.images.flip(-1),
        depth=batch.depth.flip(-1),
        ids=batch.ids.flip(-1),
        intrinsics=intrinsics,
        cam_from_world=mirror @ batch.cam_from_world @ mirror,
        teacher=None if batch.teacher is None else flip_maps(batch.teacher),
    )


def flip_maps(maps: TeacherMaps) -> TeacherMaps:
    """What the teacher says, mirrored left-right."""
    return replace(maps, ids=maps.ids.flip(-1), features=maps.features.flip(-1))


def turn_world(batch: SceneBatch, yaw: Tensor) -> SceneBatch:
    """Turn the world frame of each scene by `yaw` (B,) radians about z; images stay as they are."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [yaw.cos(), -yaw.sin(), zero, yaw.sin(), yaw.cos(), zero, zero, zero, one]
    turned_from_world = rigid(torch.stack(rows, -1).reshape(-1, 3, 3), torch.zeros(len(yaw), 3))
    return replace(batch, cam_from_world=batch.cam_from_world @ invert_rigid(turned_from_world)[:, None])


def disturb_poses(cam_from_world: Tensor, config: AugmentConfig, generator: Generator) -> Tensor:
    """Calibration errors as `config.pose_noise` says: a small rotation and shift of each camera (B, S, 4, 4)."""
    batch, views = cam_from_world.shape[:2]
    strength = config.pose_noise.draw(batch, generator)[:, None, None]
    angle = torch.randn((batch, views, 3), generator=generator) * strength * config.pose_noise_rad_per_m
    shift = torch.randn((batch, views, 3), generator=generator) * strength
    x, y, z = angle.unbind(-1)
    zero = torch.zeros_like(x)
    rotation = torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(batch, views, 3, 3))
    return rigid(rotation, shift) @ cam_from_world


def augment(batch: SceneBatch, config: AugmentConfig, generator: Generator) -> tuple[SceneBatch, MiniInputs]:
    """Change the samples of a batch together: paint, colours, mirrored pictures, turned worlds, calibration.

    Args:
        batch: Scenes with their truth.
        config: How far and how often.
        generator: Source of all chance.

    Returns:
        The batch to learn from, and the network's inputs, whose calibration is slightly wrong or withheld.
    """
    size = len(batch.kinds)
    if torch.rand((), generator=generator) < config.flip_probability:
        batch = flip_batch(batch)
    batch = turn_world(batch, _uniform((size,), math.pi, generator))
    batch = repaint(batch, config.repaint_surroundings, config.repaint_objects, generator)
    batch = replace(batch, images=jitter_colors(batch.images, config, generator))
    posed = (torch.rand((size,), generator=generator) >= config.pose_dropout).float()
    inputs = MiniInputs(
        images=batch.images,
        intrinsics=batch.intrinsics,
        cam_from_world=disturb_poses(batch.cam_from_world, config, generator),
        support_height=batch.support_height + _uniform((size,), 1.0, generator) * config.support_noise.draw(size, generator),
        posed=posed,
    )
    return batch, inputs


def plain_inputs(batch: SceneBatch, *, posed: bool) -> MiniInputs:
    """The network's inputs without any augmentation."""
    flags = torch.full((len(batch.kinds),), float(posed))
    return MiniInputs(batch.images, batch.intrinsics, batch.cam_from_world, batch.support_height, flags)


def first_views(inputs: MiniInputs, count: int) -> MiniInputs:
    """Of every scene the first `count` views."""
    return replace(
        inputs,
        images=inputs.images[:, :count],
        intrinsics=inputs.intrinsics[:, :count],
        cam_from_world=inputs.cam_from_world[:, :count],
    )
