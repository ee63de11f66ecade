"""Steps in reading a description: articles, counts, ordinals, sizes, colours and the noun.

Each step is at a phrase of its kind; it takes the phrase and returns True, or returns False where the description ends before it.
"""

from __future__ import annotations

from pan3d_core.language.colors import SHADES, canonical_color
from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.cursor import ATTRIBUTES, END, refuse_misspelled
from pan3d_core.language.grammar.draft import Draft, Reader
from pan3d_core.language.grammar.lexer import IGNORED, MARK, NOUN
from pan3d_core.language.grammar.structure import Count

_ALSO_THINGS = frozenset(("orange", "lime", "lemon", "olive", "rose", "salmon", "ruby", "emerald", "mint"))


def article(reader: Reader, draft: Draft) -> bool:
    if draft.inside:
        return noun(reader, draft)
    if draft.has_head:
        return False
    if draft.count == Count(1, "exactly"):  # "only the red mug" does not say that it is the only one
        draft.count = None
    draft.article = reader.cursor.take(IGNORED)
    draft.is_universal |= draft.article in ("any", "whichever")
    return True


def count(reader: Reader, draft: Draft) -> bool:
    if draft.inside:
        if reader.cursor.text(1) in table.UNITS:  # "a box of 10 cm"
            reader.cursor.refuse("neither amounts nor such numbers are understood", 0)
        return noun(reader, draft)
    if draft.has_head:
        return reader.cursor.text() in ("only", "all") and _late_count(reader, draft)
    is_exact = reader.cursor.text(-1) in ("exactly", "precisely")
    number = _count_of(reader.cursor.take("count"))
    if is_exact and number.kind == "some":  # "exactly 2"
        number = Count(number.number, "exactly")
    _check_how_many(reader, draft, number)
    if draft.count is not None:  # "all three", "the only two"
        number = (
            draft.count
            if draft.count.kind == "some"
            else Count(max(number.number, draft.count.number), "exactly" if number.kind != "all" else draft.count.kind)
        )
    draft.count, draft.is_universal = number, draft.is_universal or number.kind == "all"
    _of_them(reader, draft)
    return True


def _check_how_many(reader: Reader, draft: Draft, number: Count) -> None:
    cursor = reader.cursor
    if cursor.text() in table.UNITS:
        cursor.refuse("neither amounts nor such numbers are understood", 0)
    if cursor.kind() in ("or", "relation") and cursor.kind(1) == "count":
        cursor.refuse("how many is not said", 0)
    if number.kind == "some" and draft.count is not None and draft.count.kind == "some":
        cursor.refuse("how many is not said", -1)  # "2-3 mugs"


def _late_count(reader: Reader, draft: Draft) -> bool:
    """ "the red mug only", "the mugs all"."""
    reader.cursor.take(IGNORED)
    return True


def _of_them(reader: Reader, draft: Draft) -> None:
    """ "two of the mugs", "the larger of the two"."""
    if reader.cursor.text() == "of" and reader.cursor.begins(1):
        reader.cursor.take(IGNORED)


def ordinal(reader: Reader, draft: Draft) -> bool:
    if draft.inside:
        return noun(reader, draft)
    draft.ordinal_at = reader.cursor.at
    text = reader.cursor.take("ordinal")
    draft.ordinal = table.ORDINALS[text] if text in table.ORDINALS else int(text[:-2])
    among(reader, draft)
    return True


def size(reader: Reader, draft: Draft) -> bool:
    if in_a_part(reader, draft):
        return noun(reader, draft)
    text = reader.cursor.take("size")
    draft.sizes.append((text, *table.SIZE_WORDS[text]))
    draft.inside = ""
    among(reader, draft)
    return True


def color(reader: Reader, draft: Draft) -> bool:
    cursor = reader.cursor
    if cursor.kind() == "shade" and cursor.kind(1) != "color":
        return noun(reader, draft)
    if in_a_part(reader, draft) or _is_fruit(reader, draft):
        return noun(reader, draft)
    draft.colors.append(take_color(reader))
    draft.inside = ""
    return True


def take_color(reader: Reader) -> tuple[str, int]:
    shade = SHADES[reader.cursor.take("color")] if reader.cursor.kind() == "shade" else 0
    known = canonical_color(reader.cursor.take("color"))
    assert known is not None
    return known, shade


def _is_fruit(reader: Reader, draft: Draft) -> bool:
    """ "an orange" is a thing, "the orange one" a colour."""
    alone = bool(draft.article) and draft.is_empty and not reader.cursor.begins(1)
    return reader.cursor.text() in _ALSO_THINGS and alone and reader.cursor.kind(1) not in ("or", "and")


def in_a_part(reader: Reader, draft: Draft) -> bool:
    """Whether an attribute belongs to "a red handle" or "red wine" rather than to the thing."""
    if not draft.inside:
        return False
    before, after = reader.cursor.phrases[reader.cursor.at - 1].kind, reader.cursor.kind(1)
    return before in ("complement", "article", *ATTRIBUTES) or after == NOUN


def among(reader: Reader, draft: Draft) -> None:
    """ "the larger of the two red boxes": of counts only."""
    if reader.cursor.text() != "of" or draft.has_head:
        return
    reader.cursor.take(IGNORED)
    while reader.cursor.kind() == "article":
        reader.cursor.take(IGNORED)
    if reader.cursor.kind() == "count":
        counted = _count_of(reader.cursor.take("count"))
        draft.count = Count(counted.number, "among") if counted.kind != "all" else None


def any_thing(reader: Reader, draft: Draft) -> bool:
    cursor, text = reader.cursor, reader.cursor.text()
    counts = cursor.text(1) == "of" or cursor.kind(1) in (NOUN, "color", "shade", "size")
    if text == "one" and not draft.has_head and counts and draft.article in ("", "the"):
        draft.count = Count(1, "exactly" if draft.article == "the" else "some")
        cursor.take("count")
        _of_them(reader, draft)
        return True
    if draft.has_head and not draft.inside and text in ("everything", "anything", "something", "whatever"):
        return False
    draft.is_universal |= text in ("everything", "anything", "whatever")
    if text == "everything":
        draft.count = Count(1, "all")
    return noun(reader, draft)


def noun(reader: Reader, draft: Draft) -> bool:
    cursor = reader.cursor
    late = cursor.phrases[cursor.at - 1] if cursor.at else None
    if draft.has_head and not draft.inside and late is not None and late.kind in ("place", "relation", "link"):
        cursor.refuse("expected a word such as 'and' or 'next to' before it", 0)
    if not draft.inside:
        draft.has_head, draft.last_head = True, cursor.text()
    draft.nouns.append(cursor.take(NOUN))
    return True


def other(reader: Reader, draft: Draft) -> bool:
    if draft.inside:
        reader.cursor.refuse("what it refers to is not known", 0)
    text = reader.cursor.take("other")
    draft.is_other = True
    if text in ("rest", "others"):
        draft.has_head, draft.count, draft.is_universal = True, Count(1, "all"), True
    return True


def counted_from(reader: Reader, draft: Draft) -> bool:
    text = reader.cursor.take("place")
    meaning = table.COUNTED_FROM[text]
    if draft.ordinal:
        draft.counted_from = meaning
    else:
        draft.places.append((text, *meaning))
    draft.inside = ""
    return True


def alternative(reader: Reader, draft: Draft) -> bool:
    cursor = reader.cursor
    if draft.inside or cursor.kind(1) not in ("color", "shade") or not draft.colors or draft.relations:
        return _adjectives_follow(reader, draft)
    if not draft.has_head or cursor.kind(2) in (END, MARK):
        cursor.take("or")
        draft.other_colors.append(take_color(reader))
        return True
    return False


def _adjectives_follow(reader: Reader, draft: Draft) -> bool:
    if not draft.has_head and (draft.sizes or draft.places) and reader.cursor.kind(1) in ("size", "place"):
        reader.cursor.refuse("only colours are joined by it; say the things apart", 0)
    return False


def addition(reader: Reader, draft: Draft) -> bool:
    if (
        draft.has_head and not draft.inside and draft.within != "relation" and reader.cursor.kind(1) == "relation"
    ):  # "right of the mug and left of the bowl"
        reader.cursor.take(IGNORED)
        return True
    has_adjective = draft.colors or draft.sizes or draft.places
    if draft.inside or not has_adjective or reader.cursor.kind(1) not in ATTRIBUTES:
        return False
    if draft.has_head and reader.cursor.kind(2) in (NOUN, "any"):
        return False
    reader.cursor.take(IGNORED)
    return True


def mark(reader: Reader, draft: Draft) -> bool:
    between_adjectives = not draft.has_head and (draft.colors or draft.sizes or draft.places)
    if not between_adjectives or reader.cursor.kind(1) not in (*ATTRIBUTES, NOUN) or reader.cursor.text() != ",":
        return False
    reader.cursor.take(IGNORED)
    return True


def polite(reader: Reader, draft: Draft) -> bool:
    if draft.inside == "use" and reader.cursor.text() in table.IN_USES:
        return noun(reader, draft)
    if draft.has_head and not draft.inside and reader.cursor.kind(1) == NOUN:
        return False  # "the bowl, then mug" is no "bowl mug"
    reader.cursor.take(IGNORED)
    return True


def request(reader: Reader, draft: Draft) -> bool:
    if draft.inside == "use" or (draft.article and not draft.has_head and reader.cursor.text() in table.ALSO_NOUNS):
        return noun(reader, draft)
    return False


def unseen(reader: Reader, draft: Draft) -> bool:
    reader.cursor.refuse("this measure cannot be seen", 0)


def misspelled(reader: Reader, draft: Draft) -> bool:
    refuse_misspelled(reader.cursor)


def _count_of(text: str) -> Count:
    if text.isdigit():
        return Count(int(text), "some")
    return Count(*table.COUNTS[text])
