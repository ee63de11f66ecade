"""Text encoders by name: a made-up CLIP as folder and as LSeg checkpoint, prompt ensembles, and what is said where files lack."""

import json
import sys
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from pan3d_core.config import NamingConfig
from pan3d_core.language.encoders import TEXT_ENCODERS, PromptEnsemble, build_text_encoder
from pan3d_core.settings import walk_settings

slow = pytest.mark.slow  # importing transformers takes ten seconds
needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed (extra clip)")
TEXTS = ["mug", "a photo of a red mug", "чашка ☕", "x" * 500]


def byte_symbols() -> list[str]:
    """One character for each byte, as byte-level BPE vocabularies write them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + count) for count in range(256 - len(printable))]


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """CLIP of two layers with random weights and both towers, and a tokenizer of bytes and one merge."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    symbols = [*byte_symbols(), *(f"{symbol}</w>" for symbol in byte_symbols()), "mu", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}))
    (folder / "merges.txt").write_text("#version: 0.2\nm u\n")
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": len(symbols), "eos_token_id": len(symbols) - 1, "bos_token_id": len(symbols) - 2}
    text = {**sizes, **words, "pad_token_id": len(symbols) - 1, "projection_dim": 32}
    config = transformers.CLIPConfig(text_config=text, vision_config={**sizes, "projection_dim": 32}, projection_dim=32)
    model = transformers.CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms as well: they are 0 and 1 at first and would hide mistakes
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    config.save_pretrained(folder)
    return folder


def openai_names(folder) -> dict[str, torch.Tensor]:
    """The text tower of the folder as OpenAI's code names and shapes it, with a piece of an image tower."""
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    made = {
        "token_embedding.weight": weights["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": weights["text_model.embeddings.position_embedding.weight"],
        "text_projection": weights["text_projection.weight"].T.contiguous(),
        "logit_scale": torch.tensor(4.6),
        "visual.proj": torch.zeros(2, 2),
    }
    for kind in ("weight", "bias"):
        made[f"ln_final.{kind}"] = weights[f"text_model.final_layer_norm.{kind}"]
        for layer in range(2):
            ours, theirs = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
            stacked = [weights[f"{ours}.self_attn.{of}_proj.{kind}"] for of in "qkv"]
            made[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(stacked)
            pairs = ("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2")
            for new, old in (*pairs, ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")):
                made[f"{theirs}.{old}.{kind}"] = weights[f"{ours}.{new}.{kind}"]
    return made


def lseg_folder(tmp_path, clip_folder, tower):
    """A checkpoint as LSeg's training writes it, with the tokenizer beside it."""
    state = {f"net.clip_pretrained.{name}": value for name, value in tower.items()}
    state["net.scratch.head1.weight"] = torch.zeros(3)
    torch.save({"state_dict": state, "epoch": 200, "hyper_parameters": {"lr": 0.1}}, tmp_path / "demo_e200.ckpt")
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((clip_folder / name).read_bytes())
    return tmp_path / "demo_e200.ckpt"


@slow
@needs_transformers
def test_clip_gives_unit_rows_of_its_own_model_whatever_the_batch(clip_folder):
    import transformers

    encoder = build_text_encoder("clip-vit-b32", str(clip_folder))
    rows = encoder.encode(TEXTS)
    assert rows.shape == (4, encoder.dim) == (4, 32) and rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(rows, torch.cat([encoder.encode([text]) for text in TEXTS]), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows, encoder.encode(TEXTS, batch_size=3), atol=1e-5, rtol=0)
    assert encoder.encode([]).shape == (0, 32)
    tokens = transformers.CLIPTokenizer.from_pretrained(clip_folder)(["mug"], return_tensors="pt")
    assert len(tokens["input_ids"][0]) == 4  # begin, "mu" by its merge, "g" at a word's end, end
    with torch.no_grad():
        found = transformers.CLIPModel.from_pretrained(clip_folder).get_text_features(**tokens)
    whole = getattr(found, "pooler_output", found)  # a tensor before transformers 5
    torch.testing.assert_close(rows[:1], F.normalize(whole, dim=-1), atol=1e-5, rtol=0)


@slow
@needs_transformers
def test_the_tower_of_lseg_gives_what_clip_gives(clip_folder, tmp_path):
    tower = openai_names(clip_folder)
    encoder = build_text_encoder("lseg", str(lseg_folder(tmp_path, clip_folder, tower)))
    expected = build_text_encoder("clip-vit-b32", str(clip_folder)).encode(TEXTS)
    torch.testing.assert_close(encoder.encode(TEXTS), expected, atol=1e-5, rtol=0)
    torch.save({f"clip_pretrained.{name}": value.half() for name, value in tower.items()}, tmp_path / "minimal.ckpt")
    halved = build_text_encoder("lseg", str(tmp_path / "minimal.ckpt")).encode(TEXTS)
    assert halved.dtype == torch.float32
    torch.testing.assert_close(halved, expected, atol=5e-3, rtol=0)


@slow
@needs_transformers
def test_names_of_a_tower_are_compared_strictly(clip_folder, tmp_path):
    tower = openai_names(clip_folder)
    lacking = {name: value for name, value in tower.items() if name != "transformer.resblocks.1.mlp.c_fc.bias"}
    with pytest.raises(ValueError, match=r"1 missing: text_model.encoder.layers.1.mlp.fc1.bias"):
        build_text_encoder("lseg", str(lseg_folder(tmp_path, clip_folder, lacking)))
    with pytest.raises(ValueError, match=r"1 unexpected: transformer.resblocks.1.gate"):
        build_text_encoder(
            "lseg", str(lseg_folder(tmp_path, clip_folder, {**tower, "transformer.resblocks.1.gate": torch.ones(1)}))
        )
    with pytest.raises(ValueError, match="net.clip_pretrained. or clip_pretrained., got none"):
        torch.save({"state_dict": {"net.scratch.head1.weight": torch.zeros(3)}}, tmp_path / "other.ckpt")
        build_text_encoder("lseg", str(tmp_path / "other.ckpt"))
    with pytest.raises(ValueError, match="expected tensors only"):
        torch.save({"state_dict": {"net.clip_pretrained.x": object()}}, tmp_path / "pickled.ckpt")
        build_text_encoder("lseg", str(tmp_path / "pickled.ckpt"))
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(FileNotFoundError, match="which lacks merges.txt"):
        build_text_encoder("lseg", str(tmp_path / "demo_e200.ckpt"))


def test_missing_weights_say_what_to_get_and_its_licence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"clip-vit-b32 .*openai/clip-vit-base-patch32.*MIT.*got '', nothing"):
        build_text_encoder("clip-vit-b32")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="which lacks model.safetensors, vocab.json, merges.txt"):
        build_text_encoder("clip-vit-b32", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"lseg LSeg's demo_e200.ckpt .*lang-seg.*MIT.*which is no file"):
        build_text_encoder("lseg", str(tmp_path))
    with pytest.raises(ValueError, match="expected one of minilm, clip-vit-b32, lseg, got 'bert'"):
        build_text_encoder("bert")
    with pytest.raises(ValueError, match="encoder_weights: expected none for minilm"):
        build_text_encoder("minilm", "x")


def test_without_transformers_the_extra_is_named(tmp_path, monkeypatch):
    for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt"):
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"clip-vit-b32: package transformers .* extra \[clip\]"):
        build_text_encoder("clip-vit-b32", str(tmp_path))


def test_settings_offer_every_encoder():
    item = next(item for name, _, item in walk_settings(NamingConfig()) if name == "encoder")
    assert item.metadata["choices"] == ("auto", *TEXT_ENCODERS)


class Directions:
    """Each text it knows has a vector of its own."""

    dim = 3
    known = {"a cup": [1.0, 0.0, 0.0], "photo of cup": [0.0, 1.0, 0.0], "a {}": [0.0, 0.0, 1.0], "photo of {}": [0.0, 0.0, 1.0]}

    def encode(self, texts):
        return torch.tensor([self.known[text] for text in texts])


def test_an_ensemble_takes_the_mean_direction():
    ensemble = PromptEnsemble(Directions(), ("a {}", "photo of {}"))
    rows = ensemble.encode(["cup", "{}"])
    torch.testing.assert_close(rows, torch.tensor([[0.5**0.5, 0.5**0.5, 0.0], [0.0, 0.0, 1.0]]))
    assert ensemble.dim == 3 and ensemble.encode([]).shape == (0, 3)


@pytest.mark.parametrize("templates", [(), ("a photo",), ("a {} on a {}",)])
def test_templates_without_one_place_are_refused(templates):
    with pytest.raises(ValueError, match="templates: expected at least one text"):
        PromptEnsemble(Directions(), templates)
