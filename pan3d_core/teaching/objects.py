"""What is known of an object that was taught, and all such objects together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pan3d_core.labels import TaughtFit
from pan3d_core.language.grammar import NotUnderstood
from pan3d_core.language.grammar.words import NOT_WORDS
from pan3d_core.language.parsing import parse_prompt
from pan3d_core.pictures.cloud_files import Cloud
from pan3d_core.pictures.palette import Picture
from pan3d_core.structures import Panoptic3D, Segment
from pan3d_core.teaching.crops import shipped_projection
from pan3d_core.teaching.looks import Looks
from pan3d_core.teaching.matching import Likeness, Weights, comparable_networks, likeness
from pan3d_core.teaching.weights import WEIGHTS

MAX_NAME_LENGTH = 80
OTHER_LOOK = "was taught with another learnt look, which is not compared; teach it again to be surer of it"
OTHER_NETWORK = "was taught with another network, so features and meaning are not compared"


@dataclass(frozen=True)
class TaughtObject:
    """One object, as it was shown."""

    name: str
    looks: Looks
    cloud: Cloud  # its points in the frame of its box, metres
    thumbnails: tuple[Picture, ...] = ()  # (h, w, 3) uint8 RGB, of the views that show it
    description: str = ""  # what the engine called it, with its colour: "blue can"
    engine: str = ""  # name of the engine that found it
    stamp_ns: int = 0  # of the newest picture


@dataclass(frozen=True)
class TaughtLibrary:
    """All taught objects, of different names; `skipped` says of each entry that could not be read why."""

    objects: tuple[TaughtObject, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all objects."""
        return tuple(item.name for item in self.objects)

    def find(self, name: str) -> TaughtObject | None:
        """The object of this name, whatever its case and punctuation; None = there is none."""
        key = key_of(name)
        return next((item for item in self.objects if key_of(item.name) == key), None)

    def with_object(self, item: TaughtObject) -> TaughtLibrary:
        """With one more, in place of the one of its name where there is one."""
        key = key_of(item.name)
        others = tuple(other for other in self.objects if key_of(other.name) != key)
        return replace(self, objects=tuple(sorted((*others, item), key=lambda other: key_of(other.name))))

    def problems(self, checkpoint: str) -> tuple[str, ...]:
        """What cannot be used of it with a network: entries that were skipped, objects of another network, or of another look.

        Args:
            checkpoint: Checksum of the network in use.

        Returns:
            One line for each.
        """
        foreign = tuple(f"{item.name!r} {OTHER_NETWORK}" for item in self.objects if not _same_network(item.looks, checkpoint))
        space = shipped_projection().space
        earlier = tuple(
            f"{item.name!r} {OTHER_LOOK}" for item in self.objects if item.looks.crops is not None and item.looks.space != space
        )
        return (*self.skipped, *foreign, *earlier)


def _same_network(looks: Looks, checkpoint: str) -> bool:
    nothing_of_it = looks.vectors is None and looks.meaning is None
    return nothing_of_it or comparable_networks(looks, replace(looks, checkpoint=checkpoint))


def key_of(name: str) -> str:
    """By what names are told apart, and the folder that holds the object: "Blue  valve!" -> "blue_valve"."""
    return re.sub(r"\W+", "_", name.casefold()).strip("_")


def checked_name(name: str) -> str:
    """Return a name with its blanks tidied.

    Raises:
        ValueError: It has no word, is too long, or a prompt with it would mean something else, as "the left one" does.
    """
    tidy = " ".join(name.split())
    if not key_of(tidy) or len(tidy) > MAX_NAME_LENGTH:
        raise ValueError(f"name: expected 1 to {MAX_NAME_LENGTH} characters with a word among them, got {name!r}")
    try:
        read = parse_prompt(tidy)
    except NotUnderstood as problem:
        if tidy.casefold().split()[0] in NOT_WORDS:
            raise ValueError(f"name: expected words that name a thing, got {name!r}, which says what is not meant") from problem
        return tidy  # of other words, or of another language: a name like any other
    if not read.noun or read.parts or read.excluded or read.places or read.relations or read.ordinal:
        raise ValueError(f"name: expected words that name a thing, got {name!r}, which says which one or where it is")
    return tidy


def recognised(
    panoptic: Panoptic3D, looks: Mapping[int, Looks], library: TaughtLibrary, threshold: float, weights: Weights = WEIGHTS
) -> Panoptic3D:
    """Compare all objects of a result with all that were taught.

    Args:
        panoptic: The result.
        looks: Instance id -> appearance, of `describe_objects`.
        library: What was taught.
        threshold: Probability from which on an object is called by a taught name.
        weights: Of the cues.

    Returns:
        The result, its segments with how well they fit each taught object.
    """

    def with_fits(segment: Segment) -> Segment:
        seen = looks.get(segment.instance_id)
        return replace(segment, taught=tuple(_fit(item, seen, threshold, weights) for item in library.objects))

    return replace(panoptic, segments=tuple(with_fits(segment) for segment in panoptic.segments))


def _fit(item: TaughtObject, seen: Looks | None, threshold: float, weights: Weights) -> TaughtFit:
    if seen is None:
        return TaughtFit(item.name, 0.0, "too little of it is seen")
    found: Likeness = likeness(item.looks, seen, weights)
    return TaughtFit(item.name, found.probability, found.explanation, found.probability >= threshold)
