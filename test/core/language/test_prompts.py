"""Prompts: taking them apart, colours, and which segment of a scene they mean."""

import numpy as np
import pytest
import torch

from pan3d_core.config import NamingConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.language import KnownNames, Namer, name_segments, resolve_prompt
from pan3d_core.language.colors import BASE_COLORS, color_fit, name_color
from pan3d_core.language.parsing import parse_prompt
from pan3d_core.structures import Panoptic3D, Segment

NAMES = {
    "mug": ["coffee mug", "coffee cup", "something to drink coffee from"],
    "bottle": ["water bottle", "flask"],
    "book": ["paperback", "novel"],
    "hammer": ["mallet"],
    "ball": ["tennis ball", "sphere"],
    "box": ["carton", "cereal box"],
}
RGB = {
    "red": (0.8, 0.08, 0.08),
    "blue": (0.1, 0.2, 0.8),
    "green": (0.1, 0.55, 0.15),
    "white": (0.9, 0.9, 0.9),
    "yellow": (0.9, 0.8, 0.1),
}


@pytest.fixture(scope="module")
def namer(encoder) -> Namer:
    return Namer(KnownNames.encode(NAMES, encoder), encoder)


class NoEncoder(Namer):
    """A namer on a machine without the encoder's package."""

    def _load_encoder(self):
        self._encoder_problem = "text encoder: package is not installed; run: pip install it"
        return None


def make_segment(index, kind, color, place, size=(0.07, 0.07, 0.1), class_score=0.9, embedding=None, score=0.9):
    box = torch.eye(4)
    box[:3, 3] = torch.tensor(place)
    return Segment(
        instance_id=index, class_id=list(NAMES).index(kind) if kind else -1, class_score=class_score if kind else 0.0,
        score=score,
        num_points=100, num_views=3, centroid=torch.tensor(place), box=OrientedBox(box, torch.tensor(size)),
        color_rgb=torch.tensor(RGB[color]), text_embedding=embedding,
    )  # fmt: skip


def make_scene(*segments) -> Panoptic3D:
    empty = torch.zeros(0, 3)
    grid = torch.zeros(1, 4, 4, dtype=torch.int64)
    return Panoptic3D(
        grid - 1, grid, segments, empty, empty, torch.zeros(0, dtype=torch.int64), empty, LabelSpace.things(list(NAMES))
    )


def noisy(encoder, text, seed, amount=0.8):
    """The embedding of a text as a network may predict it: with noise of `amount` times its length."""
    noise = torch.randn(384, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(encoder.encode([text])[0] + amount * noise / noise.norm(), dim=0)


@pytest.fixture(scope="module")
def table(encoder):
    """Left is +y; the robot stands at small x. 1 red mug left, 2 blue mug right, 3 green bottle, 4, 5 boxes, 6 ball."""
    return make_scene(
        make_segment(1, "mug", "red", (0.0, 0.2, 0.05), embedding=noisy(encoder, "mug", 1)),
        make_segment(2, "mug", "blue", (0.0, -0.2, 0.05), embedding=noisy(encoder, "mug", 2)),
        make_segment(3, "bottle", "green", (0.1, -0.12, 0.1), (0.06, 0.06, 0.2), embedding=noisy(encoder, "bottle", 3)),
        make_segment(4, "box", "red", (-0.2, 0.0, 0.03), (0.05, 0.05, 0.06), embedding=noisy(encoder, "box", 4)),
        make_segment(5, "box", "red", (0.2, 0.05, 0.07), (0.07, 0.1, 0.14), embedding=noisy(encoder, "box", 5)),
        make_segment(6, "ball", "yellow", (0.0, 0.0, 0.03), (0.06, 0.06, 0.06), embedding=noisy(encoder, "ball", 6)),
    )


@pytest.mark.parametrize(
    ("prompt", "noun", "colors", "sizes", "places"),
    [
        ("the red mug", "mug", ["red"], [], []),
        ("pick up the small dark blue box on the left", "box", ["blue"], ["small"], ["on the left"]),
        ("something to drink from", "something to drink from", [], [], []),
        ("the orange cup", "cup", ["orange"], [], []),
        ("an orange", "orange", [], [], []),
        ("the gray one", "", ["grey"], [], []),
        ("leftmost can", "can", [], [], ["leftmost"]),
        ("bottle that is green", "bottle", ["green"], [], []),
        ("the mug on the table", "mug", [], [], []),
        ("drinking glass at the left side of the table", "drinking glass", [], [], ["at the left side of the table"]),
        ("roll of tape", "roll of tape", [], [], []),
        ("give me the biggest thing", "", [], ["biggest"], []),
    ],
)
def test_prompts_are_taken_apart(prompt, noun, colors, sizes, places):
    parsed = parse_prompt(prompt)
    assert parsed.noun == noun
    assert [word for word, _ in parsed.colors] == colors
    assert [item[0] for item in parsed.sizes] == sizes and [item[0] for item in parsed.places] == places


def test_relation_names_the_other_thing():
    parsed = parse_prompt("the mug to the left of the green bottle")
    kind, other = parsed.relation
    assert (parsed.noun, kind, other.noun, other.colors) == ("mug", "left", "bottle", (("green", 0),))


@pytest.mark.parametrize("prompt", ["", "   ", "mug " * 2500])
def test_empty_and_endless_prompts_are_refused(prompt, namer, table):
    with pytest.raises(ValueError, match="prompt: expected"):
        resolve_prompt(prompt, table, namer)


@pytest.mark.parametrize("brightness", [0.35, 0.6, 1.0])
def test_colors_keep_their_names_in_shadow(brightness):
    for word, rgb in RGB.items():
        if word == "white":
            continue  # white in shadow is grey
        linear = np.array(rgb) ** 2.2 * brightness
        seen = linear ** (1 / 2.2)
        assert name_color(seen) == word
        assert color_fit(word, seen) > 0.9
        strangers = [color_fit(other, seen) for other in BASE_COLORS if other != word]
        assert np.mean(strangers) < 0.25


def test_color_synonyms_and_shades():
    assert color_fit("crimson", np.array(RGB["red"])) > 0.5 > color_fit("crimson", np.array(RGB["blue"]))
    navy, sky = np.array((0.06, 0.1, 0.35)), np.array((0.35, 0.6, 0.95))
    assert color_fit("blue", navy, -1) > color_fit("blue", sky, -1)
    assert color_fit("blue", sky, 1) > color_fit("blue", navy, 1)
    with pytest.raises(ValueError, match="word"):
        color_fit("heavy", navy)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("the red mug", 1), ("blue mug", 2), ("mug on the left", 1), ("the mug on the right", 2), ("coffee cup", 1),
        ("the bottle", 3), ("flask", 3), ("the big box", 5), ("smallest box", 4), ("the nearest box", 4),
        ("the box in the back", 5),
        ("tennis ball", 6), ("the green one", 3), ("the tallest object", 3), ("the crimson mug", 1),
        ("mug next to the green bottle", 2), ("the box behind the ball", 5), ("carton in front of the yellow ball", 4),
    ],
)  # fmt: skip
def test_prompts_find_their_segment(prompt, expected, namer, table):
    result = resolve_prompt(prompt, table, namer)
    assert result.status == "found", result.message
    if prompt == "coffee cup":
        assert {match.instance_id for match in result.fitting} == {1, 2}
    else:
        assert result.best.instance_id == expected, [(m.instance_id, m.explanation) for m in result.matches]
    assert abs(sum(match.probability for match in result.matches) + result.p_none - 1) < 1e-6


def test_use_finds_the_mug(namer, encoder, table):
    result = resolve_prompt("something to drink from", table, namer)
    assert result.best.instance_id in (1, 2)
    only_meaning = make_scene(*(make_segment(i + 1, None, "white", (0.1 * i, 0.0, 0.05), embedding=noisy(encoder, text, i))
                                for i, text in enumerate(("hammer", "mug", "book"))))  # fmt: skip
    assert resolve_prompt("something to drink coffee from", only_meaning, namer).best.instance_id == 2
    assert resolve_prompt("a tool for nails", only_meaning, namer).best.instance_id == 1


@pytest.mark.parametrize("prompt", ["dinosaur", "sofa", "the keyboard", "the green mug", "scissors", "a white bottle"])
def test_absent_things_are_not_found(prompt, namer, table):
    result = resolve_prompt(prompt, table, namer)
    assert result.status == "not_found" and result.best is None and result.fitting == (), result.message
    assert result.p_none > 0.35
    assert prompt in result.message


def test_a_lone_candidate_is_not_rejected_by_its_place(namer, encoder):
    scene = make_scene(make_segment(1, "mug", "red", (0.0, -0.2, 0.05)), make_segment(2, "ball", "red", (0.0, 0.2, 0.03)))
    assert resolve_prompt("the mug on the left", scene, namer).best.instance_id == 1


def test_known_names_work_without_the_encoder(encoder, table):
    namer = NoEncoder(KnownNames.encode(NAMES, encoder))
    assert (
        resolve_prompt("the paperback", make_scene(make_segment(7, "book", "blue", (0.0, 0.0, 0.0))), namer).best.instance_id == 7
    )
    assert resolve_prompt("the red mugs", table, namer).best.instance_id == 1
    assert resolve_prompt("ceramic mug on the right", table, namer).best.instance_id == 2
    unknown = resolve_prompt("goblet", table, namer)
    assert unknown.status == "unknown_word" and "pip install" in unknown.message


def test_an_engine_without_names_resolves_colours_and_places_only(namer):
    scene = make_scene(make_segment(1, None, "red", (0.0, 0.1, 0.0)), make_segment(2, None, "blue", (0.0, -0.1, 0.0)))
    assert resolve_prompt("the blue one", scene, namer).best.instance_id == 2
    assert resolve_prompt("leftmost object", scene, namer).best.instance_id == 1
    result = resolve_prompt("the red mug", scene, namer)
    assert result.status == "no_names" and "names nothing" in result.message and result.best is None
    assert name_segments(scene) == {1: "red object", 2: "blue object"}


def test_an_empty_scene_is_said_to_be_empty(namer):
    assert resolve_prompt("mug", make_scene(), namer).status == "no_objects"


def test_display_names(table):
    assert name_segments(table)[1] == "red mug" and name_segments(table)[3] == "green bottle"


def test_set_classes_renames_the_scene(encoder, table):
    namer = Namer(KnownNames.encode(NAMES, encoder), encoder)
    assert namer.classify(table) is table
    namer.set_classes(["coffee cup", "reading material", "carton"])
    renamed = namer.classify(table)
    assert [renamed.labels.name(s.class_id) for s in renamed.segments] == ["coffee cup", "coffee cup", "", "carton", "carton", ""]
    namer.set_classes([])
    assert namer.classify(table) is table
    with pytest.raises(ValueError, match="classes"):
        NoEncoder().set_classes(["goblet"])


def test_many_noisy_scenes(namer, encoder):
    """Top-1 over drawn scenes with predicted-like embeddings, classes that are sometimes wrong, and colours in varying light."""
    rng = np.random.default_rng(0)
    kinds, right, total = list(NAMES), 0, 0
    for trial in range(40):
        chosen = rng.choice(len(kinds), 5, replace=False)
        segments, truth = [], []
        for index, k in enumerate(chosen):
            color = str(rng.choice(list(RGB)))
            shown = int(rng.integers(len(kinds))) if rng.random() < 0.1 else int(k)
            embedding = noisy(encoder, kinds[k], 100 * trial + index, 1.0)
            place = (float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.2)), 0.05)
            segments.append(
                make_segment(
                    index + 1, kinds[shown], color, place, class_score=float(rng.uniform(0.5, 0.95)), embedding=embedding
                )
            )
            truth.append((kinds[k], color))
        scene = make_scene(*segments)
        for index, (kind, color) in enumerate(truth):
            result = resolve_prompt(f"the {color} {kind}", scene, namer)
            total += 1
            right += result.best is not None and result.best.instance_id == index + 1
    assert right / total >= 0.9, f"{right} of {total}"


def test_config_names_bad_values():
    with pytest.raises(ValueError, match="NamingConfig.min_score"):
        NamingConfig(min_score=1.5)
