"""Effects of real cameras: each alone does what its name says, all follow from the seed, and none moves a pixel's place."""

from dataclasses import replace

import numpy as np
import pytest

from pan3d_sim.cameras.effects import EffectRanges, apply_effects

NONE = EffectRanges(
    shading=0, focus_share=0, motion_share=0, automatic_share=0, exposure_stops=0, white_balance=0, full_well=(1e9, 1.1e9),
    read_noise=(1e-3, 1.1e-3), mosaic_share=0, jpeg_share=0, gray_share=0,
)  # fmt: skip


def flat(value, views=4, size=(28, 36)):
    return np.full((views, *size, 3), value, np.uint8)


def taken(images, seed=0, **changes):
    return apply_effects(images, np.random.default_rng(seed), replace(NONE, **changes)).astype(float)


@pytest.fixture(scope="module")
def picture():
    """Smooth, with an edge."""
    y, x = np.mgrid[0:28, 0:36]
    one = np.stack([60 + 3 * x, 90 + 3 * y, np.where(x < 18, 60, 180)], axis=2).astype(np.uint8)
    return np.stack([one] * 4)


def test_a_camera_without_effects_shows_what_is_there_but_for_its_gains_of_a_few_percent(picture):
    assert np.abs(taken(picture) - picture).max() < 18 and np.abs(taken(picture) - picture).mean() < 6


def test_equal_seeds_give_equal_pictures_and_others_do_not(picture):
    first, again, other = (apply_effects(picture, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()
    assert first.dtype == np.uint8 and first.shape == picture.shape


def test_corners_are_darker_than_the_middle():
    views = taken(flat(150), shading=0.8)
    corners = views[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean((1, 2))
    losses = views[:, 12:16, 16:20].mean((1, 2, 3)) - corners
    assert (losses >= 0).all() and losses.max() > 20


def test_shot_noise_grows_with_light_and_shrinks_with_the_well():
    def noise(value, well):
        return (taken(flat(value), full_well=(well, 1.01 * well)) ** 2.2).std((1, 2)).mean()

    assert noise(180, 500) > 1.5 * noise(90, 500) and noise(180, 500) > 3 * noise(180, 8000)


def test_focus_and_motion_soften_edges(picture):
    def steepest(images):
        return np.abs(np.diff(images[..., 2], axis=2)).max()

    sharp = steepest(taken(picture))
    assert steepest(taken(picture, focus_share=1, focus_sigma=8.0)) < 0.8 * sharp
    assert steepest(taken(np.tile(picture, (4, 1, 1, 1)), motion_share=1, motion_px=30.0)) <= sharp + 5


def test_a_mosaic_keeps_flat_colour_and_blurs_fine_colour():
    color = np.broadcast_to(np.array([200, 120, 40], np.uint8), (1, 28, 36, 3))
    plain, mosaic = taken(color), taken(color, mosaic_share=1)
    assert np.abs(plain.mean((1, 2)) - mosaic.mean((1, 2))).max() < 4
    stripes = np.zeros((1, 28, 36, 3), np.uint8)
    stripes[:, :, ::2] = (200, 0, 0)
    assert taken(stripes, mosaic_share=1)[..., 0].std() < 0.8 * taken(stripes)[..., 0].std()


def test_automatic_exposure_brings_dark_and_bright_scenes_closer():
    dark, bright = (taken(flat(value), automatic_share=1).mean() for value in (30, 230))
    assert 60 < dark < bright < 200


def test_exposure_and_balance_vary_between_scenes_and_hardly_within_one():
    scenes = np.stack([taken(flat(120), seed, exposure_stops=1.0, white_balance=0.3) for seed in range(20)]).mean((2, 3))
    ratio = scenes[..., 0] / scenes[..., 2]
    assert scenes.mean((1, 2)).std() > 15 and ratio.mean(1).std() > 0.05
    assert ratio.std(1).mean() < 0.3 * ratio.mean(1).std()


def test_grey_cameras_have_no_colour_and_strong_compression_costs_detail(picture):
    assert np.ptp(taken(picture, gray_share=1), axis=3).max() == 0
    rough = np.random.default_rng(0).integers(0, 255, (4, 28, 36, 3)).astype(np.uint8)
    assert np.abs(taken(rough, jpeg_share=1, jpeg_quality=(10, 11)) - taken(rough)).mean() > 10


def test_shares_beyond_one_are_refused():
    with pytest.raises(ValueError, match="EffectRanges.gray_share: expected 0 to 1, got 2"):
        EffectRanges(gray_share=2)
