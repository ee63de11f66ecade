"""Procedural things and how they look: kinds, shapes, materials and the words for them; knows nothing of cells and cameras."""

from typing import TYPE_CHECKING

from pan3d_core.runtime.lazy import attributes

if TYPE_CHECKING:
    from pan3d_sim.objects.appearance import randomize_appearance as randomize_appearance
    from pan3d_sim.objects.kinds import KINDS as KINDS
    from pan3d_sim.objects.kinds import ObjectSpec as ObjectSpec
    from pan3d_sim.objects.kinds import sample_object as sample_object
    from pan3d_sim.objects.meshes import Mesh as Mesh
    from pan3d_sim.objects.vocabulary import PARAPHRASES as PARAPHRASES
    from pan3d_sim.objects.vocabulary import vocabulary as vocabulary

# Loaded on first use: the words are asked for where MuJoCo is not installed.
_NAMES = {
    "appearance": ("randomize_appearance",),
    "kinds": ("KINDS", "ObjectSpec", "sample_object"),
    "meshes": ("Mesh",),
    "vocabulary": ("PARAPHRASES", "vocabulary"),
}
__all__ = [name for names in _NAMES.values() for name in names]
__getattr__ = attributes(__name__, _NAMES)
