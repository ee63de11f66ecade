"""Misspelled words of the grammar: taken for a noun, "witout the mug" would mean the mug."""

from __future__ import annotations

import re

from pan3d_core.language.grammar import words as table

# Slips that distance does not find, since the words are short, or real ones.
_SLIPS = {
    "nto": "not", "ont": "not", "noot": "not", "nott": "not", "teh": "the", "hte": "the", "tje": "the", "adn": "and",
    "nad": "and",
    "wihtout": "without", "excpet": "except", "expect": "except", "accept": "except", "excep": "except", "exept": "except",
    "nver": "never", "evry": "every", "lef": "left", "lfet": "left", "letf": "left", "nt": "not", "btw": "between",
    "wich": "which", "wiht": "with", "witth": "with",
    "form": "from", "frm": "from", "ohter": "other", "bot": "not", "bth": "both", "boht": "both", "untill": "until",
    "neigther": "neither", "nothe": "not", "notha": "not",
    "nether": "neither", "noth": "not", "n0t": "not", "avoide": "avoid", "abov": "above", "undr": "under", "bellow": "below",
    "nex": "next",
    "rigth": "right", "rihgt": "right", "moste": "most", "btwn": "between", "blakc": "black", "balck": "black", "gren": "green",
    "bleu": "blue", "yelow": "yellow", "yello": "yellow", "witout": "without", "whitout": "without",
}  # fmt: skip
# Real words one slip away from a word of the grammar.
_REAL_WORDS = frozenset(
    table.listed(
        """aide arrow avid barge barking barrow bearer bedside blow bother bottoms bout caller centers centred centres chick clone
        closed closet clover cross digger eighty enter ether father feather fever fiddle fifty fight fist flower font forge frost
        harrow insider jingle leading leaking learning lease leash letter lever light linger lover mall marge marrow mines mother
        narrowed night otter part power rider rights rower seconds seventy shirt shooter shore shorts shot singles sixty
        smell sort
        sport stall supper teeth teller tent think tick ticker tight tingle tower trick void waller wilder weather leather lather
        larder ladder lager litter batter platter chicken thicket brittle bright fright height brother toucan beard beaker
        shoulder
        copper topper pepper slipper upholster lowers flowers powder beast booth
        cleaning couch coupe couples folding gather holdings leaves loser lowe meaning minds pouch project riddle shipping
        shoot side sight sipping slipping stems thong torch touched tough ventral warring weave wight wright yeast backgrounds
        closes east excerpt feast firth flutter forged forgot forth fronts insides retaining thirds slower torches"""
    )
)
_BEGIN_LIKE_NOT = ("note", "notch", "notic", "notar", "notion", "notif", "notor", "notre", "notting", "noth")
_SHORTEST = 5  # letters; shorter words are too near to others
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _guarded() -> frozenset[str]:
    """The words whose misspelling would change what is meant."""
    tables = (
        table.SIZE_WORDS, table.PLACE_WORDS, table.RELATIONS, table.COUNTS, table.ORDINALS, table.OTHERS, ("never", "neither"),
        table.EXCEPT_PHRASES, table.AVOID_PHRASES, table.ANYTHING, ("without", "unless", "nothing", "which"),
    )  # fmt: skip
    words = {word for phrases in tables for phrase in phrases for word in phrase.split() if len(word) >= _SHORTEST}
    return frozenset(
        words
        - set(table.ROBOT_WORDS)
        - set(table.listed("table scene hands place color clear steer watch guard counting leaving contact seven eight three"))
    )


_GUARDED = _guarded()
_SHORT_GUARDED = frozenset(table.listed("left near both last only each over than tall wide thin not under"))


def _forms(verb: str) -> set[str]:
    """A verb with its regular endings, however its last letter is written before them."""
    stems = {verb, verb.removesuffix("e"), verb + verb[-1]}
    forms = {verb, f"{verb}s", f"{verb}es", f"{verb}d"} | {stem + ending for stem in stems for ending in ("ed", "ing")}
    return forms | ({f"{verb[:-1]}ies", f"{verb[:-1]}ied"} if verb.endswith("y") else set())


_TURNED_AWAY = frozenset(form for verb in table.TURNED_AWAY for form in _forms(verb)) | {
    "forgone", "foregone", "withdrew", "withdrawn", "withheld",
}  # fmt: skip


def meant_word(word: str) -> str | None:
    """Tell which word of the grammar another word is a slip of.

    Args:
        word: In lower case, in no table of the grammar.

    Returns:
        The word that is probably meant, or None.
    """
    if word in _SLIPS:
        return _SLIPS[word]
    if word in _GUARDED:
        return None
    doubled = re.sub(r"(.)\1", r"\1", word)
    if doubled != word and doubled in _SHORT_GUARDED:
        return doubled
    if word.startswith("not") and not word.startswith(_BEGIN_LIKE_NOT):
        return "not"  # "nothe mug"
    if len(word) < _SHORTEST - 1 or word in _REAL_WORDS or word.removesuffix("s") in _REAL_WORDS:
        return None
    near = sorted(_edits(word) & _GUARDED)
    return near[0] if near else None


def turns_away(word: str) -> bool:
    """Tell whether a word is a form of a verb that turns something away, such as "declining"."""
    return word in _TURNED_AWAY


def is_part_of_phrases(word: str) -> bool:
    """Tell whether a word does something in phrases of the grammar only, such as "apart" of "apart from"."""
    return word in _GUARDED


def _edits(word: str) -> set[str]:
    """All strings that one letter more, less, other or swapped makes of a word."""
    cuts = [(word[:index], word[index:]) for index in range(len(word) + 1)]
    less = {before + after[1:] for before, after in cuts if after}
    swapped = {before + after[1] + after[0] + after[2:] for before, after in cuts if len(after) > 1}
    other = {before + letter + after[1:] for before, after in cuts if after for letter in _LETTERS}
    more = {before + letter + after for before, after in cuts for letter in _LETTERS}
    return less | swapped | other | more
