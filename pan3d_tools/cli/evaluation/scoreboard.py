"""`pan3d scoreboard`."""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pan3d_core.engines.mini import EPS3D, FAST3DIS, MINI, SHIPPED
from pan3d_core.pictures.overlays import save
from pan3d_core.runtime.files import written_whole
from pan3d_eval.datasets.scenes import SceneReference, list_scenes, paraphrases
from pan3d_eval.rendered.pictures import gaussian_view_picture
from pan3d_eval.scoreboard import gaussian_section, refined_section
from pan3d_eval.scoreboard.board import MeasuredRow, Measurement, measured_row
from pan3d_eval.scoreboard.gaussian_section import GAUSSIAN_ROWS, MAX_SCENES, NUM_VIEWS, gaussian_worker
from pan3d_eval.scoreboard.page import Board, Measured, write_page
from pan3d_eval.scoreboard.refined_scenes import RefinedProtocol, RefinedSceneReference, write_refined_scene
from pan3d_eval.scoreboard.refined_section import REFINED_ROWS
from pan3d_eval.scoreboard.rows import ROWS, Row, SceneSet, write_row_picture, write_truth_picture
from pan3d_sim.data import refine_scene
from pan3d_sim.objects.vocabulary import PARAPHRASES
from pan3d_tools.cli.output import machine_facts

# Seeds from 1,000,000 on are never trained on.
SETS = {
    "held_out": ("Held-out scenes, trained kinds", 1_000_000, "known"),
    "unseen": ("Held-out scenes, five unseen kinds", 1_500_000, "held-out"),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Put the command's options on its parser."""
    parser.set_defaults(command=run_scoreboard)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/scoreboard.md"), help="the page (default: %(default)s)")
    parser.add_argument("--count", type=int, default=200, help="scenes of each set (default: %(default)s)")
    parser.add_argument("--weights", default="", help="checkpoint of pan3d-mini (default: the embedded one)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="rows measured at the same time (default: 1)")
    parser.add_argument(
        "--refined-scenes", type=int, default=2, metavar="N",
        help="scenes to refine, minutes each for every row; 0 leaves the section away (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--work", type=Path, default=Path("out/scoreboard"), help="folder of scenes and measured rows (default: %(default)s)"
    )


def run_scoreboard(options: argparse.Namespace) -> int:
    """Page and pictures; rows that are already measured are kept. 1 when a scene could not be evaluated."""
    if options.count < 1:
        raise ValueError(f"--count: expected at least 1 scene, got {options.count}")
    if options.refined_scenes < 0:
        raise ValueError(f"--refined-scenes: expected 0 or more, got {options.refined_scenes}")
    held_out, unseen = (_scene_set(key, options) for key in SETS)
    pictures = options.out.parent / "images" / options.out.stem
    measured = _measure_all(ROWS, (held_out, unseen), options)
    for row in ROWS:
        write_row_picture(pictures / f"{row.key}.jpg", row, held_out, options.weights)
    write_truth_picture(pictures / "truth.jpg", ROWS[0], held_out, options.weights)
    rendered, unrendered = _rendered_section(options, pictures) if any(row.engine == EPS3D for row in ROWS) else ("", [])
    refined, unrefined = _refined_section(options) if options.refined_scenes else ("", [])
    board = Board(ROWS, held_out, unseen, measured, _checkpoints(options.weights), _command(options), rendered, refined)
    print(f"written to {write_page(options.out, board, os.path.relpath(pictures, options.out.parent))}")
    failures = [f"{key}: {text}" for key, item in measured.items() for text in item.failures] + unrendered + unrefined
    for text in failures:
        print(f"failed: {text}", file=sys.stderr)
    return 1 if failures else 0


def _measure_all(rows: Sequence[Row], sets: Sequence[SceneSet], options: argparse.Namespace) -> Measured:
    """Every row on every set. Each has a process of its own; threads here only wait for them."""

    def measure(row: Row, scenes: SceneSet) -> MeasuredRow:
        found = _measured(row.measurement(scenes, options.weights), options)
        ap50, seconds = (found.value(name) for name in ("AP50", "processor seconds per scene"))
        print(f"{row.key}, {scenes.key}: AP50 {ap50:.3f}, {seconds:.2f} s per scene", flush=True)
        return found

    with ThreadPoolExecutor(max(1, options.workers)) as pool:
        waiting = {(row.key, scenes.key): pool.submit(measure, row, scenes) for row in rows for scenes in sets}
        return {key: future.result() for key, future in waiting.items()}


def _measured(measurement: Measurement, options: argparse.Namespace) -> MeasuredRow:
    return measured_row(measurement, options.work / "rows", machine=machine_facts())


def _rendered_section(options: argparse.Namespace, pictures: Path) -> tuple[str, list[str]]:
    """The section on rendered Gaussians, and the scenes that could not be measured; one row after the other."""
    title, seed, kinds = SETS["held_out"]
    count = min(options.count, MAX_SCENES)
    references = _rendered_scenes(options.work / f"scenes_{NUM_VIEWS}_views_{count}", seed, count, kinds, NUM_VIEWS)
    scenes, measured = SceneSet(f"{NUM_VIEWS}_views", title, references, {}), {}
    for row in GAUSSIAN_ROWS:
        found = _measured(row.measurement(scenes), options)
        miou, f_score = (found.value(f"novel {name}") for name in ("semantic_miou", "instance_f"))
        print(f"{row.key}: novel views mIoU {miou:.3f}, F {f_score:.3f}", flush=True)
        measured[row.key] = found
    first, path = GAUSSIAN_ROWS[0], pictures / "rendered.png"
    save(path, gaussian_view_picture(gaussian_worker(first.config(), first.protocol).show(references[0].read())))
    text = gaussian_section.section_text(GAUSSIAN_ROWS, measured, os.path.relpath(path, options.out.parent))
    return text, [f"({key}, {scenes.key}): {failure}" for key, item in measured.items() for failure in item.failures]


def _refined_section(options: argparse.Namespace) -> tuple[str, list[str]]:
    """The section on refined scenes, and the scenes that could not be measured; one row after the other."""
    references = _refined_scenes(options.work, min(options.count, options.refined_scenes))
    protocol, measured = RefinedProtocol(), {}
    for row in REFINED_ROWS:
        found = _measured(row.measurement(references, protocol), options)
        own, held_out, minutes = (found.value(name) for name in ("labels held_out pq", "map held_out pq", "processor_minutes"))
        print(f"{row.key}: held-out views PQ {own:.3f} of labels, {held_out:.3f} of maps, {minutes:.1f} min", flush=True)
        measured[row.key] = found
    failures = [f"({key}): {failure}" for key, item in measured.items() for failure in item.failures]
    return refined_section.section_text(REFINED_ROWS, measured, protocol), failures


def _refined_scenes(work: Path, count: int) -> tuple[RefinedSceneReference, ...]:
    """Scenes of the cell seen by a moving camera; rendered first where they are not there."""
    settings, references = refine_scene.RefineSceneSettings(), []
    for seed in range(SETS["held_out"][1], SETS["held_out"][1] + count):
        folder = work / f"refined_{settings.num_views}_views_{settings.width}x{settings.height}" / f"scene_{seed}"
        if not folder.exists():
            made = refine_scene.render_refine_scene(seed, settings)
            with written_whole(folder) as part:
                write_refined_scene(part, made.scene, made.semantic_id, made.labels)
        references.append(RefinedSceneReference(folder))
    return tuple(references)


def _scene_set(key: str, options: argparse.Namespace) -> SceneSet:
    """The scenes of a set."""
    title, seed, kinds = SETS[key]
    references = _rendered_scenes(options.work / f"scenes_{key}_{options.count}", seed, options.count, kinds)
    return SceneSet(key, title, references, paraphrases(references, PARAPHRASES))


def _rendered_scenes(folder: Path, seed: int, count: int, kinds: str, cameras: int = 4) -> tuple[SceneReference, ...]:
    """Scenes of the cell; rendered first where they are not there (rendering goes on where it was stopped)."""
    arguments = ["--seed", str(seed), "--count", str(count), "--kinds", kinds, "--cameras", str(cameras), "--out", str(folder)]
    render = [sys.executable, "-m", "pan3d_tools.cli", "sim", "render", "--shards", *arguments]
    if subprocess.run(render, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        raise ValueError(f"scenes: expected the robot cell to render {folder}; see above (it needs the extra [sim])")
    return tuple(list_scenes([folder]))


def _checkpoints(weights: str) -> str:
    paths = (Path(weights or SHIPPED[MINI]), SHIPPED[FAST3DIS], SHIPPED[EPS3D])
    return ", ".join(f"`{p.name}`, SHA-256 `{hashlib.sha256(p.read_bytes()).hexdigest()[:16]}...`" for p in paths)


def _command(options: argparse.Namespace) -> str:
    return "make scoreboard" if options.command_line == "pan3d scoreboard" else options.command_line
