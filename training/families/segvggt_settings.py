"""Settings of the family `segvggt`, read strictly from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pan3d_core.models.losses import SEGVGGT_WEIGHTS, SegVggtLossWeights
from pan3d_core.models.vggt.files import SegVggtSizes
from pan3d_core.settings import did_you_mean, read_settings, to_plain
from training.data.targets.mini import MAX_DEPTH_M
from training.families.family import require_patches

PATCH = 14
GEOMETRIES = ("truth", "teacher", "none")
NEW_CLASSES = ("mean", "text", "random")


@dataclass(frozen=True)
class SegVggtSettings(SegVggtSizes):
    """Which member of the family, and what it learns; lists may be given for tuples."""

    height: int = 392  # network size in pixels, multiples of 14
    width: int = 518
    classes: tuple[str, ...] = ()  # names of what is learnt, some of the data's; empty = all of them
    num_classes: int = 0  # 0 = as many as there are names
    new_classes: str = (
        "mean"  # where classes begin that the file of `start_from` does not have; see `training.families.starting.class_rows`
    )
    train_encoder: bool = False
    geometry: str = "truth"  # what cameras and depth learn from: truth, teacher (the frozen VGGT of `start_from`) or none
    max_depth_m: float = MAX_DEPTH_M  # depth beyond is not learnt from
    frozen: bool = False  # VGGT stays as it began, corrections too: queries, masks and classes alone learn
    keep_queries: bool = True  # of `start_from`; False: only its VGGT is kept, and queries, masks and classes begin fresh
    loss: SegVggtLossWeights = SEGVGGT_WEIGHTS  # `frames` is that of FADA
    cost: SegVggtLossWeights = SEGVGGT_WEIGHTS  # of the matching

    def __post_init__(self) -> None:
        super().__post_init__()
        require_patches(self.height, self.width, PATCH)
        for name, known in (("geometry", GEOMETRIES), ("new_classes", NEW_CLASSES)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"model.{name}: expected {', '.join(known[:-1])} or {known[-1]}, got {value!r}")
        if self.frozen and self.geometry != "none":
            raise ValueError(
                f"model.geometry: expected none beside model.frozen, where nothing of it is learnt, got {self.geometry}"
            )
        if not self.max_depth_m > 0:
            raise ValueError(f"model.max_depth_m: expected more than 0, got {self.max_depth_m}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegVggtSettings:
        """Read plain values, any of them left out. `ValueError` names an unknown one or one of another type."""
        return read_settings(cls, values, "model")

    def architecture(self) -> dict[str, Any]:
        """Plain values that say which network it is; `from_dict` reads them too."""
        learning = ("new_classes", "max_depth_m", "frozen", "keep_queries", "loss", "cost")
        # All layers go without saying, so that checkpoints from before there was a choice go on.
        unsaid = () if self.query_layers else ("query_layers",)
        return {name: value for name, value in to_plain(self).items() if name not in (*learning, *unsaid)}

    def of_kinds(self, kinds: Sequence[str]) -> SegVggtSettings:
        """These settings with the names and the number of classes that they mean for data of these kinds.

        Raises `ValueError` for a class that the data do not have, or another number than there are names."""
        classes = self.classes or tuple(kinds)
        for name in classes:
            if name not in kinds:
                raise ValueError(
                    f"model.classes: expected some of {', '.join(kinds)} as in the data, got {name!r}{did_you_mean(name, kinds)}"
                )
        if len(set(classes)) != len(classes):
            raise ValueError(f"model.classes: expected each name once, got {', '.join(classes)}")
        if self.num_classes not in (0, len(classes)):
            raise ValueError(
                f"model.num_classes: expected {len(classes)} as there are names ({', '.join(classes)}), got {self.num_classes}"
            )
        return replace(self, classes=classes, num_classes=len(classes))
