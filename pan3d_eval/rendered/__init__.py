"""Figures of rendered Gaussians and of refined scenes, at given and at other views; they know metrics, engines and maps."""

from pan3d_eval.rendered.gaussian_scenes import GaussianEvaluation, GaussianProtocol, GaussianScores, GaussianViewEvaluator
from pan3d_eval.rendered.gaussians import TextClasses, TrueViews, ViewFigures, gaussian_view_scores
from pan3d_eval.rendered.pictures import gaussian_view_picture
from pan3d_eval.rendered.refined import RefinedViewFigures, label_figures, map_figures, refined_view_figures

__all__ = [
    "GaussianEvaluation",
    "GaussianProtocol",
    "GaussianScores",
    "GaussianViewEvaluator",
    "RefinedViewFigures",
    "TextClasses",
    "TrueViews",
    "ViewFigures",
    "gaussian_view_picture",
    "gaussian_view_scores",
    "label_figures",
    "map_figures",
    "refined_view_figures",
]
