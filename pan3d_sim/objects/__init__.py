"""Procedural things and how they look: kinds, shapes, materials and the words for them; knows nothing of cells and cameras."""

from pan3d_sim.objects.appearance import randomize_appearance
from pan3d_sim.objects.kinds import KINDS, ObjectSpec, sample_object
from pan3d_sim.objects.meshes import Mesh
from pan3d_sim.objects.vocabulary import PARAPHRASES, vocabulary

__all__ = ["KINDS", "Mesh", "ObjectSpec", "PARAPHRASES", "randomize_appearance", "sample_object", "vocabulary"]
