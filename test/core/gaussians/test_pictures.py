"""What pictures of Gaussians show, and `pan3d render` as a person meets it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_boxes import BOXES, boxes_scene, text_embeddings
from PIL import Image

from pan3d_core.gaussians.camera_paths import CameraPath, PathSettings, camera_path
from pan3d_core.gaussians.pictures import (
    ClassTexts,
    class_names,
    color_pictures,
    depth_pictures,
    instance_pictures,
    legend,
    rendered_classes,
    rendered_ids,
    semantic_pictures,
    side_by_side,
)
from pan3d_core.gaussians.scene import GaussianScene, write_gaussian_scene
from pan3d_core.geometry.cameras import project
from pan3d_core.geometry.transforms import look_at, transform_points
from pan3d_core.pictures import overlays
from pan3d_core.pictures.files import write_moving
from pan3d_core.pictures.palette import UNASSIGNED, class_colors, instance_color
from pan3d_core.runtime.ending.result_folder import LIST_FILE
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable
from pan3d_core.structures import Gaussians
from pan3d_tools import cli
from pan3d_tools.cli.scenes import render


@pytest.fixture(scope="module")
def scene() -> GaussianScene:
    return boxes_scene(0.01)


def pixel_of(scene: GaussianScene, path: CameraPath, view: int, place: tuple[float, float, float]) -> tuple[int, int]:
    at_camera = transform_points(path.cam_from_world[view], torch.tensor([place]))
    x, y = project(at_camera, path.intrinsics[view])[0][0].round().long().tolist()
    return y, x


# Tops of the boxes, which every view sees, and a free place of the table.
TOPS = {1: (-0.12, 0.05, 0.08), 2: (0.10, 0.12, 0.05), 3: (0.08, -0.10, 0.12), 0: (-0.02, -0.05, 0.0)}


def test_ids_and_classes_are_where_the_boxes_are(scene):
    path = camera_path(scene, "views")
    ids = rendered_ids(scene, path)
    classes = ClassTexts(("block", "brick", "table"), text_embeddings(0, 1, 2))
    found = rendered_classes(scene, path, classes)
    for number, place in TOPS.items():
        for view in range(len(path)):
            row, column = pixel_of(scene, path, view, place)
            assert int(ids[view, row, column]) == number
            assert int(found[view, row, column]) == {1: 1, 2: 2, 3: 1, 0: 3}[number]
    assert int(ids[0, 0, 0]) == 0 and int(found[0, 0, 0]) == 0  # above the table there is nothing
    without_table = rendered_classes(scene, path, ClassTexts(("block", "brick"), text_embeddings(0, 1)))
    row, column = pixel_of(scene, path, 0, TOPS[0])
    assert int(without_table[0, row, column]) == 3  # none of these


def test_many_ids_in_several_passes_are_the_same(scene, monkeypatch):
    path = camera_path(scene, "views", PathSettings(image_hw=(45, 60)))
    expected = rendered_ids(scene, path)
    monkeypatch.setattr("pan3d_core.gaussians.pictures.IDS_AT_ONCE", 1)
    assert torch.equal(rendered_ids(scene, path), expected)


def test_a_mixture_of_two_objects_is_never_a_third():
    """Half of one, half of another in front of a third's colour mixture: the nearer majority wins, no other id appears."""
    quats = torch.tensor([1.0, 0, 0, 0]).expand(3, 4)
    gaussians = Gaussians(
        means=torch.tensor([[0.0, 0, 1.0], [0, 0, 1.1], [0, 0, -5.0]]),
        scales=torch.full((3, 3), 0.5),
        quats_wxyz=quats,
        opacities=torch.tensor([0.55, 0.99, 0.9]),
        colors=torch.rand(3, 3, generator=torch.Generator().manual_seed(0)),
    )
    lens = torch.tensor([[20.0, 0, 9.5], [0, 20.0, 9.5], [0, 0, 1]])[None]
    names = {1: "a", 2: "b", 3: "c"}
    made = GaussianScene(gaussians, torch.tensor([1, 2, 3]), names, torch.eye(4)[None], lens, (20, 20), True)
    ids = rendered_ids(made, camera_path(made, "views"))[0]
    assert set(ids.unique().tolist()) <= {0, 1, 2} and int(ids[10, 10]) == 1


def test_pictures_of_every_kind(scene):
    path = camera_path(scene, "views", PathSettings(image_hw=(120, 160)))
    color = list(color_pictures(scene, path))
    assert len(color) == 4 and color[0].shape == (120, 160, 3) and color[0].dtype == np.uint8
    red = color[0][pixel_of(scene, path, 0, TOPS[1])]
    assert red[0] > 150 and red[1] < 80 and tuple(color[0][0, 0]) == overlays.BACKGROUND
    large = camera_path(scene, "views", PathSettings(image_hw=(360, 480)))
    inside = next(instance_pictures(scene, large))[pixel_of(scene, large, 0, BOXES[0][1])].astype(int)  # where no label is
    assert np.abs(inside - np.array(instance_color(1))).max() < 80 and np.ptp(inside) > 60
    classes = ClassTexts(("block", "table"), text_embeddings(0, 2))
    meaning = next(semantic_pictures(scene, path, classes))
    assert meaning.shape[1] == 160 and meaning.shape[0] > 120  # legend below
    none = meaning[pixel_of(scene, path, 0, TOPS[2])].astype(int)  # the brick
    assert np.abs(none - np.array(UNASSIGNED)).max() < 60 and np.ptp(none) < 12
    block = meaning[pixel_of(scene, path, 0, TOPS[1])].astype(int)
    assert np.abs(block - np.array(class_colors(["block"])[0])).max() < 80 and np.ptp(block) > 60
    depth = next(depth_pictures(scene, path))
    assert depth.shape == (120, 160, 3) and tuple(depth[0, 0]) == overlays.NO_DEPTH
    wide = next(depth_pictures(scene, camera_path(scene, "views", PathSettings(image_hw=(240, 320)))))
    assert wide.shape[0] > 240  # a scale below
    both = next(side_by_side([color_pictures(scene, path), semantic_pictures(scene, path, classes)]))
    assert both.shape == (meaning.shape[0], 320, 3)


def test_the_legend_names_every_class_in_the_width_it_has():
    colors = {f"class {index}": instance_color(index) for index in range(1, 9)}
    wide, narrow = legend(colors, 900), legend(colors, 200)
    assert wide.shape[1] == 900 and narrow.shape[1] == 200 and narrow.shape[0] > wide.shape[0]
    for color in colors.values():
        assert (narrow == np.array(color)).all(-1).sum() > 100


def test_names_of_classes(scene):
    names = {1: "red mug", 2: "blue bowl", 3: "green mug", 7: "grey object", 8: ""}
    assert class_names(replace(scene, names=names)) == ("bowl", "mug")


def test_a_scene_without_semantics_is_refused(scene):
    classes = ClassTexts(("a",), text_embeddings(0))
    path = camera_path(scene, "views")
    for plain in (
        replace(scene, text_space=None),
        replace(scene, gaussians=replace(scene.gaussians, semantic_features=None)),
    ):
        with pytest.raises(ValueError, match="semantics: expected a scene with semantic features and a text space"):
            rendered_classes(plain, path, classes)
    for names in ((), ("a", "a")):
        with pytest.raises(ValueError, match="classes: expected at least one name and none twice"):
            ClassTexts(names, text_embeddings(*range(len(names))))


def test_cameras_inside_an_object_and_odd_gaussians_give_pictures(scene):
    count = len(scene.gaussians)
    opacities, scales = scene.gaussians.opacities.clone(), scene.gaussians.scales.clone()
    opacities[: count // 3] = 0.0
    scales[-1] = 1e4  # larger than any scene
    scales[-2] = 0.0
    odd = replace(scene, gaussians=replace(scene.gaussians, opacities=opacities, scales=scales))
    inside = look_at(torch.tensor([0.08, -0.10, 0.06]), torch.tensor([-0.12, 0.05, 0.04]))[None]
    path = CameraPath(inside, scene.intrinsics[:1], scene.image_hw)
    for made in (scene, odd):
        for pictures in (color_pictures, instance_pictures, depth_pictures):
            assert next(pictures(made, path)).dtype == np.uint8
    assert (rendered_ids(scene, path) == 3).float().mean() > 0.9  # its walls are all around


def test_an_empty_scene_is_background(scene):
    nothing = Gaussians(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, 3))
    empty = replace(scene, gaussians=nothing, instance_id=torch.zeros(0, dtype=torch.int64), text_space=None)
    path = camera_path(empty, "views")
    assert (next(color_pictures(empty, path)) == np.array(overlays.BACKGROUND)).all()
    assert (rendered_ids(empty, path) == 0).all() and next(depth_pictures(empty, path)).shape[1] == 120


def stored(tmp_path, scene: GaussianScene) -> str:
    write_gaussian_scene(tmp_path / "scene.safetensors", scene)
    return str(tmp_path / "scene.safetensors")


def refused(capsys, *arguments) -> str:
    assert cli.main([str(item) for item in arguments]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message and message.startswith("pan3d render: error: ")
    return message


class UnitTexts:
    """A text encoder that knows three words."""

    dim = 6

    def encode(self, texts):
        return text_embeddings(*({"box": 0, "brick": 1, "table": 2}[text] for text in texts))


def test_render_makes_a_folder_of_pictures(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(render, "build_text_encoder", lambda name, weights: asked.append((name, weights)) or UnitTexts())
    file = stored(tmp_path, boxes_scene(0.03))
    kinds = ["--show", "colour", "instances", "semantics", "depth"]
    assert cli.main(["render", file, "-o", str(tmp_path / "out"), *kinds, "--size", "64x48", "--classes", "box, table"]) == 0
    assert "3 objects, 4 pictures of colour, instances, semantics, depth" in capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 1 + 16 and names[:2] == [LIST_FILE, "colour_000.png"]
    assert Image.open(tmp_path / "out" / "colour_000.png").size == (64, 48) and asked == [("minilm", "")]


def moving_frames(path) -> int:
    with Image.open(path) as file:
        return file.n_frames


@pytest.mark.parametrize("suffix", [".gif", ".apng", ".webp"])
def test_render_makes_one_moving_picture(tmp_path, suffix):
    file, out = stored(tmp_path, boxes_scene(0.03)), tmp_path / "new" / f"a{suffix}"
    arguments = ["--path", "orbit", "--frames", "4", "--size", "48x32", "--show", "colour", "instances"]
    assert cli.main(["render", file, "-o", str(out), *arguments, "--fps", "10"]) == 0
    assert moving_frames(out) == 4
    with Image.open(out) as picture:
        picture.load()
        assert picture.size == (96, 32) and picture.info["duration"] == 100 and picture.info.get("loop", 0) == 0


def test_render_makes_a_video(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file, out = stored(tmp_path, boxes_scene(0.03)), tmp_path / "a.mp4"
    assert cli.main(["render", file, "-o", str(out), "--path", "between", "--frames", "6", "--size", "65x47", "--fps", "12"]) == 0
    reader = ffmpeg.read_frames(str(out))
    facts = next(reader)
    assert facts["source_size"] == (66, 48) and facts["fps"] == 12 and len(list(reader)) == 6


def test_render_says_what_a_video_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    file = stored(tmp_path, boxes_scene(0.1))
    assert "the extra [video]" in refused(capsys, "render", file, "-o", tmp_path / "a.mp4", "--size", "32x32")


def test_render_along_a_file_of_cameras_and_of_a_ply(tmp_path):
    scene = boxes_scene(0.03)
    entry = {"cam_from_world": scene.cam_from_world[1].tolist(), "intrinsics": scene.intrinsics[1].tolist()}
    (tmp_path / "path.json").write_text(json.dumps([entry]))
    assert cli.main(["render", stored(tmp_path, scene), "-o", str(tmp_path / "a"), "--path", str(tmp_path / "path.json")]) == 0
    seen = np.asarray(Image.open(tmp_path / "a" / "colour_000.png"))
    assert np.array_equal(seen, next(color_pictures(scene, camera_path(scene, str(tmp_path / "path.json")))))
    from pan3d_core.gaussians.files import write_scene_file

    write_scene_file(tmp_path / "scene.ply", scene)
    arguments = ["--frames", "2", "--size", "40x30", "--show", "colour", "instances", "depth"]
    assert cli.main(["render", str(tmp_path / "scene.ply"), "-o", str(tmp_path / "b"), *arguments]) == 0
    assert len(list((tmp_path / "b").iterdir())) == 1 + 6 and (tmp_path / "b" / LIST_FILE).is_file()


def test_render_refuses_what_it_cannot_do(tmp_path, capsys):
    file = stored(tmp_path, boxes_scene(0.1))
    assert "does not exist" in refused(capsys, "render", tmp_path / "no.safetensors")
    assert "expected a folder or a file ending in .gif" in refused(capsys, "render", file, "-o", tmp_path / "a.avi")
    assert "expected WIDTHxHEIGHT" in refused(capsys, "render", file, "--size", "big")
    assert "frames: expected at least 1" in refused(capsys, "render", file, "--frames", "0")
    assert "expected one of views, orbit" in refused(capsys, "render", file, "--path", "spiral")
    assert "fps: expected more than 0" in refused(capsys, "render", file, "-o", tmp_path / "a.gif", "--fps", "0")
    assert "--classes: expected at least one name" in refused(capsys, "render", file, "--show", "semantics", "--classes", ", ")
    write_gaussian_scene(file, replace(boxes_scene(0.1), text_space=None))
    assert "--show semantics: expected a scene with semantics" in refused(capsys, "render", file, "--show", "semantics")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    assert "expected a complete safetensors file" in refused(capsys, "render", tmp_path / "broken.safetensors")


def test_render_says_how_to_get_the_text_encoder(tmp_path, capsys, monkeypatch):
    def unavailable(name, weights):
        raise TextEncoderUnavailable("text encoder: not installed; run: some command")

    monkeypatch.setattr(render, "build_text_encoder", unavailable)
    message = refused(capsys, "render", stored(tmp_path, boxes_scene(0.1)), "--show", "semantics", "--classes", "cup")
    assert "--show semantics: text encoder: not installed; run: some command" in message


def test_no_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pictures: expected at least one"):
        write_moving(tmp_path / "a.gif", iter(()), 10)
    with pytest.raises(ValueError, match="out: expected a file ending in"):
        write_moving(tmp_path / "folder", iter(()), 10)
