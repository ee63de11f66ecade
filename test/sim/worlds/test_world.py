"""A wild world keeps its promises: cameras see, walls stand behind them, clutter stays out of the way, light has its ranges."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from pan3d_sim.cameras.rig import look_at
from pan3d_sim.data.bank import ObjectBank, RenderedScene, SceneStream
from pan3d_sim.worlds.config import WORLDS, CameraRanges, LightRanges, SurroundingsRanges
from pan3d_sim.worlds.lights import white
from pan3d_sim.worlds.rigs import sample_any_rig
from pan3d_sim.worlds.sky import Environment, sky_face
from pan3d_sim.worlds.world import World

SPHERES = np.array([[0.1, 0.1, 0.05, 0.06], [-0.15, 0.05, 0.1, 0.1], [0.0, -0.2, 0.02, 0.03]])


@pytest.fixture(scope="module")
def wild():
    """A world and its model, without objects."""
    spec, world = mujoco.MjSpec(), World(replace(WORLDS["wild"], surfaces=replace(WORLDS["wild"].surfaces, count=2)))
    world.build(spec, np.random.default_rng(0))
    return world, spec.compile()


def scenes_of(wild, count):
    """Cameras and model of one scene after the other."""
    world, model = wild
    for seed in range(count):
        rng = np.random.default_rng(seed)
        world.randomize(model, rng)
        cameras = world.cameras(rng, 4, (144, 112), None, SPHERES)
        world.surround(model, rng, cameras, SPHERES)
        yield model, cameras


def shown(model, prefix):
    geoms = [model.geom(index) for index in range(model.ngeom)]
    return [geom for geom in geoms if geom.name.startswith(prefix) and model.geom_group[geom.id] == 1]


def test_lenses_and_places_of_cameras_span_their_ranges_and_most_objects_are_seen():
    ranges, cameras = CameraRanges(), []
    for seed in range(80):
        cameras += sample_any_rig(np.random.default_rng(seed), 4, (144, 112), ranges, SPHERES)
    fields = np.degrees([2 * np.arctan(0.5 * 144 / camera.intrinsics[0, 0]) for camera in cameras])
    eyes = np.stack([camera.world_from_cam[:3, 3] for camera in cameras])
    distances, elevations = np.linalg.norm(eyes, axis=1), np.degrees(np.arcsin(eyes[:, 2] / np.linalg.norm(eyes, axis=1)))
    assert 33 < fields.min() < 40 and 95 < fields.max() < 113
    assert 0.2 < distances.min() < 0.4 and 1.0 < distances.max() < 2.4
    assert 5 < elevations.min() < 16 and 60 < elevations.max() < 90
    assert (np.linalg.norm(eyes[:, None] - SPHERES[:, :3], axis=2) > SPHERES[:, 3]).all()
    seen = []
    for camera in cameras:
        pixels, z = camera.project(SPHERES[:, :3])
        seen.append(((z > 0) & (pixels > 0).all(1) & (pixels < (143, 111)).all(1)).mean())
    assert np.mean(np.array(seen) >= 0.5) > 0.95


def test_walls_stand_behind_all_cameras_and_tables_reach_beyond_the_workspace(wild):
    walls = 0
    for model, cameras in scenes_of(wild, 60):
        eyes = np.stack([camera.world_from_cam[:3, 3] for camera in cameras])
        for wall in shown(model, "wall"):
            matrix = np.zeros(9)
            mujoco.mju_quat2Mat(matrix, wall.quat)
            outward = matrix.reshape(3, 3)[:, 2]
            assert (eyes @ outward).max() < wall.pos @ outward - 0.1
            walls += 1
        floor = model.geom("floor").pos[2]
        for table in shown(model, "table"):
            assert floor < 0 and (table.size[:2] - np.abs(table.pos[:2]) >= 0.269).all() and table.pos[2] + table.size[2] == 0
        for table in shown(model, "round_table"):
            assert table.size[0] - np.linalg.norm(table.pos[:2]) > 0.3 and table.pos[2] + table.size[1] == pytest.approx(0)
        if not shown(model, "table") and not shown(model, "round_table"):
            assert floor == 0
    assert walls > 60


def test_clutter_stands_beside_the_workspace_and_in_no_cameras_way(wild):
    things = 0
    for model, cameras in scenes_of(wild, 60):
        for thing in shown(model, "clutter"):
            things += 1
            assert np.linalg.norm(thing.pos[:2]) > 0.33
            for camera in cameras:
                eye = camera.world_from_cam[:3, 3]
                points = eye * (1 - np.linspace(0, 1, 50))[:, None]
                assert np.linalg.norm(points - thing.pos, axis=1).min() > thing.size.max()
    assert things > 100


def test_an_arm_is_in_view_at_times_and_touches_no_object(wild):
    arms = 0
    for model, _ in scenes_of(wild, 60):
        parts = shown(model, "arm")
        arms += bool(parts)
        for part in parts[3:]:
            assert (np.linalg.norm(SPHERES[:, :3] - part.pos, axis=1) > SPHERES[:, 3]).all()
    assert 5 < arms < 30


def test_light_is_hard_or_soft_dim_or_bright_and_warm_or_cold(wild):
    suns, levels, warmth, shadows = [], [], [], []
    for model, _ in scenes_of(wild, 60):
        active = [name for name in ("sun", "sun_1") if model.light(name).active[0]]
        suns.append(len(active))
        shadows.append(bool(model.light("sun").castshadow[0]))
        diffuse = sum(model.light(name).diffuse for name in active)
        levels.append(float(np.mean(model.vis.headlight.ambient + diffuse)))
        warmth.append(float(diffuse[0] / diffuse[2]))
    assert set(suns) == {1, 2} and set(shadows) == {True, False}
    assert min(levels) < 0.7 < 1.1 < max(levels)
    assert min(warmth) < 0.9 and max(warmth) > 1.6


def test_white_is_daylight_at_6500_kelvin_red_below_and_blue_above():
    assert np.allclose(white(6500), 1)
    assert white(2700)[0] == 1 and white(2700)[2] < 0.5 and white(10000)[2] == 1 and white(10000)[0] < 0.9


def test_a_raised_scene_shows_the_same_pictures():
    rng = np.random.default_rng(0)
    cameras = sample_any_rig(rng, 2, (144, 112), CameraRanges(), SPHERES)
    empty = np.zeros(0)
    scene = RenderedScene(empty, empty, empty, cameras, [], 0.0).raised(0.7)
    assert scene.support_height_m == 0.7
    for before, after in zip(cameras, scene.cameras):
        assert np.allclose(before.project(SPHERES[:, :3])[0], after.project(SPHERES[:, :3] + [0, 0, 0.7])[0])


def test_the_sky_shows_its_panorama_where_nothing_stands():
    """The middle column of a panorama is +x, what is left of it towards +y."""
    panorama = np.zeros((64, 128, 3), np.uint8)
    panorama[:, 60:68], panorama[:, 28:36], panorama[:6] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    ones = np.ones(3)
    world = World(replace(WORLDS["surroundings"], surroundings=SurroundingsRanges(walls_share=0, clutter=(0, 0), shelf_share=0)))
    world._draw_environment = lambda rng: Environment(panorama, ones, ones, ones)
    bank = ObjectBank(np.random.default_rng(0), size=1, width=36, height=28, supersample=1, world=world)
    scene = bank.render_scene(np.random.default_rng(0), 1)
    camera, seen = scene.cameras[0], []
    for direction in ([1.0, 0.0, 0.05], [0.0, 1.0, 0.05], [0.05, 0.0, 1.0]):
        cam_from_world = look_at(np.zeros(3) + [0, 0, 0.3], np.array(direction) + [0, 0, 0.3])
        rgb, depth, ids = bank.renderer.render(replace(camera, cam_from_world=cam_from_world))
        row, column = np.round(camera.intrinsics[:2, 2]).astype(int)[::-1]
        assert depth[row, column] == 0 and ids[row, column] == -1
        seen.append(rgb[row, column].argmax())
        assert rgb[row, column].max() > 200
    bank.close()
    assert seen == [0, 1, 2]


def test_faces_of_the_sky_meet_at_their_edges():
    smooth = np.outer(np.linspace(0, 255, 64), np.ones(128))[..., None].repeat(3, 2).astype(np.uint8)
    front, left = sky_face(smooth, 0, 32), sky_face(smooth, 5, 32)
    assert np.abs(front[:, 0].astype(int) - left[:, -1]).max() < 12  # stored mirrored: the left edge is at the right


def test_no_light_is_brighter_than_its_ranges_say(wild):
    ranges = LightRanges()
    for model, _ in scenes_of(wild, 40):
        assert (model.light_diffuse >= 0).all() and model.light_diffuse.max() <= 1.3 * ranges.exposure[1]


def test_scenes_of_the_plain_cell_stay_what_they_were_before_there_were_other_worlds():
    """Figures noted then: shards, held-out scenes and the scoreboard stand on them."""
    with SceneStream(num_views=1, width=36, height=28) as stream:
        scene = stream.render(0)
        model = stream._open[1].model
    expected = [[0.5608575, -0.8269607, -0.0396847, -0.0202977], [-0.5130124, -0.3095114, -0.8006379, 0.0289071]]
    assert np.allclose(scene.cameras[0].cam_from_world[:2], expected, atol=1e-6)
    assert np.allclose(scene.cameras[0].intrinsics[0], [39.7991664, 0, 17.7979027], atol=1e-5)
    first = ["white pan", "blue book", "blue ball", "purple can", "blue pan", "yellow box", "white vase"]
    assert [placed.spec.name for placed in scene.objects] == first and scene.support_height_m == 0
    assert np.allclose(scene.objects[2].position, [-0.0537677, 0.1882485, 0.0112674], atol=1e-6)
    assert np.allclose(scene.objects[2].rgb, (0.5135473, 0.5258871, 0.5197779), atol=1e-6)
    assert np.allclose(model.geom("table").rgba[:3], [0.9341391, 0.8074987, 0.8325737], atol=1e-6)
    assert np.allclose(model.light("sun").dir, [-0.0150919, 0.2048852, -0.9786696], atol=1e-6)
    assert np.allclose(model.mat_texrepeat[model.material("surface_0").id], 1.0162063, atol=1e-6)


@pytest.mark.slow
def test_wild_scenes_follow_from_their_seed_and_real_cameras_move_nothing():
    ideal = World(replace(WORLDS["wild"], effects=None))
    scenes = []
    for world in (World(WORLDS["wild"]), World(WORLDS["wild"]), ideal):
        with SceneStream(num_views=1, width=36, height=28, world=world) as stream:
            scenes.append(stream.render(7))
    first, again, clean = scenes
    assert (first.images == again.images).all() and (first.depth == again.depth).all()
    assert (first.images != clean.images).any() and (first.depth == clean.depth).all() and (first.ids == clean.ids).all()
    assert (first.cameras[0].cam_from_world == clean.cameras[0].cam_from_world).all()
