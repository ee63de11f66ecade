"""Taking requests apart: every word does something, is ignored, or refuses the prompt."""

from __future__ import annotations

import re

import pytest

from pan3d_core.language.grammar import NotUnderstood, read_request
from pan3d_core.language.grammar.lexer import phrases_of
from pan3d_core.language.grammar.words import HOLDING, MAY_NAME, POSTURES, RELATIONS, listed
from pan3d_sim.objects.vocabulary import DESCRIPTIONS, HELD_OUT_DESCRIPTIONS, PARAPHRASES

# English words that have no meaning of their own, as lists of stop words name them.
FUNCTION_WORDS = listed("""about above across after against all alone along among an and another any anyone apart are around as
    aside at away be
    because been before behind being below beneath beside besides between beyond both but by cannot could did do does during
    each either else elsewhere enough even ever every everyone everything except few fewer for from further had half hardly
    has have
    hence her him his how however if in inside instead into is it its just last least less like many maybe me might mine more
    most much
    must my myself near neither never next no nobody none nor not nothing of off often on only onto opposite or other others our
    out outside over own past per please quite rather same seldom several she should since so some someone such than that the
    their
    them then there therefore these they this those though through to together too toward towards twice under unless unlike
    until up us usually very was we were what whatever when where whereas whether which whichever while who whom whose why
    with within
    without would yet you your barely scarcely rarely partly excluding considering regarding concerning given pending exactly
    definitely probably omit avoid ignore skip leave forget exclude reject discard dismiss careful""")


def refusal(text: str) -> NotUnderstood:
    with pytest.raises(NotUnderstood) as caught:
        read_request(text)
    return caught.value


@pytest.mark.parametrize("word", FUNCTION_WORDS)
def test_no_function_word_is_taken_for_a_thing(word):
    assert phrases_of(word)[0].kind not in ("noun", "misspelled")
    for text in (f"{word} mug", f"mug {word}", f"mug {word} bowl", f"the {word} red mug"):
        try:
            prompt = read_request(text)
        except NotUnderstood:
            continue
        for part in prompt.parts or (prompt,):
            of_use = f"{word} bowl" in part.noun  # "mug for bowl": what it is for
            assert word not in part.noun.split() or of_use or phrases_of(word)[0].kind == "any", text


@pytest.mark.parametrize(
    "text",
    [
        "Please, give me the small dark-blue mug on the left!", "the mug that isn't next to the black bowl",
        "don't take the red mug; take the other one", "second-largest box from the left, not the red one",
        "all but the pan & the bowl", "a bottle of red wine", "mug!=black", "the mug (not black)", "two of the mugs",
    ],
)  # fmt: skip
def test_every_word_of_a_prompt_has_a_role_in_its_order(text):
    words = read_request(text).words
    said = re.findall(r"[\w']+|!=", text.lower())
    assert " ".join(part for part, _ in words).split() == said
    assert all(role for _, role in words)


def test_roles_say_what_words_did():
    roles = dict(read_request("please take the second red mug from the left, but not the one next to the bowl").words)
    assert roles == {
        "please": "ignored", "take": "ignored", "the": "ignored", "second": "ordinal", "red": "color", "mug": "noun",
        "from the left": "place", "but": "ignored", "not": "not", "one": "noun", "next to": "relation", "bowl": "noun",
    }  # fmt: skip


def test_refusals_name_the_word_and_why():
    problem = refusal("the mug unless it is black")
    assert problem.word == "unless" and dict(problem.words)["unless"] == "not understood" and "condition" in str(problem)
    assert "did you mean 'except'" in str(refusal("everything exept the mug"))
    assert "did you mean 'between'" in str(refusal("the ball betwen the mug and the bowl"))
    assert "did you mean 'smallest'" in str(refusal("the smalest mug"))
    assert "cannot be seen" in str(refusal("the heaviest box"))
    assert "not what to take" in str(refusal("don't take the mug"))
    assert "which one is not meant" in str(refusal("the other mug"))
    assert "two negations" in str(refusal("not without the mug"))
    assert "counted" in str(refusal("the second mug"))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("die rote Tasse", "German"), ("nicht die Tasse", "German"), ("la tasse", "French"), ("l'assiette", "French"),
        ("la taza roja", "Spanish"), ("il bicchiere", "Italian"), ("a caneca vermelha", "Portuguese"),
        ("het rode kopje", "Dutch"),
        ("红色的杯子", "Chinese"), ("赤いカップ", "Japanese"), ("красная кружка", "Russian"),
        ("빨간 컵", "Korean"), ("κούπα", "Greek"),
        ("الكوب", "Arabic"),
    ],
)  # fmt: skip
def test_other_languages_are_named(text, language):
    problem = refusal(text)
    assert language in str(problem) and "prompts are English" in str(problem)
    assert {role for _, role in problem.words} <= {"not understood"}


@pytest.mark.parametrize("text", ["the café cup", "la croix can", "die cast car", "le creuset pan", "the das keyboard"])
def test_english_with_foreign_names_is_not_refused_as_foreign(text):
    try:
        read_request(text)
    except NotUnderstood as problem:
        assert "das" in text and "German" in str(problem)


def test_names_and_uses_of_things_stay_nouns():
    """What training data and benchmarks say of things; what a thing lacks and where it stands is not part of its name."""
    not_names = ("without", " on a ", " to go", " in my ")
    for table in (DESCRIPTIONS, HELD_OUT_DESCRIPTIONS, PARAPHRASES):
        for text in (text for texts in table.values() for text in texts):
            if any(part in text for part in not_names):
                continue
            prompt = read_request(text)
            assert prompt.noun and not prompt.excluded and not prompt.relations, text


@pytest.mark.parametrize(
    ("text", "noun", "excluded"),
    [
        ("the mug that isn’t black", "mug", ["black"]), ("MUG, NOT BLACK", "mug", ["black"]),
        ("the non-black mug", "mug", ["black"]),
        ("nonblack mug", "mug", ["black"]), ("a mug neither black nor white", "mug", ["black", "white"]),
        ("a mug that is not black or white", "mug", ["black or white"]), ("mug minus black", "mug", ["black"]),
        ("the mug (not the black one)", "mug", ["the black one"]), ("nothing but the mug", "mug", []),
        ("instead of the bowl, the mug", "mug", ["the bowl"]), ("leave the bowl and take the mug", "mug", ["the bowl"]),
        ("not the bowl but the mug", "mug", ["the bowl"]), ("the mug rather than the bowl", "mug", ["the bowl"]),
        ("any mug other than the black one", "mug", ["the black one"]), ("a mug, but nothing black", "mug", ["black"]),
    ],
)  # fmt: skip
def test_negations_exclude(text, noun, excluded):
    prompt = read_request(text)
    assert prompt.noun == noun and [item.text for item in prompt.excluded] == excluded


def test_a_relation_needs_its_other_thing():
    for phrase in sorted(set(RELATIONS) - set(HOLDING)):
        try:
            prompt = read_request(f"the mug {phrase}")
        except NotUnderstood:
            continue
        assert prompt.places or prompt.noun == "mug", phrase  # "nearest" and "behind" are places, too


@pytest.mark.parametrize("word", sorted(POSTURES))
def test_how_a_thing_came_to_its_place_belongs_to_no_noun_and_alone_is_refused(word):
    prompt = read_request(f"the mug {word} behind the box")
    assert prompt.noun == "mug" and [relation.kind for relation in prompt.relations] == ["behind"]
    for text in (f"the {word} mug", f"{word} mugs", f"the mug that is {word}"):
        assert refusal(text).word == word and "cannot be seen" in str(refusal(text))


def test_left_before_a_relation_may_mean_the_side_or_what_remained():
    for text in ("the mug left on the box", "the one left next to the bowl", "not the mug left behind the box but the bowl"):
        assert refusal(text).word == "left" and "two ways" in str(refusal(text))
    for text in ("the left mug on the box", "the mug on the left behind the box"):
        assert read_request(text).places and read_request(text).relations
    assert read_request("the mug left of the box").relations[0].kind == "left"


def test_names_may_hold_words_that_refuse_elsewhere():
    assert read_request("coke zero").noun == "coke zero" and read_request("a stop sign").noun == "stop sign"
    for word in sorted(MAY_NAME):
        assert refusal(f"{word} mugs").word == word


def test_words_of_a_use_belong_to_what_is_used():
    assert read_request("something to drink up").noun == "something to drink up"
    assert read_request("a thing to hang up a coat").noun == "thing to hang up a coat"


def test_with_ends_where_another_thing_begins():
    both = read_request("a mug with a handle and the bowl")
    assert [part.noun for part in both.parts] == ["mug with a handle", "bowl"]
    assert read_request("a mug with a handle, not the red one").noun == "mug with a handle"


def test_a_join_behind_a_negation_goes_on_negating():
    for text, colors, nouns in [
        ("the mug that is not black or red", ["black", "red"], ["", ""]),
        ("the one that is not a mug or a bowl", [], ["mug", "bowl"]),
        ("the mug that is neither black nor red", ["black", "red"], ["", ""]),
        ("the mug that is not black or on the book", ["black"], ["", ""]),
    ]:
        excluded = [part for whole in read_request(text).excluded for part in whole.parts or (whole,)]
        assert [color for part in excluded for color, _ in part.colors] == colors, text
        assert [part.noun for part in excluded] == nouns, text
    assert [link.kind for link in read_request("the mug that is not black or on the book").excluded[1].relations] == ["on"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [("mug abve bowl", "above"), ("the smal mug", "small"), ("the mug belwo the bowl", "below"), ("the frist mug", "first")],
)
def test_a_slip_in_the_shortest_guarded_words_is_told_with_the_word_that_is_meant(text, meant):
    assert f"did you mean '{meant}'" in str(refusal(text))


def test_nothing_of_a_kind_behind_what_is_meant_excludes_it():
    assert [part.colors[0][0] for part in read_request("all mugs nothing red").excluded] == ["red"]
    assert [part.noun for part in read_request("the mugs, nothing of glass").excluded] == ["glass"]


def test_a_blank_that_nobody_sees_separates_and_control_characters_are_refused():
    assert read_request("the\u200bblack\u200bmug").noun == "mug"
    with pytest.raises(NotUnderstood, match="this sign"):
        read_request("\x1b[31mthe mug")


@pytest.mark.parametrize("prompt", ["something to replace the mug", "a box of medium size"])
def test_what_is_refused_behind_a_complement_is_what_is_named(prompt):
    with pytest.raises(NotUnderstood) as caught:
        read_request(prompt)
    assert caught.value.word in ("replace", "medium")
