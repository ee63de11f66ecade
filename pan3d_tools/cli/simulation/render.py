"""`pan3d sim render`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from pan3d_sim.data.scene_folders import render_scene_folder
from pan3d_sim.data.shard_rendering import RenderPlan, RenderProgress, render_data_set
from pan3d_sim.data.shards import SceneSettings
from pan3d_tools.cli.options import picture_size

# What the two kinds of output mean when an option is not given; options of the other kind are refused.
_FOLDER_DEFAULTS = {"cameras": 4, "objects": 6, "arrangement": "separated", "size": "640x480"}
_SHARD_DEFAULTS = {
    "cameras": 4, "size": "144x112", "kinds": "known", "format": "arrays", "image_format": "png", "shard_size": 200,
    "part": "1/1", "workers": 0, "world": "cell", "photographs": "",
    "arrangement": "plain", "object_folder": "", "object_split": "train", "object_share": 0.6,
    "printed_share": 0.0, "odd_share": 0.0,
}  # fmt: skip


def add(render: argparse.ArgumentParser) -> None:
    """Put the action's options on its parser."""
    render.set_defaults(command=run_sim_render)
    render.add_argument("-o", "--out", type=Path, default=Path("out/scenes"), help="folder for the scenes (default: %(default)s)")
    render.add_argument("--seed", type=int, default=0, help="first scene (default: %(default)s)")
    render.add_argument("--count", type=int, default=1, help="number of scenes (default: %(default)s)")
    render.add_argument("--cameras", type=int, help="cameras around the table (default: 4)")
    render.add_argument("--size", metavar="WxH", help="picture size (default: 640x480, shards 144x112)")
    render.add_argument(
        "--arrangement",
        help="separated, pile or packed (default: separated); for shards plain (default) or mixed, with heaps of up to 25",
    )
    folders = render.add_argument_group("scene folders: settled by physics")
    folders.add_argument("--objects", type=int, help="objects per scene (default: 6)")
    shards = render.add_argument_group("shards: many small scenes by seed; the same command goes on after an interruption")
    shards.add_argument("--shards", action="store_true", help="write shards instead of scene folders")
    shards.add_argument("--format", help="arrays (memory-mapped, default) or tar (for streaming)")
    shards.add_argument("--image-format", help="pictures in tar shards: png (exact, default), jpg or webp")
    shards.add_argument("--kinds", help="known (default) or held-out, which no training data shows")
    shards.add_argument(
        "--world", help="cell (default), surfaces, tinted, lights, cameras, low, far, surroundings, effects or wild"
    )
    shards.add_argument("--photographs", metavar="DIR", help="photographed surfaces for wilder worlds (default: procedural only)")
    shards.add_argument("--object-folder", metavar="DIR", help="modelled objects to mix in (default: procedural ones only)")
    shards.add_argument("--object-split", help="modelled objects to show: train (default) or held-out, which no training shows")
    shards.add_argument("--object-share", type=float, help="of modelled objects among all (default: 0.6)")
    shards.add_argument("--printed-share", type=float, help="of printed packages and dishes among the others (default: 0)")
    shards.add_argument("--odd-share", type=float, help="of oddly shaped things without a name among the rest (default: 0)")
    shards.add_argument("--shard-size", type=int, help="scenes per shard (default: 200)")
    shards.add_argument("--part", metavar="K/N", help="render every N-th shard only, as machine K of N (default: 1/1)")
    shards.add_argument("--workers", type=int, help="processes (default: one per core)")


def run_sim_render(options: argparse.Namespace) -> int:
    """Scenes from the robot cell, as folders or as shards."""
    options.name = "sim render"
    defaults, others = (_SHARD_DEFAULTS, _FOLDER_DEFAULTS) if options.shards else (_FOLDER_DEFAULTS, _SHARD_DEFAULTS)
    for name in others.keys() - defaults.keys():
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option}: expected only {'without' if options.shards else 'together with'} --shards")
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    width, height = picture_size(options.size)
    if options.count < 1 or options.cameras < 1 or (options.objects is not None and options.objects < 1):
        raise ValueError("--count, --cameras, --objects: expected at least one scene, camera and object")
    return _render_shards(options, width, height) if options.shards else _render_folders(options, width, height)


def _render_folders(options: argparse.Namespace, width: int, height: int) -> int:
    changes = {"num_cameras": options.cameras, "num_objects": options.objects, "arrangement": options.arrangement}
    for seed in range(options.seed, options.seed + options.count):
        print(render_scene_folder(options.out, seed, width=width, height=height, **changes))
    return 0


def _render_shards(options: argparse.Namespace, width: int, height: int) -> int:
    settings = SceneSettings(
        options.kinds, options.cameras, width, height, options.world, options.photographs,
        objects=options.object_folder, object_split=options.object_split, object_share=options.object_share,
        printed_share=options.printed_share, odd_share=options.odd_share, arrangement=options.arrangement,
    )  # fmt: skip
    plan = RenderPlan(
        options.out, options.seed, options.count, settings, options.shard_size, options.format, options.image_format,
        _part(options.part),
    )  # fmt: skip
    workers = options.workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    begin = time.monotonic()
    try:
        elsewhere = render_data_set(plan, workers, _show)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    scenes = sum(len(shard.seeds) for shard in plan.shards() if shard not in elsewhere)
    print(f"\n{options.out}: {scenes} scenes in {len(plan.shards()) - len(elsewhere)} shards, {time.monotonic() - begin:.0f} s")
    if elsewhere:
        print(f"{len(elsewhere)} more shards are being rendered by other processes")
    return 0


def _show(progress: RenderProgress) -> None:
    left = f"{progress.seconds_left / 60:.1f} min left" if progress.scenes_per_s > 0 else "nothing to do"
    text = f"{progress.done} of {progress.total} scenes, {progress.scenes_per_s:.1f} scenes/s, {left}"
    print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)


def _part(text: str) -> tuple[int, int]:
    try:
        first, second = (int(number) for number in text.split("/"))
    except ValueError:
        raise ValueError(f"--part: expected K/N such as 2/8, got {text!r}") from None
    return first, second
