"""The whole pipeline on the synthetic cell, measured against its truth, without any network."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pan3d_core.config import PipelineConfig, PreprocessConfig
from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.evaluation.runner import evaluate
from pan3d_core.evaluation.sampling import sample_at_network
from pan3d_core.evaluation.scenes import find_scenes
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.preprocess import preprocess
from pan3d_core.scene_io import Scene, SceneObject, SceneTruth, write_scene
from pan3d_core.structures import OrientedBox


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


def test_sensor_depth_on_separate_blocks_is_near_perfect(pipeline, scene):
    seen = []
    result = evaluate(pipeline, [scene], use_depth=True, progress=lambda done, total: seen.append((done, total)))
    figures = dict(result.rows())
    assert figures["AP50"] == pytest.approx(1.0) and figures["objects"] == 3 and seen == [(1, 1)]
    assert figures["depth AbsRel"] < 1e-6 and figures["scene PQ, objects without classes"] > 0.8
    assert figures["centre error, median (mm)"] < 8 and figures["box IoU of found, mean"] > 0.6
    assert figures["AP50 with names"] == 0.0 and math.isnan(figures["names right of found"])  # this engine names nothing
    assert json.dumps(result.to_dict())


def test_nothing_found_is_zero(pipeline, scene, make_cell):
    render_cell, _ = make_cell
    bare = replace(scene, views=tuple(render_cell([]).views))
    figures = dict(evaluate(pipeline, [bare], use_depth=True).rows())
    assert figures["AP50"] == 0.0 and figures["found (mask IoU > 0.5)"] == 0.0


def test_engine_that_needs_depth_refuses_colour_cameras_and_scenes_need_truth(pipeline, scene):
    with pytest.raises(ValueError, match="depth"):
        evaluate(pipeline, [scene], use_depth=False)
    with pytest.raises(ValueError, match="scene cell: expected instances"):
        evaluate(pipeline, [replace(scene, truth=None)], use_depth=True)


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
