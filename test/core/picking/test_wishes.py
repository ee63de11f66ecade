"""What is to be done, in words."""

import pytest

from pan3d_core.picking import Wish, read_wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("put the red mug on the plate", Wish("the red mug", "the plate")),
        ("Please place  the can into the bowl.", Wish("the can", "the bowl")),
        ("pick up the bottle", Wish("the bottle")),
        ("the bottle", Wish("the bottle")),
        ("move the ball onto the table", Wish("the ball")),
        ("put the block somewhere else", Wish("the block")),
        ("put the mug on the left on the plate", Wish("the mug on the left", "the plate")),
        ("put the mug on the plate on the left", Wish("the mug", "the plate on the left")),
        ("put the egg that is in the pan on the plate", Wish("the egg that is in the pan", "the plate")),
        ("take the mug on the plate", Wish("the mug on the plate")),
        ("the mug on the left", Wish("the mug on the left")),
        ("don't put the mug on the plate", Wish("don't put the mug on the plate")),  # which no prompt understands
        ("set the cup on top of the book", Wish("the cup", "the book")),
    ],
)
def test_a_wish_has_an_object_and_may_have_a_place(text, wish):
    assert read_wish(text) == wish


def test_no_words_are_no_wish():
    with pytest.raises(ValueError, match="wish: expected words"):
        read_wish("  ")
