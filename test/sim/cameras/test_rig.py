"""Cameras: what MuJoCo renders is what the OpenCV camera says."""

import mujoco
import numpy as np
import pytest

from pan3d_sim.cameras.renderer import Renderer
from pan3d_sim.cameras.rig import (
    RigConfig,
    hand_from_wrist_cam,
    invert_rigid,
    look_at,
    overview_camera,
    read_gl_camera,
    sample_rig,
    sample_wrist_rig,
    wrist_camera,
    write_gl_camera,
)

WIDTH, HEIGHT, RADIUS = 320, 240, 0.004
POINTS = np.array([[0.10, 0.12, 0.05], [-0.17, 0.10, 0.03], [0.15, -0.17, 0.10], [0.0, 0.0, 0.02], [-0.1, -0.15, 0.2]])


@pytest.fixture(scope="module")
def rendered_spheres():
    """A function that renders small spheres at POINTS; sphere i is geom i."""
    spec = mujoco.MjSpec()
    for point in POINTS:
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0, 0], pos=point)
    spec.worldbody.add_light(pos=[0, 0, 2])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with Renderer(model, WIDTH, HEIGHT) as renderer:
        renderer.update(data)
        yield renderer.render


def all_rigs():
    rng = np.random.default_rng(5)
    yield from sample_rig(rng, 4, WIDTH, HEIGHT)
    yield from sample_rig(rng, 3, WIDTH, HEIGHT, RigConfig(spread="ring", principal_jitter=0.1))
    yield from sample_wrist_rig(rng, 3, WIDTH, HEIGHT)


def test_rendered_spheres_lie_at_their_projected_pixels(rendered_spheres):
    errors = []
    for camera in all_rigs():
        _, depth, geom_ids = rendered_spheres(camera)
        pixels, z = camera.project(POINTS)
        for index, (pixel, distance) in enumerate(zip(pixels, z)):
            rows, columns = np.nonzero(geom_ids == index)
            inside = (pixel > 5).all() and (pixel < [WIDTH - 6, HEIGHT - 6]).all()
            assert bool(len(rows)) or not inside
            if not inside:
                continue
            errors.append(np.array([columns.mean(), rows.mean()]) - pixel)
            column, row = np.round(pixel).astype(int)
            assert depth[row, column] == pytest.approx(distance - RADIUS, abs=0.002)
    assert len(errors) > 30
    assert np.abs(errors).max() < 0.5
    # A wrong pixel-centre convention would be a systematic half pixel.
    assert np.abs(np.mean(errors, axis=0)).max() < 0.1


def test_gl_camera_round_trip():
    model = mujoco.MjSpec().compile()
    gl_camera = mujoco.MjvScene(model, maxgeom=1).camera[0]
    for camera in all_rigs():
        write_gl_camera(gl_camera, camera)
        back = read_gl_camera(gl_camera, WIDTH, HEIGHT)
        np.testing.assert_allclose(back.intrinsics, camera.intrinsics, atol=2e-3)
        np.testing.assert_allclose(back.cam_from_world, camera.cam_from_world, atol=1e-5)


def test_skew_is_refused():
    camera = next(iter(all_rigs()))
    camera.intrinsics[0, 1] = 2.0
    with pytest.raises(ValueError, match="no skew"):
        write_gl_camera(mujoco.MjvScene(mujoco.MjSpec().compile(), maxgeom=1).camera[0], camera)


@pytest.mark.parametrize("spread", ["front", "ring"])
def test_rig_sees_the_workspace_from_spread_places(spread):
    config = RigConfig(spread=spread)
    corners = np.array([[x, y, 0.0] for x in (-0.2, 0.2) for y in (-0.2, 0.2)])
    for seed in range(20):
        cameras = sample_rig(np.random.default_rng(seed), 4, 144, 112, config)
        assert len({camera.name for camera in cameras}) == 4
        centers = np.stack([camera.world_from_cam[:3, 3] for camera in cameras])
        distances = np.linalg.norm(centers, axis=1)
        assert (distances > 0.5).all() and (distances < 0.92).all()
        assert (spread == "ring") or (centers[:, 0] < 0).all()
        apart = np.linalg.norm(centers[:, None] - centers[None], axis=-1)[~np.eye(4, dtype=bool)]
        assert apart.min() > 0.04
        for camera in cameras:
            pixels, z = camera.project(corners)
            assert (z > 0.2).all()
            assert (pixels > -8).all() and (pixels < [152, 120]).all()
            # "most of the image": the table's square spans at least 40 % of the image width
            assert np.ptp(pixels[:, 0]) > 0.4 * 144


def test_rig_is_reproducible_and_follows_the_support():
    first, again = (sample_rig(np.random.default_rng(3), 4, 320, 240) for _ in range(2))
    higher = sample_rig(np.random.default_rng(3), 4, 320, 240, RigConfig(support_height_m=0.5))
    for a, b, c in zip(first, again, higher):
        np.testing.assert_array_equal(a.cam_from_world, b.cam_from_world)
        np.testing.assert_allclose(c.world_from_cam[:3, 3] - a.world_from_cam[:3, 3], [0, 0, 0.5], atol=1e-9)
        np.testing.assert_allclose(c.intrinsics, a.intrinsics, atol=1e-6)


def test_resized_camera_sees_the_same():
    camera = sample_rig(np.random.default_rng(0), 1, 640, 480)[0]
    small = camera.resized(160, 120)
    pixels, _ = camera.project(POINTS)
    small_pixels, _ = small.project(POINTS)
    np.testing.assert_allclose((pixels + 0.5) / 4, small_pixels + 0.5, atol=1e-6)


def test_wrist_camera_moves_with_the_hand_and_sees_the_finger_tips():
    world_from_hand = invert_rigid(look_at(np.array([0.1, 0.0, 0.3]), np.array([0.1, 0.05, 0.0])))
    camera = wrist_camera(world_from_hand, 320, 240)
    np.testing.assert_allclose(camera.world_from_cam, world_from_hand @ hand_from_wrist_cam())
    pixels, z = camera.project(world_from_hand[None, :3, 3])
    assert z[0] > 0.1 and (pixels > 0).all() and (pixels < [320, 240]).all()


def test_overview_shows_the_workspace_and_what_is_lifted_above_it():
    camera = overview_camera(320, 240)
    corners = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.2, 0.2) for z in (0.0, 0.3)])
    pixels, z = camera.project(corners)
    assert (z > 0.2).all() and (pixels > 0).all() and (pixels < [320, 240]).all()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="num_views"):
        sample_rig(np.random.default_rng(0), 0, 320, 240)
    with pytest.raises(ValueError, match=r"RigConfig\.spread"):
        RigConfig(spread="everywhere")
