"""Names of taught objects in prompts: one noun each, in whatever words and language."""

import pytest

from pan3d_core.labels import TaughtFit, best_taught
from pan3d_core.language import NotUnderstood, parse_prompt
from pan3d_core.language.grammar import spoken_form

NAMES = ("Blue valve", "blue valve 3", "der rote Becher", "left-hand tool")


@pytest.mark.parametrize(
    ("prompt", "noun", "places"),
    [
        ("the blue valve on the left", "blue valve", ("on the left",)),
        ("Blue  Valve", "blue valve", ()),
        ("blue valve 3", "blue valve 3", ()),  # the longer of two names
        ("the left hand tool", "left hand tool", ()),
        ("the left-hand tool on the right", "left hand tool", ("on the right",)),
        ("take der rote Becher", "der rote becher", ()),
    ],
)
def test_a_name_is_one_noun(prompt, noun, places):
    read = parse_prompt(prompt, NAMES)
    assert read.noun == noun and not read.colors
    assert tuple(word for word, _, _ in read.places) == places


def test_a_name_may_be_the_other_thing_of_a_relation_and_what_is_excluded():
    beside = parse_prompt("the mug next to the blue valve", NAMES)
    assert beside.noun == "mug" and beside.relations[0].others[0].noun == "blue valve"
    assert parse_prompt("all mugs but not the blue valve", NAMES).excluded[0].noun == "blue valve"


def test_without_the_names_prompts_are_read_as_before():
    assert parse_prompt("the blue valve").colors == (("blue", 0),) and parse_prompt("the blue valve").noun == "valve"
    assert parse_prompt("the blue mug", NAMES).colors == (("blue", 0),)
    with pytest.raises(NotUnderstood, match="German"):
        parse_prompt("der rote Becher")
    with pytest.raises(NotUnderstood, match="German"):
        parse_prompt("der rote Becher und nicht die Tasse", NAMES)  # what stands beside a name is English all the same


def test_the_spoken_form_is_what_a_prompt_gives():
    assert spoken_form("Grandma's  left-hand CUP!") == "grandma's left hand cup"


def test_the_likeliest_accepted_name_is_taken():
    fits = (TaughtFit("a", 0.6, accepted=True), TaughtFit("b", 0.9), TaughtFit("c", 0.7, accepted=True))
    assert best_taught(fits).name == "c" and best_taught(fits[1:2]) is None and best_taught(()) is None
