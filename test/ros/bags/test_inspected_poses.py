"""`pan3d doctor BAG` on the poses of a bag: compared with its first pictures."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra [bags]")
pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra [sim]")

from bag_scene import write_bag
from table_rig import HEIGHT, INTRINSICS, WIDTH, rig

from pan3d_core.assembly.pose_checks.pose_hypotheses import OPTICAL_FROM_OPENGL
from pan3d_core.structures import unit_range
from pan3d_sim.cameras.rig import RigCamera
from pan3d_sim.cell.frame_tree import FrameLink
from pan3d_sim.data.recording_messages import CAMERA_INFO, IMAGE, TRANSFORMS, MessageMaker
from pan3d_tools.cli import main

START = 1_700_000_000_000_000_000
MAKE = MessageMaker()


def bag(path, optical_from_given=None):
    """A bag of three cameras that see a textured table; their frames have other axes where wanted."""
    links, messages = [], []
    for view in rig()[:3]:
        world_from_cam = np.linalg.inv(view.cam_from_world.double().numpy())
        if optical_from_given is not None:
            world_from_cam = world_from_cam @ optical_from_given
        links.append(FrameLink("base_link", f"{view.camera}_optical_frame", world_from_cam))
        pixels = (unit_range(view.image).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        lens = RigCamera(view.camera, INTRINSICS.double().numpy(), np.eye(4), WIDTH, HEIGHT)
        for index in range(3):
            stamp = START + 100_000_000 * (index + 1)
            messages.append((stamp, f"/{view.camera}/color/image_raw", IMAGE, MAKE.image(view.camera, stamp, pixels, "rgb8")))
            messages.append((stamp, f"/{view.camera}/color/camera_info", CAMERA_INFO, MAKE.camera_info(lens, stamp)))
    return write_bag(path, [(START, "/tf_static", TRANSFORMS, MAKE.transforms(links, START)), *messages])


def test_the_poses_of_a_bag_are_compared_with_its_pictures(tmp_path, capsys):
    assert main(["doctor", str(bag(tmp_path / "right"))]) == 0
    text = capsys.readouterr().out
    assert text.count("consistency 0.9") + text.count("consistency 1.0") == 3 and "places seen by two views" in text
    assert main(["doctor", str(tmp_path / "right"), "--support-height", "0.1"]) == 1
    assert "workspace.support_height_m says 0.100" in capsys.readouterr().out


def test_frames_of_other_axes_are_named(tmp_path, capsys):
    assert main(["doctor", str(bag(tmp_path / "gl", OPTICAL_FROM_OPENGL))]) == 1
    assert "OpenGL axes" in capsys.readouterr().out
