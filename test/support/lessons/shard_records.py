"""Scenes of shards that are quick to make."""

from __future__ import annotations

import numpy as np

from pan3d_sim.data.scene_records import SceneRecord, empty_columns


def fake_record(seed: int) -> SceneRecord:
    """A tiny scene whose content tells its seed."""
    rng = np.random.default_rng(seed)
    columns = empty_columns(2)
    columns["kinds"][1], columns["colors"][1] = seed % 3, 0
    columns["world_from_box"][1], columns["box_size"][1] = np.eye(4), 0.1
    ids = np.zeros((2, 16, 20), np.uint8)
    ids[:, 4:8, 4:8] = 1
    depth = rng.integers(0, 9000, (2, 16, 20)).astype(np.uint16)
    return SceneRecord(
        seed, rng.integers(0, 255, (2, 16, 20, 3), np.uint8), depth, ids, **columns,
        intrinsics=np.tile(np.diag([20.0, 20.0, 1.0]).astype(np.float32), (2, 1, 1)),
        cam_from_world=np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)), support_height=np.array(0.0, np.float32),
    )  # fmt: skip
