"""A bag as the node would have perceived it, measured; knows the replay, figures and truth, never a node."""

from pan3d_ros.bags.judging.evaluation import BagEvaluation, BagRequest, evaluate_bag
from pan3d_ros.bags.judging.figures import basic_metrics

__all__ = ["BagEvaluation", "BagRequest", "basic_metrics", "evaluate_bag"]
