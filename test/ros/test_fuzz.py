"""Damaged files that the nodes and bags read: each is read, or refused with one error that names it."""

from pathlib import Path

from fuzzing import Reader, damaged_files_test

from pan3d_ros.bags.reader import BagReader
from pan3d_ros.bags.settings import replay_settings
from pan3d_ros.inputs.transforms import StaticTransforms
from pan3d_ros.messages.calibration import info_from_file


def read_bag(path: Path) -> None:
    with BagReader(path.parent) as bag:
        for _ in bag.messages():
            pass


READERS: dict[str, Reader] = {
    "calibration.yaml": info_from_file,
    "transforms.yaml": lambda path: StaticTransforms(path, "base_link"),
    "parameters.yaml": lambda path: replay_settings([path]),
    "bag/metadata.yaml": read_bag,
    "bag/bag.mcap": read_bag,
}


test_damaged_files_are_read_or_refused_by_name = damaged_files_test(READERS)
