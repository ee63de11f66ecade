"""What is taken of an object's look, against values that can be worked out."""

import numpy as np
import pytest

from pan3d_core.language.colors import oklab
from pan3d_core.teaching.describing import inner
from pan3d_core.teaching.looks import COLOR_BINS, Patch, color_shares, shape_of, surface_looks, texture_of, tone_of


def picture(rgb, side=16):
    return np.full((side, side, 3), rgb, np.uint8)


def everywhere(pixels):
    return Patch(pixels, np.ones(pixels.shape[:2], bool))


def test_shares_of_colours_sum_to_one_and_lie_where_the_colour_is():
    shares = color_shares(oklab(np.array([[0.5, 0.5, 0.5]])))
    assert shares.sum() == pytest.approx(1.0, abs=1e-6)
    middle = np.unravel_index(shares.argmax(), COLOR_BINS)
    assert middle[1:] == (7, 7)  # no chroma: the middle bin
    assert shares.max() == pytest.approx(1 / 8)  # half in its own bin along each of three axes


def test_a_shadow_changes_lightness_and_hardly_chroma():
    light, dark = (tone_of(oklab(np.array([[0.8, 0.3, 0.2]]) * share)) for share in (1.0, 0.7))
    assert light[0] - dark[0] > 0.08
    assert np.abs(light[1:3] - dark[1:3]).max() < 0.04


def test_views_that_show_too_little_are_left_out_and_none_at_all_is_refused():
    looks = surface_looks([everywhere(picture((200, 30, 30))), everywhere(picture((200, 30, 30), side=4))])
    assert looks.colors.shape[0] == looks.textures.shape[0] == 1 and looks.pixels.tolist() == [256.0]
    with pytest.raises(ValueError, match=r"at least 20 in one view, got \[16\]"):
        surface_looks([everywhere(picture((200, 30, 30), side=4))])


def test_texture_tells_stripes_from_a_plain_surface_of_the_same_mean():
    striped = picture((100, 100, 100))
    striped[::4], striped[1::4] = 160, 160
    plain, stripes = texture_of(everywhere(picture((130, 130, 130)))), texture_of(everywhere(striped))
    assert plain[0] == pytest.approx(0.5) and plain[7] == pytest.approx(0.5)  # no steps of either kind
    assert stripes[0] < 0.1 and stripes[7] > 0.45  # all of the lightness, none of the chroma
    assert stripes.sum() == pytest.approx(1.0)


def test_shape_is_the_same_however_it_is_turned_and_grows_with_its_size():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (800, 3)) * [0.08, 0.03, 0.02]
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    spread, distances = shape_of(points)
    turned_spread, turned_distances = shape_of(points @ turn.T + [1.0, 2.0, 3.0])
    assert spread == pytest.approx(np.array([0.08, 0.03, 0.02]) / np.sqrt(3), rel=0.05)
    assert turned_spread == pytest.approx(spread, rel=1e-4) and turned_distances == pytest.approx(distances, abs=2e-3)
    large, same = shape_of(2 * points)
    assert large == pytest.approx(2 * spread, rel=1e-4) and same == pytest.approx(distances, abs=2e-3)


def test_the_rim_is_left_out_unless_nothing_would_stay():
    mask = np.zeros((20, 20), bool)
    mask[2:14, 2:14] = True
    assert inner(mask).sum() == 8 * 8
    thin = np.zeros((20, 20), bool)
    thin[5:7, 2:18] = True
    assert (inner(thin) == thin).all()
