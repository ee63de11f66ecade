"""How programs end that are asked to by Ctrl-C or SIGTERM: one line and the usual exit code, at any moment.

Imports nothing that takes long: programs begin with it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EndAsked(KeyboardInterrupt):
    """The process was asked to end; raised where it works, so that all that has begun is cleared away."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def end_at_once_if(*programs: str) -> None:
    """`end_at_once` where this process was started as one of these programs, by `NAME` or `python -m PACKAGE.NAME`.

    Args:
        *programs: Their names. Packages of programs ask when they are imported, which is before all that takes long.
    """
    begun = sys.orig_argv[sys.orig_argv.index("-m") + 1] if sys.argv[:1] == ["-m"] else ""
    name = begun.rpartition(".")[2] or Path(sys.argv[0] if sys.argv else "").stem
    if name in programs:
        end_at_once(name)


def end_at_once(program: str) -> None:
    """End with a line and nothing else when asked to, from now on: for the time in which nothing has begun yet but imports.

    Args:
        program: Its name, for the line.
    """

    def end(number: int, _: FrameType | None) -> NoReturn:
        os.write(2, f"\n{_line(program, number)}\n".encode())  # the stream may be amid something
        os._exit(128 + number)

    if threading.current_thread() is threading.main_thread():  # no other may
        for number in SIGNALS:
            signal.signal(number, end)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Leave behind what there was for signals before the block, whatever was said in it."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def unwound() -> Iterator[None]:
    """Raise `EndAsked` where the main thread is when the process is asked to end, within the block; a second time ends at once.

    In another thread it changes nothing.
    """

    def end(number: int, _: FrameType | None) -> NoReturn:
        for later in SIGNALS:  # somebody insists, or what was raised got lost in code of others
            signal.signal(later, lambda insisting, _: os._exit(128 + insisting))
        raise EndAsked(number)

    with handlers_kept():
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, end)
        yield


def told(program: str, asked: KeyboardInterrupt, rest: str = "") -> int:
    """Say that a program has ended because it was asked to.

    Args:
        program: Its name.
        asked: What was raised.
        rest: Of the line, behind the name and what happened.

    Returns:
        The exit code as shells have it: 130 for Ctrl-C, 143 for SIGTERM.
    """
    number = asked.number if isinstance(asked, EndAsked) else signal.SIGINT
    sys.stderr.write(f"\n{_line(program, number)}{rest}\n")
    return 128 + number


def _line(program: str, number: int) -> str:
    return f"{program}: {'interrupted' if number == signal.SIGINT else f'ended by {signal.Signals(number).name}'}"
