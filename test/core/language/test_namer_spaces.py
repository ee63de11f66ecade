"""Whose text encoder a namer uses, what happens between spaces, and many class names at once; encoders are made up."""

import zlib

import pytest
import torch
from torch.nn import functional as F

from pan3d_core.config import NamingConfig, PreprocessConfig
from pan3d_core.engines import EngineFacts
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.language import KnownNames, Namer, resolve_prompt
from pan3d_core.language import namer as naming_meaning
from pan3d_core.language.encoders import PromptEnsemble
from pan3d_core.language.text_space import TextSpace
from pan3d_core.structures import Panoptic3D, Segment


class Hashed:
    """Texts to directions that depend on the text alone, and a record of what was asked."""

    def __init__(self, dim: int = 8) -> None:
        self.dim, self.calls = dim, []

    def encode(self, texts):
        self.calls.append(list(texts))
        rows = [torch.randn(self.dim, generator=torch.Generator().manual_seed(zlib.crc32(text.encode()))) for text in texts]
        return F.normalize(torch.stack(rows), dim=-1) if rows else torch.zeros(0, self.dim)


def scene_of(*embeddings) -> Panoptic3D:
    grid, empty = torch.arange(len(embeddings) + 1)[None, None].clone(), torch.zeros(0, 3)
    box = OrientedBox(torch.eye(4), torch.ones(3))
    segments = tuple(
        Segment(index + 1, -1, 0.0, 0.9, 100, 2, torch.zeros(3), box, torch.tensor([0.8, 0.1, 0.1]), embedding)
        for index, embedding in enumerate(embeddings)
    )
    return Panoptic3D(grid - 1, grid, segments, empty, empty, torch.zeros(0, dtype=torch.int64), empty, LabelSpace.things(()))


@pytest.fixture()
def built(monkeypatch):
    """What `build_text_encoder` was asked for; it gives `Hashed` of eight numbers."""
    asked = []

    def build(name, weights):
        asked.append((name, weights))
        return Hashed()

    monkeypatch.setattr(naming_meaning, "build_text_encoder", build)
    return asked


def space(encoder="lseg", **numbers) -> TextSpace:
    return TextSpace(torch.eye(8), torch.zeros(8), encoder, **numbers)


def test_an_engine_is_named_in_the_space_of_its_features(built):
    facts = EngineFacts(PreprocessConfig(), text_space=space())
    namer = Namer.of_facts(facts, NamingConfig(encoder_weights="lseg/demo_e200.ckpt"))
    assert built == [("lseg", "lseg/demo_e200.ckpt")] and namer.encoder_name == "lseg"
    scene = scene_of(Hashed().encode(["teapot"])[0], Hashed().encode(["saw"])[0])
    assert resolve_prompt("saw", scene, namer).best.instance_id == 2
    plain = Namer.of_facts(EngineFacts(PreprocessConfig()))
    assert plain.encoder_name == "minilm" and len(built) == 1  # the embedded one when needed
    with pytest.raises(ValueError, match="naming.encoder: expected lseg, in whose space .* got clip-vit-b32"):
        Namer.of_facts(facts, NamingConfig(encoder="clip-vit-b32"))


def test_without_weights_of_the_engines_encoder_words_are_unknown_and_it_is_said_why(built):
    namer = Namer.of_facts(EngineFacts(PreprocessConfig(), text_space=space()))
    assert not built
    result = resolve_prompt("saw", scene_of(Hashed().encode(["saw"])[0]), namer)
    assert result.status == "unknown_word" and "by lseg: set naming.encoder_weights" in result.message
    with pytest.raises(ValueError, match="got 'saw'. .*set naming.encoder_weights"):
        namer.set_classes(["saw"])


def test_a_text_space_brings_its_own_none():
    """Cosine 0.3 is far for the sentence encoder and may be near for another one."""
    text = Hashed().encode(["mug"])[0]
    across = F.normalize(torch.roll(text, 1) - (torch.roll(text, 1) @ text) * text, dim=0)
    scene = scene_of(0.3 * text + (1 - 0.09) ** 0.5 * across)
    assert resolve_prompt("mug", scene, Namer(encoder=Hashed())).status == "not_found"
    assert resolve_prompt("mug", scene, Namer(encoder=Hashed(), space=space("minilm", none_similarity=0.2))).status == "found"


def test_templates_of_the_settings_are_used(built):
    namer = Namer(config=NamingConfig(templates=("a {}", "the {}"), encoder="lseg"))
    expected = PromptEnsemble(Hashed(), ("a {}", "the {}")).encode(["saw"])[0]
    torch.testing.assert_close(namer.embed("saw"), expected)


def test_vectors_of_another_space_are_refused_in_words():
    scene = scene_of(F.normalize(torch.ones(12), dim=0))
    message = "naming.encoder: expected the encoder whose space the engine's segments lie in, of 12 numbers, got minilm of 8"
    with pytest.raises(ValueError, match=message):
        resolve_prompt("mug", scene, Namer(encoder=Hashed()))
    namer = Namer(encoder=Hashed())
    namer.set_classes(["mug", "saw"])
    with pytest.raises(ValueError, match=message):
        namer.classify(scene)
    known = KnownNames(("mug",), ("mug",), F.normalize(torch.ones(1, 12), dim=1))
    with pytest.raises(ValueError, match="naming.encoder: expected vectors of the known names"):
        Namer(known, Hashed()).set_classes(["mug", "saw"])


def test_thousands_of_class_names_are_embedded_once_and_together():
    encoder, names = Hashed(), [f"thing {index}" for index in range(5000)]
    namer = Namer(encoder=encoder)
    assert namer.set_classes(names) == tuple(names)
    asked = [call for call in encoder.calls if len(call) > 1]
    assert len(asked) == 1 and len(asked[0]) >= 4999
    renamed = namer.classify(scene_of(encoder.encode(["thing 4321"])[0]))
    assert renamed.labels.name(renamed.segments[0].class_id) == "thing 4321"  # though a hundred others are as good as certain
    calls = len(encoder.calls)
    namer.set_classes(names[::-1])
    assert len(encoder.calls) == calls  # cached


def test_many_classes_name_as_one_by_one():
    """The vectorised evidence is that of each noun alone, with known names, class scores and everything."""
    encoder = Hashed()
    known = KnownNames.encode({"mug": ["cup"], "saw": []}, encoder)
    scene = scene_of(encoder.encode(["cup"])[0], encoder.encode(["rope"])[0])
    namer = Namer(known, encoder)
    names = ["cup", "mug", "rope", "gum", "the saw"]
    for segment in scene.segments:
        together = namer.evidence(namer.nouns(names), segment, scene.labels)
        alone = [namer.noun_evidence(name, segment, scene.labels)[0] for name in names]
        assert together.tolist() == pytest.approx(alone, abs=1e-6)
        assert together[0] == pytest.approx(together[1]) or segment.instance_id == 2


def test_names_are_tidied_and_repeated_ones_count_once():
    namer = Namer(encoder=Hashed())
    assert namer.set_classes(["  coffee   cup ", "saw", "Coffee cup", "SAW", "чашка"]) == ("coffee cup", "saw", "чашка")
    assert namer.set_classes([]) == ()
    for wrong in ("", "  ", "?!", "the"):
        with pytest.raises(ValueError, match="classes: expected names with a word in each, got"):
            namer.set_classes(["saw", wrong])


@pytest.mark.parametrize("prompt", ["?!", "...", "☕"])
def test_a_prompt_without_words_is_not_any_object(prompt):
    with pytest.raises(ValueError, match="prompt: expected words"):
        resolve_prompt(prompt, scene_of(torch.ones(8)), Namer(encoder=Hashed()))
