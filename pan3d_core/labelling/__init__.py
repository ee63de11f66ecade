"""Recordings labelled without anybody: what several proposers see in single views, made one by refinement, doubt kept apart."""

from pan3d_core.labelling.doubt import DoubtRules
from pan3d_core.labelling.proposals import Proposal
from pan3d_core.labelling.scene import LabelledScene, LabelSettings, label_scene

__all__ = ["DoubtRules", "LabelSettings", "LabelledScene", "Proposal", "label_scene"]
