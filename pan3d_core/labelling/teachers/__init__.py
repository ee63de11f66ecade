"""2D models of others that label pictures, by name, with their terms; knows pictures and files, no scene."""

from pan3d_core.labelling.teachers.asked import Asked, Picture, ask_pictures
from pan3d_core.labelling.teachers.card import CARD_FILE, TeacherCard, Terms, read_card, write_card
from pan3d_core.labelling.teachers.request import TeacherRequest, TeacherUnavailable
from pan3d_core.labelling.teachers.table import TEACHERS, LoadedTeacher, build_teacher, card_of, terms_of

__all__ = [
    "CARD_FILE",
    "TEACHERS",
    "Asked",
    "LoadedTeacher",
    "Picture",
    "TeacherCard",
    "TeacherRequest",
    "TeacherUnavailable",
    "Terms",
    "ask_pictures",
    "build_teacher",
    "card_of",
    "read_card",
    "terms_of",
    "write_card",
]
