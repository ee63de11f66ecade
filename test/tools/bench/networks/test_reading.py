"""The benchmark of reading reads what it says: a made-up room in ScanNet's layout, or a scene of one's own."""

import numpy as np
import pytest
from PIL import Image

from pan3d_eval.datasets import ViewSelection, read_dataset_scene
from pan3d_tools.bench.networks.reading import NAME, run, write_room


@pytest.mark.parametrize("projected", [True, False])
def test_the_room_is_a_scene_in_scannet_s_layout(tmp_path, monkeypatch, projected):
    monkeypatch.setattr("pan3d_tools.bench.networks.reading.COLOR", (162, 121))
    monkeypatch.setattr("pan3d_tools.bench.networks.reading.DEPTH", (80, 60))
    folder = write_room(tmp_path, 2, 900, projected=projected)
    assert folder.name == NAME and (folder / "instance-filt").is_dir() == projected
    scene = read_dataset_scene(folder, ViewSelection(0))
    assert len(scene.views) == 2 and scene.views[0].hw == (121, 162) and len(scene.truth.objects) == 8
    stripes = np.asarray(scene.truth.instance_ids[0])[60]
    assert set(stripes[stripes > 0]) <= set(range(1, 9)) and len(set(stripes)) >= 4
    result = run(["--scene", str(folder), "--views", "2", "--size", "56x42", "--repeats", "1"])
    assert result["views"] == 2 and result["views_per_second_and_core"] > 0


def test_the_pictures_have_the_data_set_s_sizes(tmp_path):
    folder = write_room(tmp_path, 1, 400, projected=True)
    sizes = {part: Image.open(next((folder / part).iterdir())).size for part in ("color", "depth", "instance-filt")}
    assert sizes == {"color": (1296, 968), "depth": (640, 480), "instance-filt": (1296, 968)}
