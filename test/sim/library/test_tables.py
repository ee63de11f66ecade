"""Tests of the tables of modelled objects and their words."""

from collections import Counter

from pan3d_sim.library.tables import (
    NAMES_PER_KIND,
    SPLITS,
    TRAIN,
    UNSEEN_KIND,
    UNSEEN_OBJECT,
    kind_words,
    listed_objects,
    modelled_kinds,
    modelled_vocabulary,
)
from pan3d_sim.objects.kinds import HELD_OUT_KINDS, KINDS
from pan3d_sim.objects.vocabulary import DESCRIPTIONS, HELD_OUT_DESCRIPTIONS


def test_a_quarter_of_the_objects_is_never_trained_and_some_kinds_are_wholly_unseen():
    counts = Counter(item.split for item in listed_objects())
    assert set(counts) == set(SPLITS)
    assert (counts[UNSEEN_OBJECT] + counts[UNSEEN_KIND]) / counts.total() >= 0.25
    shown, unseen = set(modelled_kinds(TRAIN)), set(modelled_kinds(UNSEEN_KIND))
    assert len(unseen) >= 15 and not unseen & (shown | set(KINDS))
    assert len(shown) >= 150 and not shown & set(HELD_OUT_KINDS)


def test_objects_have_different_names_and_kinds_with_words():
    names = [item.name for item in listed_objects()]
    assert len(set(names)) == len(names)
    worded = set(kind_words()) | set(DESCRIPTIONS) | set(HELD_OUT_DESCRIPTIONS)
    assert {item.kind for item in listed_objects()} <= worded
    assert set(kind_words()) <= {item.kind for item in listed_objects()}, "words for a kind that no object is of"


def test_the_first_names_of_a_kind_are_those_of_no_other():
    words = modelled_vocabulary(tuple(dict.fromkeys((*KINDS, *modelled_kinds(*SPLITS), *HELD_OUT_KINDS))))
    assert words["synonyms_per_kind"] == NAMES_PER_KIND and len(words["kinds"]) < 255
    names = Counter(name for texts in words["descriptions"].values() for name in texts[:NAMES_PER_KIND])
    assert not [name for name, count in names.items() if count > 1]
    for kind, texts in words["descriptions"].items():
        assert texts[0] == kind and len(texts) >= NAMES_PER_KIND + 2, kind
        assert len(words["paraphrases"][kind]) >= 3 and not set(words["paraphrases"][kind]) & set(texts), kind
