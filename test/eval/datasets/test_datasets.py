"""Public data sets in their own layouts: what is read agrees with the scene that was written, in space and by pixel."""

import math
import zipfile

import numpy as np
import pytest
import torch
from published_scenes import (
    NAMES,
    painted,
    put_text,
    scan,
    trace,
    write_aria,
    write_fisheye,
    write_ply,
    write_replica,
    write_scannet,
    write_scannetpp,
    write_undistorted,
)
from raycast_scene import TABLE_SCENE, Ball, cast

from pan3d_core.geometry.cameras import pixel_grid, pixel_rays, project
from pan3d_core.geometry.distortion import DISTORTION_MODELS
from pan3d_core.geometry.transforms import invert_rigid, transform_points
from pan3d_core.views.image_files import read_image
from pan3d_eval.datasets import DATASETS, ViewSelection, dataset_of, read_dataset_scene
from pan3d_eval.datasets.aria_synthetic import DISTORTION, MAX_ANGLE_RAD, rgb_intrinsics
from pan3d_eval.datasets.mesh_views import render_mesh
from pan3d_eval.datasets.ply_mesh import read_ply_mesh
from pan3d_eval.datasets.published_files import pinhole, resample_nearest
from pan3d_eval.datasets.scenes import find_scenes, list_scenes

WRITERS = {"scannet": write_scannet, "scannetpp": write_scannetpp, "replica": write_replica, "aria_synthetic": write_aria}

OFFICIAL_ARIA = [
    ((0, 0, 1), (357.65992, 349.19225)), ((0.1, -0.2, 1), (387.46551, 289.60055)), ((1.0, 0.4, 1), (622.55562, 454.98318)),
    ((-1.1, 0.9, 1), (98.06027, 561.72914)), ((0.3, 1.2, 0.9), (438.2297, 670.184)), ((-0.02, -0.7, 2), (354.71549, 245.10647)),
]  # fmt: skip


def agreement(scene) -> tuple[float, float, float]:
    """Of the mesh's vertices as its views see them: share seen, median depth error (m), share with the image's instance."""
    mesh, seen, errors, right, inside = scene.truth.mesh, 0, [], [], 0
    for view, ids, depth in zip(scene.views, scene.truth.instance_ids, scene.truth.depth):
        pixels, z = project(transform_points(view.cam_from_world, mesh.vertices), view.intrinsics)
        place = pixels.round().long()
        height, width = depth.shape
        near = (z > 0) & (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height)
        place, z = place[near], z[near]
        there = depth[place[:, 1], place[:, 0]]
        visible = (there > 0) & ((there - z).abs() < 0.01)
        inside, seen = inside + len(z), seen + int(visible.sum())
        errors.append((there - z)[visible].abs())
        wanted = (mesh.ids[near] % 1000)[visible]
        wanted = torch.where(torch.isin(wanted, torch.tensor([o.instance_id for o in scene.truth.objects])), wanted, 0)
        right.append(ids[place[:, 1], place[:, 0]][visible] == wanted)
    return seen / inside, float(torch.cat(errors).median()), float(torch.cat(right).float().mean())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: write(tmp_path_factory.mktemp(name)) for name, write in WRITERS.items()}


@pytest.mark.parametrize("name", [pytest.param("scannet", marks=pytest.mark.slow), "scannetpp", "replica"])
def test_the_mesh_lies_where_the_images_see_it(folders, name):
    scene = read_dataset_scene(folders[name])
    assert len(scene.views) == 4
    seen, error, right = agreement(scene)
    assert seen > 0.45  # the far sides of the objects are hidden
    assert error < 0.004 and right > 0.93  # a pixel is 5 mm wide there


@pytest.mark.parametrize("name", WRITERS)
def test_layouts_are_told_apart(folders, name):
    assert dataset_of(folders[name]) == name
    assert [item(folders[name]) for item, _ in DATASETS.values()].count(True) == 1
    # The folder above holds scenes, as does the folder itself.
    assert [reference.path for reference in list_scenes([folders[name].parent])] == [folders[name]]


def test_scannet_labels_and_numbers(folders):
    truth = read_dataset_scene(folders["scannet"]).truth
    owner = torch.from_numpy(scan().owner)
    number = {"floor": 2, "lamp": 35, "chair": 5, "couch": 6, "box": 29}
    assert torch.equal(truth.mesh.ids, torch.tensor([number[name] for name in NAMES])[owner] * 1000 + owner + 1)
    assert torch.equal(truth.mesh.superpoints, owner * 10 + torch.arange(len(owner)) % 2)
    found = {item.instance_id: (item.name, item.class_id) for item in truth.objects}
    assert set(found) == {2, 3, 4, 5} and found[2] == ("lamp", -1) and found[5] == ("box", -1)
    assert [truth.labels.names[found[k][1]] for k in (3, 4)] == ["chair", "sofa"]
    # The benchmark's 18 classes are valid on the mesh: wall, floor and everything outside of the list are void.
    assert sorted(truth.mesh.class_of_label) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]
    assert all(int(ids.max()) <= 5 and not (ids == 1).any() for ids in truth.instance_ids)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("scannet", {2: "lamp", 3: "chair", 4: "sofa", 5: "box"}),
        ("scannetpp", {2: "ball", 3: "box", 4: "books", 5: "ball", 9: "shelf"}),
        ("replica", {k + 2: "ball" if isinstance(item, Ball) else "box" for k, item in enumerate(TABLE_SCENE)}),
    ],
)
def test_walls_and_floors_are_named_where_the_data_set_names_them(folders, name, others):
    truth = read_dataset_scene(folders[name], ViewSelection(2)).truth
    assert truth.regions.names == {1: "floor", **others}
    for ids, objects in zip(truth.regions.ids, truth.instance_ids, strict=True):
        assert bool((ids == 1).any()) and torch.equal(torch.where(ids == 1, 0, ids).long(), objects)


def test_scannet_leaves_lost_frames_out_and_keeps_the_sensor_s_own_depth(folders):
    scene = read_dataset_scene(folders["scannet"])
    assert [view.camera for view in scene.views] == ["frame_0", "frame_1", "frame_3", "frame_4"]
    wide = cast(TABLE_SCENE, focal=120.0)
    torch.testing.assert_close(scene.truth.mesh.sensor_depth[2], wide.depth[2], atol=5.1e-4, rtol=0)
    torch.testing.assert_close(scene.truth.mesh.sensor_intrinsics[2], wide.views[0].intrinsics)
    # Brought to the colour camera's pixels it is the depth that camera would see.
    error = (scene.views[2].depth - cast(TABLE_SCENE).depth[2]).abs()
    assert float(error.median()) < 0.002


def test_scannet_straightens_the_walls(folders):
    scene = read_dataset_scene(folders["scannet"])
    for view, other in zip(scene.views, cast(TABLE_SCENE).views):
        torch.testing.assert_close(view.cam_from_world, other.cam_from_world, atol=1e-5, rtol=0)


def test_a_sens_file_reads_as_what_is_exported_from_it(folders, tmp_path):
    packed = read_dataset_scene(write_scannet(tmp_path, sens=True))
    exported = read_dataset_scene(folders["scannet"])
    for one, other in zip(packed.views, exported.views, strict=True):
        torch.testing.assert_close(one.image, other.image)
        torch.testing.assert_close(one.depth, other.depth)
        torch.testing.assert_close(one.cam_from_world, other.cam_from_world, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.intrinsics, other.intrinsics)


def test_scannet_instances_from_the_archive_or_from_the_mesh(tmp_path):
    folder = write_scannet(tmp_path)
    unpacked = read_dataset_scene(folder).truth.instance_ids
    with zipfile.ZipFile(folder / "scene0000_00_2d-instance-filt.zip", "w") as archive:
        for path in (folder / "instance-filt").iterdir():
            archive.write(path, f"instance-filt/{path.name}")
            path.unlink()
    (folder / "instance-filt").rmdir()
    packed = read_dataset_scene(folder).truth.instance_ids
    assert all(torch.equal(one, other) for one, other in zip(packed, unpacked))
    (folder / "scene0000_00_2d-instance-filt.zip").unlink()
    rendered = read_dataset_scene(folder).truth.instance_ids
    for one, other in zip(rendered, unpacked):
        assert float((one == other).float().mean()) > 0.99


def test_scannetpp_smaller_objects_win_and_depth_comes_from_the_mesh(folders):
    scene = read_dataset_scene(folders["scannetpp"])
    assert scene.name == "a1b2c3/dslr" and all(view.depth is None for view in scene.views)
    assert {item.name for item in scene.truth.objects} == {"ball", "box", "books", "shelf"}  # no floor
    assert sorted(torch.unique(scene.truth.mesh.ids % 1000).tolist()) == [0, 2, 3, 4, 5]
    assert scene.truth.mesh.superpoints is None
    true = cast(TABLE_SCENE)
    for depth, ids, wanted, owner in zip(scene.truth.depth, scene.truth.instance_ids, true.depth, true.ids):
        covered = depth > 0
        assert float(covered.float().mean()) > 0.8
        assert float((depth - wanted)[covered].abs().median()) < 1e-4
        assert float((ids == torch.where(owner > 0, owner + 1, 0)).float().mean()) > 0.99


def test_scannetpp_iphone_has_its_own_depth(folders):
    scene = read_dataset_scene(folders["scannetpp"] / "iphone")
    assert scene.name == "a1b2c3/iphone"
    error = (scene.views[1].depth - cast(TABLE_SCENE).depth[1]).abs()
    assert float(error.median()) < 0.006  # half the pixels, rounded to millimetres
    assert scene.truth.mesh.sensor_depth[0].shape == (56, 72)
    torch.testing.assert_close(scene.truth.mesh.sensor_intrinsics[0][0], torch.tensor([70.0, 0.0, 35.5]))


def test_scannetpp_undistorted_images_give_the_same_cameras(tmp_path):
    folder = write_scannetpp(tmp_path)
    before = read_dataset_scene(folder)
    write_undistorted(folder)
    after = read_dataset_scene(folder)
    for one, other in zip(before.views, after.views, strict=True):
        torch.testing.assert_close(one.cam_from_world, other.cam_from_world, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.intrinsics, other.intrinsics)


def test_scannetpp_takes_the_benchmark_s_classes(tmp_path):
    folder = write_scannetpp(tmp_path)
    put_text(tmp_path / "metadata/semantic_benchmark/top100_instance.txt", "ball\nbook\n")
    put_text(
        tmp_path / "metadata/semantic_benchmark/map_benchmark.csv",
        "class,count,instance_map_to\nbooks,5,book\nbox,9,None\nball,3,\n",
    )
    truth = read_dataset_scene(folder).truth
    assert truth.labels.names == ("ball", "book")
    assert {item.instance_id: item.name for item in truth.objects} == {2: "ball", 4: "book", 5: "ball"}
    assert set(torch.unique(truth.mesh.ids).tolist()) == {0, 1002, 2004, 1005}


def test_scannetpp_fisheye_images_become_straight(tmp_path):
    folder = write_scannetpp(tmp_path)
    write_fisheye(folder, (-0.05, 0.01, 0.0, 0.0))
    bent, straight = read_image(folder / "dslr/resized_images/DSC00000.JPG"), read_dataset_scene(folder).views[0]
    wanted = cast(TABLE_SCENE).views[0]
    height, width = wanted.image.shape[1:]
    picture = painted(wanted.cam_from_world, pixel_rays(wanted.intrinsics, pixel_grid(height, width).reshape(-1, 2)))
    errors = [float((image - picture).abs().quantile(0.8)) for image in (straight.image, bent)]
    assert errors[0] < 0.02 < 0.06 < errors[1]
    torch.testing.assert_close(straight.intrinsics, wanted.intrinsics)


def test_replica_classes_and_owners(folders):
    truth = read_dataset_scene(folders["replica"]).truth
    assert truth.labels.names == ("floor", "ball", "box") and truth.labels.is_thing == (False, True, True)
    assert [(item.instance_id, item.name) for item in truth.objects] == [(2, "ball"), (3, "box"), (4, "box"), (5, "ball")]
    owner = torch.from_numpy(scan().owner)
    assert torch.equal(truth.mesh.ids, torch.tensor([7, 12, 30, 30, 12])[owner] * 1000 + owner + 1)
    assert truth.mesh.class_of_label == {12: 1, 30: 2}


def test_aria_depth_is_along_the_ray_and_becomes_depth(folders):
    """Against the same scene seen by a pinhole camera at the same place."""
    scene = read_dataset_scene(folders["aria_synthetic"])
    assert scene.truth.mesh is None and [view.stamp_ns for view in scene.views] == [5_000]
    for view, ids, depth in zip(scene.views, scene.truth.instance_ids, scene.truth.depth):
        rays = pixel_rays(view.intrinsics, pixel_grid(704, 704).reshape(-1, 2))
        world_from_cam = invert_rigid(view.cam_from_world)
        wanted, owner = trace(world_from_cam[:3, 3].expand_as(rays), rays @ world_from_cam[:3, :3].T)
        wanted, owner = wanted.reshape(704, 704), owner.reshape(704, 704)
        angle = torch.atan(rays[:, :2].norm(dim=1)).reshape(704, 704)
        assert not depth[angle > MAX_ANGLE_RAD].any() and not ids[angle > MAX_ANGLE_RAD].any()
        good = (depth > 0) & (wanted < 1)
        assert float(good.float().mean()) > 0.4
        error = (depth - wanted)[good].abs()
        assert float(error.median()) < 0.001 and float((error > 0.01).float().mean()) < 0.02
        assert float((ids == torch.where(owner > 0, owner + 10, 0))[good].float().mean()) > 0.995
    assert {item.name for item in scene.truth.objects} == {"thing 0", "thing 1"}


def test_aria_lens_agrees_with_the_official_tools():
    """Pixels of points that Project Aria's own library projects (projectaria_tools 2.3.0, 704 pixels)."""
    points = torch.tensor([place for place, _ in OFFICIAL_ARIA], dtype=torch.float64)
    x, y = DISTORTION_MODELS["fisheye624"][1](points[:, 0] / points[:, 2], points[:, 1] / points[:, 2], DISTORTION)
    pixels = torch.stack([x, y, torch.ones_like(x)], 1) @ rgb_intrinsics(704).double().T
    torch.testing.assert_close(
        pixels[:, :2], torch.tensor([pixel for _, pixel in OFFICIAL_ARIA], dtype=torch.float64), atol=1e-3, rtol=0
    )


def test_views_are_spread_over_the_recording():
    assert ViewSelection(3).pick(range(11)) == [0, 5, 10]
    assert ViewSelection(0, stride=4).pick(range(11)) == [0, 4, 8]
    assert ViewSelection(2, stride=4).pick(range(11)) == [0, 8]
    assert ViewSelection(20).pick(range(3)) == [0, 1, 2]
    with pytest.raises(ValueError, match="stride >= 1, got 4 and 0"):
        ViewSelection(4, stride=0)


def test_pictures_of_cameras_without_skew_are_resampled_as_those_with():
    """Rows and columns one by one, or every pixel's ray: a skew far too small to move a pixel takes the second way."""
    values = torch.randint(0, 5000, (48, 64), generator=torch.Generator().manual_seed(0))
    source = pinhole(60.0, 58.0, 31.2, 23.9)
    for camera in (pinhole(117.3, 119.1, 66.0, 40.5), pinhole(30.0, 29.0, 50.0, 20.0)):
        straight = resample_nearest(values, source, camera, (90, 120))
        skewed = camera.clone()
        skewed[0, 1] = 1e-12
        assert torch.equal(straight, resample_nearest(values, source, skewed, (90, 120)))
        assert bool((straight > 0).any()) and straight.shape == (90, 120)
    assert torch.equal(resample_nearest(values, source, source, (48, 64)), values)


def test_fewer_views_on_request(folders):
    (scene,) = find_scenes([folders["replica"]], views=ViewSelection(2))
    assert [view.camera for view in scene.views] == ["image_0", "image_3"]


@pytest.mark.parametrize(
    "name, missing, message",
    [
        ("scannet", "scene0000_00_vh_clean_2.0.010000.segs.json", "over-segmentation of the mesh at .*segs.json"),
        ("scannet", "scene0000_00.aggregation.json", "annotated objects at .*aggregation.json"),
        ("scannet", "intrinsic/intrinsic_depth.txt", "intrinsics of the depth camera at .*intrinsic_depth.txt"),
        ("scannet", "depth/3.png", "depth of frame 3 at .*3.png"),
        ("scannet", "../../scannetv2-labels.combined.tsv", "scannetv2-labels.combined.tsv in .* or up to four folders above"),
        ("scannetpp", "scans/segments_anno.json", "annotated objects at .*segments_anno.json"),
        ("scannetpp", "dslr/colmap/images.txt", "COLMAP images at .*images.txt"),
        ("scannetpp", "scans/mesh_aligned_0.05.ply", "annotated mesh at .*mesh_aligned_0.05.ply"),
        ("replica", "../habitat/info_semantic.json", "info_semantic.json in habitat/ or semantic_info/ROOM/"),
        ("replica", "semantic_instance/semantic_instance_3.png", "object ids of image 3"),
        ("aria_synthetic", "object_instances_to_classes.json", "classes of the objects at .*object_instances_to_classes.json"),
        ("aria_synthetic", "instances/instance0000000.png", "object ids of image 0 at"),
    ],
)
def test_a_missing_file_is_named(folders, name, missing, message, tmp_path):
    gone = folders[name] / missing
    kept = tmp_path / "kept"
    gone.rename(kept)
    try:
        with pytest.raises(FileNotFoundError, match=message):
            read_dataset_scene(folders[name])
    finally:
        kept.rename(gone)


def test_a_damaged_file_is_named(tmp_path):
    folder = write_scannet(tmp_path, sens=True)
    sens = folder / "scene0000_00.sens"
    whole = sens.read_bytes()
    for cut, message in ((100, "a whole .sens file"), (len(whole) - 50, "depth of frame 4")):
        sens.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=message):
            read_dataset_scene(folder)
    sens.write_bytes(b"\x03" + whole[1:])
    with pytest.raises(ValueError, match="version: expected 4, got 3"):
        read_dataset_scene(folder)


def test_folders_beside_scenes_that_hold_none_are_named(folders, tmp_path, caplog):
    (tmp_path / "scene0000_00").symlink_to(folders["scannet"])
    for name in ("scene0001_00", "scene0002_00", ".cache"):
        (tmp_path / name).mkdir()
    assert [reference.name for reference in list_scenes([tmp_path])] == ["scene0000_00"]
    assert "scene0001_00, scene0002_00" in caplog.text and ".cache" not in caplog.text
    caplog.clear()
    for number in range(3, 8):
        (tmp_path / f"scene{number:04}_00").mkdir()
    list_scenes([tmp_path])
    assert "scene0005_00 and 2 more" in caplog.text


def test_a_folder_of_no_known_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="layout of scannet, scannetpp, replica, aria_synthetic"):
        list_scenes([tmp_path])
    with pytest.raises(ValueError, match="expected the layout of one of scannet"):
        read_dataset_scene(tmp_path)


def test_ply_in_text_with_other_properties(tmp_path):
    lines = ["ply", "format ascii 1.0", "element vertex 4", "property float nx", "property double x", "property double y"]
    lines += [
        "property double z",
        "element face 1",
        "property list uchar int vertex_index",
        "property int object_id",
        "end_header",
    ]
    lines += ["9 0 0 0", "9 1 0 0", "9 1 1 0", "9 0 1 0.5", "4 0 1 2 3 7"]
    (tmp_path / "quad.ply").write_text("\n".join(lines) + "\n")
    mesh = read_ply_mesh(tmp_path / "quad.ply")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]] and mesh.face_properties["object_id"].tolist() == [7]


def test_ply_that_is_cut_off(tmp_path):
    write_ply(tmp_path / "mesh.ply", np.zeros((5, 3)), np.array([[0, 1, 2]]))
    (tmp_path / "mesh.ply").write_bytes((tmp_path / "mesh.ply").read_bytes()[:-20])
    with pytest.raises(ValueError, match="mesh.ply: expected .* bytes after the header"):
        read_ply_mesh(tmp_path / "mesh.ply")


def test_a_rendered_triangle_is_exact_and_hides_what_is_behind():
    intrinsics = torch.tensor([[50.0, 0, 20], [0, 50.0, 15], [0, 0, 1]])
    near = [[-1.0, -1, 2], [1, -1, 3], [0, 1, 2.5]]
    vertices = torch.tensor([*near, [-9, -9, 6], [9, -9, 6], [0, 9, 6], [0, 0, -1.0], [1, 0, 1], [0, 1, 1]])
    depth, triangle = render_mesh(vertices, torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]]), intrinsics, torch.eye(4), (30, 40))
    assert set(torch.unique(triangle).tolist()) == {0, 1}  # the third reaches behind the camera
    rays = pixel_rays(intrinsics, pixel_grid(30, 40).reshape(-1, 2)).reshape(30, 40, 3)
    a, b, c = torch.tensor(near)
    normal = torch.linalg.cross(b - a, c - a)
    torch.testing.assert_close(depth[triangle == 0], ((a @ normal) / (rays @ normal))[triangle == 0], atol=2e-6, rtol=0)
    assert bool((depth[triangle == 1] == 6).all())
    # Every pixel whose ray meets the near triangle shows it.
    edges = [torch.linalg.cross(p, q) for p, q in ((a, b), (b, c), (c, a))]
    inside = torch.stack([rays @ edge for edge in edges])
    clear = (inside.abs() > 1e-3).all(0)
    assert torch.equal(((inside > 0).all(0) | (inside < 0).all(0))[clear], (triangle == 0)[clear])


def test_a_mesh_outside_of_the_view_gives_nothing():
    depth, triangle = render_mesh(
        torch.tensor([[50.0, 0, 1], [51, 0, 1], [50, 1, 1]]), torch.tensor([[0, 1, 2]]), torch.eye(3), torch.eye(4), (4, 5)
    )
    assert not depth.any() and bool((triangle == -1).all()) and math.isclose(float(depth.sum()), 0)
