"""Objects taught by showing them, and found again by name; knows results, their pictures and words, no engine and no memory."""

from pan3d_core.teaching.crops import CropSource, Projection, read_projection
from pan3d_core.teaching.describing import NetworkLooks, describe_objects
from pan3d_core.teaching.files import export_objects, forget_object, import_objects, read_library, read_object, write_object
from pan3d_core.teaching.looks import Looks
from pan3d_core.teaching.matching import CUES, LEARNT_LOOK, Cue, CueWeight, Likeness, Weights, cue_distances, likeness
from pan3d_core.teaching.objects import TaughtLibrary, TaughtObject, recognised
from pan3d_core.teaching.recognition import LookSource, Recogniser
from pan3d_core.teaching.showing import Seen, chosen_object, same_as_taught, show_object

__all__ = [
    "CUES",
    "LEARNT_LOOK",
    "CropSource",
    "Cue",
    "CueWeight",
    "Likeness",
    "LookSource",
    "Looks",
    "NetworkLooks",
    "Projection",
    "Recogniser",
    "Seen",
    "TaughtLibrary",
    "TaughtObject",
    "Weights",
    "chosen_object",
    "cue_distances",
    "describe_objects",
    "export_objects",
    "forget_object",
    "import_objects",
    "likeness",
    "read_library",
    "read_object",
    "read_projection",
    "recognised",
    "same_as_taught",
    "show_object",
    "write_object",
]
