"""How many answers may be wrong, as a promise: scores from which on answers are given; knows files and numbers, no engine."""

from pan3d_core.warranty.files import KINDS, OBJECT, WORDS, add_confirmation, read_confirmations, write_confirmations
from pan3d_core.warranty.guarantee import Confirmation, Guarantee, guarantee
from pan3d_core.warranty.promises import Promises
from pan3d_core.warranty.worlds import answers_of_worlds

__all__ = [
    "KINDS",
    "OBJECT",
    "WORDS",
    "Confirmation",
    "Guarantee",
    "Promises",
    "add_confirmation",
    "answers_of_worlds",
    "guarantee",
    "read_confirmations",
    "write_confirmations",
]
