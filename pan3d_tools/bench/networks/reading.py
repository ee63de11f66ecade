"""`pan3d bench reading`: views a second and core that training reads from a ScanNet scene as its exporter writes it.

A made-up room at the data set's sizes: colour of 1296 x 968 pixels as JPEG, depth of 640 x 480, projected instances, a scan with
its annotation. Samples are read as a run reads recordings where they lie, files to a record at the network's size, on one
thread. Times are of the processor. `--scene` reads a scene of one's own instead.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pan3d_eval.datasets import list_scenes
from pan3d_tools.cli.options import picture_size
from training.data.scenes.recordings import SamplePlan

NAME = "scene0000_00"
COLOR, DEPTH = (1296, 968), (640, 480)
TARGET = 8.0  # views a second and core, at least
CHAIR = 5  # of nyu40
ROOM_M = 4.0


def parse(argv: list[str]) -> argparse.Namespace:
    """Options of the benchmark."""
    parser = argparse.ArgumentParser(prog="pan3d bench reading", description=__doc__.splitlines()[0])
    parser.add_argument("--scene", type=Path, help="folder of a scene of a public data set (default: a made-up one)")
    parser.add_argument("--classes", default="chair", help="of its objects, with commas between (default: %(default)s)")
    parser.add_argument("--vertices", type=int, default=150_000, help="of the made-up scan (default: %(default)s)")
    parser.add_argument("--views", type=int, default=8, help="of a sample (default: %(default)s)")
    parser.add_argument("--interval", type=int, default=1, help="images from view to view (default: %(default)s)")
    parser.add_argument("--size", default="518x392", help="of the views (default: %(default)s)")
    parser.add_argument("--rendered", action="store_true", help="no projected instances: they are rendered from the scan")
    parser.add_argument("--repeats", type=int, default=5, help="the best counts (default: %(default)s)")
    return parser.parse_args(argv)


def write_room(root: Path, frames: int, vertices: int, *, projected: bool) -> Path:
    """Write a floor of chairs as ScanNet's exporter writes a scene.

    Args:
        root: Folder above the scene.
        frames: Images of the recording.
        vertices: Of the scan, about.
        projected: Whether the instances of every image are there.

    Returns:
        The scene's folder.
    """
    folder, rng = root / NAME, np.random.default_rng(0)
    for part in ("color", "depth", "pose", "intrinsic", *(["instance-filt"] if projected else [])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for camera, (width, height) in (("color", COLOR), ("depth", DEPTH)):
        focal = 0.9 * width
        rows = [[focal, 0.0, width / 2, 0.0], [0.0, focal, height / 2, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
        _write_numbers(folder / "intrinsic" / f"intrinsic_{camera}.txt", rows)
    side = int(np.sqrt(vertices))
    down = [[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 2.0], [0.0, 0.0, 0.0, 1.0]]  # two metres above the floor
    for frame in range(frames):
        shade = rng.integers(0, 255, (61, 81, 3), dtype=np.uint8)  # as soft as photographs are at this size
        Image.fromarray(shade).resize(COLOR, Image.Resampling.BICUBIC).save(folder / "color" / f"{frame}.jpg", quality=90)
        depth = (2000 + rng.integers(-20, 20, (DEPTH[1], DEPTH[0]))).astype(np.uint16)
        Image.fromarray(depth).save(folder / "depth" / f"{frame}.png")
        pose = [[1.0, 0.0, 0.0, 0.01 * frame], *down]
        _write_numbers(folder / "pose" / f"{frame}.txt", pose)
        if projected:
            columns = np.arange(COLOR[0], dtype=np.int64) * 8 // COLOR[0] + 1
            ids = np.broadcast_to(columns, (COLOR[1], COLOR[0])).astype(np.uint8)
            Image.fromarray(ids).save(folder / "instance-filt" / f"{frame}.png")
    _write_scan(folder, side)
    table = f"id\traw_category\tnyu40id\n1\tchair\t{CHAIR}\n"
    (root / "scannetv2-labels.combined.tsv").write_text(table, encoding="utf-8")
    return folder


def _write_scan(folder: Path, side: int) -> None:
    """A square floor of `side` x `side` vertices in eight stripes, each a chair."""
    steps = np.linspace(-ROOM_M / 2, ROOM_M / 2, side, dtype=np.float32)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    points = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    number = np.arange(side * side, dtype=np.int32).reshape(side, side)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    faces = np.zeros(len(triangles), dtype=[("count", "u1"), ("corners", "<i4", (3,))])
    faces["count"], faces["corners"] = 3, triangles
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *(f"property float {axis}" for axis in "xyz"),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n",
    ]  # fmt: skip
    content = "\n".join(header).encode() + points.astype("<f4").tobytes() + faces.tobytes()
    (folder / f"{NAME}_vh_clean_2.ply").write_bytes(content)
    stripe = (np.arange(side * side) % side) * 8 // side
    segments = {"segIndices": stripe.tolist()}
    (folder / f"{NAME}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments), encoding="utf-8")
    groups = [{"objectId": k, "segments": [k], "label": "chair"} for k in range(8)]
    (folder / f"{NAME}.aggregation.json").write_text(json.dumps({"segGroups": groups}), encoding="utf-8")


def _write_numbers(path: Path, rows: list[list[float]]) -> None:
    path.write_text("\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows), encoding="utf-8")


def run(argv: list[str]) -> dict:
    """Read samples, and say how many views a second of one core is enough for."""
    arguments = parse(argv)
    width, height = picture_size(arguments.size)
    classes = tuple(name.strip() for name in arguments.classes.split(","))
    plan = SamplePlan(classes, arguments.views, arguments.interval, 1, width, height)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        frames = (arguments.views - 1) * arguments.interval + 1
        folder = arguments.scene or write_room(Path(temporary), frames, arguments.vertices, projected=not arguments.rendered)
        reference = list_scenes([folder])[0]
        seconds = []
        for _ in range(arguments.repeats):
            start = time.process_time()
            record, _ = plan.read(reference, 0)
            seconds.append(time.process_time() - start)
    torch.set_num_threads(threads)
    return {
        "views": record.num_views,
        "width": width,
        "height": height,
        "views_per_second_and_core": record.num_views / min(seconds),
        "target_at_least": TARGET,
    }
