"""Training data: many small rendered scenes in a folder of plain arrays that can be memory-mapped.

    python -m pan3d_sim.shards --out DIR --scenes 2000 --seed 1

Arrays (N scenes, 4 views, 112 x 144 pixels): `images` (N, 4, H, W, 3) uint8; `depth` (N, 4, H, W) uint16 in 0.1 mm, 0 = none;
`ids` (N, 4, H, W) uint8, 0 = none, k = object k; `kinds` (N, 16) uint8, index into `KINDS`, 255 = no such object, column k is
object k; `rgb` (N, 16, 3) uint8; `intrinsics` (N, 4, 3, 3), `cam_from_world` (N, 4, 4, 4), `support_height` (N,) float32.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import numpy as np

from pan3d_sim.bank import ObjectBank, RenderedScene
from pan3d_sim.camera_rig import RigConfig
from pan3d_sim.objects import KINDS
from pan3d_sim.vocabulary import DESCRIPTIONS, SYNONYMS_PER_KIND

NUM_VIEWS, HEIGHT, WIDTH, MAX_OBJECTS = 4, 112, 144, 15
SCENES_PER_BANK = 40
_log = logging.getLogger("pan3d.sim")


def write_shard(out: Path, scenes: int, seed: int) -> None:
    """Render `scenes` scenes from `seed` into the folder `out`, which must not hold arrays yet."""
    if (out / "images.npy").exists():
        raise ValueError(f"out: expected a folder without a shard, got {out} with images.npy in it")
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    frame = (scenes, NUM_VIEWS, HEIGHT, WIDTH)
    layout = {
        "images": ((*frame, 3), np.uint8), "depth": (frame, np.uint16), "ids": (frame, np.uint8),
        "kinds": ((scenes, MAX_OBJECTS + 1), np.uint8), "rgb": ((scenes, MAX_OBJECTS + 1, 3), np.uint8),
        "intrinsics": ((scenes, NUM_VIEWS, 3, 3), np.float32), "cam_from_world": ((scenes, NUM_VIEWS, 4, 4), np.float32),
        "support_height": ((scenes,), np.float32),
    }  # fmt: skip
    arrays = {
        name: np.lib.format.open_memmap(out / f"{name}.npy.part", mode="w+", dtype=dtype, shape=shape)
        for name, (shape, dtype) in layout.items()
    }
    bank = None
    for index in range(scenes):
        if index % SCENES_PER_BANK == 0:
            if bank is not None:
                bank.close()
            bank = ObjectBank(rng, width=WIDTH, height=HEIGHT)
            _log.info("%s: %d of %d scenes", out.name, index, scenes)
        spread = "ring" if rng.random() < 0.25 else "front"
        _store(arrays, index, bank.render_scene(NUM_VIEWS, RigConfig(spread=spread, fill=(0.9, 1.4))))
    bank.close()
    for name, array in arrays.items():
        array.flush()
        (out / f"{name}.npy.part").rename(out / f"{name}.npy")  # complete shards only ever show complete arrays
    words = {"kinds": KINDS, "descriptions": DESCRIPTIONS, "synonyms_per_kind": SYNONYMS_PER_KIND}
    facts = {"format": 1, "seed": seed, "scenes": scenes, **words}
    (out / "vocabulary.json").write_text(json.dumps(facts, indent=1))


def _store(arrays: dict[str, np.ndarray], index: int, scene: RenderedScene) -> None:
    if len(scene.objects) > MAX_OBJECTS:
        raise ValueError(f"objects: expected at most {MAX_OBJECTS} in a scene, got {len(scene.objects)}")
    arrays["images"][index] = scene.images
    # uint16 in 0.1 mm ends at 6.55 m; what is farther is no target for a robot and counts as not measured.
    arrays["depth"][index] = np.where(scene.depth < 6.5, np.round(scene.depth * 1e4), 0)
    arrays["ids"][index] = scene.ids
    arrays["kinds"][index] = 255
    for k, placed in enumerate(scene.objects, start=1):
        arrays["kinds"][index, k] = KINDS.index(placed.spec.kind)
        arrays["rgb"][index, k] = np.round(255 * np.array(placed.rgb))
    arrays["intrinsics"][index] = np.stack([camera.intrinsics for camera in scene.cameras])
    arrays["cam_from_world"][index] = np.stack([camera.cam_from_world for camera in scene.cameras])
    arrays["support_height"][index] = scene.support_height_m


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the arrays")
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--seed", type=int, required=True, help="every shard of a data set needs its own")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_shard(arguments.out, arguments.scenes, arguments.seed)


if __name__ == "__main__":
    main()
