"""Grasps of an object as an isaac_grasp file, and such a file as grasps of the object where it is seen.

python examples/manipulation/isaac_grasps.py "the bottle"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PipelineConfig, build_engine, reconstruct, select_by_prompt, select_grasps
from pan3d_core.grasping.isaac_grasp import FRANKA, isaac_grasp_text, read_isaac_grasps
from pan3d_core.language.namer import Namer

CELL = Path(__file__).parents[1] / "data" / "cell"


def main(arguments: list[str] | None = None) -> None:
    """Write a file of the best grasps, and read it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="the bottle", help="what to grasp (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/grasps.yaml"), help="default: %(default)s")
    options = parser.parse_args(arguments)

    config = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})
    engine = build_engine(config.model)
    result = reconstruct(sorted(CELL.glob("*.jpg")), config, cameras=CELL / "cameras.json", engine=engine)
    found = select_by_prompt(result, options.prompt, Namer.of_facts(engine.facts))
    if found.best is None:
        print(f"{options.prompt}: {found.message}")
        return
    answer = select_grasps(result.panoptic, found.best, config.grasp, 0.0, is_metric=result.is_metric)
    if not answer.targets:
        print(f"{options.prompt}: no grasp: {answer.reason}")
        return
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(isaac_grasp_text(answer.targets, FRANKA, options.prompt), encoding="utf-8")
    print(f"{len(answer.targets)} grasps in {options.output}")

    # Another day the object stands elsewhere: its box says where, and the grasps come along.
    box = answer.targets[0].box
    for grasp in read_isaac_grasps(options.output.read_text(encoding="utf-8"), box, found.best, FRANKA)[:3]:
        x, y, z = grasp.world_from_grasp[:3, 3].tolist()
        print(f"  confidence {grasp.score:.2f}: at {x:+.3f} {y:+.3f} {z:+.3f} m")


if __name__ == "__main__":
    main()
