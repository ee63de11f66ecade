"""Settings of the family `fast3dis`, read strictly from plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from pan3d_core.models.anchor_decoder import AnchorSettings
from pan3d_core.models.da3 import DA3_VARIANTS, Da3Settings
from pan3d_core.models.da3_backbone import PATCH_SIZE
from pan3d_core.models.fast3dis import Fast3disSettings
from pan3d_core.models.fast3dis_files import ANY_VIEW
from training.losses.fast3dis import FAST3DIS_WEIGHTS, Fast3disLossWeights

T = TypeVar("T")

_SMALLEST = DA3_VARIANTS["da3-small"]
_QUERIES = 80  # the paper's number


@dataclass(frozen=True)
class Fast3disFamilySettings:
    """Which network, at which size, and what it learns from."""

    # A published any-view member, or its sizes in the groups `backbone` and `head`, where what is not named is da3-small's.
    base: str | Mapping[str, Any] = "da3-base"
    height: int = 378  # network size in pixels, multiples of 14; the paper's long edge is 504
    width: int = 504
    decoder: AnchorSettings = AnchorSettings(queries=_QUERIES)
    lora_rank: int = 16
    lora_alpha: float = 16.0
    posed_share: float = 0.5  # of the batches, that are given their cameras; assumed
    loss: Fast3disLossWeights = FAST3DIS_WEIGHTS

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if value < PATCH_SIZE or value % PATCH_SIZE:
                raise ValueError(f"model.{name}: expected a multiple of {PATCH_SIZE}, got {value}")
        if self.lora_rank < 1:
            raise ValueError(f"model.lora_rank: expected 1 or more, got {self.lora_rank}")
        if not 0 <= self.posed_share <= 1:
            raise ValueError(f"model.posed_share: expected 0 to 1, got {self.posed_share}")
        if self.decoder.start != "learned":
            raise ValueError(f"model.decoder.start: expected learned, since nothing gives seeds here, got {self.decoder.start}")
        da3_settings(self.base)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fast3disFamilySettings:
        """Of plain values, any of them left out. `ValueError` names an unknown one or one of another type."""
        own = {name: value for name, value in values.items() if name != "base"}
        settings = read_group(cls(), own, "model")
        return replace(settings, base=values["base"]) if "base" in values else settings

    @property
    def network(self) -> Fast3disSettings:
        return Fast3disSettings(da3_settings(self.base), self.decoder, self.lora_rank, self.lora_alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return _plain(asdict(self))

    def architecture(self) -> dict[str, Any]:
        """Those of `to_dict` that say which network it is; `from_dict` reads them too."""
        return {name: value for name, value in self.to_dict().items() if name not in ("loss", "posed_share")}


def da3_settings(base: str | Mapping[str, Any]) -> Da3Settings:
    """The sizes that `base` of `Fast3disFamilySettings` means; `ValueError` for another name."""
    if isinstance(base, str):
        if base not in ANY_VIEW:
            raise ValueError(f"model.base: expected one of {', '.join(ANY_VIEW)} or sizes, got {base!r}")
        return DA3_VARIANTS[base]
    return read_group(replace(_SMALLEST, licence="none"), base, "model.base")


def read_group(like: T, values: Any, where: str) -> T:
    """The dataclass `like` with some of its fields replaced by plain values of the same types; groups may be nested."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: expected names with values, got {values!r}")
    known = {item.name: getattr(like, item.name) for item in fields(like)}
    for name in values:
        if name not in known:
            raise ValueError(f"{where}.{name}: expected one of {', '.join(known)}, got an unknown name")
    return replace(like, **{name: _read(known[name], value, f"{where}.{name}") for name, value in values.items()})


def _read(like: Any, value: Any, where: str) -> Any:
    """`value` if it is of the type of `like`; integers pass as floats and lists as tuples of equal length."""
    if hasattr(like, "__dataclass_fields__"):
        return read_group(like, value, where)
    if isinstance(like, tuple) and isinstance(value, (list, tuple)) and len(value) == len(like):
        return tuple(_read(first, entry, where) for first, entry in zip(like, value, strict=True))
    if isinstance(like, float) and type(value) is int:
        return float(value)
    if like is None and (value is None or type(value) is int):  # optional sizes
        return value
    if type(value) is not type(like):
        wanted = f"{len(like)} values" if isinstance(like, tuple) else type(like).__name__
        raise ValueError(f"{where}: expected {wanted}, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (tuple, list)) else value
