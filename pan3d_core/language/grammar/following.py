"""Steps in reading a description: what stands beside its noun, such as places, relations, uses and negated attributes.

Each step is at a phrase of its kind; it takes the phrase and returns True, or returns False where the description ends before it.
"""

from __future__ import annotations

from dataclasses import replace

from pan3d_core.language.grammar import attributes
from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.cursor import ATTRIBUTES, END, refuse_word
from pan3d_core.language.grammar.draft import Described, Draft, Reader
from pan3d_core.language.grammar.lexer import IGNORED, MARK, NOUN
from pan3d_core.language.grammar.structure import Prompt, Relation

_TOWARDS = frozenset(["nearest", "closest", "closer", "nearer", "near", "close"])
_AWAY = frozenset(["farthest", "furthest", "far"]) | {"farthest away", "furthest away", "far away", "most distant"}
_GROUND = frozenset(["table", "desk", "floor", "ground", "tabletop", "counter", "worktop", "scene"])
_TO_PLACES = {"left": ("leftness", 1), "right": ("leftness", -1), "near": ("forward", -1), "front": ("forward", -1),
              "far": ("forward", 1)}  # fmt: skip


def place(reader: Reader, draft: Draft) -> bool:
    text, cursor = reader.cursor.text(), reader.cursor
    _refuse_destination(reader, text)
    if text == "right" and draft.has_head and cursor.kind(1) == "relation":  # "the mug right next to the bowl"
        cursor.take(IGNORED)
        return True
    if cursor.kind(1) != END and text in table.RELATIONS and _names_another(reader, draft):
        return relation(reader, draft)
    if attributes.in_a_part(reader, draft) and len(text.split()) == 1:
        return attributes.noun(reader, draft)
    cursor.take("place")
    draft.places.append((text, *table.PLACE_WORDS[text]))
    draft.inside = ""
    attributes.among(reader, draft)
    return True


def _refuse_destination(reader: Reader, text: str) -> None:
    """ "move the mug to the left" tells where to, "I prefer the bowl over the mug" what is not wanted."""
    cursor = reader.cursor
    asked = {phrase.text for phrase in cursor.phrases[: cursor.at] if phrase.kind == "request"}
    goes = text in ("into", "onto") or ("move" in asked and (text.startswith("to the ") or text.endswith("away from")))
    if goes and not asked.isdisjoint(table.MOVES):
        cursor.refuse("where a thing is to go is not understood", 0)
    if text in ("to", "over", "above") and not asked.isdisjoint(table.PREFERS):
        cursor.refuse(table.SAY_NOT, 0)


def _names_another(reader: Reader, draft: Draft) -> bool:
    if reader.cursor.kind(1) == "article" or reader.cursor.text(1) in ("both", "something", "anything"):
        return True
    return draft.has_head and reader.cursor.kind(1) in (NOUN, "any", "color", "size", "shade")


def relation(reader: Reader, draft: Draft) -> bool:
    cursor, text = reader.cursor, reader.cursor.text()
    if draft.inside == "use" and (text in table.IN_USES and _ends_use(reader)):
        return attributes.noun(reader, draft)
    if text in ("in", "of") and cursor.kind(1) in ("color", "shade"):
        cursor.take(IGNORED)
        return True
    if not draft.has_head and draft.article and text == "next to" and cursor.kind(1) in ("place", "size"):
        cursor.refuse("say 'second from the left' or 'second largest'", 0)
    _refuse_destination(reader, text)
    if draft.has_head and cursor.at > draft.first and cursor.text(-1) == "left":
        cursor.refuse("it can be read in two ways; say 'on the left' for the side", -1)
    if text == "in" and cursor.kind(1) == NOUN and cursor.text(-1).endswith("ed"):  # "packed in cardboard"
        draft.inside = "noun"
        return attributes.noun(reader, draft)
    kind = table.RELATIONS[text]
    if not cursor.begins(1):
        cursor.refuse("expected the other thing after it", 0)
    cursor.take("relation")
    draft.inside, draft.has_head = "", True
    others = [reader.read("relation").prompt]
    if kind == "between" and not (others[0].plural or others[0].count):
        if cursor.kind() != "and":
            cursor.refuse("expected two things, as in 'between the mug and the bowl'", -1)
        cursor.take("relation")
        others.append(reader.read("relation").prompt)
        if not others[0].noun and others[0].colors:  # "between the red and the blue mug"
            others[0] = replace(others[0], noun=others[1].noun)
    elif cursor.kind() in ("or", "and") and cursor.begins(1) and cursor.kind(1) != "other":
        cursor.refuse("it could join the things that are meant, or those beside them; say one of them first", 0)
    for other in others:  # "the mug left of the bowl that is not red": in doubt the mug must not be red, either
        draft.excluded += other.excluded
    _relate(reader, draft, text, kind, tuple(others))
    return True


def _relate(reader: Reader, draft: Draft, text: str, kind: str, others: tuple[Prompt, ...]) -> None:
    noun = others[0].noun
    if noun in table.CAMERA_WORDS:
        reader.cursor.refuse("where cameras are is not seen; places are meant as the robot sees them", -1)
    if noun in table.ROBOT_WORDS or (noun in _GROUND and kind in ("left", "right", "front")):
        if kind not in _TO_PLACES:
            reader.cursor.refuse(f"{kind} the robot is no place that can be seen", -1)
        draft.places.append((text, *_TO_PLACES[kind]))
    elif noun not in _GROUND or kind not in ("on", "in", "above"):
        draft.relations.append(Relation(kind, others))


def _ends_use(reader: Reader) -> bool:
    """Whether "in" ends "to put flowers in", rather than saying where the thing is."""
    before = reader.cursor.phrases[reader.cursor.at - 1].text
    return not reader.cursor.begins(1) or before in table.PUT


def complement(reader: Reader, draft: Draft) -> bool:
    cursor, text = reader.cursor, reader.cursor.text()
    if draft.places and draft.has_head and cursor.begins(1) and (
        (text == "to" and draft.places[-1][0] in _TOWARDS) or (text == "from" and draft.places[-1][0] in _AWAY)
    ):  # fmt: skip
        draft.places.pop()  # "the closest mug to the bowl"
        cursor.take("relation")
        draft.relations.append(Relation("near" if text == "to" else "far", (reader.read().prompt,)))
        return True
    if not draft.has_head:
        cursor.refuse("expected a thing before it", 0)
    _refuse_destination(reader, text)
    if text == "with" and (end := _holds(reader)):
        return _holding(reader, draft, end)
    ends = not cursor.begins(1) and cursor.kind(1) not in ("request", "complement")
    if ends and draft.inside != "use":
        if cursor.kind(1) == "refused":
            cursor.at += 1
            refuse_word(cursor)
        cursor.refuse("expected a word after it", 0)
    if cursor.kind(1) == "article" and cursor.kind(2) == "place" and not cursor.begins(3):
        cursor.refuse("expected a thing after it, or 'on the left'", 0)
    if text == "from" and cursor.text(1).endswith("ing"):
        cursor.refuse("say with 'not' what is not meant", 0)
    if text == "to" and not ends and cursor.kind(1) == "article":
        cursor.refuse("expected a use after it, as in 'something to drink from'", 0)
    draft.inside = "use" if text == "to" or draft.inside == "use" else "noun"
    return attributes.noun(reader, draft)


def _holds(reader: Reader) -> int:
    """Index of the "in it" that belongs to "with a banana in it"; 0 without one."""
    for index in range(reader.cursor.at + 1, len(reader.cursor.phrases)):
        phrase = reader.cursor.phrases[index]
        if phrase.text in table.HOLDING and (phrase.kind == "holding" or not reader.cursor.begins(index + 1 - reader.cursor.at)):
            return index
        if phrase.kind in (MARK, "not", "except", "request", "avoid", "and", "or"):
            return 0
    return 0


def _holding(reader: Reader, draft: Draft, end: int) -> bool:
    whole = reader.cursor.phrases
    reader.cursor.take("relation")
    reader.cursor.phrases = whole[:end]
    other = reader.read().prompt
    complete = reader.cursor.at == end
    reader.cursor.phrases = whole
    if not complete:
        reader.cursor.refuse("expected one thing that it holds", 0)
    draft.relations.append(Relation(table.HOLDING[reader.cursor.take("relation")], (other,)))
    return True


def that(reader: Reader, draft: Draft) -> bool:
    if not draft.has_head:
        reader.cursor.take(IGNORED)
        draft.article = draft.article or "that"
        return True
    after = reader.cursor.kind(1)
    tells_a_use = after in (NOUN, "request") or reader.cursor.text(1) in table.IN_USES - {"is", "are", "in", "on"}
    if tells_a_use and reader.cursor.kind(1) != "not":
        draft.inside = "use"
        return attributes.noun(reader, draft)
    reader.cursor.take(IGNORED)
    return True


def link(reader: Reader, draft: Draft) -> bool:
    if draft.inside == "use" and reader.cursor.text() in table.IN_USES:
        return attributes.noun(reader, draft)
    text = reader.cursor.take(IGNORED)
    if text in table.POSTURES and reader.cursor.kind() not in ("relation", "place", "polite", "not", "from"):
        reader.cursor.refuse("how a thing stands or lies cannot be seen", -1)
    if draft.has_head:
        draft.inside = ""
    return True


def negation(reader: Reader, draft: Draft) -> bool:
    cursor = reader.cursor
    before = cursor.phrases[cursor.at - 1] if cursor.at > draft.first else None
    if cursor.text() == "nor":
        return False
    if not draft.has_head:
        is_prefix = cursor.text() in ("non", "un")
        if (before is None and not is_prefix) or cursor.kind(1) not in ATTRIBUTES:
            if before is not None or is_prefix:
                cursor.refuse("what a thing is not made for or of cannot be seen", 1)
            return False
        cursor.take("not")
        draft.excluded.append(_one_attribute(reader))
        return True
    linked = cursor.text() not in ("not", "never", "no", "non", "nor", "neither", "not any", "not either") or (
        before is not None and before.kind in ("link", "that")
    )
    lacks = draft.inside == "use" and cursor.text() in ("no", "not any")  # "that has no handle"
    if (before is not None and before.kind == "complement") or lacks:
        cursor.refuse("what a thing lacks cannot be seen", 0)
    if not linked:
        return False
    draft.inside = ""
    _negated_attributes(reader, draft)
    return True


def _one_attribute(reader: Reader) -> Prompt:
    """ "black" of "the non-black mug"."""
    text = reader.cursor.text()
    if reader.cursor.kind() in ("color", "shade"):
        if reader.cursor.kind() == "shade" and reader.cursor.kind(1) != "color":
            reader.cursor.refuse("expected a colour after it", 0)
        return Prompt(text, colors=(attributes.take_color(reader),))
    if reader.cursor.kind() == "size":
        return Prompt(text, sizes=((text, *table.SIZE_WORDS[reader.cursor.take("size")]),))
    return Prompt(text, places=((text, *table.PLACE_WORDS[reader.cursor.take("place")]),))


def _negated_attributes(reader: Reader, draft: Draft) -> None:
    """ "not black", "not on the book", "neither black nor white", behind "that is"."""
    cursor = reader.cursor
    while True:
        cursor.take("not")
        while cursor.kind() in ("polite", "either"):
            cursor.take(IGNORED)
        draft.excluded.append(read_excluded(reader, is_predicate=True).prompt)
        joins = cursor.kind() in ("or", "and") or (cursor.kind() == MARK and cursor.text() == ",")
        after = 1 if joins else 0
        if cursor.kind(after) == "not" and (joins or cursor.text() == "nor"):
            for _ in range(after):
                cursor.take(IGNORED)
        elif joins and cursor.begins(1) and (draft.excluded[-1].noun or cursor.kind(1) == NOUN or cursor.kind() == "or"):
            continue  # "not a mug or a bowl", "not red or mugs", "not the leftmost or the rightmost"
        elif joins and cursor.kind() != MARK and cursor.kind(1) in (*ATTRIBUTES, "relation") and cursor.kind(2) != NOUN:
            continue  # "not black or red": the join is taken as the next negation
        else:
            return


def refused(reader: Reader, draft: Draft) -> bool:
    cursor, text = reader.cursor, reader.cursor.text()
    if draft.inside == "use" and text in table.IN_USES:
        return attributes.noun(reader, draft)
    if draft.has_head and text in table.GIVEN_BY and cursor.kind(1) in (NOUN, "request", "refused"):
        draft.inside = "use"
        return attributes.noun(reader, draft)
    names_a_use = draft.inside == "use" or cursor.text(1) in ("to", "for")
    is_free_of = text == "free" and draft.is_empty  # "free weight", not "red-free box"
    if is_free_of or (text in table.PROPERTIES and names_a_use):
        return attributes.noun(reader, draft)
    if (text == "can" and not draft.has_head) or (text in table.MAY_NAME and (draft.article or draft.nouns)):
        return attributes.noun(reader, draft)
    if text in table.MAY_BEGIN_NAMES and (draft.article or draft.nouns) and cursor.kind(1) == NOUN:
        return attributes.noun(reader, draft)
    if text in ("without", *table.NOT_AFTER_ONE) and draft.is_universal and draft.has_head:
        return False
    if text == "can" and draft.has_head and not draft.inside:
        return attributes.noun(reader, draft)
    refuse_word(cursor)


def than(reader: Reader, draft: Draft) -> bool:
    if draft.is_other:
        return False
    if not (draft.sizes or draft.places) or not reader.cursor.begins(1):
        reader.cursor.refuse("expected a comparison such as 'bigger than the mug'", 0)
    _, measure, sign = (draft.sizes or draft.places).pop()
    reader.cursor.take("relation")
    draft.has_head = True
    draft.relations.append(Relation("more", (reader.read().prompt,), measure, sign))
    return True


def read_excluded(reader: Reader, is_predicate: bool = False) -> Described:
    """Read a description of what is not meant.

    Args:
        reader: Behind the word that negates.
        is_predicate: Behind "that is not", where a bare word tells a property.

    Returns:
        The description.

    Raises:
        NotUnderstood: For a second negation, "not all", and properties that cannot be seen.
    """
    cursor = reader.cursor
    if cursor.kind() in ("not", "except", "avoid") or cursor.text() in ("without", "nothing", "none", "nobody", "never"):
        cursor.refuse("two negations in a row are not understood", 0)
    if cursor.kind() == "count" and cursor.kind(-1) == "not":
        cursor.refuse(f"'not {cursor.text()}' can be read in two ways", 0)
    if cursor.text() == "one" or (cursor.kind() == "count" and table.COUNTS.get(cursor.text(), (1, "some"))[1] == "some"):
        cursor.refuse("it does not say which of them are not meant", 0)
    bare = is_predicate and cursor.kind() == NOUN
    at = cursor.at
    described = reader.read("not")
    if bare and not described.prompt.plural:
        cursor.at = at
        cursor.refuse("whether it is true of a thing cannot be seen; negate colours, sizes, places and things ('not a mug')", 0)
    count = described.prompt.count
    if count and count.number > 1 and described.prompt.relations:
        cursor.refuse("it does not say which of them are not meant", -1)
    if described.prompt.excluded:
        cursor.refuse("two negations in one description are not understood", -1)
    return described
