"""Taking a prompt apart: "the small red mug on the left" -> noun "mug", colour red, size small, place left.

The grammar (`grammar/`) knows English words for colours, sizes, places, relations, counts and negation. Words of no table stay in
the noun phrase, which is then compared by meaning; a word that changes the meaning and is not understood refuses the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

from pan3d_core.language.grammar import Prompt, read_request

MAX_PROMPT_LENGTH = 256


def parse_prompt(text: str, names: Sequence[str] = ()) -> Prompt:
    """Split a prompt into what is meant, what is not, and the role of every word.

    Args:
        text: English words, at most 256 characters.
        names: Of taught objects, each of which is one noun wherever the text holds it.

    Returns:
        Noun, colours, sizes, places, relations, ordinal and count; several descriptions as parts.

    Raises:
        ValueError: If it is empty, wordless or too long; as `NotUnderstood` where a word is not understood.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError("prompt: expected a description of an object, got an empty text")
    if len(text) > MAX_PROMPT_LENGTH:
        raise ValueError(f"prompt: expected at most {MAX_PROMPT_LENGTH} characters, got {len(text)}")
    if not any(letter.isalnum() for letter in text):  # without this check "?!" would be any object
        raise ValueError(f"prompt: expected words, got {text.strip()!r}")
    return read_request(text.strip(), names)
