"""Reading a whole request: descriptions of what is meant, and of what is not meant, in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.cursor import END, Cursor, refuse_misspelled, refuse_word
from pan3d_core.language.grammar.description import DescriptionReader
from pan3d_core.language.grammar.draft import Described, contradict
from pan3d_core.language.grammar.following import read_excluded
from pan3d_core.language.grammar.foreign import foreign_language
from pan3d_core.language.grammar.lexer import IGNORED, MARK, NOT_UNDERSTOOD, NOUN, Phrase, phrases_of, spoken_form
from pan3d_core.language.grammar.structure import NotUnderstood, Prompt


@dataclass
class Request:
    """What has been read of a request."""

    wanted: list[Described] = field(default_factory=list)
    excluded: list[Described] = field(default_factory=list)
    joins: set[str] = field(default_factory=set)
    join: str = ""  # before the next description
    separated: bool = True  # whether a next description may begin
    has_just_excluded: bool = False
    other_at: int = -1  # index of a phrase with "other", until something is excluded


def read_request(text: str, names: Sequence[str] = ()) -> Prompt:
    """Take a prompt apart.

    Args:
        text: English, with at least one word.
        names: Of taught objects, in any language; each is one noun wherever the text holds it.

    Returns:
        What is meant; every word of the text is in `words` with its role.

    Raises:
        NotUnderstood: For a word that changes the meaning and is not understood, and for text in another language.
    """
    taught = {spoken_form(name) for name in names}
    phrases = phrases_of(text, taught)
    others = [phrase.said for phrase in phrases if phrase.text not in taught]
    foreign = foreign_language(text if len(others) == len(phrases) else " ".join(others))
    if foreign is not None:
        language, word = foreign
        roles = tuple((phrase.said, NOT_UNDERSTOOD) for phrase in phrases if phrase.said)
        raise NotUnderstood(f"{word!r} looks like {language}; prompts are English", word, roles)
    try:
        return _RequestReader(phrases).read(text)
    except NotUnderstood as problem:
        raise NotUnderstood(str(problem), problem.word, words_of(phrases)) from None


def words_of(phrases: list[Phrase]) -> tuple[tuple[str, str], ...]:
    """Every word as (words, role); neighbours that are one noun or ignored are joined."""
    found: list[tuple[str, str]] = []
    for phrase in phrases:
        if not phrase.said:
            if found and phrase.kind != MARK and phrase.role != IGNORED:  # the second half of a contraction
                found[-1] = (found[-1][0], phrase.role)
            continue
        if found and phrase.role == found[-1][1] and phrase.role == NOUN:
            found[-1] = (f"{found[-1][0]} {phrase.said}", phrase.role)
        else:
            found.append((phrase.said, phrase.role))
    return tuple(found)


class _RequestReader:
    def __init__(self, phrases: list[Phrase]) -> None:
        self.cursor = Cursor(phrases)
        self.reader = DescriptionReader(self.cursor)
        self.request = Request()

    def read(self, text: str) -> Prompt:
        """The whole request."""
        cursor = self.cursor
        while cursor.kind() != END:
            before = cursor.at
            self._clause()
            if cursor.at == before:
                refuse_word(cursor)
        return self._finished(text)

    def _clause(self) -> None:
        cursor, request = self.cursor, self.request
        kind, text = cursor.kind(), cursor.text()
        if kind in (MARK, "polite", "either", "request"):
            self._refuse_taking_out(text)
            request.separated = True
            cursor.take(IGNORED)
        elif kind == "link" and text not in table.POSTURES and not request.wanted:
            cursor.take(IGNORED)
        elif kind in ("or", "and"):
            self._join(kind)
        elif text == "nothing" and cursor.text(1) == "else" and cursor.kind(2) in (END, MARK) and request.wanted:
            cursor.take(IGNORED)  # "only the bowl, nothing else"
            cursor.take(IGNORED)
        elif kind == "but":
            self._but()
        elif kind == "left alone" and request.has_just_excluded:
            cursor.take(IGNORED)
        elif (kind in ("not", "avoid", "except") and text not in ("non", "un")) or self._excludes_by_context():
            self._exclude(kind)
        elif text in table.NOT_AFTER_ONE and (cursor.kind(1) in ("but", "except")) and not request.wanted:
            cursor.take(IGNORED)  # "nothing but the mug" is the mug
            cursor.take(IGNORED)
        elif kind == "misspelled":
            refuse_misspelled(cursor)
        else:
            self._want()

    def _refuse_taking_out(self, text: str) -> None:
        """ "everything - mug", "everything, remove the mug": as well, or not."""
        cursor, request = self.cursor, self.request
        is_dash = text.strip() in ("-", "–", "—", "--") and request.wanted and request.wanted[-1].is_several
        if request.wanted and (text in table.TAKES_OUT or is_dash) and cursor.kind(1) != END:
            cursor.refuse(f"it can be read in two ways; {table.SAY_NOT}", 0)

    def _excludes_by_context(self) -> bool:
        """ "nothing red" after what is meant, "everything without", "any other mug than"."""
        cursor, request = self.cursor, self.request
        last = request.wanted[-1] if request.wanted else None
        if last is None:
            return False
        if cursor.text() in table.NOT_AFTER_ONE:
            return cursor.begins(1) or cursor.text(1) == "of"
        if cursor.text() == "without":
            return last.is_universal
        return cursor.kind() == "than" and last.is_other

    def _join(self, kind: str) -> None:
        after = self.cursor.kind(1)
        if after in ("or", "and") or kind == "or" and after in ("not", "avoid", "except", "relation"):
            self.cursor.refuse("it can be read in two ways; say the things apart", 0)
        role = IGNORED if after in ("request", "avoid", "not", "except") else kind
        self.request.join = kind if role == kind else ""
        self.cursor.take(role)
        self.request.separated = True

    def _but(self) -> None:
        cursor, request = self.cursor, self.request
        after = 1
        while cursor.kind(after) in ("polite", MARK):
            after += 1
        if cursor.kind(after) == "request" and request.wanted and request.wanted[-1].is_universal:
            cursor.refuse("say 'but not' or 'except' for what is not meant", 0)
        negates = cursor.kind(after) in ("not", "avoid", "except") or cursor.text(after) in table.NOT_AFTER_ONE
        if negates or cursor.kind(after) == "request" or (request.excluded and not request.wanted):
            cursor.take(IGNORED)
            request.separated = True
        elif request.wanted and request.wanted[-1].is_universal:
            self._exclude("except")
        else:
            cursor.refuse("say 'but not' for what is not meant", 0)

    def _exclude(self, kind: str) -> None:
        """One thing that is not meant, or a list of them."""
        cursor, request = self.cursor, self.request
        fronted = not request.wanted
        cursor.take("not")
        if cursor.kind() == "count" and cursor.text() == "only":
            cursor.refuse("'not only' can be read in two ways", 0)
        if cursor.kind() == "request" and kind == "not":
            cursor.take(IGNORED)
        while kind != "not" and cursor.kind() == MARK and cursor.text() in ".:":  # "excl.", "except:"
            cursor.take(IGNORED)
        if cursor.kind() == END or (cursor.kind() == MARK and kind == "not"):
            cursor.refuse("it does not say what is not meant", -1)
        while True:
            while (
                cursor.kind() in ("polite", "either")
                or cursor.text() == "of"
                or (kind == "avoid" and cursor.kind() == "left alone")
            ):
                cursor.take(IGNORED)
            request.excluded.append(read_excluded(self.reader))
            if not self._list_goes_on(fronted and kind == "except"):
                break
        request.separated, request.join, request.has_just_excluded = True, "", True
        last = request.excluded[-1]
        if last.is_universal and not last.prompt.is_told_apart and fronted and cursor.kind() in ("but", "except"):
            request.excluded.pop()  # "do not take anything but the bowl"
            cursor.take(IGNORED)
            return
        if kind == "except" and cursor.kind() == "except":
            cursor.refuse("two negations in a row are not understood", 0)

    def _list_goes_on(self, ends_at_comma: bool) -> bool:
        """Take what joins the next excluded thing, if one follows."""
        cursor = self.cursor
        length = 0
        while cursor.kind(length) in ("or", "and", "polite") or cursor.text(length) in (",", "nor", "/"):
            length += 1
        joined = any(cursor.kind(index) in ("or", "and") or cursor.text(index) in (",", "nor") for index in range(length))
        commas_only = all(cursor.kind(index) in (MARK, "polite") for index in range(length))
        if not joined or (commas_only and ends_at_comma):
            return False
        if not (cursor.begins(length) or cursor.kind(length) in ("relation",)):
            return False
        for _ in range(length):
            cursor.take("not" if cursor.text() == "nor" else IGNORED)
        return True

    def _want(self) -> None:
        cursor, request = self.cursor, self.request
        if not request.separated:
            if cursor.kind() == "refused":
                refuse_word(cursor)
            cursor.refuse("expected a word such as 'and' or 'next to' before it", 0)
        at = cursor.at
        if cursor.kind() == "refused" and cursor.text() not in ("can", "free"):
            refuse_word(cursor)
        asked = at > 0 and cursor.phrases[at - 1].text.startswith("what ")  # "apart from the mug, what is black?"
        described = self.reader.read()
        request.has_just_excluded = False
        if described.is_other:
            others = [i for i in range(at, cursor.at) if cursor.phrases[i].role == "other"]
            request.other_at = others[0]
        join, request.join, request.separated = request.join, "", False
        same_thing = bool(request.wanted) and described.prompt.noun in ("", request.wanted[-1].prompt.noun)
        another = bool(same_thing and described.prompt.noun and described.prompt.colors and request.wanted[-1].prompt.colors)
        refines = (described.is_pronoun or same_thing) and request.wanted and not (join or another or described.is_other)
        if refines and not request.wanted[-1].prompt.parts:
            before = request.wanted[-1].prompt
            if contradict(before.sizes + described.prompt.sizes) or contradict(before.places + described.prompt.places):
                cursor.refuse("it contradicts what is said before it", -1)
            request.wanted[-1] = replace(request.wanted[-1], prompt=_merged(request.wanted[-1].prompt, described.prompt))
            return
        if described.is_pronoun and not request.wanted and request.excluded and not (described.is_universal or asked):
            noun = request.excluded[-1].prompt.noun  # "not the red mug, take the other one"
            described = replace(described, prompt=replace(described.prompt, noun=noun))
        if join and not (request.wanted or request.excluded):
            cursor.at = at - 1
            cursor.refuse("expected a description of a thing before it", 0)
        if request.wanted and join:
            request.joins.add(join)
            before = request.wanted[-1].prompt
            if described.is_pronoun and before.noun and not described.prompt.parts:  # "the red mug and the blue one"
                described = replace(described, prompt=replace(described.prompt, noun=before.noun))
        request.wanted.append(described)

    def _finished(self, text: str) -> Prompt:
        cursor, request = self.cursor, self.request
        if request.join:
            cursor.refuse("expected a description of a thing after it", -1)
        if request.other_at >= 0 and not request.excluded:
            cursor.at = request.other_at
            cursor.refuse("say which one is not meant, as in 'a mug other than the red one'", 0)
        if not request.wanted:
            negators = [i for i, phrase in enumerate(cursor.phrases) if phrase.role == "not"]
            cursor.at = negators[0] if negators else 0
            cursor.refuse("it says what not to take, but not what to take", 0)
        if len(request.joins) > 1:
            ors = [i for i, phrase in enumerate(cursor.phrases) if phrase.role == "or"]
            cursor.at = ors[0]
            cursor.refuse("'and' together with 'or' can be read in two ways", 0)
        self._refuse_turns()
        excluded = tuple(described.prompt for described in request.excluded)
        words = words_of(cursor.phrases)
        if len(request.wanted) == 1:
            only = request.wanted[0].prompt
            bare = request.wanted[0].is_pronoun and not (
                only.text.split()[-1] in table.ANYTHING or request.wanted[0].is_universal
            )
            told = [item for item in excluded if item.noun and (item.colors or item.is_relative)]
            if bare and not only.noun and told:  # "the shortest but not the pink bottle"
                only = replace(only, noun=told[0].noun)
            return replace(only, text=text, excluded=only.excluded + excluded, words=words)
        joined = "or" if "or" in request.joins else "and"
        parts = [described.prompt for described in request.wanted]
        if joined == "and" and parts[0].count and parts[0].count.number == 2 and not parts[0].noun.endswith("s"):
            parts[0] = replace(parts[0], count=None, plural=False)  # "both the can and the banana"
        shared = _shared(parts, joined)
        return Prompt(text, excluded=excluded, joined=joined, parts=shared, plural=joined == "and", words=words)

    def _refuse_turns(self) -> None:
        """ "the mug, I mean the bowl": not both."""
        cursor, wanted = self.cursor, self.request.wanted
        turns = [i for i, phrase in enumerate(cursor.phrases) if phrase.text in table.TURNS and phrase.role == IGNORED]
        if len(wanted) > 1 and turns and turns[-1] > wanted[0].first:
            cursor.at = turns[-1]
            cursor.refuse(f"neither an order nor a second thought is understood; {table.SAY_NOT}", 0)


def _merged(first: Prompt, second: Prompt) -> Prompt:
    """ "a mug, a red one": one thing with what both say."""
    if second.parts:  # "a mug, either red or blue"
        return replace(second, parts=tuple(_merged(first, part) for part in second.parts), text=f"{first.text} {second.text}")
    return replace(
        first,
        colors=first.colors + second.colors,
        sizes=first.sizes + second.sizes,
        places=first.places + second.places,
        relations=first.relations + second.relations,
        ordinal=second.ordinal or first.ordinal,
        count=second.count or first.count,
        excluded=first.excluded + second.excluded,
    )


def _shared(parts: list[Prompt], joined: str) -> tuple[Prompt, ...]:
    """Parts whose noun stands only with the last one, "the red and the blue mug", get it."""
    last = parts[-1]
    return tuple(
        replace(part, noun=last.noun, text=f"{part.text} {last.noun}")
        if not part.noun
        and part.colors
        and not part.parts
        and not part.is_relative
        and part.text.split()[-1] not in table.ANYTHING
        else part
        for part in parts
    )
