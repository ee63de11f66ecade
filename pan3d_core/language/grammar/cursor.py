"""Where the reading of a prompt stands, and how it refuses a word."""

from __future__ import annotations

from typing import NoReturn

from pan3d_core.language.grammar import words as table
from pan3d_core.language.grammar.lexer import NOT_UNDERSTOOD, NOUN, Phrase
from pan3d_core.language.grammar.spelling import meant_word, turns_away
from pan3d_core.language.grammar.structure import NotUnderstood

ATTRIBUTES = ("color", "shade", "size", "place")
_BEGINS = ("article", "count", "ordinal", "any", NOUN, "that", "other", "unseen", "misspelled", *ATTRIBUTES)
END = "end"


class Cursor:
    """A place in a list of phrases."""

    def __init__(self, phrases: list[Phrase]) -> None:
        self.phrases, self.at = phrases, 0

    def kind(self, ahead: int = 0) -> str:
        """Of the phrase that is `ahead` of the next one; "end" behind the last."""
        index = self.at + ahead
        return self.phrases[index].kind if 0 <= index < len(self.phrases) else END

    def text(self, ahead: int = 0) -> str:
        """In lower case; empty behind the last one."""
        index = self.at + ahead
        return self.phrases[index].text if 0 <= index < len(self.phrases) else ""

    def take(self, role: str) -> str:
        """Go past the next phrase, whose words do this."""
        phrase = self.phrases[self.at]
        phrase.role, self.at = role, self.at + 1
        return phrase.text

    def begins(self, ahead: int = 0) -> bool:
        """Whether a description can begin there."""
        return self.kind(ahead) in _BEGINS

    def refuse(self, reason: str, ahead: int = 0) -> NoReturn:
        """Raise `NotUnderstood` for a phrase; the one before it where there is none."""
        index = min(max(self.at + ahead, 0), len(self.phrases) - 1)
        phrase = self.phrases[index]
        phrase.role = NOT_UNDERSTOOD
        word = phrase.said or phrase.text
        raise NotUnderstood(f"{word!r} is not understood here: {reason}", word)


def refuse_word(cursor: Cursor) -> NoReturn:
    """Raise `NotUnderstood` for the next phrase, with the reason of its table."""
    text = cursor.text()
    reasons = [reason for reason, phrases in table.REFUSED.items() if text in phrases]
    if turns_away(text):
        reasons = [table.SAY_NOT]
    elif text[0].isdigit() or text[-1].isdigit():
        reasons = ["neither amounts nor such numbers are understood"]
    elif not text[0].isalnum():
        reasons = ["this sign is not understood; say it in words"]
    cursor.refuse(reasons[0] if reasons else "expected a description of a thing", 0)


def refuse_misspelled(cursor: Cursor) -> NoReturn:
    """Raise `NotUnderstood` for the next phrase, with the word that is probably meant."""
    cursor.refuse(f"did you mean {meant_word(cursor.text())!r}?", 0)
