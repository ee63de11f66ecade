"""Photographs of real things in public packages, what is on them, and what was found; it knows results and no engine."""

from pan3d_eval.photographs.catalogue import PHOTOGRAPHS, Photograph, Thing, fetch_photograph
from pan3d_eval.photographs.judge import PhotographFigures, judge_photograph

__all__ = ["PHOTOGRAPHS", "Photograph", "PhotographFigures", "Thing", "fetch_photograph", "judge_photograph"]
