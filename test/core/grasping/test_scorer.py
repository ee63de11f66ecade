"""The learnt order of grasps: what it reads does not depend on where the scene lies, and what it says is in its weights."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from surface_scenes import as_scene, box_surface

from pan3d_core.config import FingertipConfig, GraspConfig, GripperConfig
from pan3d_core.grasping.contacts import find_pairs
from pan3d_core.grasping.hand_views import OTHER_POINTS, OWN_POINTS, TERMS, hand_views
from pan3d_core.grasping.hands import contact_of
from pan3d_core.grasping.object_cloud import build_object_cloud
from pan3d_core.grasping.placing import place_hands
from pan3d_core.grasping.planner import select_grasps
from pan3d_core.grasping.scorer import FILE, GraspScorer, knows_hand, read_scorer, shipped_scorer, write_scorer
from pan3d_core.runtime.checksums import read_stored, write_weights

CONFIG = GraspConfig()


@pytest.fixture(scope="module")
def scene():
    """A box of 5 x 7 x 10 cm and another one beside it."""
    rng = np.random.default_rng(2)
    near = box_surface(np.array([0.02, 0.13, 0.03]), np.array([0.06, 0.06, 0.06]), rng)
    return as_scene(box_surface(np.array([0.0, 0.0, 0.05]), np.array([0.05, 0.07, 0.10]), rng), near)


@pytest.fixture(scope="module")
def placed(scene):
    cloud = build_object_cloud(scene, 1, 0.0)
    return cloud, place_hands(find_pairs(cloud, CONFIG)[0], cloud, CONFIG)


def elsewhere(cloud, hands):
    """The same scene turned about the vertical, moved and lifted."""
    cos, sin = np.cos(2.1), np.sin(2.1)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
    shift = np.array([0.7, -0.4, 0.25], np.float32)
    moved = replace(
        cloud, points=cloud.points @ turn.T + shift, normals=cloud.normals @ turn.T, obstacles=cloud.obstacles @ turn.T + shift,
        center=turn @ cloud.center + shift, body=cloud.body @ turn.T + shift, body_normals=cloud.body_normals @ turn.T,
        support_height_m=cloud.support_height_m + float(shift[2]),
    )  # fmt: skip
    return moved, replace(hands, rotation=turn @ hands.rotation, position=hands.position @ turn.T + shift)


def test_what_a_hand_has_before_it_does_not_depend_on_where_the_scene_lies(placed):
    cloud, found = placed
    here = hand_views(found.hands, found.contact, found.scores, cloud, CONFIG.gripper)
    moved, hands = elsewhere(cloud, found.hands)
    there = hand_views(hands, found.contact, found.scores, moved, CONFIG.gripper)
    assert here.own_count.min() > 20 and here.other_count.max() > 5, "there is nothing to compare"
    # A point at the very edge of the room may fall out by rounding; which ones are chosen then shifts by one in that hand.
    same = (here.own_count == there.own_count) & (here.other_count == there.other_count)
    close = same & (np.abs(here.own - there.own).max((1, 2)) < 1e-3) & (np.abs(here.other - there.other).max((1, 2)) < 1e-3)
    assert close.mean() > 0.7
    for mine, theirs in zip(here.terms.T[: TERMS.index("own_count")], there.terms.T):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
    np.testing.assert_allclose(shipped_scorer()(here), shipped_scorer()(there), atol=0.05)


def test_points_are_in_the_frame_of_the_hand_and_told_apart(placed):
    cloud, found = placed
    views = hand_views(found.hands, found.contact, found.scores, cloud, CONFIG.gripper)
    assert views.own.shape[1:] == (OWN_POINTS, 7) and views.other.shape[1:] == (OTHER_POINTS, 3)
    best = int(found.scores.argmax())
    own = views.own[best, : views.own_count[best]]
    right = own[own[:, 3] > 0.9]  # faces that look along the closing direction
    assert abs(np.median(right[:, 0]) - found.hands.width[best] / 2) < 0.004
    assert (views.own[best, views.own_count[best] :] == 0).all()
    assert len(hand_views(found.hands[:0], found.contact[:0], found.scores[:0], cloud, CONFIG.gripper)) == 0


def good_and_bad(placed):
    """The best hand of the search, and the same one with a finger in the box, beside the box, and above it."""
    cloud, found = placed
    hands = found.hands[np.array([found.scores.argmax()] * 4)]
    off = np.array([[0, 0, 0], [0.045, 0, 0], [0, 0.05, 0], [0, 0, -0.06]], np.float32)
    hands = replace(hands, position=hands.position + np.einsum("hij,hj->hi", hands.rotation, off))
    contact = contact_of(hands, cloud, CONFIG)
    same = np.full(4, 0.5, np.float32)  # it shall not repeat the analytic score
    return hand_views(hands, contact, same, cloud, CONFIG.gripper)


def prefers_the_good_one(scorer, views):
    good, *bad = scorer(views)
    return good > 0.9 and max(bad) < good - 0.2


def test_a_hand_that_holds_a_box_is_better_than_ones_that_do_not(placed):
    assert prefers_the_good_one(shipped_scorer(), good_and_bad(placed))


def test_that_is_what_its_weights_say(placed, tmp_path):
    """Shuffled ones say something else."""
    tensors, metadata = read_stored(FILE, "grasp scorer", "the shipped one")
    generator = torch.Generator().manual_seed(0)
    mixed = {
        name: tensor.reshape(-1)[torch.randperm(tensor.numel(), generator=generator)].reshape(tensor.shape)
        for name, tensor in tensors.items()
    }
    write_weights(tmp_path / "mixed.safetensors", mixed, metadata)
    assert not prefers_the_good_one(read_scorer(tmp_path / "mixed.safetensors"), good_and_bad(placed))


def test_grasps_are_ordered_by_it_where_it_is_asked_for(scene):
    plain = select_grasps(scene, 1, CONFIG, 0.0)
    learnt = select_grasps(scene, 1, replace(CONFIG, order="learnt"), 0.0)
    assert plain.order == "analytic" and "learnt" not in plain.message
    assert learnt.order == "learnt" and "their order is learnt" in learnt.message
    scores = [grasp.score for grasp in learnt.targets]
    assert scores == sorted(scores, reverse=True) and 0 < scores[-1] <= scores[0] < 1
    assert replace(learnt.counts, kept=0) == replace(plain.counts, kept=0), "the search itself stays as it is"
    refused = select_grasps(scene, 1, replace(CONFIG, order="learnt", gripper=GripperConfig(max_width_m=0.03)), 0.0)
    assert not refused.targets and refused.reason == "too_wide" and "learnt" not in refused.message


def test_of_another_hand_nothing_was_learnt_and_it_says_so(scene):
    other = GripperConfig(fingertip=FingertipConfig(length_m=0.02, thickness_m=0.006, breadth_m=0.01))
    assert knows_hand(GripperConfig()) and not knows_hand(other)
    plain = select_grasps(scene, 1, replace(CONFIG, gripper=other), 0.0)
    found = select_grasps(scene, 1, replace(CONFIG, gripper=other, order="learnt"), 0.0)
    assert [grasp.score for grasp in found.targets] == [grasp.score for grasp in plain.targets]
    assert found.order == "other hand" and "nothing was learnt of such a hand" in found.message


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="GraspConfig.order: expected one of analytic, learnt, got 'best'"):
        GraspConfig(order="best")


def test_the_shipped_file_is_small_and_has_its_card():
    assert FILE.stat().st_size < 400_000
    card = FILE.with_suffix(".md").read_text(encoding="utf-8")
    assert shipped_scorer().checksum and "licence" in card and "Limits" in card


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t, m: (without(t, "head.0.bias"), m), "head.0.bias: expected the tensors of a scorer"),
        (lambda t, m: ({**t, "more": torch.zeros(1)}, m), "more: expected the tensors of a scorer"),
        (lambda t, m: ({**t, "scale": torch.ones(2)}, m), r"scale: expected \(1,\)"),
        (lambda t, m: ({**t, "shift": torch.tensor([float("nan")])}, m), "shift: expected finite numbers"),
        (lambda t, m: (t, {**m, "format": "something"}), "format: expected pan3d grasp scorer 1"),
        (lambda t, m: (t, {**m, "terms": "score"}), "format: expected"),
    ],
)
def test_another_file_is_refused_by_what_is_wrong_with_it(change, said, tmp_path):
    tensors, metadata = change(*read_stored(FILE, "grasp scorer", "the shipped one"))
    write_weights(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(ValueError, match=said) as refused:
        read_scorer(tmp_path / "other.safetensors")
    assert "other.safetensors" in str(refused.value)


def test_a_damaged_or_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.safetensors"):
        read_scorer(tmp_path / "none.safetensors")
    content = bytearray(FILE.read_bytes())
    (tmp_path / "cut.safetensors").write_bytes(content[:-100])
    with pytest.raises(ValueError, match="cut.safetensors"):
        read_scorer(tmp_path / "cut.safetensors")
    content[-8] ^= 1
    (tmp_path / "bit.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        read_scorer(tmp_path / "bit.safetensors")


def test_what_is_written_is_read_again(tmp_path, placed):
    network = shipped_scorer().network
    write_scorer(tmp_path / "again.safetensors", network, {"trials": "1"})
    again = read_scorer(tmp_path / "again.safetensors")
    views = good_and_bad(placed)
    np.testing.assert_array_equal(again(views), GraspScorer(network, "")(views))
    assert [item.name for item in fields(again)] == ["network", "checksum"]
