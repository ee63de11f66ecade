"""Words to a grasp: which object is meant, and how a hand takes it.

python examples/prompt_to_grasp.py "something to hit a nail with"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PipelineConfig, build_engine, reconstruct, select_by_prompt, select_grasps
from pan3d_core.language.namer import Namer

CELL = Path(__file__).parent / "data" / "cell"


def main(arguments: list[str] | None = None) -> None:
    """Find the object, then print where the hand should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="the bottle", help="what to grasp (default: %(default)s)")
    prompt = parser.parse_args(arguments).prompt

    config = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})  # world z of the table, metres
    engine = build_engine(config.model)
    result = reconstruct(sorted(CELL.glob("*.jpg")), config, cameras=CELL / "cameras.json", engine=engine)
    found = select_by_prompt(result, prompt, Namer.of_facts(engine.facts))
    if found.best is None:
        print(f"{prompt}: {found.message}")
        return
    print(f"{prompt}: object {found.best}, {found.explanation}")
    answer = select_grasps(result.panoptic, found.best, config.grasp, 0.0, is_metric=result.is_metric)
    for grasp in answer.targets[:3]:
        x, y, z = grasp.world_from_grasp[:3, 3].tolist()  # between the pads; +z approach, +x closing
        print(f"  score {grasp.score:.2f}: at {x:+.3f} {y:+.3f} {z:+.3f} m, opened {1000 * grasp.opening_m:.0f} mm")
    if not answer.targets:
        print(f"  no grasp: {answer.reason}")


if __name__ == "__main__":
    main()
