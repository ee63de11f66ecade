"""Surfaces made by rule and from photographs, and what a world does to the cell."""

import json
from dataclasses import replace

import cv2
import mujoco
import numpy as np
import pytest

from pan3d_sim.data.bank import ObjectBank
from pan3d_sim.data.shards import SceneSettings
from pan3d_sim.worlds.config import WORLDS, SurfaceRanges, WorldConfig
from pan3d_sim.worlds.photographs import read_photographs
from pan3d_sim.worlds.procedural import draw_color, draw_surface
from pan3d_sim.worlds.world import World


@pytest.fixture
def folder(tmp_path):
    """Two photographs, one of them grey and twice as wide as high."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "red.png"), np.full((300, 300, 3), (20, 30, 200), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.repeat(rng.integers(0, 255, (300, 600, 1)), 3, 2).astype(np.uint8))
    write_list(tmp_path, [{"file": "red.png", "size_m": 0.3}, {"file": "grey.png", "size_m": 1.0}])
    return tmp_path


def write_list(folder, entries):
    (folder / "photographs.json").write_text(json.dumps(entries))


def test_photographs_keep_shape_and_scale_and_grey_ones_take_a_tint(folder):
    red, grey = read_photographs(folder).surfaces
    assert red.size_m == 0.3 and not red.tintable and (red.pixels[0, 0] == (200, 30, 20)).all()
    assert grey.size_m == 1.0 and grey.tintable and grey.pixels.shape == (128, 256, 3)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "a list of at least one photograph"),
        ([{"size_m": 1.0}], "entry 0: expected a file and a size_m"),
        ([{"file": "red.png", "size_m": 0}], "entry 0: size_m: expected 0.01 to 20 metres, got 0"),
        ([{"file": "red.png", "size_m": float("nan")}], "entry 0: size_m"),
        ([{"file": "../other.png", "size_m": 1}], "entry 0: file: expected a path inside"),
        ([{"file": "red.png", "size_m": 1}, {"file": "none.png", "size_m": 1}], "entry 1: expected a picture, got .*none.png"),
        ([{"file": "photographs.json", "size_m": 1}], "entry 0: expected a picture"),
    ],
)
def test_what_is_wrong_with_a_folder_of_photographs_is_named(folder, entries, message):
    write_list(folder, entries)
    with pytest.raises(ValueError, match=message):
        read_photographs(folder)
    with pytest.raises(FileNotFoundError, match=r"photographs: expected a file .*missing.photographs.json"):
        read_photographs(folder / "missing")


def test_tables_have_any_colour_saturated_ones_too():
    rng = np.random.default_rng(0)
    colors = np.stack([draw_color(rng) for _ in range(400)])
    spread = colors.max(1) - colors.min(1)
    assert (spread > 0.4).mean() > 0.2 and (spread < 0.05).mean() > 0.2
    saturated = colors[spread > 0.4]
    assert all((saturated.argmax(1) == channel).mean() > 0.2 for channel in range(3))


def test_surfaces_follow_from_the_seed_and_are_periodic():
    for seed in range(30):
        surface = draw_surface(np.random.default_rng(seed), 64)
        again = draw_surface(np.random.default_rng(seed), 64)
        assert surface.pixels.shape == (64, 64, 3) and 0.03 < surface.size_m < 2
        assert (surface.pixels == again.pixels).all() and surface.size_m == again.size_m


def table_colors(config, photographs=None):
    """Colour (0..255) of the table in 60 scenes of one model: the mean of its picture times its tint."""
    spec, world = mujoco.MjSpec(), World(config, photographs)
    world.build(spec, np.random.default_rng(0))
    model = spec.compile()
    role = mujoco.mjtTextureRole.mjTEXROLE_RGB
    colors = []
    for seed in range(60):
        world.randomize(model, np.random.default_rng(seed))
        table = model.geom("table")
        texture = model.texture(model.mat_texid[table.matid[0], role])
        first = texture.adr[0]
        pixels = model.tex_data[first : first + 3 * texture.width[0] * texture.height[0]].reshape(-1, 3)
        colors.append(pixels.mean(0) * table.rgba[:3])
    return np.stack(colors)


def test_wild_tables_are_saturated_where_those_of_the_cell_are_pale_and_warm():
    plain, wild = table_colors(WORLDS["cell"]), table_colors(WORLDS["surfaces"])
    assert (np.ptp(plain, axis=1) > 110).mean() < 0.1 < (np.ptp(wild, axis=1) > 110).mean()
    assert (wild[:, 2] > wild[:, 0] + 30).mean() > 0.1 and not (plain[:, 2] > plain[:, 0] + 30).any()


def test_photographs_appear_on_tables_and_in_pictures(folder):
    photographs, config = read_photographs(folder), WorldConfig(surfaces=SurfaceRanges(count=2, photograph_share=1.0))
    colors = table_colors(config, photographs)
    red = (colors[:, 0] > 2 * colors[:, 1]) & (colors[:, 0] > 2 * colors[:, 2])
    assert red.mean() > 0.2
    only_red = replace(photographs, surfaces=photographs.surfaces[:1])
    bank = ObjectBank(np.random.default_rng(0), size=3, width=36, height=28, supersample=1, world=World(config, only_red))
    scene = bank.render_scene(np.random.default_rng(0), 1)
    bank.close()
    background = np.median(scene.images[scene.ids == 0], axis=0)
    assert background[0] > 2 * background[1] and background[0] > 2 * background[2]


def test_data_of_the_plain_cell_says_what_it_always_said_and_that_of_other_worlds_names_them(folder, tmp_path):
    assert SceneSettings().facts()["settings"] == {"kind_set": "known", "num_views": 4, "width": 144, "height": 112}
    settings = SceneSettings(world="wild", photographs=str(folder)).facts()["settings"]
    assert settings["world"] == "wild" and settings["photographs"] == read_photographs(folder).digest
    with pytest.raises(ValueError, match="world: expected one of cell, surfaces, .*wild, got 'moon'"):
        SceneSettings(world="moon")
