"""Packages that stand for those of 2D models, pictures of boxes for them, and ONNX files that tell the boxes apart."""

import sys
from pathlib import Path

import pytest
import torch

STUBS = Path(__file__).parent / "stub_packages"
PACKAGES = ("sam2", "sam3", "groundingdino")


def boxes_picture(height: int = 48, width: int = 64) -> torch.Tensor:
    """A red box on the left and a green one on the right, on black."""
    image = torch.zeros(3, height, width)
    image[0, 10:30, 5:25] = 0.9
    image[1, 15:40, 35:60] = 0.8
    return image


@pytest.fixture
def stub_packages(monkeypatch):
    """The packages can be imported within the test, and are gone after it."""
    monkeypatch.syspath_prepend(str(STUBS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
        del sys.modules[name]


def write_segmenter(path: Path, *, labels=(1, 0), scores=(0.9, 0.6), hw=("rows", "columns"), label_type=None) -> Path:
    """An ONNX file with `masks` (1, 2, h, w) of what is red and what is green, `scores`, `labels`, and `semantics` (1, 3, h, w)
    for red, green and neither, all as logits."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weights = torch.tensor([[20.0, -20.0, 0.0], [-20.0, 20.0, 0.0], [0.0, 0.0, 0.0]])[:, :, None, None]
    constants = {
        "w2": weights[:2], "b2": torch.tensor([-5.0, -5.0]), "w3": weights, "b3": torch.tensor([-5.0, -5.0, 0.0]),
        "scores0": torch.tensor(scores), "labels0": torch.tensor(labels, dtype=label_type or torch.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["pixels", "w2", "b2"], ["masks"]),
        helper.make_node("Conv", ["pixels", "w3", "b3"], ["semantics"]),
        helper.make_node("Identity", ["scores0"], ["scores"]),
        helper.make_node("Identity", ["labels0"], ["labels"]),
    ]
    of_labels = TensorProto.FLOAT if label_type == torch.float32 else TensorProto.INT64
    outputs = [
        helper.make_tensor_value_info("masks", TensorProto.FLOAT, [1, 2, *hw]),
        helper.make_tensor_value_info("semantics", TensorProto.FLOAT, [1, 3, *hw]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("labels", of_labels, [2]),
    ]
    graph = helper.make_graph(
        nodes, "boxes", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, *hw])], outputs,
        [numpy_helper.from_array(value.numpy(), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path
