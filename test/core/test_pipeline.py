"""The whole journey on a ray-cast table, with engines that say what a good or a bad network would say."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import LABELS, TABLE_SCENE, Ball, Scene, cast

from pan3d_core.config import (
    AlignConfig,
    MergeConfig,
    OutlineConfig,
    PipelineConfig,
    PlacementConfig,
    PreprocessConfig,
    WorkspaceConfig,
)
from pan3d_core.engines import EngineFacts
from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.memory.objects import ObjectState
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import InstanceSet, PoseConsistency, Reconstruction, SupportHeight

CONFIG = PipelineConfig(workspace=WorkspaceConfig(support_height_m=0.0))
STAGES = {"preprocess", "poses", "engine", "align", "refine", "merge", "track", "total"}


class TruthfulEngine:
    """Knows the scene; errs as told."""

    def __init__(self, scene, bias=(1.0, 1.0, 1.0, 1.0), scale=1.0, needs_depth=False):
        self.scene, self.bias, self.scale = scene, torch.tensor(bias)[:, None, None], scale
        self.facts = EngineFacts(PreprocessConfig(), LABELS, needs_depth=needs_depth)

    def __call__(self, views):
        cameras = torch.stack([view.cam_from_world for view in self.scene.views])
        cameras[:, :3, 3] /= self.scale
        intrinsics = torch.stack([view.intrinsics for view in self.scene.views])
        depth = self.scene.depth * self.bias / self.scale
        reconstruction = Reconstruction(depth, torch.ones_like(depth), intrinsics, cameras, is_metric=self.scale == 1.0)
        return reconstruction, self.scene.instance_set()


def without(views, *names):
    return [replace(view, **dict.fromkeys(names)) for view in views]


def center_errors(result, scene) -> list[float]:
    """Distance of each true centre to the nearest box centre."""
    found = torch.stack([segment.box.world_from_box[:3, 3] for segment in result.panoptic.segments])
    return [float((found - center).norm(dim=-1).min()) for center in scene.centers]


@pytest.fixture(scope="module")
def scene():
    return cast(TABLE_SCENE)


def test_cameras_and_a_network(scene):
    result = PerceptionPipeline(TruthfulEngine(scene), CONFIG).process(without(scene.views, "depth"))
    assert result.is_metric
    assert result.warnings == ()
    assert max(center_errors(result, scene)) < 0.01
    assert set(result.timings_ms) == STAGES
    assert result.timings_ms["total"] == pytest.approx(sum(v for k, v in result.timings_ms.items() if k != "total"))
    assert result.views.support_height_m == 0.0


def test_a_network_of_unknown_scale_is_aligned(scene):
    result = PerceptionPipeline(TruthfulEngine(scene, scale=4.0), CONFIG).process(without(scene.views, "depth"))
    assert result.is_metric
    assert result.reconstruction.metric_scale == pytest.approx(4.0, rel=1e-3)
    assert max(center_errors(result, scene)) < 0.012


def test_masks_correct_what_the_network_gets_wrong(scene):
    """Depth 4 % off is 28 mm here; the masks of the other views bring the objects back."""
    engine = TruthfulEngine(scene, bias=(1.04, 0.96, 1.03, 0.97))
    views = without(scene.views, "depth")
    corrected = center_errors(PerceptionPipeline(engine, CONFIG).process(views), scene)
    uncorrected_config = replace(CONFIG, placement=PlacementConfig(enabled=False))
    uncorrected = center_errors(PerceptionPipeline(engine, uncorrected_config).process(views), scene)
    assert max(corrected) < 0.012
    assert sum(corrected) < 0.6 * sum(uncorrected)


def test_measured_depth_beats_a_wrong_network(scene):
    engine = TruthfulEngine(scene, bias=(1.1, 0.9, 1.15, 0.85))
    result = PerceptionPipeline(engine, CONFIG).process(scene.views)
    assert max(center_errors(result, scene)) < 0.01


def test_without_cameras_and_depth_it_is_flagged(scene):
    pipeline = PerceptionPipeline(TruthfulEngine(scene, scale=4.0), CONFIG)
    result = pipeline.process(without(scene.views, "depth", "cam_from_world"))
    assert not result.is_metric
    assert "not metric" in result.warnings[0]
    assert len(result.panoptic.segments) == len(TABLE_SCENE)


def test_metres_from_poses_alone_come_with_a_warning(scene):
    pipeline = PerceptionPipeline(TruthfulEngine(scene, scale=4.0), CONFIG)
    result = pipeline.process(without(scene.views, "depth", "intrinsics"))
    assert result.is_metric
    assert "no intrinsics in every view" in result.warnings[0]
    assert not pipeline.process(without(scene.views, "depth")).warnings


@pytest.mark.parametrize("posed", [1, 3])
def test_poses_of_some_views_place_the_result_and_it_says_so(scene, posed):
    views = [*without(scene.views[:posed], "depth"), *without(scene.views[posed:], "depth", "cam_from_world")]
    result = PerceptionPipeline(TruthfulEngine(scene, scale=4.0), CONFIG).process(views)
    assert result.is_metric == (posed > 1)
    lacking = ", ".join(view.camera for view in scene.views[posed:])
    assert f"no pose for {lacking}: what is known of the others" in result.warnings[0]
    if posed > 1:
        assert max(center_errors(result, scene)) < 0.02
        assert bool((result.panoptic.instance_id[3] > 0).any())  # masks are kept where points are not


def test_what_the_frame_of_the_network_cuts_is_said(scene):
    """A square frame of a picture that is wider by a third loses a quarter of it; the frame of the engine's own loses nothing."""
    square = DepthClusters(PreprocessConfig(height=112, width=112, mode="cover"))
    warnings = PerceptionPipeline(square, CONFIG).process(scene.views).warnings
    share = scene.views[0].hw[0] / scene.views[0].hw[1]
    assert any(
        f"the network's frame cuts the pictures, objects outside are not found: it sees the middle {share:.0%} of" in w
        for w in warnings
    )
    assert not any("cuts" in warning for warning in PerceptionPipeline(DepthClusters(), CONFIG).process(scene.views).warnings)


def test_a_support_height_that_is_not_given_is_taken_from_the_views_and_told(scene):
    known = PerceptionPipeline(TruthfulEngine(scene), CONFIG).process(scene.views)
    unknown = PerceptionPipeline(TruthfulEngine(scene), replace(CONFIG, workspace=WorkspaceConfig())).process(scene.views)
    assert abs(unknown.views.support_height_m) < 0.005
    assert any("support's height is not given" in warning for warning in unknown.warnings)
    assert not any("support's height" in warning for warning in known.warnings)


def test_a_height_that_was_found_is_kept_for_as_long_as_it_is_frozen(scene, monkeypatch):
    pipeline = PerceptionPipeline(TruthfulEngine(scene), replace(CONFIG, workspace=WorkspaceConfig()))
    frozen = replace(pipeline.config, workspace=WorkspaceConfig(freeze_support=True))
    names = tuple(view.camera for view in scene.views)
    heights = iter((0.3, 0.4, 0.5))

    def seen(*_):
        support = SupportHeight(next(heights), 0.001, 40, by_depth=False, wide=True)
        return PoseConsistency(names, (1.0,) * len(names), support=support)

    monkeypatch.setattr(pipeline._watch, "check", seen)
    first = pipeline.process(scene.views)
    pipeline.reconfigure(frozen)
    second = pipeline.process(scene.views)
    pipeline.reconfigure(replace(frozen, workspace=WorkspaceConfig()))
    third = pipeline.process(scene.views)
    assert [result.views.support_height_m for result in (first, second, third)] == [0.3, 0.3, 0.5]
    assert second.found_support == first.found_support and "0.300 m, found before, is kept" in second.warnings[0]


@pytest.mark.parametrize("wide", [True, False])
def test_a_support_that_may_be_a_wall_is_not_taken_for_one(scene, monkeypatch, wide):
    pipeline = PerceptionPipeline(TruthfulEngine(scene), replace(CONFIG, workspace=WorkspaceConfig()))
    names = tuple(view.camera for view in scene.views)
    found = PoseConsistency(names, (1.0,) * len(names), support=SupportHeight(0.3, 0.001, 40, by_depth=False, wide=wide))
    monkeypatch.setattr(pipeline._watch, "check", lambda *_: found)
    result = pipeline.process(scene.views)
    assert result.views.support_height_m == (0.3 if wide else None)
    assert any("seen to find it: set workspace.support_height_m" in warning for warning in result.warnings) is not wide
    assert (result.found_support is not None) == wide


def test_ids_last_over_updates_and_reset(scene):
    pipeline = PerceptionPipeline(TruthfulEngine(scene), CONFIG)
    later = [replace(view, stamp_ns=view.stamp_ns + 500_000_000) for view in scene.views]
    first, second = pipeline.process(scene.views), pipeline.process(later)
    assert [s.instance_id for s in first.panoptic.segments] == [s.instance_id for s in second.panoptic.segments]
    pipeline.reset()
    third = pipeline.process(later)
    assert not {s.instance_id for s in third.panoptic.segments} & {s.instance_id for s in first.panoptic.segments}


def test_other_settings_hold_from_the_next_set_on_and_a_fresh_pipeline_counts_from_one(scene):
    pipeline = PerceptionPipeline(TruthfulEngine(scene), CONFIG)
    first = pipeline.process(scene.views)
    ids = {segment.instance_id for segment in first.panoptic.segments}
    pipeline.reconfigure(replace(CONFIG, merge=MergeConfig(min_points=100_000)))
    assert pipeline.process(scene.views).panoptic.segments == ()
    pipeline.reconfigure(CONFIG)
    assert {segment.instance_id for segment in pipeline.process(scene.views).panoptic.segments} == ids  # tracks stay
    pipeline.reset()
    assert not {segment.instance_id for segment in pipeline.process(scene.views).panoptic.segments} & ids
    fresh = pipeline.fresh(replace(CONFIG, workspace=WorkspaceConfig(support_height_m=0.01)))
    result = fresh.process(scene.views)
    assert fresh.engine is pipeline.engine and result.views.support_height_m == 0.01
    assert min(segment.instance_id for segment in result.panoptic.segments) == 1


def test_a_moved_object_keeps_its_id(scene):
    engine = TruthfulEngine(scene)
    pipeline = PerceptionPipeline(engine, CONFIG)
    first = pipeline.process(scene.views)
    engine.scene = cast((Ball((0.07, -0.10, 0.03), 0.03), *TABLE_SCENE[1:]))
    later = [replace(view, stamp_ns=view.stamp_ns + 500_000_000) for view in engine.scene.views]
    second = pipeline.process(later)
    assert [s.instance_id for s in first.panoptic.segments] == [s.instance_id for s in second.panoptic.segments]


def test_an_engine_that_needs_depth_says_so(scene):
    with pytest.raises(ValueError, match="CameraView.depth"):
        PerceptionPipeline(TruthfulEngine(scene, needs_depth=True), CONFIG).process(without(scene.views, "depth"))
    holes = [replace(view, depth=torch.full_like(view.depth, float("nan"))) for view in scene.views]
    with pytest.raises(ValueError, match="which this engine needs, got images that measure nothing"):
        PerceptionPipeline(TruthfulEngine(scene, needs_depth=True), CONFIG).process(holes)
    warnings = PerceptionPipeline(TruthfulEngine(scene), CONFIG).process([holes[0], *scene.views[1:]]).warnings
    assert any(text == f"the depth of {holes[0].camera} holds no measurement (0, NaN or less everywhere)" for text in warnings)


class SmallDevice(TruthfulEngine):
    """Fails as torch does when more than `limit` views are to be processed; records how many were asked for."""

    def __init__(self, scene, limit):
        super().__init__(scene)
        self.limit, self.asked, self.all_scene = limit, [], scene

    def __call__(self, views):
        self.asked.append(views.num_views)
        if views.num_views > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")
        chosen = [[view.camera for view in self.all_scene.views].index(camera) for camera in views.cameras]
        instances = self.all_scene.instance_set()
        self.scene = Scene(
            [self.all_scene.views[k] for k in chosen], self.all_scene.depth[chosen], self.all_scene.ids[chosen], TABLE_SCENE
        )
        self.bias = torch.ones(len(chosen), 1, 1)
        reconstruction, _ = super().__call__(views)
        return reconstruction, replace(instances, mask_logits=instances.mask_logits[:, chosen])


def test_covered_lenses_are_told_and_find_no_objects_rather_than_none(scene):
    views = without(scene.views, "depth")
    covered = [replace(view, image=torch.full_like(view.image, 0.02)) for view in views]
    engine = SmallDevice(scene, limit=4)
    one, all_of_them = (PerceptionPipeline(engine, CONFIG).process(given) for given in ([covered[0], *views[1:]], covered))
    told = f"the picture of {views[0].camera} shows nothing but one colour: is the lens covered, or the exposure wrong?"
    assert any(text.startswith(told) for text in one.warnings) and one.finds_objects and not all_of_them.finds_objects
    assert one.views.cameras == tuple(view.camera for view in views[1:])  # what a covered lens does not see is not empty
    assert all_of_them.views.cameras == tuple(view.camera for view in views)
    assert not any("one colour" in text for text in PerceptionPipeline(engine, CONFIG).process(views).warnings)


def test_what_is_known_outlives_covered_lenses(scene):
    views = without(scene.views, "depth")
    later = [replace(view, stamp_ns=view.stamp_ns + 10**9) for view in views]
    covered = [replace(view, image=torch.zeros_like(view.image)) for view in later]
    pipeline = PerceptionPipeline(TruthfulEngine(scene), CONFIG)
    first = pipeline.process(views)
    assert not pipeline.process(covered).finds_objects
    assert {item.state for item in pipeline.memory.world.objects} == {ObjectState.VISIBLE}
    again = pipeline.process([replace(view, stamp_ns=view.stamp_ns + 10**9) for view in later])
    assert [s.instance_id for s in again.panoptic.segments] == [s.instance_id for s in first.panoptic.segments]


def test_too_little_memory_leaves_out_views(scene):
    engine = SmallDevice(scene, limit=2)
    result = PerceptionPipeline(engine, CONFIG).process(without(scene.views, "depth"))
    assert engine.asked == [4, 2]
    assert result.views.cameras == ("cam0", "cam3")  # the two ends of the arc
    assert "2 of 4 views were left out" in result.warnings[0] and "cam0, cam3" in result.warnings[0]
    assert result.is_metric and max(center_errors(result, scene)) < 0.012
    assert result.panoptic.instance_id.shape[0] == 2
    unposed = PerceptionPipeline(engine, CONFIG).process(without(scene.views, "depth", "cam_from_world"))
    assert unposed.views.cameras == ("cam0", "cam3") and len(unposed.warnings) == 2


def test_far_too_little_memory_is_an_error(scene):
    engine = SmallDevice(scene, limit=1)
    with pytest.raises(torch.OutOfMemoryError, match="9.00 GiB"):
        PerceptionPipeline(engine, CONFIG).process(without(scene.views, "depth"))
    assert engine.asked == [4, 2]
    engine.limit, engine.asked = 0, []
    with pytest.raises(torch.OutOfMemoryError):
        PerceptionPipeline(engine, CONFIG).process(without(scene.views[:1], "depth"))
    assert engine.asked == [1]


def test_an_empty_table_is_no_error(scene):
    class Blind(TruthfulEngine):
        def __call__(self, views):
            reconstruction, _ = super().__call__(views)
            return reconstruction, InstanceSet(torch.zeros(0, 4, 56, 72), torch.zeros(0, 3), torch.zeros(0), LABELS)

    result = PerceptionPipeline(Blind(scene), CONFIG).process(without(scene.views, "depth"))
    assert result.panoptic.segments == ()
    assert len(result.panoptic.points) > 1000


def test_stricter_settings_reach_their_stage(scene):
    strict = replace(CONFIG, merge=MergeConfig(min_points=10_000), align=AlignConfig(depth_source="model"))
    result = PerceptionPipeline(TruthfulEngine(scene), strict).process(scene.views)
    assert result.panoptic.segments == ()


def test_the_namer_has_the_last_word(scene):
    class Namer:
        def classify(self, panoptic):
            return replace(panoptic, segments=tuple(replace(s, class_id=1) for s in panoptic.segments))

    result = PerceptionPipeline(TruthfulEngine(scene), CONFIG, Namer()).process(scene.views)
    assert {s.class_id for s in result.panoptic.segments} == {1}
    assert "name" in result.timings_ms


def test_depth_gives_outlines_unless_the_settings_keep_the_networks(scene):
    engine = TruthfulEngine(scene)
    fused = PerceptionPipeline(engine, CONFIG).process(scene.views)
    assert fused.outlines_fused and "outlines" in fused.timings_ms
    kept = PerceptionPipeline(engine, replace(CONFIG, outlines=OutlineConfig(from_depth=False))).process(scene.views)
    assert not kept.outlines_fused and set(kept.timings_ms) == STAGES
    assert not PerceptionPipeline(engine, CONFIG).process(without(scene.views, "depth")).outlines_fused
    assert max(center_errors(fused, scene)) <= max(center_errors(kept, scene)) + 0.002


def test_metres_that_stand_on_what_was_not_checked_say_so(scene):
    views = [replace(view, image=torch.full_like(view.image, 0.5)) for view in without(scene.views, "depth")]
    result = PerceptionPipeline(TruthfulEngine(scene), CONFIG).process(views)
    assert result.is_metric and result.consistency.contradiction == ""
    assert sum("not checked" in words for words in result.consistency.unchecked) == 2


def test_a_support_height_that_is_not_given_is_taken_from_what_is_seen(scene):
    unknown = replace(CONFIG, workspace=WorkspaceConfig())
    result = PerceptionPipeline(TruthfulEngine(scene), unknown).process(scene.views)
    assert result.views.support_height_m == pytest.approx(0.0, abs=0.003)
    assert any("the support's height is not given; depth shows it at" in warning for warning in result.warnings)
    left = replace(unknown, workspace=WorkspaceConfig(find_support=False))
    result = PerceptionPipeline(TruthfulEngine(scene), left).process(scene.views)
    assert result.views.support_height_m is None and result.warnings == ()
    without_poses = without(scene.views, "cam_from_world")
    assert PerceptionPipeline(TruthfulEngine(scene), unknown).process(without_poses).views.support_height_m is None
