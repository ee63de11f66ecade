"""Weight files that know their content."""

import json
import struct
from importlib.resources import files

import pytest
import torch
from safetensors.torch import save_file

from pan3d_core.runtime.checksums import CHECKSUM, write_weights
from pan3d_core.runtime.weights import read_metadata, read_weights

TENSORS = {
    "a": torch.arange(6).reshape(2, 3),
    "b": torch.ones(4, dtype=torch.float16),
    "c": torch.tensor(2.5),
    "d": torch.zeros(0),
}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, {"format": "x"})
    found = read_weights(path)
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert read_metadata(path)["format"] == "x" and list(tmp_path.iterdir()) == [path]


def test_every_flipped_byte_of_the_tensors_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, {"format": "x"})
    whole = path.read_bytes()
    start = 8 + struct.unpack("<Q", whole[:8])[0]
    for place in range(start, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"w\.safetensors.*the file is damaged"):
            read_weights(path)


def test_changed_words_and_names_are_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    write_weights(path, TENSORS, {"format": "good"})
    whole = path.read_bytes()
    for old, new in ((b'"good"', b'"bood"'), (b'"a":', b'"z":')):
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match="the file is damaged"):
            read_weights(path)


def test_a_file_without_checksum_is_read_as_it_is(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors", metadata={"format": "x"})
    assert set(read_weights(tmp_path / "w.safetensors")) == set(TENSORS)


@pytest.mark.parametrize("name", ["pan3d-mini", "pan3d-mini-fast3dis", "pan3d-mini-eps3d"])
def test_the_weights_that_come_along_have_a_checksum_that_holds(name):
    path = files("pan3d_core").joinpath("weights", f"{name}.safetensors")
    metadata = read_metadata(path)
    assert len(metadata[CHECKSUM]) == 64 and json.loads(metadata["content"])
    assert read_weights(path)
