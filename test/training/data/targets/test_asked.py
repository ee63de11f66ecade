"""2D models asked about training images: files that EPS3D's teacher reads, with the cards of who said what."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from teacher_files import write_segmenter

from pan3d_core.labelling.teachers import TeacherCard, TeacherRequest, build_teacher, read_card
from pan3d_tools import cli
from training.data.arrays import ShardSet
from training.data.targets.asked import ask_for_shards
from training.data.targets.teachers import FileTeacher

pytest.importorskip("onnxruntime")


@pytest.fixture
def teacher(tmp_path):
    weights, config = write_segmenter(tmp_path / "boxes.onnx"), tmp_path / "boxes.yaml"
    config.write_text("{classes: [red, green, table], stuff: [table], masks: masks, labels: labels, semantics: semantics, "
                      "values: logits}")  # fmt: skip
    return build_teacher(TeacherRequest(name="onnx", weights=str(weights), config=str(config), min_pixels=5))


@pytest.fixture
def describing(teacher):
    """A teacher that also gives features."""
    return replace(teacher, features=lambda image: torch.ones(4, 3, 5), card=replace(teacher.card, teacher="describing"))


def test_what_is_said_is_what_training_reads(run_data, tmp_path, describing):
    said = ask_for_shards(run_data / "val", tmp_path / "said", describing)
    assert said.endswith(f"8 images, 0 of which were there already: {tmp_path / 'said'}")
    batch = ShardSet(run_data / "val").batch(np.array([0, 1]), [np.arange(4)] * 2)
    maps = FileTeacher(tmp_path / "said")(batch, torch.Generator())
    assert maps.features.shape == (2, 4, 4, 3, 5) and maps.ids.shape == batch.ids.shape
    labels = describing(batch.images[0, 0])
    assert int((maps.ids[0, 0] > 0).sum()) == int((labels.semantics >= 0).sum())
    for row, mask in enumerate(labels.masks, start=1):
        assert bool((maps.ids[0, 0][mask] == row).all())
    assert read_card(tmp_path / "said").teacher == "describing"
    assert "8 of which were there already" in ask_for_shards(run_data / "val", tmp_path / "said", describing)
    other = replace(describing, card=TeacherCard("another", ()))
    with pytest.raises(ValueError, match="--out: expected a folder of another with these settings, got"):
        ask_for_shards(run_data / "val", tmp_path / "said", other)


def test_without_features_there_is_nothing_to_learn_from(run_data, tmp_path, teacher, capsys):
    with pytest.raises(ValueError, match="--features: expected the checkpoint of LSeg beside onnx, which gives no features"):
        ask_for_shards(run_data / "val", tmp_path / "said", teacher)
    options = [
        "--teacher",
        "onnx",
        "--teacher-weights",
        str(tmp_path / "boxes.onnx"),
        "--teacher-config",
        str(tmp_path / "boxes.yaml"),
    ]
    code = cli.main(
        ["label", str(run_data / "val"), "-o", str(tmp_path / "said"), *options, "--features", str(tmp_path / "none")]
    )
    assert code == 2 and "teacher lseg: weights: expected LSeg's demo_e200.ckpt" in capsys.readouterr().err
