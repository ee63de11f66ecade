"""Weight files: official wrappings accepted, everything else refused with a message that helps."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pan3d_core.models.vggt.segvggt import official_name
from pan3d_core.runtime.weights import load_weights, read_weights


def small_model():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def meta_model():
    with torch.device("meta"):
        return small_model()


@pytest.fixture()
def state():
    return {name: torch.randn_like(value) for name, value in small_model().state_dict().items()}


def check_loaded(model, state):
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in state.items()
    }


@pytest.mark.parametrize("wrap", ["plain", "model", "state_dict", "both", "module"])
def test_official_wrappings(tmp_path, state, wrap):
    content = {
        "plain": state,
        "model": {"model": state, "epoch": 3},
        "state_dict": {"state_dict": state},
        "both": {"model": {"state_dict": state}},
        "module": {"model": {f"module.{name}": value for name, value in state.items()}},
    }[wrap]
    torch.save(content, tmp_path / "w.pt")
    model = meta_model()
    load_weights(model, tmp_path / "w.pt")
    check_loaded(model, state)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_exported_network_is_no_checkpoint(tmp_path):
    (tmp_path / "mini.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a checkpoint, got .*mini.onnx, a network written by pan3d export; name the"):
        read_weights(tmp_path / "mini.onnx")


def test_safetensors_in_half_precision_become_the_models_dtype(tmp_path, state):
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "w.safetensors")
    model = small_model()
    load_weights(model, tmp_path / "w.safetensors")
    check_loaded(model, {name: value.half().float() for name, value in state.items()})


def test_names_can_be_mapped_and_prefixes_ignored(tmp_path, state):
    save_file({f"net.{name}": value for name, value in state.items()} | {"track.x": torch.ones(1)}, tmp_path / "w.safetensors")
    model = meta_model()
    load_weights(model, tmp_path / "w.safetensors", name_in_file=lambda name: f"net.{name}", ignored_prefixes=("track.",))
    check_loaded(model, state)


def test_missing_unexpected_and_misshaped_names_are_listed(tmp_path, state):
    del state["0.bias"]
    state |= {"extra": torch.zeros(1), "2.weight": torch.zeros(5, 4)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError) as error:
        load_weights(meta_model(), tmp_path / "w.safetensors")
    text = str(error.value)
    assert "1 missing: 0.bias" in text
    assert "1 unexpected: extra" in text
    assert "2.weight expected (2, 4), got (5, 4)" in text
    assert "another model" not in text


def test_checkpoint_of_another_model_is_recognised(tmp_path):
    save_file({"aggregator.camera_token": torch.zeros(1, 2, 1, 8)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="another model: 0 of 4 names agree; it looks like VGGT"):
        load_weights(small_model(), tmp_path / "w.safetensors")


def test_a_relative_of_the_model_is_recognised(tmp_path, procedural):
    vggt = procedural.tiny_vggt().state_dict()
    save_file({name: value for name, value in vggt.items() if name.startswith("aggregator.")}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="another model: .*; it looks like VGGT"):
        load_weights(procedural.tiny_segvggt(), tmp_path / "w.safetensors", name_in_file=official_name)


def test_weights_stay_untouched_when_loading_fails(tmp_path, state):
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    del state["0.bias"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="does not fit Sequential"):
        load_weights(model, tmp_path / "w.safetensors")
    check_loaded(model, before)


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_truncated_files_are_refused(tmp_path, state, ending, share):
    path = tmp_path / f"w.{ending}"
    (save_file if ending == "safetensors" else torch.save)(state, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match="expected a complete .* file, got .*cut short"):
        read_weights(path)


def test_python_objects_are_not_unpickled(tmp_path):
    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("the file's code was run",))

    path = tmp_path / "w.pt"
    torch.save({"model": Payload()}, path)
    with pytest.raises(ValueError, match="expected tensors only"):
        read_weights(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="weights: expected"):
        read_weights(path)


def test_files_that_are_no_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_weights(tmp_path / "none.pt")
    (tmp_path / "w.zip").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"expected a \.safetensors, \.pt"):
        read_weights(tmp_path / "w.zip")
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match="expected names with tensors"):
        read_weights(tmp_path / "w.pt")


def test_a_family_member_loads_under_its_official_names(tmp_path, procedural):
    reference = procedural.fill(procedural.tiny_segvggt(), official_name)
    save_file({official_name(name): value for name, value in reference.state_dict().items()}, tmp_path / "w.safetensors")
    with torch.device("meta"):
        model = procedural.tiny_segvggt()
    load_weights(model, tmp_path / "w.safetensors", name_in_file=official_name)
    for name, value in reference.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)
    assert not model.vggt.aggregator.frame_blocks[0].attn.qkv.linear.weight.requires_grad
