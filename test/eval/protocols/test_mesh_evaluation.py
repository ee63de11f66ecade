"""A pipeline's segments on the vertices of a scan: perfect answers score 1, and each transfer reacts to what it measures."""

from dataclasses import replace

import pytest
import torch
from published_scenes import write_aria, write_scannet
from raycast_scene import TABLE_SCENE, cast

from pan3d_core.config import PipelineConfig, PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.labels import LabelSpace
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import InstanceSet, Reconstruction
from pan3d_core.views.preprocessing import preprocess
from pan3d_eval.datasets import read_dataset_scene
from pan3d_eval.figures import figure_table
from pan3d_eval.metrics.average_precision import instance_ap
from pan3d_eval.protocols.mesh_evaluation import MeshOverlaps, masks_on_depth_images, mesh_overlaps, query_overlaps
from pan3d_eval.runner import evaluate

NAMES = ("lamp", "chair", "sofa", "box")  # as the scan's objects are annotated, in the benchmark's words


class Knowing:
    """An engine that has seen the answer; `order` changes who is who in each view, `scale` the unit of its world."""

    facts = EngineFacts(PreprocessConfig(), LabelSpace.things(NAMES))

    def __init__(self, order=None, scale=1.0, moved=None):
        self.order, self.scale, self.moved = order, scale, moved

    def __call__(self, views):
        scene = cast(TABLE_SCENE)
        ids = scene.ids if self.order is None else torch.stack([turn[i] for turn, i in zip(self.order, scene.ids)])
        logits = 10.0 * torch.stack([(ids == k + 1).float() for k in range(4)]) - 5
        cameras = torch.stack([view.cam_from_world for view in scene.views])
        if self.moved is not None:
            cameras = cameras @ torch.linalg.inv(self.moved)
        cameras[:, :3, 3] *= self.scale
        depth = scene.depth * self.scale
        intrinsics = torch.stack([view.intrinsics for view in scene.views])
        reconstruction = Reconstruction(depth, torch.ones_like(depth), intrinsics, cameras, is_metric=self.scale == 1.0)
        classes = torch.cat([8 * torch.eye(4), torch.zeros(4, 1)], 1)
        return reconstruction, InstanceSet(logits, classes, torch.tensor([0.9, 0.8, 0.7, 0.6]), self.facts.labels)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return read_dataset_scene(write_scannet(tmp_path_factory.mktemp("scannet")))


def run(engine, scene, *, poses: bool = True):
    views = [replace(v, depth=None, cam_from_world=v.cam_from_world if poses else None) for v in scene.views]
    return PerceptionPipeline(engine, PipelineConfig()).process(views)


def test_perfect_segments_score_one_on_the_scan(scene):
    found = mesh_overlaps(run(Knowing(), scene), scene, poses_given=True)
    assert found.unposed is None
    posed = instance_ap([found.posed])
    # Chair and couch are classes of the benchmark; lamp, box and floor are void, and nothing is held against finding them.
    assert posed.ap50 == posed.ap25 == 1 and posed.num_true == 2 and posed.ap > 0.8
    named = instance_ap([found.posed_named], class_aware=True)
    assert {number: values[1] for number, values in named.per_class.items()} == {5: 1.0, 6: 1.0}
    assert posed.protocol.startswith("posed")


def test_an_object_that_is_somebody_else_in_half_of_the_views_is_lost(scene):
    keep, swap = torch.arange(5), torch.tensor([0, 1, 3, 2, 4])  # chair and sofa change places in half of the views
    found = mesh_overlaps(run(Knowing(order=[keep, swap, keep, swap]), scene), scene, poses_given=True)
    assert instance_ap([found.posed]).ap50 < 0.6


def test_wrong_names_count_only_where_names_do(scene):
    engine = Knowing()
    engine.facts = replace(engine.facts, labels=LabelSpace.things(("lamp", "sofa", "chair", "box")))
    found = mesh_overlaps(run(engine, scene), scene, poses_given=True)
    assert instance_ap([found.posed]).ap50 == 1
    assert instance_ap([found.posed_named], class_aware=True).ap50 == 0


def test_without_poses_the_predicted_points_vote(scene):
    turn = torch.tensor([[0.0, -1, 0, 0.3], [1, 0, 0, -0.2], [0, 0, 1, 0.5], [0, 0, 0, 1]])
    found = mesh_overlaps(run(Knowing(scale=0.4, moved=turn), scene, poses=False), scene, poses_given=False)
    unposed = instance_ap([found.unposed])
    assert unposed.protocol.startswith("unposed") and unposed.ap25 == 1
    with pytest.raises(ValueError, match="expected one protocol"):
        instance_ap([found.posed, found.unposed])


def test_query_masks_may_overlap(scene):
    engine = Knowing()
    views = [replace(v, depth=None) for v in scene.views]
    batch = preprocess(views, engine.facts.preprocess)
    _, instances = engine(batch)
    twice = replace(
        instances,
        mask_logits=torch.cat([instances.mask_logits, instances.mask_logits]),
        class_logits=torch.cat([instances.class_logits, instances.class_logits]),
        scores=torch.cat([instances.scores, instances.scores / 2]),
    )
    assert instance_ap([query_overlaps(instances, batch, scene)]).ap50 == 1
    assert instance_ap([query_overlaps(twice, batch, scene)]).ap50 == 1  # the copies come last: full recall is reached before


@pytest.mark.parametrize("size", [(112, 144), (56, 72), (96, 96), (84, 140)])
def test_masks_reach_the_depth_image_s_pixels(scene, size):
    """A mask over the left quarter of the original image covers the left quarter of the depth image, however it was resized."""
    batch = preprocess([replace(v, depth=None) for v in scene.views], PreprocessConfig(height=size[0], width=size[1]))
    columns = torch.arange(size[1], dtype=torch.float64)
    mapping = batch.network_from_original[0].double()
    original = (columns - mapping[0, 2]) / mapping[0, 0]
    mask = (original < 35.5).float().expand(1, 4, size[0], size[1])
    covered, seen = (masks_on_depth_images(m, batch, scene, scene.truth.mesh)[0, 0].bool() for m in (mask, torch.ones_like(mask)))
    assert covered.shape == (112, 144)
    known = seen[:, :35].float().mean()
    assert known > 0.5 and torch.equal(covered[:, :35], seen[:, :35]) and not covered[:, 37:].any()


def test_scenes_without_a_scan_have_nothing_on_it(tmp_path, scene):
    aria = read_dataset_scene(write_aria(tmp_path))
    result = run(Knowing(), scene)
    assert mesh_overlaps(result, aria, poses_given=True) == MeshOverlaps()
    with pytest.raises(ValueError, match="expected a scan and poses"):
        query_overlaps(InstanceSet(torch.zeros(1, 1, 4, 4), None, torch.ones(1), Knowing.facts.labels), result.views, aria)


def test_the_report_s_figures_have_the_scan_and_name_the_transfer(scene):
    pipeline = PerceptionPipeline(Knowing(), PipelineConfig())
    figures = {item.name: item.value for item in figure_table(evaluate(pipeline, [scene]))}
    on_mesh = {name: value for name, value in figures.items() if name.startswith("mesh AP50")}
    assert len(on_mesh) == 2 and set(on_mesh.values()) == {1.0} and all("posed, gap under 0.1 m" in name for name in on_mesh)


def test_no_segments_score_zero(scene):
    engine = Knowing(order=[torch.zeros(5, dtype=torch.long)] * 4)
    found = mesh_overlaps(run(engine, scene), scene, poses_given=True)
    assert instance_ap([found.posed]).ap50 == 0
