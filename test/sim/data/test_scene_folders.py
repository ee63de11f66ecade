import pytest
import torch

from pan3d_core.views.scene_folder import read_scene
from pan3d_sim.cell.robot_cell import RobotCell
from pan3d_sim.data.scene_folders import cell_scene
from pan3d_sim.objects.kinds import KINDS
from pan3d_tools import cli

SMALL = {"num_cameras": 2, "num_objects": 3, "width": 160, "height": 120}


@pytest.fixture(scope="module")
def scene():
    with RobotCell(3, **SMALL) as cell:
        return cell_scene(cell)


def test_truth_belongs_to_the_views(scene):
    assert scene.name == "cell_0003" and scene.support_height_m == 0.0 and len(scene.views) == 2
    seen = set(torch.stack(scene.truth.instance_ids).unique().tolist()) - {0}
    assert seen == {item.instance_id for item in scene.truth.objects} and len(seen) == 3
    for item in scene.truth.objects:
        assert KINDS[item.class_id] in item.name
        view, ids = scene.views[0], scene.truth.instance_ids[0]
        center = torch.cat([item.box.world_from_box[:3, 3], torch.ones(1)])
        cam = (view.cam_from_world @ center)[:3]
        pixel = (view.intrinsics @ cam)[:2] / cam[2]
        rows, columns = torch.nonzero(ids == item.instance_id, as_tuple=True)
        if len(rows):
            assert columns.min() - 8 <= pixel[0] <= columns.max() + 8 and rows.min() - 8 <= pixel[1] <= rows.max() + 8


def test_command_writes_folders_that_can_be_read(scene, tmp_path, capsys):
    arguments = ["sim", "render", "--seed", "3", "--cameras", "2", "--objects", "3", "--size", "160x120", "-o", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "cell_0003")
    back = read_scene(tmp_path / "cell_0003")
    assert torch.equal(back.truth.instance_ids[1], scene.truth.instance_ids[1])
    assert float((back.views[0].depth - scene.views[0].depth).abs().max()) < 1e-3 or bool((back.views[0].depth == 0).any())
    assert cli.main(["sim", "render", "--arrangement", "heap", "-o", str(tmp_path)]) == 2
