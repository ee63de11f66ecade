"""Tiny training data: ray-cast tables written in the shards' format, and a small network."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from raycast_scene import HEIGHT, WIDTH, Ball, Block, camera_ring, cast
from safetensors.torch import save_file

from training.data.targets.teachers import STUFF_FILE
from training.data.targets.text import TextTargets, save_text_targets
from training.settings import merge_settings

TINY = {
    "dim": 48, "heads": 3, "blocks": 2, "stem": (8, 16, 24), "pyramid": (8, 16, 24), "queries": 6, "decoder_layers": 2,
    "text_dim": 16,
}  # fmt: skip
KINDS = ("ball", "block")
_TINY_PLAIN = {name: list(value) if isinstance(value, tuple) else value for name, value in TINY.items()}
TINY_MODELS = {
    "pan3d-mini": _TINY_PLAIN,
    "pan3d-mini-fast3dis": {
        "base": _TINY_PLAIN, "decoder": {"queries": 6, "dim": 32, "heads": 2, "feed_forward": 32, "layers": 3, "bands": 8},
        "lora_rank": 4,
    },
    "pan3d-mini-eps3d": {"base": _TINY_PLAIN, "width": 8, "features": 8},
    "segvggt": {
        "height": 56, "width": 70, "native_grid": 5, "dim": 48, "encoder_depth": 1, "depth": 2, "heads": 3, "camera_depth": 1,
        "camera_heads": 4, "features": 16, "out_channels": [8, 12, 16, 16], "layers": [0, 0, 1, 1], "queries": 8,
        "class_hidden": 8, "lora_rank": 4, "lora_alpha": 8.0,
    },
    "eps3d": {
        "height": 56, "width": 70, "native_grid": 5, "dim": 48, "encoder_depth": 1, "depth": 2, "heads": 3, "camera_depth": 1,
        "camera_heads": 4, "features": 16, "out_channels": [8, 12, 16, 16], "layers": [0, 0, 1, 1], "text_channels": 16,
        "voxel_size": 0.02, "context_views": [2, 3], "rendered_views": 2,
    },
    "fast3dis": {
        "base": {
            "backbone": {"dim": 48, "depth": 6, "num_heads": 3, "taps": [2, 3, 4, 5], "first_cross_view": 2},
            "head": {"features": 16, "channels": [8, 12, 16, 16]},
        },
        "height": 56, "width": 70, "lora_rank": 4,
        "decoder": {"queries": 8, "dim": 32, "heads": 4, "feed_forward": 48, "layers": 3, "bands": 8},
    },
}  # fmt: skip


SMALL_HW = (64, 80)


def write_fake_shard(folder: Path, scenes: int, seed: int, image_hw: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    """Scenes of three objects, four views, as `pan3d_sim.data.shards` would write them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows: dict[str, list[np.ndarray]] = {}
    for _ in range(scenes):
        kinds = np.full(16, 255, np.uint8)
        objects = []
        for k, x in enumerate((-0.12, 0.0, 0.12)):
            place = (x, float(rng.uniform(-0.1, 0.1)), 0.04)
            kinds[k + 1] = rng.integers(2)
            rgb = tuple(rng.uniform(0.1, 0.9, 3).tolist())
            objects.append(Block(place, (0.07, 0.06, 0.08), 0.3, rgb) if kinds[k + 1] else Ball(place, 0.04, rgb))
        scene = cast(tuple(objects), camera_ring(4), focal=140.0 * image_hw[1] / WIDTH, image_hw=image_hw)
        images = torch.stack([v.image for v in scene.views]).permute(0, 2, 3, 1)
        row = {
            "images": (images * 255).round().byte().numpy(),
            "depth": np.where(scene.depth < 6.5, scene.depth * 1e4, 0).round().astype(np.uint16),
            "ids": scene.ids.byte().numpy(),
            "kinds": kinds,
            "rgb": np.zeros((16, 3), np.uint8),
            "intrinsics": torch.stack([v.intrinsics for v in scene.views]).numpy(),
            "cam_from_world": torch.stack([v.cam_from_world for v in scene.views]).numpy(),
            "support_height": np.float32(0.0),
        }
        for name, value in row.items():
            rows.setdefault(name, []).append(value)
    for name, values in rows.items():
        np.save(folder / f"{name}.npy", np.stack(values))
    (folder / "vocabulary.json").write_text(json.dumps({"kinds": KINDS, "descriptions": {k: [k] for k in KINDS}}))


@pytest.fixture(scope="session")
def fake_shard() -> Callable[..., None]:
    """`write_fake_shard`, for data that a test makes itself."""
    return write_fake_shard


def fake_text() -> TextTargets:
    """Two kinds with three random unit vectors each."""
    vectors = torch.nn.functional.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    texts = ("ball", "sphere", "toy", "block", "cube", "brick")
    return TextTargets(KINDS, texts, torch.tensor([0, 0, 0, 1, 1, 1]), vectors, synonyms_per_kind=2)


def training_data(folder: Path, image_hw: tuple[int, int]) -> Path:
    write_fake_shard(folder / "train" / "part_000", 6, 1, image_hw)
    write_fake_shard(folder / "val" / "part_000", 2, 2, image_hw)
    save_text_targets(fake_text(), folder / "text_embeddings.npz")
    stuff = torch.nn.functional.normalize(torch.randn(2, 16, generator=torch.Generator().manual_seed(3)), dim=-1)
    save_file({"embeddings": stuff}, folder / STUFF_FILE)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory) -> Path:
    return training_data(tmp_path_factory.mktemp("shards"), (HEIGHT, WIDTH))


@pytest.fixture(scope="session")
def run_data(tmp_path_factory) -> Path:
    """The same scenes in a third of the pixels, for runs in which only their steps matter."""
    return training_data(tmp_path_factory.mktemp("small_shards"), SMALL_HW)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> dict:
    return dict(TINY)


@pytest.fixture
def run_values(run_data, tmp_path) -> Callable[..., dict]:
    """(family, changed groups) -> settings of a tiny run on the CPU that logs every step and does not save by the clock."""

    def values(family: str, **changes) -> dict:
        tiny_run = {
            "family": family, "data": str(run_data), "out": str(tmp_path / "run"), "steps": 6, "model": TINY_MODELS[family],
            "start_from": "",
            "execution": {"precision": "float32", "device": "cpu"}, "sampling": {"batch": 2},
            "record": {
                "log_steps": 1, "save_minutes": 0.0, "evaluate_minutes": 0.0, "evaluate_scenes": 1, "tensorboard": False,
            },
        }  # fmt: skip
        return merge_settings(tiny_run, changes)

    return values
