"""The engine `fast3dis`: instances without names from a small network, metres from known cameras, and what cannot be used."""

import logging
from dataclasses import dataclass, replace

import da3_members
import pytest
import torch
from raycast_scene import TABLE_SCENE, cast

from pan3d_core.config import ModelConfig, PipelineConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.engines import build_engine
from pan3d_core.models.da3.network import Da3Output
from pan3d_core.models.fast3dis.anchor_decoder import AnchorPrediction
from pan3d_core.models.fast3dis.network import Fast3disOutput
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.views.preprocessing import preprocess

SMALL_SIZE = PreprocessConfig(height=70, width=70, mode="longest", resample="opencv")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return da3_members.write_fast3dis(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def make(weights, **settings):
    config = ModelConfig(name="fast3dis", weights=str(weights), device="cpu", **{"min_score": 0.0, "nms_iou": 1.0, **settings})
    engine = build_engine(config)
    return replace(engine, facts=replace(engine.facts, preprocess=SMALL_SIZE))


@pytest.fixture(scope="module")
def engine(weights):
    return make(weights)


def batch(cell, count=4, **changes):
    return preprocess([replace(view, **{"depth": None, **changes}) for view in cell.views[:count]], SMALL_SIZE)


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_views_to_geometry_and_instances(engine, cell, count, posed):
    reconstruction, instances = engine(batch(cell, count, **({} if posed else {"cam_from_world": None})))
    assert reconstruction.depth.shape == (count, 56, 70) and not reconstruction.is_metric
    found = len(instances.scores)
    assert 0 < found <= 6 and instances.mask_logits.shape == (found, count, 16, 20)
    assert instances.class_logits is None and len(engine.facts.labels) == 0
    assert bool((instances.scores.diff() <= 0).all()) and 0 < float(instances.scores.min()) <= 1
    assert engine.facts.preprocess.mode == "longest" and engine.provenance == {"licence": "none"}


def test_settings_limit_the_instances(weights, cell):
    assert len(make(weights, max_instances=2)(batch(cell))[1].scores) == 2
    assert len(make(weights, min_score=1.0)(batch(cell))[1].scores) == 0
    assert len(make(weights, nms_iou=0.0)(batch(cell))[1].scores) < len(make(weights)(batch(cell))[1].scores)
    assert make(weights, precision="bfloat16")(batch(cell, 2))[0].depth.dtype == torch.float32


def test_equal_views_are_not_metric_and_say_why(engine, cell):
    views = [replace(cell.views[0], depth=None, camera=f"cam{index}") for index in range(3)]
    result = PerceptionPipeline(engine).process(views)
    assert not result.is_metric and "one place, which does not fix the scale" in result.warnings[-1]
    result = PerceptionPipeline(engine).process(views[:1])
    assert not result.is_metric and "a single camera does not fix the scale" in result.warnings[-1]


@pytest.mark.parametrize("place", [(0.0, 0.0, -5.0), (40.0, 0.0, 1.0)])
def test_anchors_that_no_view_sees_are_harmless(engine, cell, place):
    decoder = engine.network.func.decoder
    before = decoder.anchors.clone()
    with torch.no_grad():
        decoder.anchors.copy_(torch.tensor(place))
    reconstruction, instances = engine(batch(cell))
    with torch.no_grad():
        decoder.anchors.copy_(before)
    assert bool(torch.isfinite(instances.mask_logits).all()) and bool(torch.isfinite(instances.scores).all())
    torch.testing.assert_close(reconstruction.depth, engine(batch(cell))[0].depth)


def test_poses_of_some_views_are_not_given_to_the_network(engine, cell, caplog):
    views = [
        replace(view, depth=None, **({"cam_from_world": None} if index == 1 else {})) for index, view in enumerate(cell.views)
    ]
    with caplog.at_level(logging.WARNING):
        some = preprocess(views, SMALL_SIZE)
    assert "cam_from_world: missing for cam1; the network is not given the other views' either" in caplog.text
    torch.testing.assert_close(engine(some)[0].depth, engine(batch(cell, cam_from_world=None))[0].depth)
    assert (
        "no pose for cam1: what is known of the others places the result" in PerceptionPipeline(engine).process(views).warnings[0]
    )


def test_poses_in_millimetres_are_refused(engine, cell):
    def stretched(pose):
        moved = pose.clone()
        moved[:3, 3] *= 1000
        return moved

    views = [replace(view, depth=None, cam_from_world=stretched(view.cam_from_world)) for view in cell.views]
    with pytest.raises(ValueError, match=r"CameraView\.cam_from_world: expected metres, got cameras .*; millimetres\?"):
        PerceptionPipeline(engine).process(views)


@dataclass
class TruthfulNetwork:
    """Answers as a perfect network would, in a unit of its own; remembers the cameras that it was told."""

    scene: object
    unit_m: float = 0.25
    told: object = None

    def __call__(self, images, *, cameras):
        self.told = cameras
        poses = torch.stack([view.cam_from_world for view in self.scene.views[: images.shape[1]]])
        poses[:, :3, 3] /= self.unit_m
        intrinsics = torch.stack([view.intrinsics for view in self.scene.views[: images.shape[1]]])
        intrinsics[:, :2, 2] += 0.5
        depth = self.scene.depth[None, : images.shape[1]] / self.unit_m
        geometry = Da3Output(depth, torch.ones_like(depth), poses[None], intrinsics[None])
        masks = self.scene.instance_set().mask_logits[:, : images.shape[1]]
        count = len(masks)
        logits = torch.tensor([4.0, -4.0]).expand(1, count, 2)
        last = AnchorPrediction(torch.zeros(1, count, 3), logits, torch.eye(count)[None], torch.zeros(1, count, count))
        return Fast3disOutput(geometry, [last], masks.permute(1, 0, 2, 3)[None], torch.ones(1))


@pytest.mark.parametrize("views", ["all", "some posed", "two", "on a line", "one", "one with depth"])
def test_known_cameras_give_objects_in_metres(engine, views):
    scene = cast(TABLE_SCENE)
    network = TruthfulNetwork(scene)
    same_size = PreprocessConfig()  # of the scene, so that the network's answers fit
    pipeline = PerceptionPipeline(replace(engine, network=network, facts=replace(engine.facts, preprocess=same_size)))
    pipeline.config = PipelineConfig(workspace=WorkspaceConfig(support_height_m=0.0))
    seen = [replace(view, depth=view.depth if "with depth" in views else None) for view in scene.views]
    if views == "some posed":
        seen[2] = replace(seen[2], cam_from_world=None)
    if views.startswith(("one", "two")):
        seen = seen[: 1 if views.startswith("one") else 2]
    if views == "on a line":
        seen = [seen[0], seen[2]]
        network.scene = replace(scene, views=[scene.views[0], scene.views[2]], depth=scene.depth[[0, 2]], ids=scene.ids[[0, 2]])
    result = pipeline.process(seen)
    assert (network.told is None) == (views == "some posed")
    assert result.is_metric == (views != "one"), result.reconstruction.alignment
    assert len(result.panoptic.segments) == len(TABLE_SCENE)
    if views == "one":
        assert "a single camera does not fix the scale" in result.warnings[0]
        return
    assert result.reconstruction.metric_scale == pytest.approx(0.25, rel=1e-3)
    found = torch.stack([segment.box.world_from_box[:3, 3] for segment in result.panoptic.segments])
    errors = [float((found - center).norm(dim=-1).min()) for center in scene.centers]
    assert max(errors) < (0.015 if len(seen) > 2 else 0.05)  # few views see one side only


def test_licence_and_unsuitable_checkpoints(weights, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="pan3d"):
        make(weights)
    assert "licence of these weights: none" in caplog.text

    def refuse(error, words, path):
        with pytest.raises(error, match=words):
            build_engine(ModelConfig(name="fast3dis", weights=str(path)))

    refuse(ValueError, "ModelConfig.weights: expected the path of a FAST3DIS checkpoint, got none", "")
    refuse(FileNotFoundError, "weights: expected a file", tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:-5000])
    refuse(ValueError, "cut short", tmp_path / "cut.safetensors")
    refuse(ValueError, "is it for another model", da3_members.write_member(tmp_path, "anyview"))
