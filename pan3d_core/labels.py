"""Names of things, without any other knowledge about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelSpace:
    """The classes an engine can tell apart. `class_id` is an index into `names`."""

    names: tuple[str, ...]
    is_thing: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.is_thing):
            raise ValueError(f"LabelSpace.is_thing: expected {len(self.names)} entries as in names, got {len(self.is_thing)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("LabelSpace.names: expected unique names, got duplicates")

    @classmethod
    def things(cls, names: tuple[str, ...] | list[str]) -> LabelSpace:
        """Label space in which every class is a countable object."""
        return cls(tuple(names), (True,) * len(names))

    def __len__(self) -> int:
        return len(self.names)

    def name(self, class_id: int) -> str:
        """Name of a class; empty for -1 (unnamed)."""
        return self.names[class_id] if class_id >= 0 else ""


@dataclass(frozen=True)
class TaughtFit:
    """How well an object fits one that was taught by name."""

    name: str
    probability: float  # 0..1 that it is the taught one
    explanation: str = ""  # what this rests on, for a person
    accepted: bool = False  # probable enough to be called by the name


def best_taught(fits: tuple[TaughtFit, ...]) -> TaughtFit | None:
    """Return the likeliest of those that are accepted, None where none is."""
    return max((fit for fit in fits if fit.accepted), key=lambda fit: fit.probability, default=None)


def called(labels: LabelSpace, class_id: int, fits: tuple[TaughtFit, ...]) -> str:
    """Say what an object is called.

    Args:
        labels: That `class_id` refers to.
        class_id: Of the object, -1 = unnamed.
        fits: With objects that were taught.

    Returns:
        The taught name where it is accepted, else that of its class; empty where it has none.
    """
    taught = best_taught(fits)
    return labels.name(class_id) if taught is None else taught.name
