"""Colours that stay with a name and can be told apart."""

import itertools

from pan3d_core.pictures.palette import CLASS_COLORS, UNASSIGNED, class_colors

NAMES = (
    "box",
    "can",
    "bottle",
    "mug",
    "cup",
    "bowl",
    "plate",
    "ball",
    "book",
    "block",
    "banana",
    "pan",
    "hammer",
    "tape",
    "vase",
)


def test_names_have_different_colours_none_of_them_grey():
    many = class_colors([f"class {index}" for index in range(CLASS_COLORS)])
    for first, second in itertools.combinations((UNASSIGNED, *many), 2):
        assert sum(abs(a - b) for a, b in zip(first, second)) > 40, (first, second)


def test_a_name_keeps_its_colour_unless_one_before_it_has_it():
    alone = {name: class_colors([name])[0] for name in NAMES}
    together = dict(zip(NAMES, class_colors(NAMES)))
    assert together["box"] == alone["box"] == class_colors(["BOX"])[0]
    for index, name in enumerate(NAMES):
        taken = {together[other] for other in NAMES[:index]}
        assert (together[name] == alone[name]) == (alone[name] not in taken)


def test_more_names_than_colours_begin_again():
    colors = class_colors([f"class {index}" for index in range(2 * CLASS_COLORS + 3)])
    assert len(set(colors)) == CLASS_COLORS and len(set(colors[CLASS_COLORS : 2 * CLASS_COLORS])) == CLASS_COLORS
