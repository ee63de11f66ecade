"""Ways in which published benchmarks apply the metrics to a scene; they know metrics and scenes with truth."""

from pan3d_eval.protocols.eps3d import eps3d_class, eps3d_maps, eps3d_panoptic_quality
from pan3d_eval.protocols.mesh_evaluation import MeshOverlaps, mesh_overlaps, query_overlaps
from pan3d_eval.protocols.posed import PosedMasks, VisibilityRule, posed_transfer
from pan3d_eval.protocols.scannet import benchmark_labels, listed_labels, measure_encoded, measure_on_vertices
from pan3d_eval.protocols.unposed import UnposedMasks, unposed_transfer

__all__ = [
    "MeshOverlaps",
    "PosedMasks",
    "UnposedMasks",
    "VisibilityRule",
    "benchmark_labels",
    "eps3d_class",
    "eps3d_maps",
    "eps3d_panoptic_quality",
    "listed_labels",
    "measure_encoded",
    "measure_on_vertices",
    "mesh_overlaps",
    "posed_transfer",
    "query_overlaps",
    "unposed_transfer",
]
