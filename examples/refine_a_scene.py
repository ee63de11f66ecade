"""Many views with an engine's 2D labels to one map, in which an object has one id in all views (PanopticSplatting).

    python examples/refine_a_scene.py --steps 300

Shows `refine_scene` with progress as a callback. The views are rendered here; yours come from `read_scene(FOLDER)`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PipelineConfig, build_engine
from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.refine.labels.sources import labels_from_engine
from pan3d_core.refine.run import RefineProgress, SceneSettings, refine_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_sim.data import RefineSceneSettings, render_refine_scene


def told(progress: RefineProgress) -> None:
    """Print every fiftieth step, and how it ended."""
    if progress.stage == "step" and progress.report.step % 50:
        return
    losses = "".join(f", {name} {value:.3f}" for name, value in progress.losses.items())
    print(f"{progress.stage}, step {progress.report.step}{losses}")


def main(arguments: list[str] | None = None) -> None:
    """Render views, label them, refine, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of the optimiser (default: %(default)s)")
    parser.add_argument("--views", type=int, default=18, help="pictures around the table (default: %(default)s)")
    parser.add_argument("--size", default="160x120", metavar="WxH", help="of a picture (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path, default=Path("out/refined.safetensors"), help="default: %(default)s")
    options = parser.parse_args(arguments)

    width, height = map(int, options.size.split("x"))
    rendered = RefineSceneSettings(num_views=options.views, width=width, height=height, hold_out_every=0)
    scene = render_refine_scene(3, rendered).scene
    engine = build_engine(PipelineConfig().model)
    labels = labels_from_engine(engine, scene.views, scene.support_height_m)
    result = refine_scene(scene.views, labels, SceneSettings(RefineSettings(steps=options.steps)), progress=told)
    write_scene_file(options.out, result.scene)
    print(f"{result.ending}: {len(result.scene.gaussians)} Gaussians, objects {result.scene.names}")


if __name__ == "__main__":
    main()
