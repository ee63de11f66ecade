"""Weights of another text space are refused before anything is made or learnt."""

from dataclasses import replace

import pytest
import torch

from pan3d_core.engines.mini import SHIPPED, read_checkpoint
from training.teaching import run


def test_weights_whose_names_are_vectors_of_another_encoder_are_refused(tmp_path, monkeypatch):
    start = read_checkpoint(SHIPPED["pan3d-mini"])
    run.require_own_text_space(start, SHIPPED["pan3d-mini"])
    other = start.known_names.embeddings.roll(1, dims=1)
    short = torch.nn.functional.normalize(other[:, :16], dim=1)
    for vectors, count in ((other, other.shape[1]), (short, 16)):
        foreign = replace(start, known_names=replace(start.known_names, embeddings=vectors))
        monkeypatch.setattr(run, "read_checkpoint", lambda path, made=foreign: made)
        request = run.TeachRequest(tmp_path / "data", tmp_path / "own.safetensors", tmp_path / "run")
        with pytest.raises(ValueError, match=f"start_from: expected weights whose names are .* has another one of {count}"):
            run.teach(request)
    assert not list(tmp_path.iterdir())
