"""The robot in a view set is no object, no obstacle and no free space, and hides what is behind it."""

from dataclasses import replace

import pytest
import torch
from raycast_scene import LABELS, Ball, Block, cast
from robot_arms import gantry_urdf

from pan3d_core.body import RobotBody, held_object, look_for_body, parse_urdf, root_from_links
from pan3d_core.config import BodyConfig, PipelineConfig, PreprocessConfig, WorkspaceConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.engines.depth_clusters import DepthClusters
from pan3d_core.memory import ObjectState, Space
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.structures import Reconstruction
from pan3d_core.views.preprocessing import preprocess

CONFIG = PipelineConfig(workspace=WorkspaceConfig(support_height_m=0.0))
ROBOT = parse_urdf(gantry_urdf())
SLIDE_M = 0.12
ARM = Block((SLIDE_M, 0.0, 0.2), (0.04, 0.5, 0.3), rgb=(0.3, 0.3, 0.3))  # where the robot's box is then
MUG = Block((0.0, 0.0, 0.05), (0.06, 0.06, 0.1), rgb=(0.8, 0.1, 0.1))
BALL = Ball((0.22, 0.12, 0.035), 0.035, (0.1, 0.6, 0.2))  # before the arm, as cameras see it


def with_robot(views, slide_m=SLIDE_M, stamp_s=1.0):
    links = root_from_links(ROBOT, {"slide": slide_m})
    stamps = [int(stamp_s * 1e9) + k for k in range(len(views))]
    return [replace(view, world_from_links=links, stamp_ns=stamp) for view, stamp in zip(views, stamps)]


def clusters():
    """The engine of depth alone, at the size of the ray-cast views."""
    return DepthClusters(preprocess=PreprocessConfig())


class Network:
    """Knows a scene, and takes the arm for an object; its depth may be off."""

    facts = EngineFacts(PreprocessConfig(), LABELS)

    def __init__(self, scene, depth=None):
        self.scene, self.depth = scene, scene.depth if depth is None else depth

    def __call__(self, views):
        cameras, intrinsics = views.cam_from_world, views.intrinsics
        found = Reconstruction(self.depth, torch.ones_like(self.depth), intrinsics, cameras, is_metric=True)
        return found, self.scene.instance_set()


@pytest.fixture(scope="module")
def scene():
    return cast((ARM, BALL))


def on_arm(points):
    """(N, 3) -> (N,) bool: within 2 cm of the arm, and not on the table."""
    low, high = torch.tensor(ARM.center) - torch.tensor(ARM.size) / 2, torch.tensor(ARM.center) + torch.tensor(ARM.size) / 2
    return ((points > low - 0.02) & (points < high + 0.02)).all(-1) & (points[:, 2] > 0.03)


@pytest.mark.parametrize("with_depth", [True, False])
def test_the_robot_is_neither_object_nor_obstacle(scene, with_depth):
    engine = clusters() if with_depth else Network(scene)
    views = scene.views if with_depth else [replace(view, depth=None) for view in scene.views]
    plain = PerceptionPipeline(engine, CONFIG).process(views)
    assert on_arm(plain.panoptic.points).sum() > 1000
    result = PerceptionPipeline(engine, CONFIG, body=RobotBody(ROBOT)).process(with_robot(views))
    assert not result.warnings and "body" in result.timings_ms
    (ball,) = result.panoptic.segments
    assert (ball.box.world_from_box[:3, 3] - torch.tensor(BALL.center)).norm() < 0.02
    assert on_arm(result.panoptic.points).sum() == 0
    arm, ball_pixels = scene.ids == 1, scene.ids == 2
    assert (result.body_pixels & arm).sum() > 0.995 * arm.sum()
    assert (result.body_pixels & ball_pixels).sum() < 0.01 * ball_pixels.sum()
    assert not (result.panoptic.instance_id > 0)[arm].any()
    depth = result.reconstruction.depth[arm & result.body_pixels]
    assert (depth - scene.depth[arm & result.body_pixels]).abs().median() < 1e-3  # it hides what is behind it


def test_a_robot_without_measured_depth_hides_all_the_same(scene):
    """A dark arm gives depth cameras nothing."""
    views = [replace(view, depth=view.depth.masked_fill(ids == 1, 0.0)) for view, ids in zip(scene.views, scene.ids)]
    wrong = torch.where(scene.ids == 1, 2 * scene.depth, scene.depth)
    result = PerceptionPipeline(Network(scene, wrong), CONFIG, body=RobotBody(ROBOT)).process(with_robot(views))
    arm = scene.ids == 1
    assert (result.body_pixels & arm).sum() > 0.97 * arm.sum()
    assert (result.reconstruction.depth - scene.depth)[arm & result.body_pixels].abs().median() < 1e-3


def test_what_stands_far_before_the_robot_stays_where_depth_is_predicted(scene):
    eye = torch.linalg.inv(scene.views[1].cam_from_world)[:3, 3]
    near = Ball(tuple((0.5 * eye + 0.5 * torch.tensor(ARM.center)).tolist()), 0.03)
    other = cast((ARM, near))
    views = [replace(view, depth=None) for view in other.views]
    result = PerceptionPipeline(Network(other), CONFIG, body=RobotBody(ROBOT)).process(with_robot(views))
    pixels = other.ids == 2
    assert pixels.sum() > 50 and (result.body_pixels & pixels).sum() < 0.05 * pixels.sum()


def test_late_joints_leave_what_is_seen_past_the_robot(scene):
    batch = preprocess(with_robot(scene.views, SLIDE_M - 0.1), PreprocessConfig())
    seen = look_for_body(RobotBody(ROBOT), batch, BodyConfig())
    taken = seen.views.measured_pixels(batch.depth, 0.01)
    assert (taken & (scene.ids == 2)).sum() < 0.05 * (scene.ids == 2).sum()
    assert (taken & (scene.ids == 0)).sum() < 0.02 * (scene.ids == 0).sum()


def test_memory_says_that_the_robot_hides_and_takes_nothing_of_it_for_space():
    empty, before = cast(()), cast((MUG,))
    hidden = cast((MUG, ARM))
    engine = clusters()
    pipeline = PerceptionPipeline(engine, CONFIG, body=RobotBody(ROBOT))
    pipeline.process(with_robot(before.views, slide_m=0.9, stamp_s=1.0))
    (mug,) = pipeline.memory.world.objects
    for step in range(2, 14):  # far longer than an object takes to be gone
        pipeline.process(with_robot(hidden.views, stamp_s=float(step)))
        (item,) = pipeline.memory.world.objects
        assert item.state is ObjectState.OCCLUDED and item.reason.startswith("hidden by the robot")
    behind_and_in = torch.tensor([ARM.center, (MUG.center[0], MUG.center[1], 0.2)])
    assert (pipeline.memory.space.at(behind_and_in) != Space.OCCUPIED).all()
    for step in range(14, 18):  # an arm where the mug was does not show that the mug has gone
        behind = cast((Block((0.0, 0.0, 0.2), ARM.size, rgb=ARM.rgb),))
        pipeline.process(with_robot(behind.views, slide_m=0.0, stamp_s=float(step)))
        assert pipeline.memory.world.objects[0].state is not ObjectState.GONE
    for step in range(18, 22):
        pipeline.process(with_robot(empty.views, slide_m=0.9, stamp_s=float(step)))
    assert (
        pipeline.memory.world.objects[0].state is ObjectState.GONE
        and pipeline.memory.world.objects[0].instance_id == mug.instance_id
    )


def test_what_the_robot_holds_belongs_to_it():
    """An object that is fastened to a link moves with it: no object of its own, wherever the link goes."""
    lifted = Block((SLIDE_M + 0.1, 0.0, 0.25), (0.06, 0.06, 0.1))
    moved = Block((0.2 + 0.1, 0.0, 0.25), lifted.size)
    scene = cast((lifted, ARM))
    points = PerceptionPipeline(clusters(), CONFIG).process(scene.views).reconstruction.world_points
    body = RobotBody(ROBOT)
    place = root_from_links(ROBOT, {"slide": SLIDE_M})[ROBOT.index("carriage")]
    body.hold([held_object(7, points[scene.ids == 1], 0.2, "carriage", place)])
    after = cast((moved, replace_center(ARM, 0.2)))
    config = replace(CONFIG, outlines=replace(CONFIG.outlines, max_gap_m=1.0))
    bare = PerceptionPipeline(clusters(), config, body=RobotBody(ROBOT)).process(with_robot(after.views, 0.2))
    assert len(bare.panoptic.segments) == 1
    held = PerceptionPipeline(clusters(), config, body=body).process(with_robot(after.views, 0.2))
    assert held.panoptic.segments == ()
    pixels = after.ids == 1
    assert (held.body_pixels & pixels).sum() > 0.97 * pixels.sum()
    body.hold(())
    assert body.held == ()


def replace_center(block, x):
    return Block((x, *block.center[1:]), block.size, rgb=block.rgb)


def test_what_cannot_be_held_is_said():
    with pytest.raises(ValueError, match="object 3: expected 8 points of its surface or more, got 2"):
        held_object(3, torch.zeros(2, 3), 0.0, "carriage", torch.eye(4))
    with pytest.raises(ValueError, match="lie in no plane"):
        held_object(3, torch.zeros(20, 3), 0.0, "carriage", torch.eye(4))
    held = held_object(3, torch.rand(20, 3), 0.0, "hand", torch.eye(4))
    with pytest.raises(ValueError, match="expected one of base_link, carriage, got 'hand'"):
        RobotBody(ROBOT).hold([held])


def test_views_of_which_the_robot_is_not_known_are_told_of(scene):
    views = with_robot(scene.views)
    engine, body = clusters(), RobotBody(ROBOT)
    some = [replace(views[0], world_from_links=None), *views[1:]]
    result = PerceptionPipeline(engine, CONFIG, body=body).process(some)
    assert "the robot's body is not taken out of cam0: where its joints were is not known" in result.warnings
    assert not result.body_pixels[0].any() and result.body_pixels[1].any()
    result = PerceptionPipeline(engine, CONFIG, body=body).process(scene.views)
    assert result.body_pixels is None and "cam0, cam1, cam2, cam3" in result.warnings[0]
    off = replace(CONFIG, body=BodyConfig(enabled=False))
    assert PerceptionPipeline(engine, off, body=body).process(views).body_pixels is None
    unposed = [replace(view, cam_from_world=None, depth=None) for view in views]
    seen = look_for_body(body, preprocess(unposed, PreprocessConfig()), BodyConfig())
    assert seen.views is None and "poses and intrinsics of all cameras are needed" in seen.warnings[0]


def test_links_have_their_shape(scene):
    with pytest.raises(ValueError, match="CameraView.world_from_links: expected shape"):
        replace(scene.views[0], world_from_links=torch.eye(4))
