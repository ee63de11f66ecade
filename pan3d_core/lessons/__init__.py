"""What picks teach: pictures before and after become masks and training scenes; knows views, no engine and no arm."""

from pan3d_core.lessons.folder import PICK_FILE, Lesson, LessonFolder, PickEvidence, scene_of_pick
from pan3d_core.lessons.looks import Look, look_of
from pan3d_core.lessons.taken import Shown, Taken, object_taken

__all__ = [
    "PICK_FILE",
    "Lesson",
    "LessonFolder",
    "Look",
    "PickEvidence",
    "Shown",
    "Taken",
    "look_of",
    "object_taken",
    "scene_of_pick",
]
