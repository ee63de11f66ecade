"""A measured table beside the paper's own, as Markdown and as plain values."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from pan3d_eval.datasets import ViewSelection
from pan3d_eval.published.protocol import MaskSetting, RenderSetting
from pan3d_eval.published.run import TableOutcome

NOTHING = "-"  # where there was nothing to measure


_CARRIED = {
    "posed": "Posed transfer: masks are read at the vertices that each view sees by true cameras and the sensor's depth.",
    "unposed": "Unposed transfer: predicted points vote at the vertices, after one similarity and closest points.",
}
_SEEN = {
    "neighbours": "Context are the two images beside every novel one.",
    "alternate": "Even images are context, odd ones novel.",
}


def table_page(outcome: TableOutcome) -> str:
    """The table: how it is measured, the paper's lines and ours, what is not as published, and which scenes are missing."""
    protocol, table = outcome.protocol, outcome.table
    total = len(outcome.measured) + len(outcome.failures)
    left_out = f", {len(outcome.failures)} of {total} scenes left out" if outcome.failures else ""
    lines = [f"## {protocol.paper}: {table.title}", "", f"{way(outcome)} {views_in_words(table.views)}"]
    for block in table.blocks:
        heads = " | ".join(head for head, _ in block.columns)
        lines += ["", f"| {block.title} | {heads} |", "|---|" + "---:|" * len(block.columns)]
        lines += [f"| {line.method}, {block.source} | {' | '.join(f'{v:.3f}' for v in line.values)} |" for line in block.lines]
        own = [outcome.figures.get(name, math.nan) for _, name in block.columns]
        cells = " | ".join(NOTHING if math.isnan(value) else f"{value:.3f}" for value in own)
        lines.append(f"| {outcome.engine}, {len(outcome.measured)} scenes{left_out} | {cells} |")
    lines += ["", f"The paper's scenes: {table.scenes}."]
    for title, entries in (("Not as published", outcome.changed), ("Taken here, since the paper is silent", table.assumed)):
        lines += ["", f"{title}:", "", *(f"* {entry}" for entry in entries)] if entries else []
    if outcome.failures:
        lines += ["", f"{len(outcome.failures)} of {total} scenes left out:", ""]
        lines += [f"* {item.name}: {item.message}" for item in outcome.failures]
    return "\n".join(lines) + "\n"


def way(outcome: TableOutcome) -> str:
    """How answers come to the truth, in a sentence or two."""
    setting, (width, height) = outcome.table.setting, outcome.table.size
    if isinstance(setting, MaskSetting):
        given = f"colour and intrinsics alone (the paper: pictures of {width} x {height})"
        return f"{_CARRIED[setting.transfer]} The engine sees {given}."
    if isinstance(setting, RenderSetting):
        given = f"colour and intrinsics of the context alone (the paper: pictures of {width} x {height})"
        return f"{_SEEN[setting.samples]} The engine sees {given}."
    given = f"posed views of {width} x {height} with depth and 2D labels"
    return f"Refined from {given} in {setting.steps} steps, judged in the same views."


def views_in_words(views: ViewSelection) -> str:
    """Which images of a recording are taken."""
    every = f"every {views.stride}th image" if views.stride > 1 else "all images"
    if views.stretch is not None:
        return f"The first {views.count} of {every} of a recording."
    return (
        f"{views.count} images, evenly over the recording." if views.count else f"{every[0].upper()}{every[1:]} of a recording."
    )


def table_values(outcome: TableOutcome) -> dict[str, Any]:
    """Everything that the page says, and the figures that it does not show."""
    table = outcome.table
    return {
        "protocol": outcome.protocol.key,
        "table": table.key,
        "engine": outcome.engine,
        "settings": {"views": asdict(table.views), "size": table.size, **asdict(table.setting)},
        "paper": [asdict(block) for block in table.blocks],
        "figures": dict(outcome.figures),
        "scenes": list(outcome.measured),
        "failures": [asdict(item) for item in outcome.failures],
        "not_as_published": list(outcome.changed),
        "assumed": list(table.assumed),
    }
