"""Recognising taught objects in one result after the other, and keeping what the newest one shows of all its objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from pan3d_core.config import ObjectsConfig
from pan3d_core.structures import CameraView, PerceptionResult, ViewBatch
from pan3d_core.teaching.crops import CropSource
from pan3d_core.teaching.describing import NetworkLooks, describe_objects
from pan3d_core.teaching.objects import TaughtLibrary, recognised
from pan3d_core.teaching.showing import Seen


@dataclass(frozen=True)
class LookSource:
    """Where the looks of objects come from besides their pixels and points."""

    appearance: Callable[[ViewBatch], Tensor] | None = None  # as of an engine's facts
    checkpoint: str = ""
    crops: CropSource | None = None

    def of(self, batch: ViewBatch) -> NetworkLooks:
        """What the network says of these views."""
        return NetworkLooks(None if self.appearance is None else self.appearance(batch), self.checkpoint, self.crops)


class Recogniser:
    """Compares objects with a library. Any thread may ask for `library` and `seen` and set another library; `recognise` belongs
    to one.

    Args:
        library: What was taught, perhaps nothing yet.
        source: Of looks.
    """

    def __init__(self, library: TaughtLibrary, source: LookSource) -> None:
        self.library, self._source = library, source
        self.seen: Seen | None = None  # the newest result

    def recognise(self, result: PerceptionResult, views: Sequence[CameraView], config: ObjectsConfig) -> PerceptionResult:
        """Find the taught objects in a result.

        Args:
            result: Of all other stages.
            views: The original pictures.
            config: From which probability on an object is the taught one.

        Returns:
            The result, with fits of all segments, and a warning for everything of the library that cannot be used.
        """
        library, panoptic = self.library, result.panoptic
        network = self._source.of(result.views)
        looks = describe_objects(panoptic, result.views, views, network, is_metric=result.is_metric)
        found = recognised(panoptic, looks, library, config.min_probability)
        warnings = (*result.warnings, *(f"taught objects: {text}" for text in library.problems(network.checkpoint)))
        told = replace(result, panoptic=found, warnings=warnings)
        self.seen = Seen(told, tuple(views), looks)
        return told
