"""The page of the grammar lists the words that the code knows, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.lexer import KINDS, phrases_of
from pan3d_core.language.grammar.spelling import meant_word

PAGE = (Path(__file__).parents[4] / "docs" / "prompts.md").read_text(encoding="utf-8")
AUXILIARIES = set(table.listed("is are was were do does did can could would should must may will has have"))


def rows(title: str) -> dict[str, set[str]]:
    """First column -> words of the table below a title."""
    section = PAGE.split(f"### {title}\n")[1].split("\n##")[0]
    cells = re.findall(r"^\| ([^|]+) \| (`[^|]*`) \|$", section, re.MULTILINE)
    return {name: set(re.findall(r"`([^`]+)`", words)) for name, words in cells}


def grouped(words: dict[str, object]) -> list[set[str]]:
    found: dict[object, set[str]] = {}
    for word, meaning in words.items():
        found.setdefault(meaning, set()).add(word)
    return sorted(found.values(), key=sorted)


def listed(title: str) -> list[set[str]]:
    return sorted(rows(title).values(), key=sorted)


def test_the_page_lists_sizes_and_relations_by_what_they_mean():
    assert listed("Sizes") == grouped(dict(table.SIZE_WORDS))
    assert listed("Relations") == grouped(dict(table.RELATIONS))


def test_the_page_lists_places_of_one_word_by_what_they_mean():
    assert listed("Places") == grouped({word: meaning for word, meaning in table.PLACE_WORDS.items() if len(word.split()) == 1})


def test_the_page_lists_counts_and_ordinals():
    counts = {word for word in table.COUNTS if word.split()[-1] not in table.NUMBERS}
    assert rows("Counts and ordinals") == {
        "number": set(table.NUMBERS), "other counts": counts, "ordinal": set(table.ORDINALS),
    }  # fmt: skip


def test_the_page_lists_what_negates():
    plain = {word for word in table.NOT_WORDS if not AUXILIARIES & set(word.split())}
    assert rows("Negation") == {
        "not": plain, "except": set(table.EXCEPT_PHRASES), "avoid": set(table.AVOID_PHRASES), "other": set(table.OTHERS),
    }  # fmt: skip


def test_the_page_lists_what_is_ignored_and_what_is_refused():
    assert rows("Ignored") == {
        "articles": set(table.ARTICLES), "requests": set(table.REQUESTS), "politeness and the like": set(table.POLITE),
        "links": set(table.LINKS), "left alone, behind what is not meant": set(table.LEFT_ALONE),
    }  # fmt: skip
    assert rows("Refused") == {reason: set(words) for reason, words in table.REFUSED.items()}


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("exept", "except"), ("witout", "without"), ("betwen", "between"), ("nearset", "nearest"), ("lefft", "left"), ("nto", "not"),
     ("neihter", "neither"), ("evrything", "everything"), ("secnd", "second"), ("largst", "largest"), ("undr", "under")],
)  # fmt: skip
def test_slips_in_words_of_the_grammar_are_recognised(slip, meant):
    assert meant_word(slip) == meant


def test_no_word_of_the_grammar_and_no_usual_name_is_taken_for_a_slip():
    assert {phrases_of(phrase)[0].kind for phrase in KINDS} == set(KINDS.values())
    names = "bottle mug bowl closet shell shelf mother pear beard tower flower torch couch pouch shirt feather chest light height"
    assert [word for word in names.split() if meant_word(word)] == []
