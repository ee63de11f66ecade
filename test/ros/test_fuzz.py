"""Damaged files that the nodes and bags read: each is read, or refused with one error that names it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from bag_scene import HEIGHT, WIDTH, BlockBag
from fuzzing import AMOUNTS, Reader, broken_files_test, check_reader, damaged_files_test
from rosbags.rosbag2 import StoragePlugin

from pan3d_ros.bags.reading.reader import COMPRESSED, IMAGE, INFO, TEXT, TRANSFORMS, BagError, BagReader
from pan3d_ros.bags.settings import replay_settings
from pan3d_ros.inputs.transforms import StaticTransforms
from pan3d_ros.messages.calibration import calibration_from_info, info_from_file
from pan3d_ros.messages.images import compressed_to_rgb, depth_to_metres, image_to_rgb
from pan3d_ros.messages.poses import matrix_from_pose, transform_numbers


def read_bag(path: Path) -> None:
    with BagReader(path) as bag:
        for _ in bag.messages():
            pass


READERS: dict[str, Reader] = {
    "calibration.yaml": info_from_file,
    "transforms.yaml": lambda path: StaticTransforms(path, "base_link"),
    "parameters.yaml": lambda path: replay_settings([path]),
    "bag/metadata.yaml": lambda path: read_bag(path.parent),
    "bag/bag.mcap": lambda path: read_bag(path.parent),
}


test_damaged_files_are_read_or_refused_by_name = damaged_files_test(READERS)
test_files_that_broke_a_reader_once_are_read_or_refused_by_name = broken_files_test(READERS)


@AMOUNTS
def test_a_damaged_database_is_read_or_refused_by_name(amount, tmp_path):
    whole = BlockBag(sets=1, cameras=("front",)).write(tmp_path / "bag", StoragePlugin.SQLITE3) / "bag.db3"
    check_reader(read_bag, "trial.db3", tmp_path / "trial", amount, whole)


# What becomes of messages of a type once they are decoded.
USES: dict[str, Callable[[Any], Any]] = {
    IMAGE: lambda message: depth_to_metres(message) if message.encoding == "16UC1" else image_to_rgb(message),
    COMPRESSED: compressed_to_rgb,
    INFO: lambda message: calibration_from_info(message, WIDTH, HEIGHT),
    TRANSFORMS: lambda message: [matrix_from_pose("pose", *transform_numbers(item.transform)) for item in message.transforms],
    TEXT: lambda message: message.data,
}


@AMOUNTS
@pytest.mark.parametrize("kind", sorted(USES))
def test_damaged_messages_of_a_bag_are_used_or_refused_with_their_topic(kind, amount, tmp_path):
    whole = tmp_path / "whole.cdr"
    with BagReader(BlockBag(sets=1, jpeg=kind == COMPRESSED).write(tmp_path / "bag")) as bag:
        topic = bag.of_type(kind)[0]
        whole.write_bytes(next(bag.raw([topic])).content)

        def use(path: Path) -> None:
            try:
                message = bag.decode(topic, path.read_bytes())
            except BagError as error:
                assert topic in str(error)
                return
            with suppress(ValueError):  # which costs this one message, and whoever asked names the topic
                USES[kind](message)

        check_reader(use, "message.cdr", tmp_path / "trial", amount, whole)
