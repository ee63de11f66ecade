"""The grammar of prompts: which words mean what, and how a request is taken apart; knows no objects and no networks."""

from pan3d_core.language.grammar.lexer import spoken_form
from pan3d_core.language.grammar.request import read_request
from pan3d_core.language.grammar.structure import Count, NotUnderstood, Ordinal, Prompt, Relation

__all__ = ["Count", "NotUnderstood", "Ordinal", "Prompt", "Relation", "read_request", "spoken_form"]
