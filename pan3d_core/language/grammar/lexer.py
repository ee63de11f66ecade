"""From a text to phrases of known kinds: apostrophes, contractions, hyphens, misspelled words of the grammar."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pan3d_core.language.colors import SHADES, canonical_color
from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.spelling import is_part_of_phrases, meant_word, turns_away

MARK, NOUN, IGNORED, NOT_UNDERSTOOD = "mark", "noun", "ignored", "not understood"
_TOKEN = re.compile(r"!=|≠|¬|<>|[^\W_]+(?:['&+.]+[^\W_]+)*|!(?=\w)|(?<=\s)-(?=\w)|[<>=~\\^*|]|[\[\]{}]|[–—,;:.!?()/&+]|\s-+\s")
_CONTRACTIONS = {"n't": "not", "'s": "is", "'re": "are", "'d": "would", "'ll": "will", "'ve": "have", "'m": "am"}
_WHOLE = {
    "dont": "do not", "doesnt": "does not", "isnt": "is not", "arent": "are not", "cant": "can not", "wont": "will not",
    "wouldnt": "would not", "shouldnt": "should not", "didnt": "did not", "cannot": "can not", "can't": "can not", "n't": "not",
    "won't": "will not", "ain't": "is not", "aint": "is not", "let's": "let us", "lets": "let us", "thats": "that is",
    "whats": "what is", "wheres": "where is", "im": "i am", "mustnt": "must not", "wasnt": "was not",
}  # fmt: skip
_HAVE_A_VERB = frozenset(
    ["it", "that", "which", "what", "who", "where", "here", "there", "he", "she", "one", "this", "thing", "object", "mug"]
)  # "what's", not "bob's"


@dataclass
class Phrase:
    """Words of a prompt that do one thing."""

    text: str  # in lower case, contractions written out
    said: str  # as the prompt has it; "" for the second half of a contraction
    kind: str  # what it may do
    role: str  # what it did; the parser decides
    words: tuple[Phrase, ...] = ()  # one by one, where it is several


def _kinds() -> dict[str, str]:
    """Phrase -> kind. Where two tables hold a phrase, the later one counts."""
    tables: list[tuple[str, Iterable[str]]] = [
        ("refused", [phrase for phrases in table.REFUSED.values() for phrase in phrases]),
        ("polite", table.POLITE), ("left alone", table.LEFT_ALONE), ("request", table.REQUESTS), ("link", table.LINKS),
        ("article", table.ARTICLES),
        ("complement", table.COMPLEMENTS), ("or", ("or", "/", "or else")), ("and", ("and", "as well as", "plus", "&",
        "along with")),
        ("but", ("but",)), ("either", ("either",)), ("size", table.SIZE_WORDS), ("relation", table.RELATIONS),
        ("place", table.PLACE_WORDS), ("from", table.COUNTED_FROM), ("ordinal", table.ORDINALS), ("count", table.COUNTS),
        ("other", table.OTHERS), ("any", table.ANYTHING), ("not", table.NOT_WORDS), ("except", table.EXCEPT_PHRASES),
        ("avoid", table.AVOID_PHRASES), (NOUN, table.LEXICAL), ("holding", set(table.HOLDING) - {"inside", "on top"}), ("that",
        ("that", "which",
        "who")),
        ("than", ("than",)),
    ]  # fmt: skip
    return {phrase: kind for kind, phrases in tables for phrase in phrases}


KINDS = _kinds()
_LONGEST = max(len(phrase.split()) for phrase in KINDS)
_NUMBER = re.compile(r"(\d{1,4})(st|nd|rd|th)?")
_AMOUNT = re.compile(rf"x?\d+([.,]\d+)?(x|{'|'.join(sorted(table.UNITS))})?")  # "1.5", "10cm", "x2"
_INVISIBLE = re.compile("[\u00ad\u200c-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_DIGITS = {str(number): word for word, number in table.NUMBERS.items()}
_NO_WORDS = "%#@§"  # punctuation by Unicode that says more than punctuation does


def spoken_form(name: str) -> str:
    """A name as `Prompt.noun` has it where a prompt holds it: in lower case, its words and nothing between them."""
    return " ".join(word.text for word in _words(name) if word.kind != MARK)


def phrases_of(text: str, names: Iterable[str] = ()) -> list[Phrase]:
    """Split a text into phrases, the longest that are known.

    Args:
        text: Of a prompt.
        names: In their spoken form, that are nouns whatever their words mean elsewhere.

    Returns:
        Phrases in the text's order; what punctuation separates is told by phrases of kind "mark".
    """
    words = _words(text)
    ordered = sorted((name.split() for name in names), key=len, reverse=True)
    found: list[Phrase] = []
    while words:
        name = next((name for name in ordered if name == [word.text for word in words[: len(name)]]), [])
        length = len(name) or _longest(words)
        found.append(_joined(words[:length], NOUN) if name else _phrase(words[:length]))
        words = words[length:]
    return found


def _words(text: str) -> list[Phrase]:
    text = text.replace("\u200b", " ")  # which separates words, in writing without spaces
    text = re.sub("[’‘`´ʼ]", "'", _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).lower())
    text = re.sub(r"\bw/o(?!\w)", "without", text)
    text = re.sub(r"\bw/(?=\s)", "with", text)
    text = re.sub(r"(?<=\w)[-‐‑](?=\w)", " ", f" {text} ")
    words: list[Phrase] = []
    end = 0
    for match in _TOKEN.finditer(text):
        words += _signs(text[end : match.start()])
        end = match.end()
        token = match[0].strip()
        is_negator = token in ("!=", "≠", "¬", "<>") or (match[0] in ("!", "-") and text[match.end()].isalnum())
        if is_negator:
            words.append(Phrase("not", token, "not", "not"))
        elif token in "<>=~\\^*|":
            words.append(Phrase(token, token, "refused", "refused"))
        elif token in ("/", "&", "+"):
            words.append(Phrase("or" if token == "/" else "and", "", "or" if token == "/" else "and", IGNORED))
        elif not token[0].isalnum():
            words.append(Phrase(token, "", MARK, IGNORED))
        else:
            words += _written_out(token)
    return words + _signs(text[end:])


def _signs(text: str) -> list[Phrase]:
    """What stands between words and may mean anything, such as a sign of prohibition; quotation marks mean nothing."""
    symbols = [letter for letter in text if unicodedata.category(letter)[0] == "S" or letter in _NO_WORDS or _is_control(letter)]
    return [Phrase(symbol, symbol, "refused", "refused") for symbol in symbols]


def _is_control(letter: str) -> bool:
    return not letter.isspace() and unicodedata.category(letter) in ("Cc", "Cn", "Co", "Cs")


def _written_out(token: str) -> list[Phrase]:
    """A word, or the words of a contraction."""
    whole = _WHOLE.get(token, "")
    for ending, verb in _CONTRACTIONS.items():
        stem = token.removesuffix(ending)
        if not whole and stem and stem != token and (ending != "'s" or stem in _HAVE_A_VERB):
            whole = f"{stem} {verb}"
    for negation in ("non", "un"):  # "nonred", "nonball"
        stem = token.removeprefix(negation)
        if stem != token and token not in KINDS and (canonical_color(stem) is not None or (negation == "non" and len(stem) > 2)):
            whole = f"{negation} {stem}"
    parts = (whole or token).split()
    return [_single(part, token if index == 0 else "") for index, part in enumerate(parts)]


def _single(word: str, said: str) -> Phrase:
    kind = KINDS.get(word, "")
    number = _NUMBER.fullmatch(word)
    if number is not None and number[1].strip("0"):
        kind = "ordinal" if number[2] else "count"
    elif _AMOUNT.fullmatch(word):
        kind = "refused"
    elif not kind and canonical_color(word) is not None:
        kind = "color"
    elif not kind and word in SHADES:
        kind = "shade"
    elif not kind and turns_away(word):
        kind = "refused"
    elif not kind and meant_word(word) is not None:
        kind = "misspelled"
    elif not kind and len(word) > 4 and word.endswith("est") and word not in table.NOT_SUPERLATIVE:
        kind = "unseen"
    elif not kind and len(word) > 6 and word.endswith("most"):
        kind = "unseen"  # "outermost"
    elif not kind and len(word) > 6 and word.endswith("less") and word not in table.NAMES_IN_LESS:
        kind = "unseen"  # "handleless"
    elif not kind and (is_part_of_phrases(word) or (len(word) < 3 and word.isalpha() and word not in table.SHORT_NAMES)):
        kind = "refused"  # "apart", "t"
    return Phrase(word, said, kind or NOUN, kind or NOUN)


def _longest(words: list[Phrase]) -> int:
    if words[0].kind == MARK:
        return 1
    for length in range(min(_LONGEST, len(words)), 1, -1):
        phrase = _spelled(words[:length])
        cut = any(word.kind == MARK for word in words[:length])
        following = words[length].text if length < len(words) else ""
        splits = length < len(words) and not words[length].said and words[length].kind not in (MARK, "or", "and")  # "isn't"
        if phrase in KINDS and not cut and not splits and not _belongs_to_the_next(phrase, following):
            return length
    return 1


def _belongs_to_the_next(phrase: str, following: str) -> bool:
    if phrase in ("a pair of", "a couple of"):  # "a pair of scissors" is one thing
        return following in table.PAIRS
    if KINDS[phrase] == "polite":  # "up to", "on the table lamp"
        return phrase.endswith("table") and following in ("lamp", "cloth", "tennis", "top", "leg")
    return False


def _phrase(words: list[Phrase]) -> Phrase:
    if len(words) == 1:
        return words[0]
    text = _spelled(words)
    return replace(_joined(words, KINDS[text]), text=text)


def _spelled(words: list[Phrase]) -> str:
    """The text of several words as the tables have it: "at least two" for "at least 2"."""
    return " ".join(_DIGITS.get(word.text, word.text) for word in words)


def _joined(words: list[Phrase], kind: str) -> Phrase:
    text, said = (" ".join(part for part in parts if part) for parts in zip(*((word.text, word.said) for word in words)))
    return Phrase(text, said, kind, kind, tuple(words))
