"""Printed packages and nameless things: their prints, how they stand, and where banks and data show them."""

import numpy as np
import pytest

from pan3d_eval.datasets.scenes import find_scenes
from pan3d_sim.data.bank import Contents, ObjectBank
from pan3d_sim.data.scene_records import NAMELESS_KIND
from pan3d_sim.data.shard_rendering import RenderPlan, render_data_set
from pan3d_sim.data.shards import SceneSettings
from pan3d_sim.objects.kinds import KINDS, rest_pose, sample_object
from pan3d_sim.objects.meshes import matrix_from_quat
from pan3d_sim.objects.odd_shapes import NAMELESS, sample_odd_shape
from pan3d_sim.objects.packages import PRINTED_KINDS, sample_package
from pan3d_sim.objects.prints import sample_palette, sample_print
from training.data.arrays import NAMELESS as NAMELESS_IN_BATCHES
from training.data.arrays import ShardSet

SMALL = SceneSettings(num_views=2, width=36, height=28)


def drawn(sample, count=40):
    return [sample(np.random.default_rng(seed)) for seed in range(count)]


def test_prints_are_of_their_palette_and_differ():
    prints = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        palette = sample_palette(rng)
        prints.append(sample_print(rng, palette, 32))
        assert prints[-1].shape == (32, 32, 3) and prints[-1].dtype == np.uint8
        low, high = 255 * palette.min(0) - 1, 255 * palette.max(0) + 1
        assert (prints[-1] >= low).all() and (prints[-1] <= high).all()
    assert len({picture.tobytes() for picture in prints}) == 12
    assert np.mean([len(np.unique(picture.reshape(-1, 3), axis=0)) > 1 for picture in prints]) > 0.9


@pytest.mark.parametrize("kind", PRINTED_KINDS)
def test_a_package_is_of_a_known_kind_and_its_texture_covers_its_main_parts(kind):
    assert kind in KINDS
    for seed in range(6):
        item = sample_package(np.random.default_rng(seed), kind)
        printed = [part for part in item.parts if part.texture is not None]
        assert item.kind == kind and printed and item.is_modelled
        for part in printed:
            assert part.texcoords.shape == (len(part.mesh.vertices), 2)
            assert part.texcoords.min() >= 0 and part.texcoords.max() <= 1
        assert np.ptp(printed[0].texcoords, axis=0).min() > 0.9


def test_sides_of_a_carton_have_tiles_of_their_own():
    box = sample_package(np.random.default_rng(0), "box")
    part = box.parts[0]
    length, depth, height = np.ptp(part.mesh.vertices, axis=0)
    normals = np.repeat(np.arange(3), 8)  # vertices of a cuboid come face by face
    for axis, extent in enumerate((length, depth, height)):
        own = normals == axis
        assert np.allclose(np.abs(part.mesh.vertices[own, axis] - part.mesh.vertices[:, axis].mean()), extent / 2)
        assert (np.floor(3 * part.texcoords[own, 0]) == axis).all()
    upright = normals < 2
    above = part.mesh.vertices[:, 2] > height / 2
    assert (part.texcoords[upright & above, 1] < 0.5).all() and (part.texcoords[upright & ~above, 1] > 0.5).all()


@pytest.mark.parametrize("sample", [sample_package, sample_odd_shape])
def test_things_come_in_many_sizes_and_rest_on_the_support(sample):
    items = drawn(sample)
    longest = [max(item.extents_m) for item in items]
    assert min(longest) > 0.03 and max(longest) < 0.4 and max(longest) > 2.5 * min(longest)
    for item in items[:12]:
        position, quat = rest_pose(item, np.random.default_rng(1), np.zeros(2), 0.1)
        corners = np.concatenate([part.mesh.vertices for part in item.parts]) @ matrix_from_quat(quat).T + position
        assert abs(corners[:, 2].min() - 0.1) < 1e-6
        assert (corners[:, 2] < 0.1 + 1e-3).sum() >= 1


def test_what_rests_on_a_side_has_its_middle_above_it():
    for item in drawn(sample_odd_shape, 10):
        solid = np.concatenate([part.mesh.vertices for part in item.parts])
        for quat in item.rest_quats_wxyz:
            turned = solid @ matrix_from_quat(np.array(quat)).T
            foot = turned[turned[:, 2] < turned[:, 2].min() + 0.04 * max(item.extents_m)][:, :2]  # nearly level faces are one
            middle = solid.mean(0) @ matrix_from_quat(np.array(quat)).T
            assert (foot.min(0) - 1e-3 <= middle[:2]).all() and (middle[:2] <= foot.max(0) + 1e-3).all()


def test_only_things_with_a_print_can_be_asked_for():
    with pytest.raises(ValueError, match="kind: expected one of box, .*, got 'hammer'"):
        sample_package(np.random.default_rng(0), "hammer")


@pytest.mark.parametrize("contents, expected", [
    (Contents(printed_share=1.0), set(PRINTED_KINDS)), (Contents(odd_share=1.0), {NAMELESS}),
])  # fmt: skip
def test_a_bank_shows_what_its_shares_say(contents, expected):
    bank = ObjectBank(np.random.default_rng(0), size=20, width=64, height=48, contents=contents)
    assert {item.kind for item in bank.objects} <= expected and all(item.is_modelled for item in bank.objects)
    scene = bank.render_scene(np.random.default_rng(1), 2)
    bank.close()
    assert scene.objects and {placed.spec.kind for placed in scene.objects} <= expected


def test_without_shares_banks_are_what_they_were():
    bank = ObjectBank(np.random.default_rng(0), size=6, width=64, height=48)
    bank.close()
    rng = np.random.default_rng(0)
    assert [item.name for item in bank.objects] == [sample_object(rng, kind).name for kind in KINDS[:6]]
    settings = SMALL.facts()["settings"]
    assert "printed_share" not in settings and "odd_share" not in settings


def test_shares_must_be_shares():
    with pytest.raises(ValueError, match="odd_share: expected 0 to 1, got 1.5"):
        SceneSettings(odd_share=1.5)


def test_data_tell_nameless_things_from_void(tmp_path):
    settings = SceneSettings(num_views=2, width=48, height=36, odd_share=0.5)
    assert render_data_set(RenderPlan(tmp_path / "train", 0, 6, settings, shard_size=6)) == []
    stored = np.load(next((tmp_path / "train").glob("*/kinds.npy")))
    assert (stored == NAMELESS_KIND).any() and (stored < len(KINDS)).any()
    shards = ShardSet(tmp_path / "train")
    batch = shards.batch(np.arange(6), [np.arange(2)] * 6)
    assert torch_equal(batch.kinds == NAMELESS_IN_BATCHES, stored == NAMELESS_KIND)
    assert not bool(batch.void.any()) and NAMELESS not in shards.vocabulary()["kinds"]
    objects = [item for scene in find_scenes([tmp_path / "train"]) for item in scene.truth.objects]
    things = [item for item in objects if item.class_id < 0]
    assert len(things) == (stored == NAMELESS_KIND).sum() and len(objects) == (stored != 255).sum()
    assert all(item.name.endswith(NAMELESS) and not item.is_void for item in things)


def torch_equal(found, expected):
    width = expected.shape[1]
    return bool((found[:, :width].numpy() == expected).all())
