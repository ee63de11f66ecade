"""Answers that are given or refused by what was confirmed on site."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from pan3d_core.warranty.files import KINDS, add_confirmation, read_confirmations
from pan3d_core.warranty.guarantee import Confirmation, Guarantee, guarantee
from pan3d_core.warranty.worlds import answers_of_worlds


class Promises:
    """What may be answered, and what was answered last; for use by several threads.

    Args:
        path: Of the file of confirmations; None = none are kept, and promises rest on rendered worlds alone.

    Raises:
        ValueError: The file is damaged or of another version; names file and field.
    """

    def __init__(self, path: Path | None) -> None:
        self.path, self._lock = path, threading.Lock()
        self._site = {kind: [] for kind in KINDS} if path is None else read_confirmations(path)
        self._newest: tuple[str, float] | None = None

    def guarantee(self, kind: str, wrong_share: float) -> Guarantee:
        """Find what may be answered.

        Args:
            kind: Of `KINDS`.
            wrong_share: Of wrong answers among those given, at most.

        Returns:
            The lowest score that is answered.
        """
        with self._lock:
            return guarantee(wrong_share, self._site[kind], answers_of_worlds(kind))

    def given(self, kind: str, scores: Sequence[float], wrong_share: float) -> tuple[int, str]:
        """Decide about an answer.

        Args:
            kind: Of `KINDS`.
            scores: Of what it would consist of, best first.
            wrong_share: Of wrong answers among those given, at most; 0 = all are given.

        Returns:
            How many of the first ones are given, and why none is; empty where some are, or there was none.
        """
        if not scores:
            return 0, ""
        if wrong_share > 0:
            found = self.guarantee(kind, wrong_share)
            count = next((row for row, score in enumerate(scores) if not found.gives(score)), len(scores))
            if count == 0:
                return 0, found.refusal(scores[0])
        else:
            count = len(scores)
        with self._lock:
            self._newest = (kind, min(max(float(scores[0]), 0.0), 1.0))
        return count, ""

    def confirm(self, right: bool) -> str:
        """Say whether the newest answer that was given was right. Once for each.

        Returns:
            What is known now, in words.

        Raises:
            ValueError: No answer was given since the last confirmation, or there is no file.
            OSError: It cannot be written; the answer can be confirmed again.
        """
        with self._lock:
            if self.path is None:
                raise ValueError("a file of confirmations: expected one to write to, got none")
            if self._newest is None:
                raise ValueError("expected an answer that was given and not confirmed yet, got none")
            kind, score = self._newest
            self._site = add_confirmation(self.path, kind, Confirmation(score, right))
            self._newest = None
            own = self._site[kind]
        wrong = sum(not item.right for item in own)
        return f"{kind}: {len(own)} confirmations, {wrong} of them wrong"
