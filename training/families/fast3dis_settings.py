"""Settings of the family `fast3dis`, read strictly from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pan3d_core.models.da3.backbone import PATCH_SIZE
from pan3d_core.models.da3.network import DA3_VARIANTS, Da3Settings
from pan3d_core.models.fast3dis.anchor_decoder import AnchorSettings
from pan3d_core.models.fast3dis.files import ANY_VIEW, MAP_ANYTHING, NetworkSettings
from pan3d_core.models.fast3dis.map_anchors import MapAnchorsSettings
from pan3d_core.models.fast3dis.network import Fast3disSettings
from pan3d_core.models.mapanything import MapAnythingSizes
from pan3d_core.settings import read_settings, to_plain
from training.families.family import require_patches
from training.losses.fast3dis import FAST3DIS_WEIGHTS, Fast3disLossWeights

_SMALLEST = DA3_VARIANTS["da3-small"]
# Published members of MapAnything that are alike but for the terms of their weights, which no file tells.
MAP_ANYTHING_LICENCES = {"map-anything-apache": "Apache-2.0", "map-anything": "CC-BY-NC-4.0"}


@dataclass(frozen=True)
class Fast3disFamilySettings:
    """Which network, at which size, and what it learns from."""

    # A published any-view member of Depth Anything 3, or its sizes in the groups `backbone` and `head`, where what is not named
    # is da3-small's; or a published MapAnything, or its sizes in the group `map_anything`, likewise.
    base: str | Mapping[str, Any] = "da3-base"
    height: int = 378  # network size in pixels, multiples of 14; the paper's long edge is 504
    width: int = 504
    decoder: AnchorSettings = AnchorSettings()
    lora_rank: int = 16
    lora_alpha: float = 16.0
    lora_blocks: Literal["cross_view", "all"] = "cross_view"  # which blocks have corrections; see `Fast3disSettings`
    posed_share: float = 0.5  # of the batches, that are given their cameras; assumed
    measured_share: float = 0.5  # of those batches, that are given their depth, too, which MapAnything alone takes; assumed
    loss: Fast3disLossWeights = FAST3DIS_WEIGHTS

    def __post_init__(self) -> None:
        require_patches(self.height, self.width, PATCH_SIZE)
        if self.lora_rank < 1:
            raise ValueError(f"model.lora_rank: expected 1 or more, got {self.lora_rank}")
        for name in ("posed_share", "measured_share"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"model.{name}: expected 0 to 1, got {value}")
        if self.decoder.start != "learned":
            raise ValueError(f"model.decoder.start: expected learned, since nothing gives seeds here, got {self.decoder.start}")
        if isinstance(base_settings(self.base), MapAnythingSizes) and self.lora_blocks != "cross_view":
            raise ValueError(f"model.lora_blocks: expected cross_view with a base of MapAnything, got {self.lora_blocks}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fast3disFamilySettings:
        """Of plain values, any of them left out. `ValueError` names an unknown one or one of another type."""
        own = {name: value for name, value in values.items() if name != "base"}
        settings = read_settings(cls(), own, "model")
        return replace(settings, base=values["base"]) if "base" in values else settings

    @property
    def network(self) -> NetworkSettings:
        base = base_settings(self.base)
        if isinstance(base, MapAnythingSizes):
            return MapAnchorsSettings(base, self.decoder, self.lora_rank, self.lora_alpha)
        return Fast3disSettings(base, self.decoder, self.lora_rank, self.lora_alpha, self.lora_blocks)

    @property
    def base_name(self) -> str:
        """The base in words."""
        return self.base if isinstance(self.base, str) else "a network of its own size"

    @property
    def licence(self) -> str:
        """Terms of the base's weights, as far as its name tells."""
        base = base_settings(self.base)
        if not isinstance(base, MapAnythingSizes):
            return base.licence
        told = MAP_ANYTHING_LICENCES.get(self.base) if isinstance(self.base, str) else self.base.get("licence")
        return told or "that of the weights it began with"

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return to_plain(self)

    def architecture(self) -> dict[str, Any]:
        """Those of `to_dict` that say which network it is; `from_dict` reads them too."""
        own = {name: value for name, value in self.to_dict().items() if name not in ("loss", "posed_share", "measured_share")}
        if self.lora_blocks == "cross_view":  # as the checkpoints of runs say it that knew no others
            del own["lora_blocks"]
        return own


def base_settings(base: str | Mapping[str, Any]) -> Da3Settings | MapAnythingSizes:
    """The sizes that `base` of `Fast3disFamilySettings` means; `ValueError` for another name."""
    if isinstance(base, str):
        if base in MAP_ANYTHING_LICENCES:
            return MapAnythingSizes()
        if base not in ANY_VIEW:
            known = ", ".join((*ANY_VIEW, *MAP_ANYTHING_LICENCES))
            raise ValueError(f"model.base: expected one of {known} or sizes, got {base!r}")
        return DA3_VARIANTS[base]
    if MAP_ANYTHING in base:
        if more := [name for name in base if name not in (MAP_ANYTHING, "licence")]:
            raise ValueError(f"model.base: expected nothing beside {MAP_ANYTHING} but licence, got {more[0]}")
        return read_settings(MapAnythingSizes(), base[MAP_ANYTHING], f"model.base.{MAP_ANYTHING}")
    return read_settings(replace(_SMALLEST, licence="none"), base, "model.base")
