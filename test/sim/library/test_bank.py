"""Tests of drawing modelled objects, and of folders that are damaged."""

import json

import numpy as np
import pytest

from pan3d_sim.data.bank import Contents, SceneStream
from pan3d_sim.data.shards import SceneSettings
from pan3d_sim.library.bank import ObjectLibrary
from pan3d_sim.library.fetch import convert_all
from pan3d_sim.library.folder import INDEX_FILE, load_object
from pan3d_sim.library.tables import ListedObject
from pan3d_sim.objects.coats import sample_coat
from pan3d_sim.objects.kinds import KINDS


@pytest.fixture
def folder(tmp_path, catalogue):
    folder = tmp_path / "objects"
    folder.mkdir()
    rows = [ListedObject("Scopia", "cube", "toaster oven", "train", 0.12)]
    convert_all({"Scopia": catalogue}, rows, folder)
    return folder


def test_what_is_drawn_follows_from_the_random_numbers(folder):
    library = ObjectLibrary(folder)
    first, again = (library.sample(np.random.default_rng(5)) for _ in range(2))
    other = library.sample(np.random.default_rng(6))
    assert first.is_modelled and first.kind == "toaster oven" and first.extents_m == again.extents_m != other.extents_m
    assert 0.85 * 0.12 - 1e-6 <= max(first.extents_m) <= 1.15 * 0.12 + 1e-6
    assert np.allclose(np.ptp(first.vertices, axis=0), first.extents_m)


def test_modelled_objects_keep_their_surfaces_mostly_and_are_painted_at_times(folder):
    spec = ObjectLibrary(folder).sample(np.random.default_rng(0))
    coats = [sample_coat(np.random.default_rng(seed), spec) for seed in range(200)]
    own = [coat for coat in coats if not any(coat.painted)]
    assert 0.5 < len(own) / len(coats) < 0.8 and any(all(coat.painted) for coat in coats)
    assert {coat.color_name for coat in own} <= {"blue"} and len({coat.color_name for coat in coats}) > 5
    assert all(min(rgb) >= 0 and max(rgb) <= 1 for coat in coats for rgb in coat.part_rgb)


def test_a_scene_shows_modelled_and_procedural_objects_with_masks_of_their_own(folder):
    with SceneStream(KINDS[:3], num_views=2, width=96, height=72, contents=Contents(ObjectLibrary(folder), 0.5)) as stream:
        scenes = [stream.render(seed) for seed in range(3)]
        modelled = [item.spec.is_modelled for scene in scenes for item in scene.objects]
        assert any(modelled) and not all(modelled)
        again = stream.render(0)
    assert np.array_equal(again.images, scenes[0].images) and np.array_equal(again.ids, scenes[0].ids)
    for scene in scenes:
        assert set(np.unique(scene.ids)) - {0} == set(range(1, len(scene.objects) + 1))


def test_settings_say_what_the_objects_are_and_not_where_they_lie(folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    facts = SceneSettings(objects=str(moved)).facts()
    assert "elsewhere" not in json.dumps(facts["settings"]) and facts["settings"]["object_split"] == "train"
    assert facts["kinds"][: len(KINDS)] == list(KINDS) and len(facts["kinds"]) > 150
    assert all(facts["descriptions"][kind] and facts["paraphrases"][kind] for kind in facts["kinds"])
    assert "objects" not in SceneSettings().facts()["settings"]


def test_held_out_kinds_come_after_those_of_training_so_that_indices_agree(folder):
    known = SceneSettings(objects=str(folder)).kinds
    held_out = SceneSettings(objects=str(folder), object_split="held-out")
    assert held_out.kinds[: len(known)] == known and {"teapot", "helmet"} <= set(held_out.kinds[len(known) :])
    assert not held_out.is_for_training and SceneSettings(objects=str(folder)).is_for_training


def test_a_folder_without_objects_of_the_split_and_unknown_splits_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="expected some of held-out .* got none"):
        ObjectLibrary(folder, "held-out")
    with pytest.raises(ValueError, match="object split: expected one of train, held-out"):
        ObjectLibrary(folder, "test")
    with pytest.raises(ValueError, match="object_split: expected one of train, held-out"):
        SceneSettings(object_split="test")
    with pytest.raises(ValueError, match="object_share: expected 0 to 1"):
        SceneSettings(object_share=1.5)
    with pytest.raises(ValueError, match="expected a folder that `pan3d sim objects fetch` has written"):
        ObjectLibrary(tmp_path / "none")


def _rewritten(path, **changes):
    with np.load(path) as data:
        arrays = dict(data) | changes
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"texture_0": np.zeros((4, 8), np.uint8)}, "texture_0"),
        ({"texture_0": np.zeros((0, 8, 3), np.uint8)}, "texture_0"),
        ({"texcoords_0": np.zeros((2, 2), np.float32)}, "texcoords_0"),
        ({"vertices_0": np.full((3, 3), np.nan)}, "vertices_0"),
        ({"faces_0": np.full((3, 3), 999)}, "faces_0"),
        ({"rest_quats_wxyz": np.zeros((1, 4))}, "rest_quats_wxyz"),
        ({"looks": np.zeros((0, 5))}, "rest_quats_wxyz"),
    ],
)
def test_damaged_arrays_are_refused_with_file_and_field(folder, changes, field):
    path = folder / "Scopia-cube.npz"
    _rewritten(path, **changes)
    with pytest.raises(ValueError, match=rf"Scopia-cube\.npz: {field}: expected"):
        load_object(path)


def test_missing_and_cut_files_are_named(folder):
    path = folder / "Scopia-cube.npz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"Scopia-cube\.npz: expected a prepared object"):
        ObjectLibrary(folder).sample(np.random.default_rng(0))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"Scopia-cube\.npz"):
        ObjectLibrary(folder).sample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 9}, "format: expected 1, got 9; fetch the objects again"),
        ({"objects": [{"name": "x"}]}, "expected an index of modelled objects"),
        ({"objects": 3}, "expected an index of modelled objects"),
    ],
)
def test_a_damaged_index_is_refused_by_name(folder, change, reason):
    path = folder / INDEX_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=reason):
        ObjectLibrary(folder)


def test_an_index_may_not_lead_out_of_its_folder(folder):
    path = folder / INDEX_FILE
    content = json.loads(path.read_text())
    content["objects"][0]["file"] = "../x.npz"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="inside the folder"):
        ObjectLibrary(folder)


def test_objects_are_drawn_by_number_as_often_as_the_number_is_there(folder):
    drawn = ObjectLibrary(folder).draw(np.random.default_rng(0), [0, 0, 0])
    assert {item.kind for item in drawn} == {"toaster oven"}
    assert len({item.extents_m for item in drawn}) == 3  # each of a size of its own
