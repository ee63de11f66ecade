"""Evaluation against truth: metrics, benchmark protocols, data sets and the scoreboard; it knows the library alone."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_eval.execution import Failure as Failure
    from pan3d_eval.execution import Processes as Processes
    from pan3d_eval.figures import figure_table as figure_table
    from pan3d_eval.folder import FolderEvaluation as FolderEvaluation
    from pan3d_eval.folder import evaluate_folder as evaluate_folder
    from pan3d_eval.runner import Evaluation as Evaluation
    from pan3d_eval.runner import EvaluationProtocol as EvaluationProtocol
    from pan3d_eval.runner import SceneEvaluation as SceneEvaluation
    from pan3d_eval.runner import evaluate as evaluate

# Loaded on first use: whoever needs one metric does not wait for engines.
_NAMES = {
    "execution": ("Failure", "Processes"),
    "figures": ("figure_table",),
    "folder": ("FolderEvaluation", "evaluate_folder"),
    "runner": ("Evaluation", "EvaluationProtocol", "SceneEvaluation", "evaluate"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
