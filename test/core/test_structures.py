"""The dataclasses at stage boundaries refuse what does not fit together, and parts of them are whole."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.structures import (
    CameraView,
    Gaussians,
    InstanceSet,
    Panoptic3D,
    PoseConsistency,
    Reconstruction,
    Segment,
    ViewBatch,
    present,
    require_shape,
    to_device,
    unit_range,
)

EYE3, EYE4 = torch.eye(3), torch.eye(4)
LABELS = LabelSpace.things(("mug",))


def batch(views=3, **values):
    return ViewBatch(
        images=torch.arange(views)[:, None, None, None].expand(views, 3, 4, 6) / 10.0,
        intrinsics=torch.stack([EYE3 * (index + 1) for index in range(views)]),
        cam_from_world=torch.stack([EYE4 * (index + 1) for index in range(views)]),
        depth=torch.arange(views)[:, None, None].expand(views, 4, 6).float(),
        stamps_ns=tuple(range(views)),
        cameras=tuple("abcdef"[:views]),
        original_hw=tuple((40 + index, 60) for index in range(views)),
        network_from_original=torch.stack([EYE3 * (index + 10) for index in range(views)]),
        **values,
    )


def gaussians(count=4, **values):
    given = {
        "means": torch.rand(count, 3),
        "scales": torch.rand(count, 3),
        "quats_wxyz": torch.rand(count, 4),
        "opacities": torch.rand(count),
        "colors": torch.rand(count, 3),
    }
    return Gaussians(**{**given, **values})


def test_a_view_needs_nothing_but_its_image_and_says_what_is_missing():
    view = CameraView(torch.zeros(3, 4, 6), camera="left")
    assert view.hw == (4, 6)
    with pytest.raises(ValueError, match="view left: expected intrinsics and cam_from_world, got none"):
        view.calibration()
    with pytest.raises(ValueError, match="view left: expected cam_from_world, got none"):
        replace(view, intrinsics=EYE3).calibration()
    with pytest.raises(ValueError, match="view left: expected intrinsics, got none"):
        replace(view, cam_from_world=EYE4).calibration()
    intrinsics, pose = replace(view, intrinsics=EYE3, cam_from_world=EYE4).calibration()
    assert torch.equal(intrinsics, EYE3) and torch.equal(pose, EYE4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image": torch.zeros(4, 6, 3)}, r"CameraView.image: expected shape \(3, any, any\), got \(4, 6, 3\)"),
        ({"image": torch.zeros(3, 4)}, "CameraView.image: expected shape"),
        ({"image": torch.zeros(3, 4, 6, dtype=torch.int64)}, "CameraView.image: expected floating point"),
        ({"intrinsics": EYE4}, "CameraView.intrinsics: expected shape"),
        ({"intrinsics": torch.diag(torch.tensor([0.0, 5.0, 1.0]))}, "CameraView.intrinsics: expected finite, positive"),
        ({"intrinsics": torch.diag(torch.tensor([5.0, -5.0, 1.0]))}, "CameraView.intrinsics: expected finite, positive"),
        ({"intrinsics": EYE3 * torch.inf}, "CameraView.intrinsics: expected finite, positive"),
        ({"intrinsics": EYE3 + torch.tensor([0.0, 0.0, torch.nan])}, "CameraView.intrinsics: expected finite, positive"),
        ({"cam_from_world": EYE3}, "CameraView.cam_from_world: expected shape"),
        ({"cam_from_world": EYE4 + torch.tensor([0.0, 0.0, 0.0, torch.nan])}, "CameraView.cam_from_world: expected finite"),
        ({"depth": torch.zeros(6, 4)}, r"CameraView.depth: expected shape \(4, 6\), got \(6, 4\)"),
    ],
)
def test_a_view_refuses_what_does_not_fit(values, words):
    with pytest.raises(ValueError, match=words):
        CameraView(**{"image": torch.zeros(3, 4, 6), **values})


def test_both_forms_of_an_image_become_numbers_from_0_to_1():
    counted = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(3, 1, 3)
    assert unit_range(counted)[0, 0].tolist() == pytest.approx([0.0, 0.2, 1.0])
    same = unit_range(torch.full((3, 1, 1), 0.7, dtype=torch.float64))
    assert same.dtype == torch.float32 and float(same[0, 0, 0]) == pytest.approx(0.7)


def test_a_part_of_a_batch_keeps_every_field_of_its_views():
    known = (EYE4, None, EYE4 * 3)
    part = batch(known_poses=known, support_height_m=0.2).select([2, 0])
    assert (part.num_views, part.hw, part.support_height_m) == (2, (4, 6), 0.2)
    assert (part.cameras, part.stamps_ns, part.original_hw) == (("c", "a"), (2, 0), ((42, 60), (40, 60)))
    assert part.images[:, 0, 0, 0].tolist() == pytest.approx([0.2, 0.0])
    assert part.intrinsics[:, 0, 0].tolist() == [3, 1]
    assert part.cam_from_world[:, 0, 0].tolist() == [3, 1]
    assert part.depth[:, 0, 0].tolist() == [2, 0]
    assert part.network_from_original[:, 0, 0].tolist() == [12, 10]
    assert part.known_poses == (known[2], known[0])
    assert batch(known_poses=known).posed == (0, 2)
    bare = replace(batch(), intrinsics=None, cam_from_world=None, depth=None).select([1])
    assert (bare.intrinsics, bare.cam_from_world, bare.depth, bare.known_poses, bare.posed) == (None, None, None, (), ())


def test_gaussians_are_as_many_in_every_field_and_so_are_parts_of_them():
    whole = gaussians(semantic_features=torch.rand(4, 2), instance_features=torch.rand(4, 5))
    rows = torch.tensor([True, False, False, True])
    part = whole.select(rows)
    assert (len(whole), len(part)) == (4, 2)
    for name in ("means", "scales", "quats_wxyz", "opacities", "colors", "semantic_features", "instance_features"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[[0, 3]]), name
    plain = gaussians().select(torch.tensor([1]))
    assert plain.semantic_features is None and plain.instance_features is None
    assert gaussians(colors=torch.rand(4, 9, 3)).colors.ndim == 3
    for name, wrong in [("means", (4, 2)), ("scales", (3, 3)), ("quats_wxyz", (4, 3)), ("opacities", (4, 1)), ("colors", (4, 4)),
                        ("semantic_features", (3, 2)), ("instance_features", (4,))]:  # fmt: skip
        with pytest.raises(ValueError, match=f"Gaussians.{name}: expected shape"):
            gaussians(**{name: torch.rand(wrong)})


def test_points_and_poses_of_a_reconstruction_are_in_the_world():
    pose = torch.eye(4)
    pose[2, 3] = 2.0  # the world's origin is 2 m in front of the camera
    reconstruction = Reconstruction(torch.full((1, 3, 3), 2.0), torch.ones(1, 3, 3), EYE3[None], pose[None], True)
    assert torch.allclose(reconstruction.world_points[0, 0, 0], torch.zeros(3), atol=1e-6)
    assert reconstruction.world_from_cam[0, :3, 3].tolist() == pytest.approx([0.0, 0.0, -2.0])


def test_moving_reaches_tensors_in_nested_parts():
    rec = Reconstruction(torch.ones(1, 2, 2), torch.ones(1, 2, 2), EYE3[None], EYE4[None], True, gaussians=gaussians(2))
    moved = to_device(rec, "meta")
    assert moved.depth.is_meta and moved.gaussians.means.is_meta
    assert not rec.depth.is_meta
    instances = InstanceSet(torch.zeros(1, 1, 2, 2), None, torch.ones(1), LABELS)
    assert to_device(instances, "meta").scores.is_meta and to_device(instances, "meta").class_logits is None


def test_a_segment_is_found_by_its_id():
    box = OrientedBox(torch.eye(4), torch.ones(3))
    segments = tuple(Segment(key, -1, 0.0, 1.0, 5, 1, torch.zeros(3), box, torch.zeros(3)) for key in (3, 8))
    ids, none = torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(0, 3)
    scene = Panoptic3D(ids - 1, ids, segments, none, none, torch.zeros(0, dtype=torch.int64), none, LABELS)
    assert scene.segment(8) is segments[1]
    with pytest.raises(KeyError, match=r"instance_id: expected one of \[3, 8\], got 4"):
        scene.segment(4)


def test_warnings_of_poses_name_the_cameras_that_are_left_out():
    found = PoseConsistency(("a", "b", "c"), (None, 0.9, 0.8), ("a",), ("it is upside down",), doubts=("b is off a little",))
    assert found.warnings == ("a is left out: it is upside down", "b is off a little")


def test_what_must_be_there_is_told_by_name():
    assert present("depth", 0) == 0
    with pytest.raises(ValueError, match="depth: expected a value, got none"):
        present("depth", None)
    require_shape("x", torch.zeros(2, 5), (None, 5))
    for shape in [(5, 2), (2,), (2, 5, 1)]:
        with pytest.raises(ValueError, match=r"x: expected shape \(any, 5\)"):
            require_shape("x", torch.zeros(shape), (None, 5))
