"""The page on which a person goes through labelled objects; knows reviews, pictures of objects and the viewer's server."""

from pan3d_tools.review.page import ReviewPage, ReviewPageSettings

__all__ = ["ReviewPage", "ReviewPageSettings"]
