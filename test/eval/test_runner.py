"""The whole pipeline on the synthetic cell, measured against its truth, without any network."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.config import PipelineConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.views.preprocessing import preprocess
from pan3d_core.views.sampling import sample_at_network
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene
from pan3d_eval.datasets.scenes import find_scenes
from pan3d_eval.figures import figure_table, hits_in_views
from pan3d_eval.runner import EvaluationProtocol, evaluate


@pytest.fixture
def scene(cell) -> Scene:
    objects = []
    for index, block in enumerate(cell.blocks):
        pose = torch.eye(4)
        pose[:3, 3] = torch.tensor(block.center)
        objects.append(SceneObject(index + 1, f"block {index}", 0, OrientedBox(pose, torch.tensor(block.size))))
    truth = SceneTruth(tuple(cell.ids), tuple(view.depth for view in cell.views), tuple(objects), LabelSpace.things(("block",)))
    return Scene("cell", tuple(cell.views), truth, 0.0)


@pytest.fixture
def pipeline() -> PerceptionPipeline:
    engine = DepthClusters(PreprocessConfig(height=120, width=160))
    return PerceptionPipeline(engine, PipelineConfig())


DEPTH = EvaluationProtocol(use_depth=True)


def figures_of(evaluation) -> dict[str, float]:
    return {item.name: item.value for item in figure_table(evaluation)}


def test_sensor_depth_on_separate_blocks_is_near_perfect(pipeline, scene):
    seen = []
    result = evaluate(pipeline, [scene], DEPTH, progress=lambda done, total: seen.append((done, total)))
    figures = figures_of(result)
    assert figures["AP50"] == pytest.approx(1.0) and figures["objects"] == 3 and seen == [(1, 1)]
    assert figures["depth AbsRel"] < 1e-6 and figures["scene PQ"] > 0.8 and figures["AP50 in each view"] == pytest.approx(1.0)
    assert figures["centre error (mm)"] < 8 and figures["extent error (mm)"] < 12 and figures["box IoU"] > 0.6
    assert figures["AP50 with names"] == 0.0 and math.isnan(figures["naming top-1"])  # this engine names nothing
    assert 0 < figures["seconds per scene"] < 60 and figures["peak memory (MB)"] > 50
    knowing = pipeline.fresh(PipelineConfig(workspace=WorkspaceConfig(support_height_m=scene.support_height_m)))
    scores = [item.score for item in knowing.process(scene.views).panoptic.segments]
    assert pipeline.config == PipelineConfig()  # what is measured stays as it was given
    assert figures["score ECE"] == pytest.approx(1 - sum(scores) / 3, abs=1e-6)  # all three are right
    assert json.dumps(result.scene_list())


def test_nothing_found_is_zero(pipeline, scene, make_cell):
    render_cell, _ = make_cell
    bare = replace(scene, views=tuple(render_cell([]).views))
    figures = figures_of(evaluate(pipeline, [bare], DEPTH))
    assert figures["AP50"] == 0.0 and figures["found"] == 0.0 and math.isnan(figures["score ECE"])
    assert figures["found in a view, 150 or more pixels"] == 0.0


def test_what_looks_for_no_objects_has_no_figures_of_objects(pipeline, scene):
    result = evaluate(pipeline, [scene], DEPTH)
    blind = replace(result, scenes=tuple(replace(item, finds_objects=False) for item in result.scenes))
    names = set(figures_of(blind))
    assert {"scenes", "depth AbsRel", "seconds per scene"} <= names and not any("AP" in name for name in names)
    assert {"AP50", "found", *names} <= set(figures_of(result))


def test_a_scene_that_fails_is_named_and_the_others_go_on(pipeline, scene):
    result = evaluate(pipeline, [replace(scene, name="no truth", truth=None), scene, scene], DEPTH)
    assert [item.name for item in result.scenes] == ["cell", "cell"] and figures_of(result)["scenes"] == 2
    assert [item.name for item in result.failures] == ["no truth"] and "expected instances" in result.failures[0].message
    ids = [[item.segment_id for item in measured.objects] for measured in result.scenes]
    assert ids[0] == ids[1] and 0 not in ids[0]  # no tracks between scenes
    refused = evaluate(pipeline, [scene], EvaluationProtocol(use_depth=False))
    assert not refused.scenes and "depth" in refused.failures[0].message


def test_sightings_are_banded_by_their_size_in_the_view(pipeline, scene):
    result = evaluate(pipeline, [scene], DEPTH)
    sizes = sorted(size for view in result.scenes[0].view_overlaps for size in view.true_sizes)
    middle = sizes[len(sizes) // 2]
    small, large = (hits_in_views(result.scenes, *band) for band in ((0, middle), (middle, math.inf)))
    assert len(small) + len(large) == len(sizes) and len(small) == sum(size < middle for size in sizes)
    assert large.all()


def test_cameras_are_measured_only_where_poses_are_withheld(scene):
    class TurnedCameras(DepthClusters):
        """Sensor depth in cameras that are all turned by the same rotation about the world's vertical."""

        def __call__(self, views):
            turn = torch.eye(4)
            turn[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
            poses = torch.stack([view.cam_from_world for view in scene.views]) @ turn
            reconstruction, instances = super().__call__(replace(views, cam_from_world=poses))
            return replace(reconstruction, is_metric=False), instances

    pipeline = PerceptionPipeline(TurnedCameras(PreprocessConfig(height=120, width=160)), PipelineConfig())
    figures = figures_of(evaluate(pipeline, [scene], EvaluationProtocol(use_depth=True, use_poses=False)))
    assert figures["camera rotation (deg)"] < 0.1 and figures["camera ATE (mm)"] < 1  # the world's choice does not matter
    assert "camera rotation (deg)" not in figures_of(evaluate(pipeline, [scene], DEPTH))


def test_truth_is_sampled_where_preprocess_samples_depth(scene):
    batch = preprocess(scene.views, PreprocessConfig(height=56, width=72))
    for view, mapping, depth in zip(scene.views, batch.network_from_original, batch.depth):
        assert torch.equal(sample_at_network(view.depth, mapping, batch.hw), depth)


def test_scenes_are_found_in_folders_and_shards(scene, tmp_path):
    for name in ("a", "b"):
        write_scene(tmp_path / "folders" / name, replace(scene, name=name))
    shard = tmp_path / "shard"
    shard.mkdir()
    arrays = {
        "images": torch.stack([view.image for view in scene.views]).permute(0, 2, 3, 1).mul(255).byte()[None],
        "depth": torch.stack([view.depth for view in scene.views])[None] * 1e4,
        "ids": torch.stack(scene.truth.instance_ids)[None],
        "intrinsics": torch.stack([view.intrinsics for view in scene.views])[None],
        "cam_from_world": torch.stack([view.cam_from_world for view in scene.views])[None],
        "kinds": torch.tensor([[255, 0, 0, 0]]),
        "support_height": torch.zeros(1),
    }
    kinds = {"images": np.uint8, "depth": np.uint16, "ids": np.uint8, "kinds": np.uint8}
    for name, values in arrays.items():
        np.save(shard / f"{name}.npy", values.numpy().astype(kinds.get(name, np.float32)))
    (shard / "vocabulary.json").write_text(json.dumps({"kinds": ["block"], "descriptions": {}}))
    assert [item.name for item in find_scenes([tmp_path / "folders", shard])] == ["a", "b", "shard/0"]
    assert len(list(find_scenes([tmp_path / "folders"], limit=1))) == 1
    from_shard = next(find_scenes([shard]))
    assert len(from_shard.truth.objects) == 3 and torch.equal(from_shard.truth.instance_ids[0], scene.truth.instance_ids[0])
    with pytest.raises(FileNotFoundError, match=r"expected scene\.json, images\.npy or the layout of"):
        list(find_scenes([tmp_path / "nothing"]))


def test_void_of_the_truth_is_neither_found_nor_missed(pipeline, scene):
    truth = scene.known_truth()
    void = replace(truth.objects[0], name="void", class_id=-1, box=None)
    known = replace(scene, truth=replace(truth, objects=(void, *truth.objects[1:])))
    figures = figures_of(evaluate(pipeline, [known], DEPTH))
    assert figures["objects"] == 2 and figures["AP50"] == pytest.approx(1.0)
    assert figures["AP50 in each view"] == pytest.approx(1.0) and figures["scene PQ"] > 0.8
    gone = replace(
        truth, instance_ids=tuple(torch.where(ids == 1, 0, ids) for ids in truth.instance_ids), objects=truth.objects[1:]
    )
    assert figures_of(evaluate(pipeline, [replace(scene, truth=gone)], DEPTH))["scene PQ"] < figures["scene PQ"]
