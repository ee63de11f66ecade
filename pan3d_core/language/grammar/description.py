"""Reading one description: articles, counts, attributes and a noun, and what follows it ("... that is not on the book")."""

from __future__ import annotations

from collections.abc import Callable

from pan3d_core.language.grammar import attributes, following
from pan3d_core.language.grammar.cursor import END, Cursor
from pan3d_core.language.grammar.draft import Described, Draft, Reader, finished
from pan3d_core.language.grammar.lexer import MARK, NOUN

_STEPS: dict[str, Callable[[Reader, Draft], bool]] = {
    "article": attributes.article, "count": attributes.count, "ordinal": attributes.ordinal, "size": attributes.size,
    "color": attributes.color, "shade": attributes.color, "any": attributes.any_thing, NOUN: attributes.noun,
    "other": attributes.other, "from": attributes.counted_from, "or": attributes.alternative, "and": attributes.addition,
    MARK: attributes.mark, "polite": attributes.polite, "request": attributes.request, "avoid": attributes.request,
    "unseen": attributes.unseen, "misspelled": attributes.misspelled, "place": following.place, "relation": following.relation,
    "complement": following.complement, "that": following.that, "link": following.link, "not": following.negation,
    "refused": following.refused, "than": following.than,
}  # fmt: skip


class DescriptionReader:
    """Reads descriptions at a cursor; a phrase that belongs to none of its kinds ends one."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def read(self, within: str = "") -> Described:
        """Read the description that begins here.

        Args:
            within: "not" for one that is excluded, "relation" for the other thing of one.

        Returns:
            The description; the cursor stands behind it.

        Raises:
            NotUnderstood: If there is none, or it holds a word that is not understood.
        """
        draft = Draft(self.cursor.at, within)
        while True:
            step = _STEPS.get(self.cursor.kind())
            if step is None or not step(self, draft):
                break
        if draft.is_empty:
            self.cursor.refuse("expected a description of a thing", -1 if self.cursor.kind() == END else 0)
        return finished(self.cursor, draft)
