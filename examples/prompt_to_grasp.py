"""Words to a grasp: which object is meant, and how a hand takes it.

python examples/prompt_to_grasp.py "something to hit a nail with"
python examples/prompt_to_grasp.py "the bottle" --urdf arm.urdf  # for the jaws of a robot
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pan3d_core import PipelineConfig, build_engine, reconstruct, select_by_prompt, select_grasps
from pan3d_core.body import measure_gripper, read_urdf
from pan3d_core.language.namer import Namer

CELL = Path(__file__).parent / "data" / "cell"


def main(arguments: list[str] | None = None) -> None:
    """Find the object, then print where the hand should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", default="the bottle", help="what to grasp (default: %(default)s)")
    parser.add_argument("--urdf", type=Path, help="of a robot whose jaws grasps are for (default: jaws that open 80 mm)")
    options = parser.parse_args(arguments)
    prompt = options.prompt

    config = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.0}})  # world z of the table, metres
    if options.urdf is not None:
        jaws = measure_gripper(read_urdf(options.urdf))
        print(jaws.message)
        config = replace(config, grasp=replace(config.grasp, gripper=jaws.config))
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
