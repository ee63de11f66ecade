"""Objects removed, recoloured, moved, copied, taken to another scene; and `pan3d edit` as a person meets it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_boxes import BOXES, boxes_scene

from pan3d_core.gaussians import editing
from pan3d_core.gaussians.camera_paths import camera_path
from pan3d_core.gaussians.pictures import rendered_ids
from pan3d_core.gaussians.places import extent_of, foot_of, rows_of, scene_up
from pan3d_core.gaussians.ply import read_gaussian_ply
from pan3d_core.gaussians.recoloring import color_of_text, recolored
from pan3d_core.gaussians.scene import GaussianScene, read_gaussian_scene, write_gaussian_scene
from pan3d_core.geometry.alignment import Similarity
from pan3d_core.geometry.rotations import matrix_between, matrix_from_quat_xyzw
from pan3d_core.language.colors import BASE_COLORS, name_color, oklab, rgb_of_oklab, typical_rgb
from pan3d_core.rendering.rasterizer import rasterize
from pan3d_tools import cli


@pytest.fixture(scope="module")
def scene() -> GaussianScene:
    return boxes_scene(0.02)


def center(scene: GaussianScene, instance_id: int) -> list[float]:
    return extent_of(scene, [instance_id]).center.tolist()


def of(scene: GaussianScene, instance_id: int, name: str) -> torch.Tensor:
    return getattr(scene.gaussians, name)[scene.instance_id == instance_id]


def test_removing_takes_exactly_the_object(scene):
    left = editing.without_instances(scene, [1, 3])
    assert left.ids() == (2,) and left.names == {2: "blue box"} and scene.ids() == (1, 2, 3)
    for name in ("means", "colors", "semantic_features"):
        for kept in (0, 2):
            assert torch.equal(of(left, kept, name), of(scene, kept, name))
    assert not (rendered_ids(left, camera_path(left, "views")) == 1).any()
    nothing = editing.without_instances(left, [2])
    assert nothing.ids() == () and nothing.names == {} and len(nothing.gaussians) == int((scene.instance_id == 0).sum())


def test_moving_and_turning(scene):
    moved = editing.with_motion(scene, 2, editing.Motion((0.05, -0.02, 0.1), turn_deg=90.0))
    assert center(moved, 2) == pytest.approx(np.add(BOXES[1][1], (0.05, -0.02, 0.1)).tolist(), abs=1e-5)
    size = of(moved, 2, "means").amax(0) - of(moved, 2, "means").amin(0)
    assert size.tolist() == pytest.approx([0.05, 0.10, 0.05], abs=1e-5)  # length and width have changed places
    ahead = of(scene, 2, "means") - torch.tensor(BOXES[1][1])
    turned = of(moved, 2, "means") - torch.tensor(center(moved, 2), dtype=torch.float32)
    torch.testing.assert_close(turned, torch.stack([-ahead[:, 1], ahead[:, 0], ahead[:, 2]], dim=1), atol=1e-5, rtol=0)
    for other in (0, 1, 3):
        assert torch.equal(of(moved, other, "means"), of(scene, other, "means"))
    back = editing.with_motion(moved, 2, editing.Motion((-0.05, 0.02, -0.1), turn_deg=-90.0))
    torch.testing.assert_close(back.gaussians.means, scene.gaussians.means, atol=1e-6, rtol=0)


def test_a_moved_object_looks_the_same_from_a_camera_moved_with_it():
    """Harmonics, rotations and places together: the object alone, seen by a camera that makes the same movement."""
    scene = boxes_scene(0.02, harmonics=3)
    alone = editing.without_instances(scene, [1, 3])
    alone = replace(alone, gaussians=replace(alone.gaussians, opacities=alone.gaussians.opacities * (alone.instance_id == 2)))
    motion = editing.Motion((0.03, 0.05, 0.02), turn_deg=70.0)
    middle = extent_of(alone, [2]).center.float()
    angle = torch.tensor(np.radians(35.0), dtype=torch.float32)
    turn = matrix_from_quat_xyzw(torch.stack([angle * 0, angle * 0, angle.sin(), angle.cos()]))
    movement = Similarity(1.0, turn, middle + torch.tensor(motion.offset) - turn @ middle)
    before = rasterize(alone.gaussians, alone.cam_from_world, alone.intrinsics, alone.image_hw)
    moved = editing.with_motion(alone, 2, motion)
    after = rasterize(moved.gaussians, movement.apply_to_cameras(alone.cam_from_world), alone.intrinsics, alone.image_hw)
    torch.testing.assert_close(after.colors, before.colors, atol=2e-3, rtol=0)
    unturned = rasterize(
        replace(moved.gaussians, colors=alone.gaussians.colors),
        movement.apply_to_cameras(alone.cam_from_world), alone.intrinsics, alone.image_hw,
    )  # fmt: skip
    assert (unturned.colors - before.colors).abs().max() > 0.02


def test_copies_get_ids_of_their_own(scene):
    named = replace(scene, names={**scene.names, 12: "something that has no Gaussians"})
    twice, new_id = editing.with_copy(named, 1, editing.Motion((0.0, 0.0, 0.2)))
    assert new_id == 13 and twice.names[13] == "red box" and twice.ids() == (1, 2, 3, 13)
    assert center(twice, 13) == pytest.approx(np.add(center(scene, 1), (0, 0, 0.2)).tolist(), abs=1e-6)
    assert torch.equal(of(twice, 13, "semantic_features"), of(scene, 1, "semantic_features"))
    assert torch.equal(of(twice, 1, "means"), of(scene, 1, "means"))
    again, third = editing.with_copy(editing.without_instances(twice, [13]), 1, editing.Motion((0.0, 0.0, 0.1)))
    assert third == 13 and again.ids() == (1, 2, 3, 13)


def test_recolouring_keeps_lightness_and_everything_else(scene):
    shade = torch.linspace(0.5, 1.1, int((scene.instance_id == 3).sum()))[:, None]
    colors = scene.gaussians.colors.clone()
    colors[scene.instance_id == 3] = (colors[scene.instance_id == 3] * shade).clamp(0, 1)
    shaded = replace(scene, gaussians=replace(scene.gaussians, colors=colors))
    orange = editing.with_color(shaded, 3, color_of_text("orange"))
    before, after = (oklab(of(item, 3, "colors").numpy()) for item in (shaded, orange))
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=0.02)
    hue = np.arctan2(after[:, 2], after[:, 1]) - np.arctan2(*oklab(color_of_text("orange"))[[2, 1]])
    assert np.abs(hue).max() < 0.08
    assert orange.names[3] == "orange box" and name_color(of(orange, 3, "colors").median(0).values.numpy()) in ("orange", "brown")
    for other in (0, 1, 2):
        assert torch.equal(of(orange, other, "colors"), of(shaded, other, "colors"))


def test_recolouring_harmonics_keeps_how_light_changes_with_the_view():
    scene = boxes_scene(0.05, harmonics=2)
    blue = editing.with_color(scene, 1, color_of_text("#2060d0"))
    before, after = of(scene, 1, "colors"), of(blue, 1, "colors")
    luma = torch.tensor([0.2126, 0.7152, 0.0722])
    torch.testing.assert_close(after[:, 1:] @ luma, before[:, 1:] @ luma, atol=1e-5, rtol=0)
    assert (after[:, 1:].std(-1) < 1e-6).all() and after.shape == before.shape
    assert blue.names[1] == "blue box"


@pytest.mark.parametrize("word", sorted(BASE_COLORS))
def test_every_colour_word_gives_colours_that_a_screen_shows(word):
    greys = torch.linspace(0, 1, 9)[:, None].expand(9, 3)
    made = recolored(greys, color_of_text(word))
    assert (made >= 0).all() and (made <= 1).all()
    np.testing.assert_allclose(oklab(made.numpy())[:, 0], oklab(greys.numpy())[:, 0], atol=0.02)


def test_oklab_and_back():
    colors = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(rgb_of_oklab(oklab(colors)), colors, atol=1e-9)
    assert name_color(typical_rgb("gray")) == "grey"


@pytest.mark.parametrize("text", ["mauvish", "#12345", "#1234567", "", "12"])
def test_no_colours(text):
    with pytest.raises(ValueError, match="colour: expected a word such as red"):
        color_of_text(text)


def test_into_another_scene(scene):
    other = replace(boxes_scene(0.03, harmonics=1), names={1: "a", 2: "b", 3: "c", 9: "gone"})
    joined, ids = editing.with_instances_of(other, scene, [3, 1], editing.Insertion(at=(0.0, 0.2, 0.01)))
    assert ids == {3: 10, 1: 11} and joined.names[10] == "green box" and joined.ids() == (1, 2, 3, 10, 11)
    assert foot_of(joined, [10, 11]).tolist() == pytest.approx([0.0, 0.2, 0.01], abs=1e-3)
    between = np.subtract(center(scene, 3), center(scene, 1))
    assert np.subtract(center(joined, 10), center(joined, 11)).tolist() == pytest.approx(between.tolist(), abs=1e-5)
    assert joined.gaussians.colors.shape[1:] == (4, 3)
    torch.testing.assert_close(of(joined, 10, "colors")[:, 0] * 0.28209479 + 0.5, of(scene, 3, "colors"))
    assert torch.equal(of(joined, 10, "semantic_features"), of(scene, 3, "semantic_features"))  # the same text space
    for name in ("means", "instance_features"):
        assert torch.equal(getattr(joined.gaussians, name)[: len(other.gaussians)], getattr(other.gaussians, name))
    half, _ = editing.with_instances_of(other, scene, [2], editing.Insertion(scale=0.5))
    assert extent_of(half, [10]).radius == pytest.approx(extent_of(scene, [2]).radius / 2, rel=1e-4)
    assert foot_of(half, [10]).tolist() == pytest.approx(foot_of(scene, [2]).tolist(), abs=1e-6)


def test_features_of_another_space_mean_nothing(scene):
    other = replace(scene, text_space=replace(scene.text_space, bias=scene.text_space.bias + 1))
    joined, ids = editing.with_instances_of(other, scene, [1])
    assert not of(joined, ids[1], "semantic_features").any() and of(joined, ids[1], "instance_features").any()
    plain = replace(scene, text_space=None, gaussians=replace(scene.gaussians, semantic_features=None, instance_features=None))
    assert editing.with_instances_of(plain, scene, [1])[0].gaussians.semantic_features is None
    joined, ids = editing.with_instances_of(scene, plain, [1])
    assert not of(joined, ids[1], "semantic_features").any() and not of(joined, ids[1], "instance_features").any()


def test_units_and_uprights_of_two_scenes(scene):
    tilt = matrix_between(torch.tensor([0.0, 0.0, 1.0]), torch.nn.functional.normalize(torch.tensor([0.2, -1.0, 0.1]), dim=0))
    other = replace(
        scene, is_metric=False, cam_from_world=Similarity(1.0, tilt, torch.zeros(3)).apply_to_cameras(scene.cam_from_world)
    )
    with pytest.raises(ValueError, match="scale: expected a factor, since one scene is metric"):
        editing.with_instances_of(other, scene, [3])
    joined, ids = editing.with_instances_of(other, scene, [3], editing.Insertion(at=(0.0, 0.0, 0.0), scale=2.0))
    heights = of(joined, ids[3], "means").double() @ scene_up(other)
    assert float(heights.max() - heights.min()) == pytest.approx(2 * 0.12, rel=1e-3)
    assert float(heights.min()) == pytest.approx(0.0, abs=1e-3)


def test_opposite_vectors_have_a_turn_too():
    for first in torch.eye(3):
        turn = matrix_between(first, -first)
        torch.testing.assert_close(turn @ first, -first)
        torch.testing.assert_close(turn @ turn.T, torch.eye(3))


def test_ids_that_do_not_exist(scene):
    message = r"instance: expected one of 1 \(red box\), 2 \(blue box\), 3 \(green box\), got 7"
    still = editing.Motion((0.0, 0.0, 0.0))
    for edit in (
        lambda s: editing.without_instances(s, [1, 7]),
        lambda s: editing.with_color(s, 7, np.zeros(3)),
        lambda s: editing.with_motion(s, 7, still),
        lambda s: editing.with_copy(s, 7, still),
        lambda s: editing.with_instances_of(s, s, [7]),
    ):
        with pytest.raises(ValueError, match=message):
            edit(scene)
    with pytest.raises(ValueError, match="expected one of none, since this scene has no objects, got 1"):
        editing.without_instances(editing.without_instances(scene, [1, 2, 3]), [1])
    with pytest.raises(ValueError, match="got none"):
        editing.without_instances(scene, [])


def test_motions_and_insertions_that_cannot_be():
    for make, message in (
        (lambda: editing.Motion((0.0, float("nan"), 0.0)), "Motion: expected three finite lengths"),
        (lambda: editing.Motion((0.0, 0.0, 0.0), float("inf")), "Motion: expected three finite lengths"),
        (lambda: editing.Insertion(at=(0.0, 0.0, float("inf"))), "at: expected three finite lengths"),
        (lambda: editing.Insertion(scale=0.0), "scale: expected a positive factor"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def stored(path, scene: GaussianScene) -> str:
    write_gaussian_scene(path, scene)
    return str(path)


def refused(capsys, *arguments) -> str:
    assert cli.main([str(item) for item in arguments]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message and message.startswith("pan3d edit: error: ")
    return message


def test_edits_happen_in_order_and_are_written(scene, tmp_path, capsys):
    file, out = stored(tmp_path / "s.safetensors", scene), tmp_path / "new" / "e.safetensors"
    steps = ["--duplicate", "2", "0", "-0.2", "0", "--turn", "90", "--remove", "2", "1", "--recolour", "4", "red"]
    assert cli.main(["edit", file, "-o", str(out), *steps, "--move", "4", "-0.01", "0", "0"]) == 0
    assert "the copy of instance 2 (blue box) is 4" in capsys.readouterr().out
    made = read_gaussian_scene(out)
    assert made.ids() == (3, 4) and made.names == {3: "green box", 4: "red box"}
    assert center(made, 4) == pytest.approx([0.09, -0.08, 0.025], abs=1e-5)
    assert center(editing.with_motion(scene, 2, editing.Motion((0.0, 0.0, 0.0), 90.0)), 2) == pytest.approx(
        center(scene, 2), abs=1e-5
    )
    assert cli.main(["edit", str(out), "-o", str(out), "--remove", "3"]) == 0  # over its own file
    assert read_gaussian_scene(out).ids() == (4,)


def test_edit_exports_for_other_programs(scene, tmp_path):
    file = stored(tmp_path / "s.safetensors", scene)
    assert cli.main(["edit", file, "-o", str(tmp_path / "e.ply")]) == 0
    assert len(read_gaussian_ply(tmp_path / "e.ply")) == len(scene.gaussians)
    assert cli.main(["edit", str(tmp_path / "e.ply"), "-o", str(tmp_path / "back.safetensors")]) == 0
    assert read_gaussian_scene(tmp_path / "back.safetensors").ids() == ()


def test_edit_into_another_scene(scene, tmp_path, capsys):
    file, other = (
        stored(tmp_path / "s.safetensors", scene),
        stored(tmp_path / "o.safetensors", editing.without_instances(scene, [1])),
    )
    out = tmp_path / "e.safetensors"
    assert cli.main(["edit", file, "-o", str(out), "--into", other, "--take", "1", "--at", "-0.2", "0.1", "0"]) == 0
    assert "instance 1 (red box) is 4 there" in capsys.readouterr().out
    made = read_gaussian_scene(out)
    assert made.ids() == (2, 3, 4) and foot_of(made, [4]).tolist() == pytest.approx([-0.2, 0.1, 0.0], abs=1e-3)
    assert cli.main(["edit", file, "-o", str(out), "--remove", "2", "--into", other]) == 0
    assert read_gaussian_scene(out).ids() == (2, 3, 4, 5)
    assert int(rows_of(read_gaussian_scene(out), [4, 5]).sum()) == int(rows_of(scene, [1, 3]).sum())


def test_edit_refuses_what_it_cannot_do(scene, tmp_path, capsys):
    file, out = stored(tmp_path / "s.safetensors", scene), tmp_path / "e.safetensors"

    def message(*arguments) -> str:
        return refused(capsys, "edit", file, "-o", out, *arguments)

    assert "expected something to do" in message()
    assert "expected one of 1 (red box), 2 (blue box), 3 (green box), got 8" in message("--remove", "8")
    assert "--remove: expected the id of an instance, a whole number, got 'mug'" in message("--remove", "mug")
    assert "colour: expected a word" in message("--recolour", "1", "transparent")
    assert "--move: expected a number, got 'left'" in message("--move", "1", "left", "0", "0")
    assert "--turn: expected right after --move or --duplicate, got it after --remove" in message("--remove", "1", "--turn", "5")
    assert "--turn: expected right after --move or --duplicate, got it after nothing" in message("--turn", "5")
    assert "Motion: expected three finite" in message("--move", "1", "nan", "0", "0")
    assert "expected --into with them" in message("--remove", "1", "--at", "0", "0", "0")
    assert "ending in .safetensors or .ply" in refused(capsys, "edit", file, "-o", tmp_path / "e.obj", "--remove", "1")
    assert "does not exist" in message("--into", tmp_path / "no.safetensors")
    assert not out.exists()
