"""Measured scenes on disk, one file each, so that a run that was stopped goes on with those that are left.

An outcome is a frozen dataclass whose fields are arrays, numbers, text, other such dataclasses or None.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

import numpy as np

from pan3d_core.runtime.files import named_file, written_whole
from pan3d_eval.published.scenes import NamedScene

Outcome = TypeVar("Outcome")
logger = logging.getLogger("pan3d.evaluation")


@dataclass(frozen=True)
class KeepingWorker(Generic[Outcome]):
    """A worker for `execution.run_items`: a scene in; what was measured of it out, and into its file."""

    measure: Callable[[NamedScene], Outcome]

    def __call__(self, item: NamedScene) -> Outcome:
        """Raises what reading and measuring raise."""
        outcome = self.measure(item)
        write_outcome(item.kept, outcome)
        return outcome


def write_outcome(path: Path, outcome: object) -> None:
    """Write an outcome, whole or not at all."""
    with written_whole(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **_flat(outcome, ""))


def read_outcome(path: Path, kind: type[Outcome]) -> Outcome:
    """Read an outcome of this kind back. Raises `ValueError` naming the file when it is damaged."""
    with named_file(path, "a measured scene"):
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        made: Outcome = _built(kind, arrays, "")
        return made


def kept_outcome(path: Path, kind: type[Outcome]) -> Outcome | None:
    """Read an outcome that may be there; None where it is not, or is damaged, which is logged."""
    if not path.exists():
        return None
    try:
        return read_outcome(path, kind)
    except ValueError as error:
        logger.warning("%s; the scene is measured again", error)
        return None


def _flat(item: Any, prefix: str) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for entry in fields(item):
        value = getattr(item, entry.name)
        if is_dataclass(value):
            arrays |= _flat(value, f"{prefix}{entry.name}.")
        elif value is not None:
            arrays[f"{prefix}{entry.name}"] = np.asarray(value)
    return arrays


def _built(kind: type, arrays: dict[str, np.ndarray], prefix: str) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for entry in fields(kind):
        name, hint = f"{prefix}{entry.name}", hints[entry.name]
        wanted = next((item for item in get_args(hint) if item is not NoneType), hint) if NoneType in get_args(hint) else hint
        if is_dataclass(wanted):
            assert isinstance(wanted, type)
            inside = any(key.startswith(f"{name}.") for key in arrays)
            values[entry.name] = _built(wanted, arrays, f"{name}.") if inside else None
        elif name in arrays:
            values[entry.name] = arrays[name] if wanted is np.ndarray else arrays[name].item()
        elif wanted is hint:
            raise ValueError(f"expected {name}, got only {', '.join(sorted(arrays))}")
        else:
            values[entry.name] = None
    return kind(**values)
