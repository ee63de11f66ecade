"""What commands print and write: tables, progress, JSON files, the machine they ran on."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from pan3d_core.runtime.files import written_whole


def machine_facts() -> dict[str, str]:
    """Date, processor, load and Python of this run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor_name()}, {cores} cores",
        "load": load,
        "python": platform.python_version(),
    }


def _processor_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def flat_rows(result: dict, prefix: str = "") -> list[tuple[str, object]]:
    """Nested figures as (dotted name, value); long lists are for the JSON file only."""
    rows: list[tuple[str, object]] = []
    for key, value in result.items():
        if isinstance(value, dict):
            rows += flat_rows(value, f"{prefix}{key}.")
        elif not isinstance(value, list) or len(value) <= 8:
            rows.append((f"{prefix}{key}", value))
    return rows


def print_table(rows: Sequence[tuple[str, object]]) -> None:
    """Names and values in two columns."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        print(f"  {name:<{width}}  {f'{value:.4g}' if isinstance(value, float) else value}")


def write_json(path: Path, content: dict, *, told: bool = True) -> Path:
    """Write `content`, say where unless not `told`, and return it."""
    with written_whole(path) as part:
        part.write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    if told:
        print(f"written to {path}")
    return path


def place_of_json(asked: Path | None, out: Path, part: Path, name: str) -> Path:
    """Say where the figures of a folder of results are written.

    Args:
        asked: The file of `--json`, None where it is not given.
        out: The folder.
        part: Where its files are written, before they come to lie there.
        name: Of the file where nothing is asked.

    Returns:
        The file in `part`, or one elsewhere.
    """
    path = asked or out / name
    return part / path.name if path.parent.resolve() == out.resolve() else path


def require_own_folder(out: Path, *inputs: Path) -> None:
    """Refuse a folder of results, before the work, in which they would be written over what they are made of.

    Args:
        out: As `--out` has it.
        inputs: Folders, and files whose folder it must not be.

    Raises:
        ValueError: It is one of them, or a file.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: expected a folder, got {out}, which is a file")
    for given in inputs:
        folder = given if given.is_dir() else given.parent
        if out.resolve() == folder.resolve():
            raise ValueError(f"--out: expected a folder of its own for the results, got {out}, that of {given.name or given}")


def show_progress(done: int, total: int) -> None:
    """One line on stderr that is written over."""
    print(f"\r{done} of {total} scenes", end="", file=sys.stderr, flush=True)
