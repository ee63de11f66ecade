"""The page that compares all engines and baselines; it knows all other rooms of evaluation."""

from pan3d_eval.scoreboard.board import MeasuredRow, Measurement, measured_row
from pan3d_eval.scoreboard.gaussian_section import GAUSSIAN_ROWS, GaussianRow
from pan3d_eval.scoreboard.page import Board, page_text, write_page
from pan3d_eval.scoreboard.refined_scenes import RefinedProtocol, RefinedSceneReference, write_refined_scene
from pan3d_eval.scoreboard.refined_section import REFINED_ROWS, RefinedRow
from pan3d_eval.scoreboard.rows import ROWS, Row, SceneSet

__all__ = [
    "GAUSSIAN_ROWS",
    "REFINED_ROWS",
    "ROWS",
    "Board",
    "GaussianRow",
    "MeasuredRow",
    "Measurement",
    "RefinedProtocol",
    "RefinedRow",
    "RefinedSceneReference",
    "Row",
    "SceneSet",
    "measured_row",
    "page_text",
    "write_page",
    "write_refined_scene",
]
