"""Whose models labelled something, on which terms: what is shown before they are asked, and kept beside what they said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pan3d_core.runtime.files import named_file, read_json_object, written_whole

CARD_FILE = "teacher.json"
FORMAT, VERSION = "pan3d-teacher", 1


@dataclass(frozen=True)
class Terms:
    """Terms of one model; no legal advice, and what its owners say goes before it."""

    part: str  # which model
    code: str  # SPDX identifier of its code's licence, LicenseRef-... for one that has none
    weights: str  # likewise of its published weights
    commercial: str  # "yes", "no", or "ask": whether the weights' terms allow commercial use, as we read them
    source: str  # where code and weights come from
    note: str = ""

    def said(self) -> str:
        """One line for a person."""
        note = f"; {self.note}" if self.note else ""
        return f"{self.part} ({self.source}): code {self.code}, weights {self.weights}, commercial use: {self.commercial}{note}"


@dataclass(frozen=True)
class TeacherCard:
    """What labelled, from which files, asked for what."""

    teacher: str
    terms: tuple[Terms, ...]
    things: tuple[str, ...] = ()
    stuff: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # what changes the answers, by name
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # setting -> name and sha256

    def plain(self) -> dict[str, Any]:
        """As it stands in a file."""
        made: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}))
        return made


def write_card(folder: Path | str, card: TeacherCard) -> Path:
    """Write the card of what lies in a folder.

    Args:
        folder: Where labels are.
        card: Of who labelled.

    Returns:
        The file.
    """
    path = Path(folder) / CARD_FILE
    with written_whole(path) as part:
        part.write_text(json.dumps(card.plain(), indent=1), encoding="utf-8")
    return path


def read_card(folder: Path | str) -> TeacherCard | None:
    """Read the card of what lies in a folder.

    Args:
        folder: Where labels are, or will be.

    Returns:
        The card; None where there is none.

    Raises:
        ValueError: The file is none of ours.
    """
    path = Path(folder) / CARD_FILE
    if not path.is_file():
        return None
    content = read_json_object(path, "a teacher's card")
    with named_file(path, "a teacher's card"):
        if (content.pop("format"), content.pop("version")) != (FORMAT, VERSION):
            raise ValueError(f"format, version: expected {FORMAT} {VERSION}, got others")
        terms = tuple(Terms(**item) for item in content.pop("terms"))
        rest: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
        return TeacherCard(terms=terms, **rest)
