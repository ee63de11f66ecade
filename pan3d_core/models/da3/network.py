"""Depth Anything 3 (Lin et al. 2025): any number of views, with or without known cameras -> depth and cameras.

`DA3_VARIANTS` names the published members. The any-view ones (SMALL to GIANT) answer in an arbitrary unit per scene, METRIC-LARGE
in metres but view by view, NESTED brings the first to the scale of the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pan3d_core.models.da3.backbone import PATCH_SIZE, BackboneSettings, BackboneTokens, Da3Backbone
from pan3d_core.models.da3.cameras import CameraDecoder, CameraEncoder, decoded_cameras
from pan3d_core.models.da3.head import DualHead, HeadSettings, MonocularHead
from pan3d_core.models.layers.transformer import Dense, LinearBuilder
from pan3d_core.models.vggt.network import imagenet_normalized, require_images
from pan3d_core.runtime.weights import assign_weights, family_of, read_weights
from pan3d_core.structures import present

SKY_VALUE = 0.3  # from here on a pixel shows sky
MIN_PIXELS = 10  # sky is only filled, and scale only found, where more pixels than these speak
FAR_QUANTILE = 0.99
MAX_QUANTILE_PIXELS = 100_000
METRIC_FOCAL = 300.0  # pixels of the processed image at which METRIC-LARGE's output is metres
MAX_SKY_DEPTH_M = 200.0


@dataclass(frozen=True)
class Da3Settings:
    """One member of the family."""

    backbone: BackboneSettings
    head: HeadSettings
    licence: str

    @property
    def is_any_view(self) -> bool:
        """Whether views meet and cameras are predicted."""
        return self.backbone.first_cross_view is not None


@dataclass(frozen=True)
class Da3Output:
    """Predictions for (B, S) views at image size."""

    depth: Tensor  # (B, S, H, W) z-depth, one unknown unit per scene
    depth_conf: Tensor  # (B, S, H, W) >= 1, not a probability
    cam_from_world: Tensor  # (B, S, 4, 4) in the unit of depth; the world is about the reference view's frame
    intrinsics: Tensor  # (B, S, 3, 3) pixels, counted from the image's corner (see `da3_cameras.pixel_centred`)
    rays: Tensor | None = None  # (B, S, h', w', 6) direction (z-scaled) and camera centre in the world, at 8/14 of the image
    ray_conf: Tensor | None = None  # (B, S, h', w') >= 1


@dataclass(frozen=True)
class MonocularOutput:
    """Predictions of METRIC-LARGE or MONO-LARGE for (B, S) views, each on its own."""

    depth: Tensor  # (B, S, H, W); times focal length / 300 metres in METRIC-LARGE
    sky: Tensor  # (B, S, H, W) from `SKY_VALUE` on sky


class Pretrained(nn.Module):
    """The backbone under the name that it has in the checkpoints."""

    def __init__(self, pretrained: Da3Backbone) -> None:
        super().__init__()
        self.pretrained = pretrained


class AnyViewDa3(nn.Module):
    """SMALL, BASE, LARGE and GIANT."""

    def __init__(self, settings: Da3Settings, linear: LinearBuilder = Dense, *, adapt_all: bool = False) -> None:
        """`linear` and `adapt_all`: see `Da3Backbone`."""
        super().__init__()
        dim = settings.backbone.dim
        self.backbone = Pretrained(Da3Backbone(settings.backbone, linear, adapt_all=adapt_all))
        self.head = DualHead(2 * dim, settings.head)
        self.cam_enc = CameraEncoder(dim)
        self.cam_dec = CameraDecoder(2 * dim)

    def forward(
        self,
        images: Tensor,
        *,
        cameras: tuple[Tensor, Tensor] | None = None,
        rays: bool = False,
        reference_rule: str = "saddle_balanced",
        backbone_dtype: torch.dtype | None = None,
    ) -> Da3Output:
        """`images` (B, S, 3, H, W) RGB 0..1, H and W multiples of 14. `cameras`: `cam_from_world` (B, S, 4, 4) as
        `relative_to_first` gives it and intrinsics (B, S, 3, 3), of every view or not at all. `rays` asks for the ray map,
        which costs a second fusion chain. `backbone_dtype` (bfloat16, float16) runs the backbone under autocast; the heads
        are float32."""
        tokens = self.tokens(images, cameras, reference_rule, backbone_dtype)
        return self.predict(tokens, (images.shape[-2], images.shape[-1]), rays=rays)

    def tokens(
        self,
        images: Tensor,
        cameras: tuple[Tensor, Tensor] | None = None,
        reference_rule: str = "saddle_balanced",
        backbone_dtype: torch.dtype | None = None,
    ) -> BackboneTokens:
        """The backbone's part of `forward`."""
        require_images(images, PATCH_SIZE)
        known = self.camera_tokens(images, cameras)
        with torch.autocast(images.device.type, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            tokens: BackboneTokens = self.backbone.pretrained(imagenet_normalized(images), known, reference_rule)
        return tokens

    def camera_tokens(self, images: Tensor, cameras: tuple[Tensor, Tensor] | None) -> Tensor | None:
        """Tokens (B, S, dim) of known cameras. Raises `ValueError` unless there is one for every view."""
        if cameras is None:
            return None
        cam_from_world, intrinsics = cameras
        for name, value, size in (("cam_from_world", cam_from_world, 4), ("intrinsics", intrinsics, 3)):
            if value.shape != (*images.shape[:2], size, size):
                raise ValueError(f"{name}: expected shape {(*images.shape[:2], size, size)}, got {tuple(value.shape)}")
        tokens: Tensor = self.cam_enc(cam_from_world, intrinsics, (images.shape[-2], images.shape[-1]))
        return tokens

    def predict(self, tokens: BackboneTokens, image_hw: tuple[int, int], *, rays: bool = False) -> Da3Output:
        """The heads' part of `forward`."""
        depth, depth_conf, code, *found = self.coded(tokens, image_hw, rays=rays)
        output = Da3Output(depth, depth_conf, *decoded_cameras(code, image_hw))
        if not found:
            return output
        raw_rays = found[0].unflatten(0, depth.shape[:2]).movedim(2, -1)
        return Da3Output(**{**vars(output), "rays": raw_rays[..., :6], "ray_conf": 1 + raw_rays[..., 6].exp()})

    def coded(self, tokens: BackboneTokens, image_hw: tuple[int, int], *, rays: bool = False) -> tuple[Tensor, ...]:
        """Depth and confidence (B, S, H, W), codes (B, S, 9) of cameras, and raw rays where asked for; in float32."""
        camera = present("BackboneTokens.camera", tokens.camera)
        with torch.autocast(camera.device.type, enabled=False):
            code = self.cam_dec(camera.float())
            raw, raw_rays = self.head.predict([tap.flatten(0, 1).float() for tap in tokens.taps], image_hw, rays=rays)
        raw = raw.unflatten(0, tokens.taps[0].shape[:2])
        return raw[:, :, 0].exp(), 1 + raw[:, :, 1].exp(), code, *([] if raw_rays is None else [raw_rays])


class MonocularDa3(nn.Module):
    """METRIC-LARGE and MONO-LARGE."""

    def __init__(self, settings: Da3Settings) -> None:
        super().__init__()
        self.backbone = Pretrained(Da3Backbone(settings.backbone))
        self.head = MonocularHead(settings.backbone.dim, settings.head)

    def forward(self, images: Tensor, *, backbone_dtype: torch.dtype | None = None) -> MonocularOutput:
        """`images` (B, S, 3, H, W) RGB 0..1. See `fill_sky` for what the published pipeline does next."""
        require_images(images, PATCH_SIZE)
        image_hw = (images.shape[-2], images.shape[-1])
        with torch.autocast(images.device.type, dtype=backbone_dtype, enabled=backbone_dtype is not None):
            tokens = self.backbone.pretrained(imagenet_normalized(images))
        with torch.autocast(images.device.type, enabled=False):
            log_depth, sky = self.head.predict([tap.flatten(0, 1).float() for tap in tokens.taps], image_hw)
        return MonocularOutput(log_depth.exp().unflatten(0, images.shape[:2]), sky.unflatten(0, images.shape[:2]))


class NestedDa3(nn.Module):
    """GIANT with the metres of METRIC-LARGE."""

    def __init__(self, da3: AnyViewDa3, da3_metric: MonocularDa3) -> None:
        super().__init__()
        self.da3, self.da3_metric = da3, da3_metric

    def forward(self, images: Tensor, **options: object) -> Da3Output:
        """As `AnyViewDa3.forward`, in metres. One scene at a time. Raises `ValueError` where nearly everything is sky."""
        if len(images) != 1:
            raise ValueError(f"images: expected one scene, because one scale is found for all views, got {len(images)}")
        metric = self.da3_metric(images, backbone_dtype=options.get("backbone_dtype"))
        return metric_output(self.da3(images, **options), metric)


def metric_output(relative: Da3Output, metric: MonocularOutput) -> Da3Output:
    """Scale any-view predictions to the metric ones: one least-squares factor over confident pixels that show no sky.

    Args:
        relative: In one unknown unit, with intrinsics in pixels.
        metric: Of the same views, its depth times focal length / 300 being metres.

    Returns:
        The predictions in metres; sky pixels have the depth of the farthest others, at most 200 m, and confidence 1.

    Raises:
        ValueError: Nearly everything is sky.
    """
    focal = (relative.intrinsics[..., 0, 0] + relative.intrinsics[..., 1, 1]) / 2
    metres = metric.depth * (focal / METRIC_FOCAL)[..., None, None]
    clear = metric.sky < SKY_VALUE
    if int(clear.sum()) <= MIN_PIXELS:
        raise ValueError(f"images: expected more than {MIN_PIXELS} pixels without sky to find the scale, got {int(clear.sum())}")
    confident = relative.depth_conf >= thinned(relative.depth_conf[clear]).median()
    used = clear & confident & (metres > 1e-2) & (relative.depth > 1e-3)
    depth = relative.depth[used]
    scale = (metres[used] * depth).sum() / depth.square().sum().clamp_min(1e-12)
    scaled = relative.depth * scale
    far = thinned(scaled[clear]).quantile(FAR_QUANTILE).clamp_max(MAX_SKY_DEPTH_M)
    cam_from_world = relative.cam_from_world.clone()
    cam_from_world[..., :3, 3] *= scale
    changed = {
        "depth": torch.where(clear, scaled, far),
        "depth_conf": torch.where(clear, relative.depth_conf, 1.0),
        "cam_from_world": cam_from_world,
    }
    return Da3Output(**{**vars(relative), **changed})


def fill_sky(output: MonocularOutput) -> Tensor:
    """Return depth (B, S, H, W) whose sky pixels have the depth of the farthest others, where there are enough of both."""
    clear = output.sky < SKY_VALUE
    if int(clear.sum()) <= MIN_PIXELS or int((~clear).sum()) <= MIN_PIXELS:
        return output.depth
    return torch.where(clear, output.depth, thinned(output.depth[clear]).quantile(FAR_QUANTILE))


def thinned(values: Tensor) -> Tensor:
    """At most `MAX_QUANTILE_PIXELS` of (N,) values, evenly picked: quantiles of millions need not be exact."""
    return values[:: -(-len(values) // MAX_QUANTILE_PIXELS)]


_LARGE = {"dim": 1024, "depth": 24, "num_heads": 16}
_LARGE_HEAD = HeadSettings(256, (256, 512, 1024, 1024))
_MONOCULAR = BackboneSettings(**_LARGE, taps=(4, 11, 17, 23), first_cross_view=None)
APACHE, NON_COMMERCIAL = "Apache-2.0", "CC-BY-NC-4.0"
DA3_VARIANTS: dict[str, Da3Settings] = {
    "da3-small": Da3Settings(BackboneSettings(384, 12, 6, (5, 7, 9, 11), 4), HeadSettings(64, (48, 96, 192, 384)), APACHE),
    "da3-base": Da3Settings(BackboneSettings(768, 12, 12, (5, 7, 9, 11), 4), HeadSettings(128, (96, 192, 384, 768)), APACHE),
    "da3-large": Da3Settings(BackboneSettings(**_LARGE, taps=(11, 15, 19, 23), first_cross_view=8), _LARGE_HEAD, NON_COMMERCIAL),
    "da3-giant": Da3Settings(BackboneSettings(1536, 40, 24, (19, 27, 33, 39), 13, 4096), _LARGE_HEAD, NON_COMMERCIAL),
    "da3-metric-large": Da3Settings(_MONOCULAR, _LARGE_HEAD, APACHE),
    "da3-mono-large": Da3Settings(_MONOCULAR, _LARGE_HEAD, APACHE),
}
NESTED_PARTS = ("da3-giant", "da3-metric-large")
DA3_NAMES = (*DA3_VARIANTS, "da3nested-giant-large")


def build_da3(name: str) -> AnyViewDa3 | MonocularDa3 | NestedDa3:
    """Build a published member without weights; `load_da3` does so on the meta device. `ValueError` for another name."""
    if name not in DA3_NAMES:
        raise ValueError(f"name: expected one of {', '.join(DA3_NAMES)}, got {name!r}")
    if name not in DA3_VARIANTS:
        giant, metric = (DA3_VARIANTS[part] for part in NESTED_PARTS)
        return NestedDa3(AnyViewDa3(giant), MonocularDa3(metric))
    settings = DA3_VARIANTS[name]
    return AnyViewDa3(settings) if settings.is_any_view else MonocularDa3(settings)


def members_like(found: Mapping[str, Tensor]) -> list[str]:
    """The published members of a single backbone that have the size of an official file's tensors."""
    return [name for name, s in DA3_VARIANTS.items() if (s.backbone.dim, s.backbone.depth, s.is_any_view) == _size_of(found)]


def _size_of(found: Mapping[str, Tensor]) -> tuple[int, int, bool]:
    """Width, number of blocks, and whether views meet."""
    shapes = {name.removeprefix("model."): value.shape for name, value in found.items()}
    depth = len({name.split(".")[3] for name in shapes if name.startswith("backbone.pretrained.blocks.")})
    return shapes["backbone.pretrained.cls_token"][-1], depth, "backbone.pretrained.camera_token" in shapes


def variant_of(found: Mapping[str, Tensor], origin: str | Path, said: str = "") -> str:
    """Tell which published member the tensors of an official file are.

    Args:
        found: Name -> tensor.
        origin: The file, for messages.
        said: A name given elsewhere, which must tell METRIC-LARGE from MONO-LARGE, whose tensors are alike.

    Returns:
        One of `DA3_NAMES`.

    Raises:
        ValueError: The tensors are of another model or size, or `said` does not tell.
    """
    shapes = {name.removeprefix("model."): value.shape for name, value in found.items()}
    if "da3_metric.backbone.pretrained.cls_token" in shapes:
        return DA3_NAMES[-1]
    token = shapes.get("backbone.pretrained.cls_token")
    if token is None:
        family = family_of(shapes)
        hint = f", which looks like {family}" if family else ""
        raise ValueError(f"weights: expected a checkpoint of Depth Anything 3, got {origin}{hint}")
    fitting = members_like(found)
    if not fitting:
        dim, depth, meets = _size_of(found)
        raise ValueError(
            f"weights: expected one of {', '.join(DA3_NAMES)}, got {origin} with {depth} blocks of width {dim} "
            f"{'that meet' if meets else 'of single views'}"
        )
    if len(fitting) > 1:
        fitting = [name for name in fitting if name.split("-")[1] in said.lower()]
    if len(fitting) != 1:
        raise ValueError(
            f"weights: expected 'metric' or 'mono' in model_name of config.json beside {origin} or in the file's name, because "
            f"the tensors of the two are alike, got {said!r}"
        )
    return fitting[0]


def assign_official(model: nn.Module, found: dict[str, Tensor], origin: str | Path) -> None:
    """Give a model an official state dict, strictly. GIANT's Gaussian head is not part of it and skipped.

    Args:
        model: Is unchanged when anything disagrees.
        found: Name -> tensor. The four norms of the ray outputs are one module: files from the hub hold it once.
        origin: Of the tensors, for the error.

    Raises:
        ValueError: Lists missing, unexpected and mis-shaped names of `origin`.
    """
    found = {name.removeprefix("model."): value for name, value in found.items()}
    for name in model.state_dict():
        stage, _, parameter = name.partition("output_conv2_aux.")[2].partition(".2.")
        if parameter and name not in found:
            source = name.replace(f"output_conv2_aux.{stage}.2.", "output_conv2_aux.0.2.")
            if source in found:
                found[name] = found[source]
    assign_weights(model, found, origin=origin, ignored_prefixes=("gs_head.", "da3.gs_head."))


def load_da3(path: str | Path, name: str) -> AnyViewDa3 | MonocularDa3 | NestedDa3:
    """Load a published member with the weights of an official file.

    The checkpoint's own licence (`DA3_VARIANTS[name].licence`) applies to what is done with it.

    Args:
        path: The file.
        name: One of `DA3_NAMES`; `variant_of` tells it from the tensors.

    Returns:
        The network, ready for inference on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, the name is unknown, or a name or shape of a tensor does not agree.
    """
    with torch.device("meta"):
        model = build_da3(name)
    assign_official(model, read_weights(path), path)
    return model.eval()
