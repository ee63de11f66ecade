"""Sentence embeddings without a download: MiniLM, a six layer BERT (Devlin et al. 2019).

It is written out below because importing `transformers` costs ten seconds; `minilm_files` says where its weights come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from pan3d_core.runtime.minilm_files import INSTALL_COMMAND, TextEncoderUnavailable, check_files, find_model_folder

TEXT_EMBEDDING_DIM = 384
_LAYERS = 6
_HEADS = 12
_LAYER_NORM_EPS = 1e-12
_MAX_TOKENS = 128


class TextEncoder:
    """Maps sentences to unit vectors; loads at construction in about 0.1 s.

    Attributes:
        dim: length of an embedding, 384.
    """

    dim = TEXT_EMBEDDING_DIM

    def __init__(self, device: torch.device | str = "cpu", folder: Path | None = None) -> None:
        """`folder`: the model's files, by default those of the installed package. Raises `TextEncoderUnavailable`."""
        folder = find_model_folder() if folder is None else Path(folder)
        check_files(folder)
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise TextEncoderUnavailable(f"text encoder: package tokenizers is not installed; run: {INSTALL_COMMAND}") from None
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # to the longest sentence of a batch, not always to 128
        self._weights = load_file(str(folder / "model.safetensors"), device=str(device))
        self.device = torch.device(device)

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int = 64) -> Tensor:
        """N sentences -> (N, 384) float32 unit rows on the encoder's device; mean over the tokens' last states."""
        if isinstance(texts, str):
            raise ValueError("texts: expected a list of strings, got one string")
        # A batch is as wide as its longest sentence, so those of like length go together.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rows = torch.empty(len(texts), self.dim, device=self.device)
        for start in range(0, len(texts), batch_size):
            chosen = order[start : start + batch_size]
            rows[chosen] = self._encode_batch([texts[index] for index in chosen])
        return rows

    def _encode_batch(self, texts: list[str]) -> Tensor:
        encodings = self._tokenizer.encode_batch(texts)
        token_ids = torch.tensor([e.ids for e in encodings], device=self.device)
        is_token = torch.tensor([e.attention_mask for e in encodings], dtype=torch.bool, device=self.device)
        states = bert_states(self._weights, token_ids, is_token)
        weights = is_token[..., None].to(states.dtype)
        return F.normalize((states * weights).sum(1) / weights.sum(1), dim=-1)


def bert_states(weights: dict[str, Tensor], token_ids: Tensor, is_token: Tensor) -> Tensor:
    """Last hidden states of BERT (post-norm transformer, Devlin et al. 2019): ids (N, T), mask (N, T) -> (N, T, 384)."""

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], _LAYER_NORM_EPS)

    def split_heads(x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (_HEADS, -1)).transpose(1, 2)
        return heads

    positions = weights["embeddings.position_embeddings.weight"][: token_ids.shape[1]]
    x = weights["embeddings.word_embeddings.weight"][token_ids] + positions
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(_LAYERS):
        name = f"encoder.layer.{layer}"
        query, key, value = (split_heads(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=is_token[:, None, None, :])
        attended = linear(attended.transpose(1, 2).flatten(2), f"{name}.attention.output.dense")
        x = norm(x + attended, f"{name}.attention.output.LayerNorm")
        hidden = linear(F.gelu(linear(x, f"{name}.intermediate.dense")), f"{name}.output.dense")
        x = norm(x + hidden, f"{name}.output.LayerNorm")
    return x
