"""Figures of predictions against truth, each a function of tensors; they know geometry, structures and labels of the library."""

from pan3d_eval.metrics.average_precision import InstanceAp, SceneOverlaps, instance_ap, measure_overlaps
from pan3d_eval.metrics.calibration import Calibration, expected_calibration_error
from pan3d_eval.metrics.clouds import CloudErrors, cloud_errors
from pan3d_eval.metrics.cross_view import CrossViewInstances, cross_view_instances
from pan3d_eval.metrics.depth import DepthErrors, abs_rel, depth_errors
from pan3d_eval.metrics.identity import IdentityErrors, frame_overlap, identity_errors
from pan3d_eval.metrics.loose_panoptic import LoosePanopticQuality, loose_panoptic_quality
from pan3d_eval.metrics.none_fitting import fit_none, none_calibration
from pan3d_eval.metrics.objects import ObjectErrors, object_errors
from pan3d_eval.metrics.panoptic import PanopticQuality, average_quality, coco_panoptic_counts, panoptic_quality
from pan3d_eval.metrics.poses import PoseErrors, pose_errors
from pan3d_eval.metrics.prompt_accuracy import PromptAnswer, prompt_answers
from pan3d_eval.metrics.semantics import SemanticScores, per_image_semantic_scores, pooled_semantic_scores, semantic_confusion
from pan3d_eval.metrics.trajectories import StepErrors, TrajectoryError, absolute_trajectory_error, relative_pose_error

__all__ = [
    "Calibration",
    "CloudErrors",
    "CrossViewInstances",
    "DepthErrors",
    "IdentityErrors",
    "InstanceAp",
    "LoosePanopticQuality",
    "ObjectErrors",
    "PanopticQuality",
    "PoseErrors",
    "PromptAnswer",
    "SceneOverlaps",
    "SemanticScores",
    "StepErrors",
    "TrajectoryError",
    "abs_rel",
    "absolute_trajectory_error",
    "average_quality",
    "cloud_errors",
    "coco_panoptic_counts",
    "cross_view_instances",
    "depth_errors",
    "expected_calibration_error",
    "fit_none",
    "frame_overlap",
    "identity_errors",
    "instance_ap",
    "loose_panoptic_quality",
    "measure_overlaps",
    "none_calibration",
    "object_errors",
    "panoptic_quality",
    "per_image_semantic_scores",
    "pooled_semantic_scores",
    "pose_errors",
    "prompt_answers",
    "relative_pose_error",
    "semantic_confusion",
]
