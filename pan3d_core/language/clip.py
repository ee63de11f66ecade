"""Text towers by `transformers`: of CLIP (Radford et al. 2021) itself, and the one in a checkpoint of LSeg (Li et al. 2022).

LSeg's features are compared with texts in the space of CLIP ViT-B/32, whose frozen tower its checkpoint carries in the names of
OpenAI's code. Importing `transformers` takes ten seconds, so it is imported where an encoder is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.runtime.weights import assign_weights, read_weights

TOKENIZER_FILES = ("vocab.json", "merges.txt")
CLIP_FILES = ("config.json", "model.safetensors", *TOKENIZER_FILES)
CLIP_SOURCE = (
    "a folder in Hugging Face layout of CLIP ViT-B/32, such as openai/clip-vit-base-patch32 (weights under OpenAI's MIT licence; "
    "convert a pytorch_model.bin to model.safetensors)"
)
LSEG_SOURCE = (
    "LSeg's demo_e200.ckpt (from github.com/isl-org/lang-seg, code under the MIT licence, trained on data with terms of their "
    "own) with CLIP's vocab.json and merges.txt beside it"
)
IMAGE_SIDE = ("vision_model.", "visual_projection.", "logit_scale", "text_model.embeddings.position_ids")
OPENAI_IMAGE_SIDE = ("visual.", "logit_scale")
LSEG_PREFIXES = ("net.clip_pretrained.", "clip_pretrained.")  # of the Lightning module, of the network alone
HEAD_CHANNELS = 64  # of every CLIP text tower
OPENAI_LAYER_PARTS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


class ClipTextEncoder:
    """Maps texts to unit vectors in the space that CLIP shares with images; texts beyond its 77 tokens are cut.

    Attributes:
        dim: length of an embedding, 512 for ViT-B/32.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """A `CLIPTextModelWithProjection` and its tokenizer; `ValueError` when the tokenizer knows more tokens than the model."""
        known = model.config.vocab_size
        if len(tokenizer) > known:
            raise ValueError(f"{TOKENIZER_FILES[0]}: expected at most the model's {known} tokens, got {len(tokenizer)}")
        self._model, self._tokenizer = model.eval(), tokenizer
        self._limit = model.config.max_position_embeddings
        self.dim = model.config.projection_dim

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int = 64) -> Tensor:
        """N texts -> (N, dim) float32 unit rows."""
        if isinstance(texts, str):
            raise ValueError("texts: expected a list of strings, got one string")
        rows = [self._encode_batch(list(texts[start : start + batch_size])) for start in range(0, len(texts), batch_size)]
        return torch.cat(rows) if rows else torch.zeros(0, self.dim)

    def _encode_batch(self, texts: list[str]) -> Tensor:
        # What pads a text comes after its end, where a causal model does not look: no mask is needed.
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=self._limit, return_tensors="pt")
        return F.normalize(self._model(input_ids=tokens["input_ids"]).text_embeds.float(), dim=-1)


def load_clip(folder: str | Path) -> ClipTextEncoder:
    """CLIP's text tower from a folder with `CLIP_FILES`; a checkpoint with the image tower serves as well.

    Raises `FileNotFoundError` for missing files, `ValueError` for weights that do not fit, `ModuleNotFoundError` without
    `transformers`.
    """
    folder = _folder_with("clip-vit-b32", folder, CLIP_FILES, CLIP_SOURCE)
    transformers = _transformers("clip-vit-b32")
    model = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig.from_pretrained(folder, local_files_only=True))
    weights = folder / "model.safetensors"
    assign_weights(model, read_weights(weights), origin=weights, ignored_prefixes=IMAGE_SIDE)
    return ClipTextEncoder(model, _tokenizer(transformers, folder))


def load_lseg(checkpoint: str | Path) -> ClipTextEncoder:
    """The text tower of an LSeg checkpoint (tensors only, never unpickled), with CLIP's tokenizer from the same folder.

    Errors as `load_clip`.
    """
    if not checkpoint or not Path(checkpoint).is_file():
        raise FileNotFoundError(f"encoder_weights: expected for lseg {LSEG_SOURCE}; got {str(checkpoint)!r}, which is no file")
    checkpoint = Path(checkpoint)
    folder = _folder_with("lseg", checkpoint.parent, TOKENIZER_FILES, LSEG_SOURCE)
    found = text_tower_of_lseg(read_weights(checkpoint), checkpoint)
    transformers = _transformers("lseg")
    model = transformers.CLIPTextModelWithProjection(transformers.CLIPTextConfig(**openai_sizes(found, checkpoint)))
    assign_weights(model, from_openai(found), origin=checkpoint)
    return ClipTextEncoder(model, _tokenizer(transformers, folder))


def text_tower_of_lseg(weights: Mapping[str, Tensor], origin: str | Path) -> dict[str, Tensor]:
    """The tensors of the text tower in a checkpoint of LSeg, in OpenAI's names; `ValueError` where there are none."""
    for prefix in LSEG_PREFIXES:
        own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if own:
            return {name: value for name, value in own.items() if not name.startswith(OPENAI_IMAGE_SIDE)}
    raise ValueError(f"encoder_weights: expected names that begin with {' or '.join(LSEG_PREFIXES)}, got none in {origin}")


def openai_sizes(weights: Mapping[str, Tensor], origin: str | Path) -> dict[str, Any]:
    """Arguments of `CLIPTextConfig` for a text tower in OpenAI's names; `ValueError` where the tensors that tell are missing."""
    telling = ("token_embedding.weight", "positional_embedding", "text_projection", "transformer.resblocks.0.mlp.c_fc.weight")
    missing = [name for name in telling if name not in weights]
    if missing:
        raise ValueError(f"encoder_weights: expected a text tower with {', '.join(missing)}, got none in {origin}")
    tokens, positions, projection, inner = (weights[name].shape for name in telling)
    layers = {name.split(".")[2] for name in weights if name.startswith("transformer.resblocks.")}
    return {
        "vocab_size": tokens[0],
        "hidden_size": tokens[1],
        "intermediate_size": inner[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": tokens[1] // HEAD_CHANNELS,
        "max_position_embeddings": positions[0],
        "projection_dim": projection[1],
        "bos_token_id": tokens[0] - 2,
        "eos_token_id": tokens[0] - 1,
        "pad_token_id": tokens[0] - 1,
    }


def from_openai(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A text tower in OpenAI's names in those of `transformers`; what has no other name keeps its own.

    OpenAI stacks the projections of query, key and value, and multiplies the text projection from the right.
    """
    plain = {
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
    }
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == "text_projection":
            renamed["text_projection.weight"] = value.T
        elif name.startswith("transformer.resblocks."):
            layer, _, part = name.removeprefix("transformer.resblocks.").partition(".")
            renamed |= _openai_layer(layer, part, value)
        else:
            renamed[plain.get(name, name)] = value
    return renamed


def _openai_layer(layer: str, part: str, value: Tensor) -> dict[str, Tensor]:
    ours = f"text_model.encoder.layers.{layer}"
    if part in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = part.removeprefix("attn.in_proj_")
        return {f"{ours}.self_attn.{of}_proj.{kind}": rows for of, rows in zip("qkv", value.chunk(3))}
    for new, old in OPENAI_LAYER_PARTS.items():
        if part.startswith(f"{old}."):
            return {f"{ours}.{new}{part.removeprefix(old)}": value}
    return {f"transformer.resblocks.{layer}.{part}": value}


def _folder_with(encoder: str, folder: str | Path, files: Sequence[str], source: str) -> Path:
    missing = [name for name in files if not folder or not (Path(folder) / name).is_file()]
    if missing:
        where = f"which lacks {', '.join(missing)}" if folder else "nothing"
        raise FileNotFoundError(f"encoder_weights: expected for {encoder} {source}; got {str(folder)!r}, {where}")
    return Path(folder)


def _transformers(encoder: str) -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        message = f"text encoder {encoder}: package {error.name} is not installed; install it with the extra [clip]"
        raise ModuleNotFoundError(message, name=error.name) from error
    return transformers


def _tokenizer(transformers: Any, folder: Path) -> Any:
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)
