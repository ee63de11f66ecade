"""SAM 2, SAM 3, Grounding DINO with SAM 2, and LSeg as teachers, by packages that have the calls of the official ones."""

import pytest
import torch
from teacher_files import boxes_picture

from pan3d_core.labelling.teachers import TEACHERS, TeacherRequest, TeacherUnavailable, build_teacher, card_of
from pan3d_core.labelling.teachers.grounded import class_of_phrase, corners, detector_picture
from pan3d_core.models.lseg import LsegImageEncoder, LsegSizes

WORDS = {"things": ("red box", "green box"), "stuff": ("table",)}


@pytest.fixture
def request_of(tmp_path, stub_packages):
    """(name, content of its checkpoint, further settings) -> a request with files that are there."""

    def made(name, content=b"", **settings):
        weights = tmp_path / "sam2.1_hiera_large.pt"
        weights.write_bytes(content)
        detector, config = tmp_path / "detector.pth", tmp_path / "detector.py"
        detector.write_bytes(content)
        config.write_text("")
        files = {"weights": weights, "detector_weights": detector, "detector_config": config}
        known = {field: str(path) for field, path in files.items() if field in TEACHERS[name].files}
        return TeacherRequest(name=name, device="cpu", **{**known, **settings})

    return made


def test_sam_2_finds_parts_and_wholes_without_names(request_of):
    teacher = build_teacher(request_of("sam2"))
    labels = teacher(boxes_picture())
    red, green = boxes_picture()[:2] > 0.5
    assert not teacher.finds_objects and teacher.labels.names == ("object",)
    assert [mask.sum() for mask in labels.masks] == [red.sum(), green.sum()]  # the surer mask keeps its pixels
    assert torch.equal(labels.masks[0], red) and torch.equal(labels.masks[1], green)
    assert len(build_teacher(request_of("sam2", min_score=0.9))(boxes_picture()).masks) == 1
    assert len(teacher(torch.zeros(3, 48, 64)).masks) == 0
    with pytest.raises(ValueError, match="teacher sam2: classes: expected none, since it names nothing"):
        build_teacher(request_of("sam2", **WORDS))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"wrong shape", r"front: teacher sam2: masks: expected 48 rows and 64 columns as the picture has, got \(47, 64\)"),
        (b"wrong values", "front: teacher sam2: masks: expected True and False, or 0 and 1, got torch.float64"),
    ],
)
def test_wrong_masks_name_picture_teacher_and_field(request_of, content, words):
    with pytest.raises(ValueError, match=words):
        build_teacher(request_of("sam2", content))(boxes_picture(), "front")


def test_the_configuration_of_sam_2_follows_from_the_name_of_its_checkpoint(request_of, tmp_path):
    build_teacher(request_of("sam2"))
    other = tmp_path / "sam2.1_hiera_lage.pt"
    other.write_bytes(b"")
    with pytest.raises(ValueError, match=r"config: expected the configuration.*did you mean 'sam2.1_hiera_large'|did you mean"):
        build_teacher(request_of("sam2", weights=str(other)))
    build_teacher(request_of("sam2", weights=str(other), config="configs/own.yaml"))


@pytest.mark.parametrize("name", ["sam3", "grounded-sam2"])
def test_words_are_found_with_their_masks(request_of, name):
    teacher = build_teacher(request_of(name, **WORDS))
    labels = teacher(boxes_picture())
    red, green = boxes_picture()[:2] > 0.5
    assert [teacher.labels.names[row] for row in labels.class_id] == ["red box", "green box"]
    for mask, expected in zip(labels.masks, (red, green), strict=True):
        assert float((mask & expected).sum() / (mask | expected).sum()) > 0.9
    assert bool((labels.semantics[~red & ~green] == (2 if name == "sam3" else -1)).all())  # SAM 3 sees the table, too
    assert len(teacher(torch.zeros(3, 48, 64)).masks) == 0
    with pytest.raises(ValueError, match=f"teacher {name}: classes: expected words for what it shall look for, got none"):
        build_teacher(request_of(name))


def test_boxes_of_another_shape_are_refused(request_of):
    teacher = build_teacher(request_of("grounded-sam2", b"wrong shape", **WORDS))
    with pytest.raises(ValueError, match=r"picture: teacher grounded-sam2: boxes: expected shape \(3, 4\), got \(3, 5\)"):
        teacher(boxes_picture())


@pytest.mark.parametrize(
    ("phrase", "row"),
    [("red mug", 1), ("mug", 0), ("the red mug .", 1), ("red", 1), ("valve", 2), ("", -1), ("mug valve", -1), ("plate", -1)],
)
def test_phrases_are_told_apart(phrase, row):
    assert class_of_phrase(phrase, ("mug", "red mug", "valve")) == row


def test_pictures_and_boxes_of_the_detector_have_its_sizes():
    assert detector_picture(torch.zeros(3, 480, 640)).shape == (3, 800, 1067)
    assert detector_picture(torch.zeros(3, 100, 400)).shape == (3, 333, 1333)
    white = detector_picture(torch.ones(3, 10, 10))
    torch.testing.assert_close(white[:, 0, 0], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0)
    found = corners(torch.tensor([[0.5, 0.25, 0.5, 0.5]]), (48, 64))
    assert found.tolist() == [[16.0, 0.0, 48.0, 24.0]]


class TwoTexts:
    """Stands for the text tower: the last text is the word for all else."""

    dim = 12

    def encode(self, texts):
        assert texts == ["red box", "table", "other"]
        return torch.eye(3, 12)


def test_lseg_tells_pixels_apart_by_words_and_gives_features(request_of, monkeypatch, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = LsegImageEncoder(LsegSizes(64, 4, 2, (8, 8, 8, 8), 8, 12))
    path = tmp_path / "lseg.safetensors"
    save_file({f"net.{name}": value for name, value in model.state_dict().items()}, path)
    monkeypatch.setattr("pan3d_core.labelling.teachers.lseg.build_text_encoder", lambda name, weights: TwoTexts())
    teacher = build_teacher(request_of("lseg", weights=str(path), things=("red box",), stuff=("table",)))
    image = boxes_picture()
    features, labels = teacher.features(image), teacher(image)
    assert features.shape == (12, 176, 240) and len(labels.masks) == 0 and not teacher.finds_objects
    torch.testing.assert_close(features.norm(dim=0), torch.ones(176, 240))
    alike = torch.nn.functional.interpolate(features[None, :3], size=(48, 64), mode="bilinear", align_corners=True)[0].argmax(0)
    assert torch.equal(labels.semantics, torch.where(alike == 2, -1, alike))
    without_words = build_teacher(request_of("lseg", weights=str(path)))
    assert torch.equal(without_words.features(image), features)
    with pytest.raises(ValueError, match="teacher lseg: classes: expected words for what it shall tell apart, got none"):
        without_words(image)


@pytest.mark.parametrize(
    ("name", "package"), [("sam2", "sam2"), ("sam3", "sam3"), ("grounded-sam2", "groundingdino"), ("lseg", "transformers")]
)
def test_a_package_that_is_not_here_is_named_with_where_it_comes_from(request_of, name, package, monkeypatch, tmp_path):
    import sys

    settings = {} if name == "sam2" else WORDS
    if name == "lseg":
        from safetensors.torch import save_file

        tower = {
            "token_embedding.weight": torch.zeros(4, 64), "positional_embedding": torch.zeros(4, 64),
            "text_projection": torch.zeros(64, 12), "transformer.resblocks.0.mlp.c_fc.weight": torch.zeros(256, 64),
        }  # fmt: skip
        found = LsegImageEncoder(LsegSizes(64, 4, 2, (8, 8, 8, 8), 8, 12)).state_dict()
        named = {f"net.{key}": value for key, value in found.items()}
        save_file(named | {f"net.clip_pretrained.{key}": value for key, value in tower.items()}, tmp_path / "l.safetensors")
        for file in ("vocab.json", "merges.txt"):
            (tmp_path / file).write_text("")
        settings = {**WORDS, "weights": str(tmp_path / "l.safetensors")}
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TeacherUnavailable, match=f"teacher {name}: package {package}.* is not installed; install"):
        build_teacher(request_of(name, **settings))


def test_unknown_names_and_missing_files_are_told(request_of, tmp_path):
    with pytest.raises(ValueError, match="teacher: expected one of sam2, sam3, grounded-sam2, lseg, onnx, got 'sam-2'.*sam2"):
        build_teacher(TeacherRequest(name="sam-2"))
    with pytest.raises(TeacherUnavailable, match="teacher sam3: weights: expected a checkpoint of SAM 3, got none"):
        build_teacher(TeacherRequest(name="sam3", **WORDS))
    lost = request_of("grounded-sam2", detector_config=str(tmp_path / "no.py"), **WORDS)
    with pytest.raises(TeacherUnavailable, match="detector_config: expected Grounding DINO's configuration.*no.py', which is no"):
        build_teacher(lost)
    with pytest.raises(ValueError, match="classes: expected each once, got 'mug' twice"):
        build_teacher(request_of("sam3", things=("mug",), stuff=("mug",)))


def test_a_card_says_whose_models_on_which_terms_from_which_files(request_of):
    card = card_of(request_of("grounded-sam2", b"bytes", **WORDS))
    assert [item.part for item in card.terms] == ["Grounding DINO", "SAM 2"] and card.things == WORDS["things"]
    assert all(item.code and item.weights and item.commercial in ("yes", "no", "ask") for item in card.terms)
    assert card.files["weights"]["name"] == "sam2.1_hiera_large.pt" and len(card.files["detector_weights"]["sha256"]) == 64
    assert "commercial use: yes" in card.terms[1].said() and "Apache-2.0" in card.terms[1].said()
    assert "SAM License" in card_of(request_of("sam3", **WORDS)).terms[0].said()
