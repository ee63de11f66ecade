"""Geometry losses against values of the published training code, against loops, and at the edges."""

import math
from dataclasses import replace

import pytest
import torch
from loss_checks import assert_zero_with_gradient, check_gradient, waves

from pan3d_core.models.vggt.network import VggtOutput
from training.losses import geometry
from training.losses.geometry import GEOMETRY_WEIGHTS

SIZE = (40, 48)
SMALL = replace(GEOMETRY_WEIGHTS, depth_scales=2, normal_scales=2)


def maps(hw=SIZE, views=2):
    """Prediction, confidence, truth and valid pixels, for depth."""
    return (
        waves(views, *hw) + 0.5,
        1 + waves(views, *hw, seed=2),
        waves(views, *hw, seed=1) + 0.5,
        waves(views, *hw, seed=3) > 0.3,
    )


def point_maps(hw=SIZE, views=2):
    _, confidence, _, valid = maps(hw, views)
    return waves(views, *hw, 3), confidence, waves(views, *hw, 3, seed=1), valid


def camera_codes():
    truth = [waves(1, 3, 3, seed=1), torch.nn.functional.normalize(waves(1, 3, 4, seed=2) + 0.1, dim=-1)]
    return waves(4, 1, 3, 9), torch.cat([*truth, 0.5 + waves(1, 3, 2, seed=3)], -1)


def test_the_published_training_code_gives_the_same():
    """Numbers of VGGT's own loss functions (0.98 of the errors kept, gradients for depth, normals for points)."""
    depth = geometry.depth_loss(*maps())
    assert float(depth["error"]) == pytest.approx(0.355384287777228, abs=1e-12)
    assert float(depth["confidence"]) == pytest.approx(0.40864248656276275, abs=1e-12)
    assert float(depth["gradient"]) == pytest.approx(0.5909720010545746, abs=1e-12)
    points = geometry.point_loss(*point_maps())
    assert float(points["error"]) == pytest.approx(0.7501116709801576, abs=1e-12)
    assert float(points["confidence"]) == pytest.approx(0.98068739127106, abs=1e-12)
    assert float(points["normal"]) == pytest.approx(0.08725566734673867, abs=1e-9)
    # Their quaternions come from float32 matrices.
    assert float(geometry.camera_loss(*camera_codes())) == pytest.approx(0.37082272132286603, abs=1e-6)


def test_depth_loss_is_what_a_loop_finds():
    depth, confidence, truth, valid = maps((9, 11))
    errors, weighted = [], []
    for place in torch.nonzero(valid).tolist():
        place = tuple(place)
        error = abs(float(depth[place] - truth[place]))
        errors.append(error)
        weighted.append(error * float(confidence[place]) - 0.2 * math.log(float(confidence[place])))
    gradients = []
    for step in (1, 2, 4, 8):
        total, count = 0.0, 0
        for view in range(2):
            rows, columns = range(0, 9, step), range(0, 11, step)
            for y in rows:
                for x in columns:
                    if not valid[view, y, x]:
                        continue
                    count += 1
                    here = float(depth[view, y, x] - truth[view, y, x])
                    for v, u in ((y + step, x), (y, x + step)):
                        if v in rows and u in columns and valid[view, v, u]:
                            total += abs(float(depth[view, v, u] - truth[view, v, u]) - here)
        gradients.append(total / count)
    found = geometry.depth_loss(depth, confidence, truth, valid)
    assert float(found["error"]) == pytest.approx(sum(errors) / len(errors))
    assert float(found["confidence"]) == pytest.approx(sum(weighted) / len(weighted))
    assert float(found["gradient"]) == pytest.approx(sum(gradients) / 4)


def test_camera_loss_is_what_a_loop_finds():
    codes, truth = camera_codes()
    total = 0.0
    for i, code in enumerate(codes):
        difference = (code - truth).abs().reshape(3, 9)
        parts = [difference[:, :3].mean(), difference[:, 3:7].mean(), 0.5 * difference[:, 7:].mean()]
        total += 0.6 ** (len(codes) - 1 - i) * float(sum(parts))
    assert float(geometry.camera_loss(codes, truth)) == pytest.approx(total / 4)


def test_the_largest_errors_are_dropped_and_enormous_ones_bounded():
    values = torch.cat([torch.ones(1990, dtype=torch.float64), torch.full((10,), 1e9, dtype=torch.float64)])
    assert float(geometry.trimmed_mean(values[:1000] * 3, 0.98, values)) == 3  # few values: all count
    # The 98th percentile is 1 and nothing lies below it, so all of them count, the outliers as 100.
    assert float(geometry.trimmed_mean(values, 0.98, values)) == pytest.approx((1990 + 10 * 100) / 2000)
    rising = torch.arange(2000, dtype=torch.float64) / 1000
    assert float(geometry.trimmed_mean(rising, 0.98, values)) == pytest.approx(float(rising[:1959].mean()))


def test_confidence_settles_where_it_balances_the_error():
    """gamma e c - alpha log c is smallest at c = alpha / (gamma e)."""
    truth, error = torch.zeros(1, 4, 4, dtype=torch.float64), 0.05
    depth, valid = truth + error, torch.ones(1, 4, 4, dtype=torch.bool)
    values = [float(geometry.depth_loss(depth, truth + c, truth, valid)["confidence"]) for c in (3.6, 4.0, 4.4)]
    assert values[1] < min(values[0], values[2])


def test_gradients():
    depth, confidence, truth, valid = maps((4, 4), 1)
    check_gradient(lambda d, c: sum(geometry.depth_loss(d, c, truth, valid, SMALL).values()), depth, confidence)
    points, confidence, truth, valid = point_maps((3, 4), 1)
    check_gradient(lambda p, c: sum(geometry.point_loss(p, c, truth, valid, SMALL).values()), points, confidence)
    codes, truth = camera_codes()
    check_gradient(lambda c: geometry.camera_loss(c, truth), codes)


def test_nothing_valid_gives_nothing():
    depth, confidence, truth, valid = (part.requires_grad_() if part.is_floating_point() else part for part in maps((6, 7)))
    for term in geometry.depth_loss(depth, confidence, truth, torch.zeros_like(valid)).values():
        assert_zero_with_gradient(term, depth, confidence)
    points, confidence, truth, valid = point_maps((6, 7))
    points.requires_grad_()
    for term in geometry.point_loss(points, confidence, truth, torch.zeros_like(valid)).values():
        assert_zero_with_gradient(term, points)
    one = torch.zeros_like(valid)
    one[0, 3, 3] = True  # one pixel has an error, but neither neighbours nor a normal
    assert float(geometry.point_loss(points.detach(), confidence, truth, one)["normal"]) == 0


def test_the_most_confident_pixels_of_each_view():
    confidence = torch.stack([torch.arange(20.0).reshape(4, 5), torch.ones(4, 5)])
    kept = geometry.most_confident(confidence, 0.7)
    assert kept[0].sum() == 14 and not kept[0, 0].any() and kept[0, 2:].all()
    assert kept[1].all()  # equal ones cannot be told apart
    assert geometry.most_confident(confidence, 1.0).all()


def outputs(seed: float = 0.0, *, points: bool = False) -> VggtOutput:
    shape = (1, 2, 6, 8)
    return VggtOutput(
        pose_encodings=waves(4, 1, 2, 9, seed=seed),
        depth=waves(*shape, seed=seed) + 0.5,
        depth_conf=1 + waves(*shape, seed=seed + 1),
        world_points=waves(*shape, 3, seed=seed + 2) if points else None,
        world_points_conf=1 + waves(*shape, seed=seed + 3) if points else None,
    )


def test_a_student_equal_to_its_teacher_has_only_the_confidence_to_learn():
    teacher = outputs()
    student = replace(teacher, pose_encodings=teacher.pose_encodings[-1:].expand(4, -1, -1, -1))
    losses = geometry.distillation_losses(student, teacher)
    assert float(losses["camera"]) == 0
    assert float(losses["depth"]) == pytest.approx(-0.2 * float(teacher.depth_conf.log().mean()))
    assert float(losses["points"]) == 0
    assert float(losses["total"]) == pytest.approx(float(losses["depth"]))


def test_distillation_weighs_its_terms_and_keeps_the_teacher_out_of_the_graph():
    student, teacher = outputs(points=True), outputs(5.0, points=True)
    for part in (student.depth, teacher.depth, teacher.depth_conf, teacher.pose_encodings):
        part.requires_grad_()
    weights = replace(GEOMETRY_WEIGHTS, points=2.0)
    losses = geometry.distillation_losses(student, teacher, weights, confident_share=0.5)
    expected = 5 * losses["camera"] + losses["depth"] + 2 * losses["points"]
    torch.testing.assert_close(losses["total"], expected)
    losses["total"].backward()
    assert student.depth.grad.any() and teacher.depth.grad is None and teacher.pose_encodings.grad is None
    # Pixels that the teacher doubts have no part.
    doubted = ~geometry.most_confident(teacher.depth_conf.detach(), 0.5)
    assert not student.depth.grad[doubted].any()


def test_instances_and_geometry_make_one_objective():
    instances = {"classes": torch.tensor(1.0), "total": torch.tensor(2.0)}
    geometry_terms = geometry.distillation_losses(outputs(), outputs(5.0))
    both = geometry.with_geometry(instances, geometry_terms)
    assert set(both) == {"classes", "camera", "depth", "points", "total"}
    torch.testing.assert_close(both["total"], 2 + geometry_terms["total"])


def test_one_view():
    single = replace(outputs(), pose_encodings=waves(4, 1, 1, 9), depth=waves(1, 1, 6, 8), depth_conf=1 + waves(1, 1, 6, 8))
    assert all(torch.isfinite(value) for value in geometry.distillation_losses(single, single).values())
