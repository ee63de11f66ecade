"""`pan3d bench demo`: the demo's scenes with colour cameras only, and again with depth cameras."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pan3d_tools.demo.__main__ import main, seed_list
from pan3d_tools.demo.processes import DemoError

FIGURES = ("seed", "prompt", "found", "box_iou", "center_error_mm", "lifted", "outcome", "ap50", "depth_abs_rel", "answer_s")


def run(arguments: list[str]) -> dict[str, object]:
    """Figures of every scene, and how many objects were found and lifted. `DemoError` when the nodes do not work."""
    parser = argparse.ArgumentParser(prog="pan3d bench demo", description=__doc__)
    parser.add_argument("--seeds", default="0-9", help="scenes (default: %(default)s)")
    parser.add_argument("--model", default="pan3d-mini", help="engine (default: %(default)s)")
    parser.add_argument("--sensors", choices=("both", "colour", "depth"), default="both", help="default: %(default)s")
    parser.add_argument("--arrangement", default="separated", help="separated, pile or packed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/bench/demo"), help="folder of the reports (default: %(default)s)")
    options = parser.parse_args(arguments)
    if len(seed_list(options.seeds)) < 2:
        raise ValueError(f"--seeds: expected at least two scenes, got '{options.seeds}'")
    sensors = ("colour", "depth") if options.sensors == "both" else (options.sensors,)
    return {sensor: _scenes(options, sensor) for sensor in sensors}


def _scenes(options: argparse.Namespace, sensor: str) -> dict[str, object]:
    out = options.out / sensor
    arguments = ["--seeds", options.seeds, "--model", options.model, "--arrangement", options.arrangement, "--out", str(out)]
    if main(arguments + (["--depth"] if sensor == "depth" else [])) != 0:
        raise DemoError(f"the demo did not come to its end; its logs are in {out / 'logs'}")
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    counts = {name: summary[name] for name in ("scenes", "found", "lifted", "found_and_lifted")}
    return counts | {"rows": [{name: row[name] for name in FIGURES} for row in summary["rows"]]}
