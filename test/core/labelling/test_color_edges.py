"""Outlines go to where colours change, and stay where nobody can tell."""

import torch

from pan3d_core.labelling.color_edges import BAND, at_color_edges

SIDE = 40
TRUE = torch.zeros(SIDE, SIDE, dtype=torch.int64)
TRUE[10:30, 10:30] = 1
COLORS = torch.tensor([[0.5, 0.5, 0.5], [0.8, 0.2, 0.1]])


def picture(ids, noise=0.02):
    clean = COLORS[ids.clamp_max(1)].permute(2, 0, 1)
    return (clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def test_outlines_that_are_too_wide_or_too_narrow_are_put_right():
    image = picture(TRUE)
    wide, narrow = torch.zeros_like(TRUE), torch.zeros_like(TRUE)
    wide[8:32, 9:31] = 7
    narrow[12:28, 11:29] = 7
    for given in (wide, narrow):
        found = at_color_edges(given[None], image[None])[0]
        wrong = (found > 0) != (TRUE > 0)
        assert set(found.unique().tolist()) == {0, 7}
        assert int(wrong.sum()) < 0.15 * int(((given > 0) != (TRUE > 0)).sum())


def test_far_from_outlines_nothing_changes_whatever_the_colours():
    given = torch.zeros_like(TRUE)
    given[2:20, 2:20] = 3
    found = at_color_edges(given[None], picture(TRUE)[None])[0]
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    within = (rows > 2 + BAND) & (rows < 19 - BAND) & (columns > 2 + BAND) & (columns < 19 - BAND)
    beyond = (rows > 20 + BAND) | (columns > 20 + BAND)
    assert bool((found[within] == 3).all()) and bool((found[beyond] == 0).all())


def test_a_line_without_an_inside_and_an_empty_view_stay():
    line = torch.zeros_like(TRUE)
    line[20, 5:35] = 1
    found = at_color_edges(torch.stack([line, torch.zeros_like(TRUE)]), torch.stack([picture(line), picture(TRUE)]))
    assert torch.equal(found[0], line) and not bool(found[1].any())
