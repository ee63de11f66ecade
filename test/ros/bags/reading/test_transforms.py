"""Recorded frames: chains, interpolation, and what is said where a frame is unknown."""

import math
from types import SimpleNamespace

import pytest
import torch

from pan3d_ros.bags.reading.reader import IMAGE, BagReader
from pan3d_ros.bags.reading.transforms import BagTransforms
from pan3d_ros.inputs.transforms import TransformUnavailable
from pan3d_ros.messages.buffers import stamp_to_ns

SECOND = 1_000_000_000


def link(parent, child, xyz, angle=0.0):
    """TransformStamped with a turn about z."""
    translation = SimpleNamespace(**dict(zip("xyz", xyz)))
    rotation = SimpleNamespace(x=0.0, y=0.0, z=math.sin(angle / 2), w=math.cos(angle / 2))
    transform = SimpleNamespace(translation=translation, rotation=rotation)
    return SimpleNamespace(header=SimpleNamespace(frame_id=parent), child_frame_id=child, transform=transform)


@pytest.fixture
def tree():
    """base_link -> tool (moving and turning) -> camera, and base_link -> table, and an island."""
    tree = BagTransforms("table")
    tree.add(0, link("base_link", "table", (0.0, 0.0, 0.1)))
    for index in range(11):
        tree.add((10 + index) * SECOND, link("base_link", "tool", (0.1 * index, 0.0, 0.5), index * math.pi / 20))
    tree.add(0, link("tool", "camera", (0.0, 0.2, 0.0)))
    tree.add(0, link("elsewhere", "lost", (0.0, 0.0, 0.0)))
    return tree


def test_a_chain_at_a_time_between_two_samples(tree):
    cam_from_world = tree.lookup("wrist", "camera", 12_500_000_000)
    angle = 2.5 * math.pi / 20
    center = torch.tensor([0.25 - 0.2 * math.sin(angle), 0.2 * math.cos(angle), 0.4])  # in the table's frame
    world_from_cam = torch.linalg.inv(cam_from_world.double()).float()
    torch.testing.assert_close(world_from_cam[:3, 3], center, atol=1e-6, rtol=0)
    assert math.atan2(world_from_cam[1, 0], world_from_cam[0, 0]) == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize(
    ("frame", "stamp", "text"),
    [
        ("kamera", 12 * SECOND, "'kamera' is in no transform of the bag; its frames are base_link, camera"),
        ("lost", 12 * SECOND, "not connected, one is below 'elsewhere', the other below 'base_link'"),
        ("camera", 9 * SECOND, "base_link <- tool: the oldest pose is 1000.0 ms newer than the image"),
        ("camera", 21 * SECOND, "base_link <- tool: the newest pose is 1000.0 ms older than the image"),
    ],
)
def test_what_is_unknown_is_named(tree, frame, stamp, text):
    with pytest.raises(TransformUnavailable, match=text) as caught:
        tree.lookup("wrist", frame, stamp)
    assert not caught.value.may_come  # no waiting helps: the whole bag is known


def test_gaps_are_bridged_as_tf2_does(tree):
    tree.add(35 * SECOND, link("base_link", "tool", (0.0, 0.0, 0.5)))
    with pytest.raises(TransformUnavailable, match="15000 ms apart"):
        tree.lookup("wrist", "camera", 30 * SECOND)


def test_the_wrist_of_the_cell_is_where_it_was_rendered(cell_bag):
    from pan3d_sim.cameras.wrist_path import WristPath

    with BagReader(cell_bag) as bag:
        tree = BagTransforms.read(bag, "base_link")
        images = [message.content for message in bag.messages(["/wrist/color/image_raw"])]
        assert bag.topics["/wrist/color/image_raw"].type == IMAGE
    path = WristPath.of_seed(3, 0.0)
    for image in images:
        stamp_ns = stamp_to_ns(image.header.stamp)
        truth = path.camera((stamp_ns - 1_800_000_000 * SECOND) * 1e-9, 160, 120).cam_from_world
        found = tree.lookup("wrist", image.header.frame_id, stamp_ns)
        assert (found.double() - torch.as_tensor(truth).double()).abs().max() < 1e-4
