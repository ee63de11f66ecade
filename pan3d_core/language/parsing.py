"""Taking a prompt apart: "the small red mug on the left" -> noun "mug", colour red, size small, place left.

The rules know English words for colours, sizes and places. Everything they do not know stays in the noun phrase, which is
then compared by meaning. A word is only taken as an attribute when something remains to be described, so "an orange" keeps
its noun while "the orange cup" and "the orange one" are about colour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pan3d_core.language.colors import SHADES, canonical_color

MAX_PROMPT_LENGTH = 256

# Phrase -> measure and sign; the measures are computed in `relations.py`. Longest phrases are tried first.
SIZE_WORDS = {
    "small": ("size", -1), "smallest": ("size", -1), "smaller": ("size", -1), "little": ("size", -1), "tiny": ("size", -1),
    "mini": ("size", -1), "large": ("size", 1), "largest": ("size", 1), "larger": ("size", 1), "big": ("size", 1),
    "biggest": ("size", 1), "bigger": ("size", 1), "huge": ("size", 1), "tall": ("height", 1), "tallest": ("height", 1),
    "taller": ("height", 1), "high": ("height", 1), "highest": ("height", 1), "flat": ("height", -1), "flattest": ("height", -1),
    "low": ("height", -1), "short": ("height", -1), "shortest": ("height", -1), "shorter": ("height", -1),
    "long": ("length", 1), "longest": ("length", 1), "longer": ("length", 1), "wide": ("length", 1), "widest": ("length", 1),
    "thin": ("thickness", -1), "thinnest": ("thickness", -1), "slim": ("thickness", -1), "narrow": ("thickness", -1),
    "thick": ("thickness", 1), "thickest": ("thickness", 1), "fat": ("thickness", 1),
}  # fmt: skip
_SIDES = {
    "left": ("leftness", 1), "right": ("leftness", -1), "front": ("forward", -1), "back": ("forward", 1),
    "rear": ("forward", 1), "middle": ("centrality", 1), "center": ("centrality", 1), "centre": ("centrality", 1),
    "foreground": ("forward", -1), "background": ("forward", 1),
}  # fmt: skip
PLACE_WORDS = {
    "leftmost": ("leftness", 1), "rightmost": ("leftness", -1), "nearest": ("forward", -1), "closest": ("forward", -1),
    "near": ("forward", -1), "close": ("forward", -1), "farthest": ("forward", 1), "furthest": ("forward", 1),
    "far": ("forward", 1), "frontmost": ("forward", -1), "rearmost": ("forward", 1), "central": ("centrality", 1),
    "far left": ("leftness", 1), "far right": ("leftness", -1), "in front": ("forward", -1), "behind": ("forward", 1),
    "nearest to the robot": ("forward", -1), "closest to the robot": ("forward", -1), "near the robot": ("forward", -1),
    "close to the robot": ("forward", -1), "next to the robot": ("forward", -1), "nearest to me": ("forward", -1),
    "closest to me": ("forward", -1), "in front of the robot": ("forward", -1), "far from the robot": ("forward", 1),
    "farthest from the robot": ("forward", 1), "furthest from the robot": ("forward", 1), "far away": ("forward", 1),
    "on top": ("elevation", 1), "topmost": ("elevation", 1), "upper": ("elevation", 1), "lower": ("elevation", -1),
    "at the bottom": ("elevation", -1), "at the top": ("elevation", 1),
    **_SIDES,
    **{
        f"{before} {side}{after}": meaning for side, meaning in _SIDES.items()
        for before in ("on the", "to the", "at the", "in the", "on", "at", "on the far", "at the far", "to the far")
        for after in ("", " side", " hand side", " of the table", " side of the table", " of the scene")
    },
}  # fmt: skip
_LONGEST_PHRASE = max(len(phrase.split()) for phrase in PLACE_WORDS)
RELATIONS = {
    "next to": "near", "beside": "near", "near": "near", "close to": "near", "by": "near", "closest to": "near",
    "nearest to": "near", "to the left of": "left", "on the left of": "left", "left of": "left", "to the right of": "right",
    "on the right of": "right", "right of": "right", "in front of": "front", "behind": "behind",
}  # fmt: skip
_REQUESTS = (
    "could you please", "can you please", "could you", "can you", "please", "i would like", "i want", "i need", "give me",
    "hand me", "bring me", "show me", "pass me", "get me", "fetch me", "pick up", "pick", "grab", "grasp", "take", "fetch", "get",
    "find", "lift", "where is", "look for", "segment",
)  # fmt: skip
_ARTICLES = frozenset(("the", "a", "an", "that", "this", "these", "those", "some", "any", "my", "your", "all"))
_ANYTHING = frozenset(
    ("", "one", "ones", "object", "objects", "thing", "things", "item", "items", "something", "anything", "everything")
)
_LINKS = frozenset(
    ("and", "which", "that", "is", "are", "of", "coloured", "colored", "color", "colour", "in", "located", "standing", "lying",
     "on", "at", "to", "with")
)  # fmt: skip
_ALSO_THINGS = frozenset(("orange", "lime", "lemon", "olive", "rose", "salmon", "ruby", "emerald", "mint"))
_TABLE_END = re.compile(r"\s+(?:on|from|off)\s+(?:the|this|my)\s+(?:table|desk)$")

# Things people keep in rooms. A word that means one of these rather than a known class is meant for none of the classes.
OTHER_THINGS = tuple(
    """spoon fork knife scissors screwdriver wrench pliers drill saw screw apple pear potato tomato carrot bread cheese
    egg cake phone laptop tablet keyboard computer-mouse monitor charger cable headphones camera remote-control battery lamp
    candle clock watch wallet purse key umbrella shoe sock shirt hat glove towel sponge toothbrush toothpaste comb soap teddy-bear
    doll toy-car puzzle playing-cards pen pencil marker ruler eraser stapler paper-clip envelope newspaper calculator chair sofa
    table bed pillow blanket shelf cabinet door window mirror plant tree car bicycle dog cat bird dinosaur person hand robot
    backpack suitcase basket bucket broom guitar drum kettle toaster blender microwave refrigerator rope chain magnet lighter
    syringe pill gun sword stone shell feather""".replace("\n", " ").split()
)


@dataclass(frozen=True)
class Prompt:
    """A prompt taken apart."""

    text: str
    noun: str  # what remains for the comparison by meaning; "" = any object
    colors: tuple[tuple[str, int], ...] = ()  # colour word, shade (-1 dark, 0, +1 light)
    sizes: tuple[tuple[str, str, int], ...] = ()  # word, measure, sign
    places: tuple[tuple[str, str, int], ...] = ()  # word, measure, sign
    relation: tuple[str, Prompt] | None = None  # ("near", the other thing)


def parse_prompt(text: str) -> Prompt:
    """Split a prompt into noun, colours, sizes, places and a relation. Raises `ValueError` when empty, wordless or too long."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("prompt: expected a description of an object, got an empty text")
    if len(text) > MAX_PROMPT_LENGTH:
        raise ValueError(f"prompt: expected at most {MAX_PROMPT_LENGTH} characters, got {len(text)}")
    words = _clean(text)
    if not words:  # without this check "?!" would be any object
        raise ValueError(f"prompt: expected words, got {text.strip()!r}")
    return _parse(words, text.strip())


def _clean(text: str) -> str:
    words = re.sub(r"[^\w\s'&+-]", " ", text.lower()).replace("-", " ")
    words = " ".join(words.split())
    shortened = True
    while shortened:
        shortened = False
        for request in _REQUESTS:
            if words.startswith(request + " "):
                words, shortened = words[len(request) + 1 :], True
    return words


def _parse(words: str, text: str) -> Prompt:
    words, relation = _split_relation(_TABLE_END.sub("", words))
    tokens = words.split()
    sizes: list[tuple[str, str, int]] = []
    places: list[tuple[str, str, int]] = []
    colors: list[tuple[str, int]] = []
    tokens = _take_phrases(tokens, PLACE_WORDS, places)
    tokens = _take_phrases(tokens, SIZE_WORDS, sizes)
    is_a_thing = len(tokens) == 2 and tokens[0] in _ARTICLES and tokens[1] in _ALSO_THINGS  # "an orange"
    tokens = tokens if is_a_thing else _take_colors(tokens, colors)
    noun = _strip_links(tokens)
    return Prompt(text, "" if noun in _ANYTHING else noun, tuple(colors), tuple(sizes), tuple(places), relation)


def _split_relation(words: str) -> tuple[str, tuple[str, Prompt] | None]:
    """Cut "<thing> next to <other>"; places such as "in front" (without another thing) are left alone."""
    for phrase in sorted(RELATIONS, key=len, reverse=True):
        match = re.search(rf"(?:^|\s){phrase}\s+(?P<other>(?:the|a|an)\s+.+)$", words)
        if match and match["other"].removeprefix("the ") not in ("robot", "table", *_SIDES):
            return words[: match.start()].strip(), (RELATIONS[phrase], _parse(match["other"], match["other"]))
    return words, None


def _take_phrases(tokens: list[str], table: dict[str, tuple[str, int]], found: list[tuple[str, str, int]]) -> list[str]:
    """Remove the table's phrases from the tokens, longest first, and list them with their meanings."""
    rest: list[str] = []
    position = 0
    while position < len(tokens):
        for length in range(min(_LONGEST_PHRASE, len(tokens) - position), 0, -1):
            phrase = " ".join(tokens[position : position + length])
            if phrase in table:
                found.append((phrase, *table[phrase]))
                position += length
                break
        else:
            rest.append(tokens[position])
            position += 1
    return rest


def _take_colors(tokens: list[str], found: list[tuple[str, int]]) -> list[str]:
    rest: list[str] = []
    for index, token in enumerate(tokens):
        following = canonical_color(tokens[index + 1]) if index + 1 < len(tokens) else None
        if token in SHADES and following:
            continue
        color = canonical_color(token)
        if color is None:
            rest.append(token)
        else:
            shade = SHADES.get(tokens[index - 1], 0) if index else 0
            found.append((color, shade))
    return rest


def _strip_links(tokens: list[str]) -> str:
    """Noun phrase without articles in front and without link words at its ends ("mug that is" -> "mug")."""
    tokens = list(tokens)
    while tokens and tokens[0] in _ARTICLES | _LINKS:
        tokens.pop(0)
    while tokens and tokens[-1] in _LINKS | _ARTICLES:
        tokens.pop()
    return " ".join(tokens)
