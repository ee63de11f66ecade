"""The file of a Gaussian scene, what it refuses, and which object a Gaussian belongs to."""

import json
from dataclasses import replace

import pytest
import torch
from gaussian_boxes import boxes_scene
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.gaussians.ownership import gaussian_instance_ids
from pan3d_core.gaussians.ply import read_gaussian_ply
from pan3d_core.gaussians.scene import (
    FEATURE_FIELDS,
    GAUSSIAN_FIELDS,
    GaussianScene,
    read_gaussian_scene,
    scene_of_result,
    write_gaussian_scene,
)
from pan3d_core.language.text_space import TextSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_core.structures import Gaussians, Panoptic3D, PerceptionResult, Reconstruction
from pan3d_core.views.scene_folder import Scene
from pan3d_tools.reports.reconstruction import write_files


def assert_same(first: GaussianScene, second: GaussianScene) -> None:
    for name in (*GAUSSIAN_FIELDS, *FEATURE_FIELDS):
        one, other = getattr(first.gaussians, name), getattr(second.gaussians, name)
        assert (one is None) == (other is None) and (one is None or torch.equal(one, other)), name
    for name in ("instance_id", "cam_from_world", "intrinsics"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    for name in ("names", "image_hw", "is_metric", "world_frame_id"):
        assert getattr(first, name) == getattr(second, name), name
    assert (first.text_space is None) == (second.text_space is None)
    if first.text_space is not None:
        assert torch.equal(first.text_space.weight, second.text_space.weight)
        assert torch.equal(first.text_space.bias, second.text_space.bias)
        for name in ("encoder", "temperature", "none_similarity"):
            assert getattr(first.text_space, name) == getattr(second.text_space, name), name


def empty_scene() -> GaussianScene:
    nothing = Gaussians(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 3))
    return GaussianScene(
        nothing, torch.zeros(0, dtype=torch.int64), {}, torch.zeros(0, 4, 4), torch.zeros(0, 3, 3), (48, 64), False, "map"
    )


@pytest.mark.parametrize("harmonics", [0, 2])
def test_a_scene_survives_the_disk(tmp_path, harmonics):
    scene = boxes_scene(0.03, harmonics)
    scene = replace(scene, names={**scene.names, 9: "größere Tasse"}, world_frame_id="base_link")
    write_gaussian_scene(tmp_path / "new" / "scene.safetensors", scene)
    assert_same(read_gaussian_scene(tmp_path / "new" / "scene.safetensors"), scene)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["scene.safetensors"]


def test_an_empty_scene_and_one_without_features_survive(tmp_path):
    scene = boxes_scene(0.03)
    plain = replace(scene, text_space=None, gaussians=replace(scene.gaussians, semantic_features=None, instance_features=None))
    for kept in (empty_scene(), plain):
        write_gaussian_scene(tmp_path / "scene.safetensors", kept)
        assert_same(read_gaussian_scene(tmp_path / "scene.safetensors"), kept)


def test_a_scene_may_be_written_over_its_own_file(tmp_path):
    path = tmp_path / "scene.safetensors"
    write_gaussian_scene(path, boxes_scene(0.03))
    write_gaussian_scene(path, read_gaussian_scene(path))
    assert_same(read_gaussian_scene(path), boxes_scene(0.03))


def test_damaged_and_foreign_files_are_refused(tmp_path):
    path = tmp_path / "scene.safetensors"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_gaussian_scene(path)
    write_gaussian_scene(path, boxes_scene(0.03))
    content = path.read_bytes()
    for damaged in (content[:-7], content[:20], b"", b"ply\n" + content):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="complete safetensors file"):
            read_gaussian_scene(path)
    save_file({"means": torch.zeros(1, 3)}, path)
    with pytest.raises(ValueError, match="format: expected 'pan3d-gaussians/1', got None"):
        read_gaussian_scene(path)


def rewritten(path, change_tensors=None, change_facts=None) -> None:
    """Change the tensors and facts of a stored scene behind its back."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors, facts = {name: value.clone() for name, value in load_file(path).items()}, json.loads(metadata["scene"])
    tensors.update(change_tensors or {})
    facts.update(change_facts or {})
    kept = {name: value for name, value in tensors.items() if value is not None}
    save_file(kept, path, {**metadata, "scene": json.dumps(facts)})


@pytest.mark.parametrize(
    ("tensors", "facts", "message"),
    [
        ({"scales": None}, {}, "tensors: expected .*scales"),
        ({"extra": torch.zeros(1)}, {}, "tensors: expected .* got .*extra"),
        ({"means": torch.zeros(4, 3, dtype=torch.float64)}, {}, "means: expected torch.float32"),
        ({"opacities": torch.zeros(5)}, {}, "Gaussians.opacities: expected shape"),
        ({}, {"names": {}}, "GaussianScene.names: expected one of every id, got none of 1, 2, 3"),
        ({}, {"names": {"one": "box"}}, "names: expected whole numbers"),
        ({}, {"names": ["box"]}, "scene.names: expected"),
        ({}, {"image_hw": [0, 5]}, "GaussianScene.image_hw"),
        ({}, {"unknown": 1}, "scene: expected names, .* got .*unknown"),
        ({}, {"text_space": {"encoder": "minilm"}}, "text_space: expected encoder, temperature"),
        ({}, {"text_space": None}, "tensors: expected"),
    ],
)
def test_contents_that_do_not_fit_are_refused(tmp_path, tensors, facts, message):
    path = tmp_path / "scene.safetensors"
    write_gaussian_scene(path, boxes_scene(0.03))
    rewritten(path, tensors, facts)
    with pytest.raises(ValueError, match=f"scene.safetensors: {message}"):
        read_gaussian_scene(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("means", float("nan"), "Gaussians.means: expected finite"),
        ("opacities", 1.5, "Gaussians.opacities: expected 0..1"),
        ("scales", -0.1, "Gaussians.scales: expected no negative"),
        ("quats_wxyz", 0.0, "Gaussians.quats_wxyz: expected norms above 0"),
        ("semantic_features", float("inf"), "Gaussians.semantic_features: expected finite"),
    ],
)
def test_gaussians_that_cannot_be_are_refused(field, value, message):
    scene = boxes_scene(0.03)
    changed = getattr(scene.gaussians, field).clone()
    changed[3] = value
    with pytest.raises(ValueError, match=message):
        replace(scene, gaussians=replace(scene.gaussians, **{field: changed}))


def test_ids_and_cameras_that_cannot_be_are_refused():
    scene = boxes_scene(0.03)
    for change, message in (
        ({"instance_id": scene.instance_id.int()}, "expected int64"),
        ({"instance_id": scene.instance_id - 1}, "instance_id: expected 0 or more, got -1"),
        ({"instance_id": scene.instance_id[1:]}, "instance_id: expected shape"),
        ({"names": {**scene.names, 0: "nothing"}}, "names: expected texts of ids from 1 on"),
        ({"intrinsics": scene.intrinsics[:2]}, "intrinsics: expected shape"),
        ({"intrinsics": -scene.intrinsics}, "positive focal lengths"),
        ({"cam_from_world": scene.cam_from_world * float("nan")}, "cam_from_world: expected finite"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(scene, **change)
    with pytest.raises(ValueError, match="text_space: expected 3 channels"):
        replace(scene, gaussians=replace(scene.gaussians, semantic_features=torch.zeros(len(scene.gaussians), 3)))


def seen(scene: GaussianScene) -> tuple[Reconstruction, torch.Tensor]:
    """Depth and true ids of every view, as rendered."""
    one_hot = torch.nn.functional.one_hot(scene.instance_id, 4).float()
    made = rasterize(scene.gaussians, scene.cam_from_world, scene.intrinsics, scene.image_hw, one_hot)
    depth = made.depth * (made.opacity > 0.5)
    ids = made.features.argmax(1) * (made.opacity > 0.5)
    return Reconstruction(depth, depth, scene.intrinsics, scene.cam_from_world, True, gaussians=scene.gaussians), ids


def panoptic(ids: torch.Tensor) -> Panoptic3D:
    nothing = torch.zeros(0, 3)
    return Panoptic3D(ids * 0, ids, (), nothing, nothing, torch.zeros(0, dtype=torch.int64), nothing, labels=None)


def test_gaussians_take_the_id_of_the_pixels_that_see_them():
    scene = boxes_scene(0.01)
    reconstruction, ids = seen(scene)
    found = gaussian_instance_ids(scene.gaussians, reconstruction, panoptic(ids))
    visible = (scene.instance_id == 0) | (scene.gaussians.means[:, 2] > 0.015)  # a box's bottom is seen by no camera
    assert (found == scene.instance_id)[visible].float().mean() > 0.97
    for number in (1, 2, 3):
        of_box = visible & (scene.instance_id == number)
        assert (found[of_box] == number).float().mean() > 0.9


def one_view(depth: float, instance: int, count: int = 1) -> tuple[Reconstruction, Panoptic3D]:
    shape = (count, 2, 2)
    intrinsics = torch.tensor([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]]).expand(count, 3, 3)
    depths = torch.full(shape, depth)
    return (
        Reconstruction(depths, depths, intrinsics, torch.eye(4).expand(count, 4, 4), True),
        panoptic(torch.full(shape, instance)),
    )


def points(*means: tuple[float, float, float]) -> Gaussians:
    n = len(means)
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4)
    return Gaussians(torch.tensor(means), torch.ones(n, 3), quats, torch.ones(n), torch.ones(n, 3))


def test_only_views_that_see_a_gaussian_vote():
    places = points((0, 0, 1.0), (0, 0, 1.01), (0, 0, 1.5), (0, 0, -1.0), (5.0, 0, 1.0), (0, 0, 0.5))
    reconstruction, five = one_view(1.0, 5)
    assert gaussian_instance_ids(places, reconstruction, five).tolist() == [5, 5, 0, 0, 0, 5]
    assert gaussian_instance_ids(places, *one_view(0.0, 5)).tolist() == [0] * 6


def test_most_votes_win_and_an_object_wins_a_tie():
    place = points((0, 0, 1.0))
    reconstruction, _ = one_view(1.0, 0, count=3)
    for of_views, expected in (([7, 7, 2], 7), ([0, 0, 2], 0), ([0, 4, 4], 4)):
        ids = torch.tensor(of_views)[:, None, None].expand(3, 2, 2)
        assert gaussian_instance_ids(place, reconstruction, panoptic(ids)).tolist() == [expected]
    two, _ = one_view(1.0, 0, count=2)
    assert gaussian_instance_ids(place, two, panoptic(torch.tensor([0, 3])[:, None, None].expand(2, 2, 2))).tolist() == [3]
    with pytest.raises(ValueError, match="Panoptic3D.instance_id: expected shape"):
        gaussian_instance_ids(place, two, panoptic(torch.zeros(2, 3, 3, dtype=torch.int64)))


@pytest.fixture(scope="module")
def result(cell) -> PerceptionResult:
    """What depth cameras give, with a Gaussian on every seventh point of the cloud."""
    config = PipelineConfig.from_dict({"model": {"name": "depth_clusters"}, "workspace": {"support_height_m": 0.0}})
    result = PerceptionPipeline(build_engine(config.model), config).process(cell.views)
    assert result.reconstruction.gaussians is None
    centers = result.panoptic.points[::7]
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(centers), 4)
    scales, opacities = torch.full((len(centers), 3), 0.004), torch.full((len(centers),), 0.95)
    gaussians = Gaussians(centers, scales, quats, opacities, result.panoptic.point_colors[::7])
    return replace(result, reconstruction=replace(result.reconstruction, gaussians=gaussians))


def test_objects_of_a_result(result):
    scene = scene_of_result(result, None)
    assert (scene.instance_id == result.panoptic.point_instance_id[::7]).float().mean() > 0.95
    assert sorted(scene.names) == [1, 2, 3] and all(name.endswith(" object") for name in scene.names.values())
    assert scene.image_hw == tuple(result.reconstruction.depth.shape[-2:]) and scene.is_metric
    space = TextSpace(torch.eye(3), torch.zeros(3), "minilm")
    assert torch.equal(scene_of_result(result, space).text_space.weight, space.weight)


def test_depth_that_was_moved_after_the_gaussians_changes_no_object(result):
    """As `refine_placement` moves it: by more than the tolerance."""
    moved = replace(result, reconstruction=replace(result.reconstruction, depth=0.9 * result.reconstruction.depth))
    assert torch.equal(scene_of_result(moved, None).instance_id, scene_of_result(result, None).instance_id)


def test_a_result_without_gaussians_is_refused(result):
    with pytest.raises(ValueError, match="this engine makes no Gaussians"):
        scene_of_result(replace(result, reconstruction=replace(result.reconstruction, gaussians=None)), None)


def test_reconstructions_with_gaussians_leave_both_files(result, cell, tmp_path):
    space = TextSpace(torch.eye(3), torch.zeros(3), "minilm")
    paths = write_files(tmp_path, Scene("cell", tuple(cell.views)), result, "some model", space)
    assert {tmp_path / "gaussians.safetensors", tmp_path / "gaussians.ply"} <= set(paths)
    stored = read_gaussian_scene(tmp_path / "gaussians.safetensors")
    assert_same(stored, scene_of_result(result, space))
    assert len(read_gaussian_ply(tmp_path / "gaussians.ply")) == len(stored.gaussians)
