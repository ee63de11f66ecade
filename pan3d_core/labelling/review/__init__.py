"""A person goes through the objects of a labelled data set; knows journals, pixels of objects and scene folders, no page."""

from pan3d_core.labelling.review.actions import Action, History, Place, ReviewedObject, ReviewState, acted
from pan3d_core.labelling.review.journal import Journal
from pan3d_core.labelling.review.marks import Click, Frame, Shown
from pan3d_core.labelling.review.outlines import outlined
from pan3d_core.labelling.review.pictures import best_views, thumbnail
from pan3d_core.labelling.review.pixels import ScenePixels
from pan3d_core.labelling.review.session import JOURNAL_FILE, Review, Reviewed

__all__ = [
    "Action",
    "Click",
    "Frame",
    "History",
    "JOURNAL_FILE",
    "Journal",
    "Place",
    "Review",
    "ReviewState",
    "Reviewed",
    "ReviewedObject",
    "ScenePixels",
    "Shown",
    "acted",
    "best_views",
    "outlined",
    "thumbnail",
]
