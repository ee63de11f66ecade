"""What the rest of the library may ask of an engine: one frozen record, and the protocol that goes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pan3d_core.config import PreprocessConfig
from pan3d_core.labels import LabelSpace

if TYPE_CHECKING:  # these need torch, which the command line's help does not wait for
    from torch import Tensor

    from pan3d_core.language.known_names import KnownNames
    from pan3d_core.language.text_space import TextSpace
    from pan3d_core.runtime.networks.interface import RuntimeFacts
    from pan3d_core.structures import InstanceSet, Reconstruction, ViewBatch


@dataclass(frozen=True)
class EngineFacts:
    """What holds for every answer of one engine."""

    preprocess: PreprocessConfig  # how views must be prepared for it
    labels: LabelSpace = LabelSpace.things(())  # names that `InstanceSet.class_logits` refer to; empty: it names nothing
    needs_depth: bool = False  # views without sensor depth are refused
    finds_objects: bool = True  # False: it gives geometry alone, so its lack of instances says nothing of the scene
    known_names: KnownNames | None = None  # words that it understands without a text encoder
    text_space: TextSpace | None = None  # in which the semantics of its Gaussians are compared with texts; None: it gives none
    device: str = "cpu"  # where its network runs, as torch names devices
    runtime: Callable[[], RuntimeFacts] | None = None  # what runs it now; None: torch, since nothing else can
    checkpoint: str = ""  # checksum of its weights, where vectors of theirs are kept; empty = unknown
    # Views -> (S, F, h, w) features of each view by itself, by which things that look alike are told apart; None: it gives none.
    appearance: Callable[[ViewBatch], Tensor] | None = None
    # (N, 3, H, W) RGB 0..1 of single objects and (N, H, W) bool where they are -> (N, F) features of each; None: it gives none.
    crops: Callable[[Tensor, Tensor], Tensor] | None = None
    crops_checkpoint: str = ""  # checksum of the weights behind `crops`, which networks with others in common may share


class Engine(Protocol):
    """Model, weights and decoding behind one call: any callable with its facts will do."""

    @property
    def facts(self) -> EngineFacts: ...

    def __call__(self, views: ViewBatch) -> tuple[Reconstruction, InstanceSet]:
        """Views as `preprocess(views, facts.preprocess)` prepares them -> geometry and instances, best first.

        Raises:
            ValueError: The views lack what the engine needs; the message names the field.
            torch.OutOfMemoryError: The device's memory is too small for so many views.
        """
