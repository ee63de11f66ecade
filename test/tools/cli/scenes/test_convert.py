"""`pan3d convert`: labelled scenes in the formats of others, and back."""

import pytest
import torch
from labelled_boxes import labelled_dataset

from pan3d_core.views.scene_folder import read_scene
from pan3d_tools import cli


def run(capsys, *arguments):
    code = cli.main(["convert", *(str(item) for item in arguments)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.fixture
def dataset(tmp_path):
    return labelled_dataset(tmp_path / "data", "bench", "shelf")


@pytest.mark.parametrize("layout", ["coco-panoptic", "bop"])
def test_labels_go_out_and_come_back(dataset, layout, tmp_path, capsys):
    out, back = tmp_path / "out", tmp_path / "back"
    code, told, _ = run(capsys, dataset, "--to", layout, "-o", out)
    assert code == 0 and told.startswith("2 scenes: ") and str(out) in told
    given = [out / "annotations" / "panoptic.json", "--views", dataset] if layout == "coco-panoptic" else [out]
    code, told, _ = run(capsys, *given, "--to", "scenes", "-o", back)
    assert code == 0 and told == f"2 scenes: {back}\n"
    for name in ("bench", "shelf"):
        before, after = read_scene(dataset / name), read_scene(back / name)
        assert all(torch.equal(a, b) for a, b in zip(before.truth.instance_ids, after.truth.instance_ids, strict=True))
        assert {(i.instance_id, i.name) for i in before.truth.objects} == {(i.instance_id, i.name) for i in after.truth.objects}
        assert after.support_height_m == 0.0 and torch.equal(before.views[1].image, after.views[1].image)


def test_what_cannot_be_converted_is_refused_and_nothing_is_left(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    for arguments, told in (
        ((dataset, "--to", "bop", "-o", dataset), "--out: expected a folder that is not there yet"),
        ((tmp_path, "--to", "bop", "-o", out), "SOURCE: expected a scene folder or a folder of them"),
        ((dataset, dataset / "bench", "--to", "bop", "-o", out), "SOURCE: expected scene folders of different names, got bench"),
        ((dataset, "--to", "scenes", "-o", out), "SOURCE: expected BOP's layout or a JSON file of COCO's"),
        ((tmp_path / "a.json", "--to", "scenes", "-o", out), "--views: expected the scene folders that the labels are of"),
    ):
        code, _, error = run(capsys, *arguments)
        assert code == 2 and told in error and not out.exists()
    (dataset / "shelf" / "scene.json").write_text("{}")
    code, _, error = run(capsys, dataset, "--to", "bop", "-o", out)
    assert code == 2 and "shelf/scene.json: views" in error and not out.exists()


def test_bags_need_a_task(tmp_path, capsys):
    pytest.importorskip("rosbags")
    code, _, error = run(capsys, tmp_path / "bag", "-o", tmp_path / "out")
    assert code == 2 and "--task: expected what the robot does" in error
