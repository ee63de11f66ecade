"""`pan3d doctor` of a cameras file or a scene folder: whether poses and support height agree with what the pictures show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pan3d_core.assembly.pose_checks.consistency import check_poses
from pan3d_core.config import AlignConfig, PreprocessConfig
from pan3d_core.geometry.camera_checks import CalibrationRefused, CameraRefused, PoseRefused
from pan3d_core.runtime.checks import MISSING, OK, OPTIONAL, Check
from pan3d_core.structures import CameraView
from pan3d_core.views.camera_files import read_camera_entries
from pan3d_core.views.scene_folder import SCENE_FILE, Scene, read_usable_photographs, read_usable_scene
from pan3d_core.views.usable_views import usable_scene
from pan3d_tools.doctor import exit_code, format_report

MEND_POSES = "mend the poses: cam_from_world in metres, optical axes (x right, y down, z forward)"
MEND_UNCHECKED = "measure it by hand, or show the cameras more: a patterned cloth, another view, a depth sensor"
MENDS = {
    CameraRefused.code: "give a picture that can be read; the others are used without it",
    CalibrationRefused.code: "calibrate the camera; the others are used without it",
    PoseRefused.code: f"{MEND_POSES}; the others are used without it",
}


def run_pose_checks(path: Path, images: Sequence[Path], support_height_m: float | None) -> int:
    """Print the consistency of each camera's pose; 1 where the pictures refute one of them or the support's height.

    Args:
        path: A cameras file, or a scene folder.
        images: Of the cameras file; none = those that its entries name.
        support_height_m: World z; None = what the file says.

    Returns:
        The exit code.
    """
    scene = scene_of_cameras(path, images)
    given = scene.support_height_m if support_height_m is None else support_height_m
    checks = [Check(f"camera {item.camera}", MISSING, f"{item.code}: {item}", MENDS[item.code]) for item in scene.left_out]
    checks += pose_checks(scene.views, given)
    print(format_report(checks))
    return exit_code(checks)


def scene_of_cameras(path: Path, images: Sequence[Path]) -> Scene:
    """Read a scene folder, or a cameras file with its pictures, as far as cameras can be used; arguments as `run_pose_checks`
    has them."""
    if path.is_dir():
        scene = read_usable_scene(path)
    else:
        named = [path.parent / entry.image for entry in read_camera_entries(path).views if entry.image is not None]
        scene = read_usable_photographs(images or named, path)
    return usable_scene(scene, PreprocessConfig(), AlignConfig().max_scene_depth_m)


def names_cameras(path: Path) -> bool:
    """Whether a path is a cameras file or a scene folder, and no bag."""
    return path.suffix.lower() == ".json" or (path / SCENE_FILE).is_file()


def pose_checks(views: Sequence[CameraView], support_height_m: float | None) -> list[Check]:
    """Compare poses and support height with pictures and sensor depth.

    Args:
        views: Of one moment.
        support_height_m: World z as it was given; None = unknown.

    Returns:
        One check per camera, one of all poses, one of the support, and of what could not be checked.
    """
    found = check_poses(views, support_height_m=support_height_m)
    why = dict(zip(found.left_out, found.reasons))
    checks = []
    for view, figure in zip(views, found.figures):
        name, lacks = f"poses {view.camera}", view.intrinsics is None or view.cam_from_world is None
        if view.camera in why:
            checks.append(Check(name, MISSING, f"consistency {figure or 0.0:.2f}: {why[view.camera]}", MEND_POSES, view.camera))
        elif figure is not None:
            checks.append(
                Check(name, OK, f"consistency {figure:.2f} (share of what it sees with others that lies where it should)")
            )
        else:
            detail = "intrinsics or pose are not given" if lacks else "consistency unknown: it shares too little with other views"
            checks.append(Check(name, OPTIONAL, detail))
    if found.contradiction:
        checks.append(Check("poses", MISSING, f"the pictures contradict what was given: {found.contradiction}", MEND_POSES))
    checks += [Check("poses", OPTIONAL, doubt, "calibrate again") for doubt in found.doubts]
    if found.support is not None:
        source = "sensor depth" if found.support.by_depth else "places seen by two views"
        detail = f"seen at {found.support.height_m:.3f} m (+-{1000 * found.support.sigma_m:.0f} mm) by {source}"
        checks.append(Check("support height", OK, detail))
    checks += [Check("not checked", OPTIONAL, words, MEND_UNCHECKED) for words in found.unchecked]
    return checks
