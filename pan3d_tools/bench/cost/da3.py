"""What Depth Anything 3 and FAST3DIS must compute and move at least, counted from their sizes, and how long that takes at best.

One multiplication with its addition is two operations. Counted are matrix products, attention and convolutions; norms,
activations and resizing are not. The floor of a device is the longest of three times: operations over peak, bytes over
bandwidth, exponentials of softmax over their rate. Bytes are those of a perfectly fused half-precision network: 52 per channel,
token and block, and the weights once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from pan3d_core.models.da3.backbone import PATCH_SIZE, BackboneSettings
from pan3d_core.models.da3.head import NECK_CONVOLUTIONS, HeadSettings
from pan3d_core.models.da3.network import Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.network import Fast3disSettings

BYTES_PER_CHANNEL = 52  # of one token in one block, half precision
BYTES_PER_WEIGHT = 2


@dataclass(frozen=True)
class Cost:
    """What passes need; costs add up."""

    operations: float = 0.0
    moved_bytes: float = 0.0
    exponentials: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(times * getattr(self, field.name) for field in fields(self)))


@dataclass(frozen=True)
class Peak:
    """What a device reaches at best with half-precision matrix products."""

    operations_per_s: float
    bytes_per_s: float
    exponentials_per_s: float


# By a part of the device's name. Operations and bandwidth of the H200 were measured, the others are of data sheets; exponentials
# are 16 per clock and multiprocessor.
PEAKS = {
    "H200": Peak(790e12, 4.3e12, 4.2e12),
    "H100": Peak(989e12, 3.35e12, 4.2e12),
    "A100": Peak(312e12, 2.0e12, 2.4e12),
    "4090": Peak(165e12, 1.0e12, 5.2e12),
    "Orin": Peak(42.5e12, 0.2e12, 0.33e12),
    "Thor": Peak(258e12, 0.27e12, 0.5e12),
}


def floor_s(cost: Cost, device_name: str) -> float | None:
    """Seconds at best, or None for a device without an entry in `PEAKS`."""
    peak = next((peak for part, peak in PEAKS.items() if part in device_name), None)
    if peak is None:
        return None
    return max(
        cost.operations / peak.operations_per_s,
        cost.moved_bytes / peak.bytes_per_s,
        cost.exponentials / peak.exponentials_per_s,
    )


def patch_grid(image_hw: tuple[int, int]) -> tuple[int, int]:
    return image_hw[0] // PATCH_SIZE, image_hw[1] // PATCH_SIZE


def block_cost(settings: BackboneSettings, sequences: int, tokens: int, lora_rank: int = 0) -> Cost:
    """One block on `sequences` of `tokens` that see each other."""
    dim, rows = settings.dim, sequences * tokens
    hidden = 8 * dim * dim if settings.swiglu_hidden is None else 3 * dim * settings.swiglu_hidden
    low_rank = lora_rank * (dim + 3 * dim) + lora_rank * (dim + dim)
    weights = 4 * dim * dim + hidden + low_rank
    return Cost(
        operations=2 * rows * weights + 4 * rows * tokens * dim,  # matrix products, attention
        moved_bytes=BYTES_PER_CHANNEL * rows * dim + BYTES_PER_WEIGHT * weights,
        exponentials=settings.num_heads * rows * tokens,
    )


def shared_cost(settings: BackboneSettings, views: int, image_hw: tuple[int, int]) -> Cost:
    """Patches and the blocks before the first cross-view one."""
    rows, columns = patch_grid(image_hw)
    patches = Cost(operations=2 * views * rows * columns * 3 * PATCH_SIZE**2 * settings.dim)
    start = settings.depth if settings.first_cross_view is None else settings.first_cross_view
    return patches + block_cost(settings, views, 1 + rows * columns) * start


def cross_view_cost(settings: BackboneSettings, views: int, image_hw: tuple[int, int], lora_rank: int = 0) -> Cost:
    """The blocks from the first cross-view one on: odd ones see all views, even ones a view."""
    rows, columns = patch_grid(image_hw)
    tokens = 1 + rows * columns
    later = range(settings.first_cross_view or settings.depth, settings.depth)
    across = sum(index % 2 for index in later)
    within = block_cost(settings, views, tokens, lora_rank) * (len(later) - across)
    return within + block_cost(settings, 1, views * tokens, lora_rank) * across


def camera_cost(dim: int, views: int) -> Cost:
    """The camera decoder on tokens of `dim` channels."""
    return Cost(operations=2 * views * (2 * dim * dim + 9 * dim))


def level_sizes(image_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels of the four levels of a head, fine to coarse."""
    rows, columns = patch_grid(image_hw)
    return 16 * rows * columns, 4 * rows * columns, rows * columns, (-(-rows // 2)) * (-(-columns // 2))


def pyramid_cost(dim: int, head: HeadSettings, image_hw: tuple[int, int]) -> Cost:
    """Taps of one view -> four maps."""
    sizes, (first, second, _, last) = level_sizes(image_hw), head.channels
    patches = sizes[2]
    resized = patches * (16 * first**2 + 4 * second**2) + sizes[3] * 9 * last**2
    adapted = sum(9 * channels * head.features * size for channels, size in zip(head.channels, sizes, strict=True))
    return Cost(operations=2 * patches * dim * sum(head.channels) + 2 * (resized + adapted))


def fusion_cost(features: int, sizes: tuple[int, ...]) -> Cost:
    """A chain of fusions on maps of `sizes`, of which the coarsest, the last one, has a single residual unit."""
    units = 36 * sum(sizes) - 18 * sizes[-1]
    return Cost(operations=2 * features**2 * (units + sum(sizes)))


def depth_cost(head: HeadSettings, image_hw: tuple[int, int]) -> Cost:
    """Four maps of one view -> depth and confidence."""
    sizes, half = level_sizes(image_hw), head.features // 2
    out = 4 * sizes[0] * 9 * head.features * half + image_hw[0] * image_hw[1] * (9 * half * 32 + 32 * 2)
    return fusion_cost(head.features, sizes) + Cost(operations=2 * out)


def rays_cost(head: HeadSettings, image_hw: tuple[int, int]) -> Cost:
    """Four maps of one view -> rays and confidence."""
    sizes, half = level_sizes(image_hw), head.features // 2
    per_pixel = NECK_CONVOLUTIONS * 9 * head.features * half + 9 * half * 32 + 32 * 7
    return fusion_cost(head.features, sizes) + Cost(operations=2 * 4 * sizes[0] * per_pixel)


def heads_cost(settings: Da3Settings, views: int, image_hw: tuple[int, int], *, rays: bool = False) -> Cost:
    """Depth and cameras of an any-view member, and rays where wanted."""
    dim = 2 * settings.backbone.dim
    one = pyramid_cost(dim, settings.head, image_hw) + depth_cost(settings.head, image_hw)
    return (one + rays_cost(settings.head, image_hw) if rays else one) * views + camera_cost(dim, views)


def da3_cost(settings: Da3Settings, views: int, image_hw: tuple[int, int], *, rays: bool = False) -> Cost:
    """A whole pass of an any-view member."""
    trunk = shared_cost(settings.backbone, views, image_hw) + cross_view_cost(settings.backbone, views, image_hw)
    return trunk + heads_cost(settings, views, image_hw, rays=rays)


def pixels_cost(settings: Fast3disSettings, views: int, image_hw: tuple[int, int]) -> Cost:
    """The pixel decoder."""
    head = HeadSettings(settings.decoder.dim, settings.base.head.channels)
    finest, *coarser = level_sizes(image_hw)
    out = Cost(operations=2 * head.features * (coarser[-1] * 3 + finest * 9 * head.features))
    pyramid = pyramid_cost(2 * settings.base.backbone.dim, head, image_hw)
    return (pyramid + fusion_cost(head.features, tuple(coarser)) + out) * views


def anchors_cost(settings: AnchorSettings, views: int) -> Cost:
    """The anchor decoder: no size of images in it."""
    dim, queries = settings.dim, settings.queries
    per_query = 4 * dim * dim + 2 * dim * dim + 2 * dim * settings.feed_forward  # own, across, feed
    per_query += 2 * settings.bands * dim + 3 * settings.bands + dim * dim + 3 * dim + 2 * dim + 3 * dim * dim
    per_sample = 2 * dim * dim
    start = 2 * (dim * dim + 3 * queries * dim) if settings.start == "learned" else 0
    layer = Cost(
        operations=2 * queries * (per_query + views * per_sample) + 4 * queries * dim * (queries + views),
        exponentials=settings.heads * queries * (queries + views),
    )
    return layer * settings.layers + Cost(operations=start)


def fast3dis_cost(settings: Fast3disSettings, views: int, image_hw: tuple[int, int]) -> Cost:
    """A whole pass: shared blocks once, the others twice, one depth head, pixel and anchor decoder."""
    backbone = settings.base.backbone
    trunk = shared_cost(backbone, views, image_hw) + cross_view_cost(backbone, views, image_hw)
    trunk += cross_view_cost(backbone, views, image_hw, settings.lora_rank)
    heads = heads_cost(settings.base, views, image_hw) + pixels_cost(settings, views, image_hw)
    return trunk + heads + anchors_cost(settings.decoder, views)
