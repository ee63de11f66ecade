"""Pictures to 3D Gaussians with objects; one of them is taken out, another is painted and moved; both scenes are rendered.

python examples/edit_gaussians.py -o out/edited
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pan3d_core import PipelineConfig, build_engine, reconstruct
from pan3d_core.gaussians.camera_paths import PathSettings, camera_path
from pan3d_core.gaussians.editing import Motion, with_color, with_motion, without_instances
from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.gaussians.pictures import color_pictures
from pan3d_core.gaussians.recoloring import color_of_text
from pan3d_core.gaussians.scene import scene_of_result
from pan3d_core.pictures.files import write_folder

CELL = Path(__file__).parent / "data" / "cell"


def main(arguments: list[str] | None = None) -> None:
    """Write the edited scene and pictures of before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=Path("out/edited"), help="folder (default: %(default)s)")
    out = parser.parse_args(arguments).out

    engine = build_engine(PipelineConfig.from_dict({"model": {"name": "pan3d-mini-eps3d"}}).model)
    result = reconstruct(sorted(CELL.glob("*.jpg")), cameras=CELL / "cameras.json", engine=engine)
    scene = scene_of_result(result, engine.facts.text_space)
    first, second = scene.ids()[:2]
    edited = without_instances(scene, [first])
    edited = with_color(edited, second, color_of_text("blue"))
    edited = with_motion(edited, second, Motion((0.0, 0.0, 0.1), turn_deg=45.0))  # metres along the world's axes, degrees about z

    write_scene_file(out / "gaussians.safetensors", edited)
    for name, content in (("before", scene), ("after", edited)):
        paths = write_folder(out, name, color_pictures(content, camera_path(content, "views", PathSettings(image_hw=(120, 160)))))
        print(f"{name}: {len(content.gaussians)} Gaussians, objects {list(content.ids())}, {len(paths)} pictures in {out}")


if __name__ == "__main__":
    main()
