"""Which object words, pixels or points mean, and what an object is called; knows results, no engine."""

from pan3d_core.language.colors import color_fit, name_color, oklab, typical_rgb
from pan3d_core.language.encoders import TEXT_ENCODERS, Encoder, PromptEnsemble, build_text_encoder
from pan3d_core.language.grammar import NotUnderstood, Prompt
from pan3d_core.language.known_names import KnownNames, name_variants
from pan3d_core.language.minilm import TextEncoder
from pan3d_core.language.namer import Namer, Vocabulary
from pan3d_core.language.parsing import parse_prompt
from pan3d_core.language.prompts import PromptMatch, PromptResult, name_segments, resolve_prompt
from pan3d_core.language.selection import (
    Selection,
    limit_selection,
    select_all,
    select_by_box,
    select_by_id,
    select_by_pixels,
    select_by_point,
    select_by_prompt,
)
from pan3d_core.language.text_space import TextSpace, none_softmax, text_cosines

__all__ = [
    "Encoder",
    "KnownNames",
    "Namer",
    "NotUnderstood",
    "Prompt",
    "PromptEnsemble",
    "PromptMatch",
    "PromptResult",
    "Selection",
    "TEXT_ENCODERS",
    "TextEncoder",
    "TextSpace",
    "Vocabulary",
    "build_text_encoder",
    "color_fit",
    "limit_selection",
    "name_color",
    "name_segments",
    "name_variants",
    "none_softmax",
    "oklab",
    "parse_prompt",
    "resolve_prompt",
    "select_all",
    "select_by_box",
    "select_by_id",
    "select_by_pixels",
    "select_by_point",
    "select_by_prompt",
    "text_cosines",
    "typical_rgb",
]
