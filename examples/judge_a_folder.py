"""How good is an engine on scenes with truth?

    python examples/judge_a_folder.py SCENES --engine pan3d-mini-fast3dis --no-poses

Without SCENES two small scenes are rendered first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PipelineConfig
from pan3d_eval.figures import figure_table
from pan3d_eval.folder import evaluate_folder
from pan3d_eval.runner import EvaluationProtocol
from pan3d_sim.data import render_scene_folder


def main(arguments: list[str] | None = None) -> None:
    """Print every figure with its rule, and each scene that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", type=Path, help="scene folders, shards, data sets, or folders of them")
    parser.add_argument("--engine", default="pan3d-mini", help="default: %(default)s")
    parser.add_argument("--no-poses", action="store_true", help="withhold the cameras' poses")
    parser.add_argument("--depth", action="store_true", help="give the depth images")
    options = parser.parse_args(arguments)

    scenes = options.scenes or [render_scene_folder(Path("out/scenes"), seed, width=160, height=120) for seed in (3, 4)]
    config = PipelineConfig.from_dict({"model": {"name": options.engine}})
    judged = evaluate_folder(scenes, config, EvaluationProtocol(options.depth, not options.no_poses))
    for figure in figure_table(judged.evaluation):
        print(f"{figure.name:32} {figure.value:8.3f}  {figure.protocol}")
    for failure in judged.evaluation.failures:
        print(f"failed: {failure.name}: {failure.message}")


if __name__ == "__main__":
    main()
