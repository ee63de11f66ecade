"""What is remembered of a table lasts from one view set to the next, and in a file from one program to the next.

Shows `pipeline.memory`: states with their reasons, ids that last, worlds that are written and read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PerceptionPipeline, PipelineConfig, build_engine
from pan3d_core.memory import read_world, write_world
from pan3d_core.reconstruction import read_pictures

CELL = Path(__file__).parent / "data" / "cell"


def told(pipeline: PerceptionPipeline) -> None:
    """Print a line for each object."""
    for item in pipeline.memory.world.objects:
        seen = f"seen {item.sightings} times, from {1 - item.unseen_share:.0%} of all sides"
        print(f"  {item.instance_id} {item.name or 'object'}: {item.state.value}, {item.reason}; {seen}")


def main(arguments: list[str] | None = None) -> None:
    """Look with two cameras, then with four; store the world, and begin anew with it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("out/table.safetensors"), help="default: %(default)s")
    options = parser.parse_args(arguments)

    scene = read_pictures(sorted(CELL.glob("*.jpg")), cameras=CELL / "cameras.json")
    config = PipelineConfig.from_flat({"workspace.support_height_m": scene.support_height_m})
    pipeline = PerceptionPipeline(build_engine(config.model), config)
    for views in (scene.views[:2], scene.views):
        pipeline.process(views)
        print(f"after {len(views)} views:")
        told(pipeline)

    write_world(options.out, pipeline.memory.world)
    later = pipeline.fresh()
    later.memory.use_world(read_world(options.out))
    later.process(scene.views)
    print("another pipeline that has read the file:")
    told(later)


if __name__ == "__main__":
    main()
