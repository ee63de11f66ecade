"""Each error of a sensor by itself, on a wall with a board in front of it."""

import numpy as np
import pytest

from pan3d_sim.cameras.depth_noise import DepthNoise
from pan3d_sim.cameras.depth_sensors import DEPTH_SENSORS, ActiveStereo, TimeOfFlight, depth_sensor, in_stereo_shadow
from pan3d_sim.cameras.seen_surfaces import SeenSurfaces

FOCAL_PX = 425.0
STILL_STEREO = ActiveStereo(disparity_sigma_px=0.0, disparity_step_px=0.0, fattening=0.0)
STILL_FLIGHT = TimeOfFlight(shot_sigma_m=0.0, read_sigma_m=0.0, wiggle_m=0.0, flying=0.0)


def wall(depth_m=0.8, board_m=None, rgb=(180, 180, 180), **surfaces) -> SeenSurfaces:
    depth = np.full((120, 160), depth_m, np.float32)
    if board_m is not None:
        depth[40:80, 60:100] = board_m
    return SeenSurfaces(depth, FOCAL_PX, np.full((120, 160, 3), rgb, np.uint8), **surfaces)


def measured(sensor, seen) -> np.ndarray:
    return sensor.measure(seen, np.random.default_rng(0))


@pytest.mark.parametrize("sensor", [STILL_STEREO, STILL_FLIGHT, DepthNoise(sigma_m=0.0, bleed=0.0)])
def test_without_errors_the_truth_is_measured_and_holes_stay_holes(sensor):
    seen = wall()
    seen.depth[:10] = 0.0
    result = measured(sensor, seen)
    assert result.dtype == np.float32 and (result[:10] == 0).all()
    np.testing.assert_allclose(result[11:], 0.8, atol=1e-6)


def test_range_noise_of_stereo_grows_with_the_square_of_the_distance():
    stereo = ActiveStereo(disparity_step_px=0.0)
    near, far = (float(measured(stereo, wall(depth_m)).std()) for depth_m in (0.6, 1.2))
    assert far / near == pytest.approx(4.0, rel=0.15)
    assert near == pytest.approx(0.6**2 * 0.08 / (FOCAL_PX * 0.05), rel=0.1)


def test_neighbours_err_alike_in_stereo_and_not_in_time_of_flight():
    def likeness(sensor) -> float:
        error = measured(sensor, wall()) - 0.8
        error = error - error.mean()
        return float((error[:, 1:] * error[:, :-1]).mean() / error.var())

    assert likeness(ActiveStereo()) > 0.7 and abs(likeness(TimeOfFlight())) < 0.1


def test_stereo_measures_in_steps_of_disparity():
    result = measured(ActiveStereo(disparity_sigma_px=0.3), wall())
    steps = FOCAL_PX * 0.05 / result[result > 0] * 32
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-2)


def test_near_surfaces_grow_over_their_outlines_in_stereo():
    seen = wall(0.8, 0.6)
    result = measured(ActiveStereo(disparity_sigma_px=0.0, disparity_step_px=0.0, fattening=1.0), seen)
    grown = (np.abs(result - 0.6) < 0.01) & (seen.depth > 0.7)
    rows, columns = np.nonzero(grown)
    assert grown.sum() > 100
    assert rows.min() >= 40 - 4 and rows.max() < 80 + 4 and columns.max() < 100 + 4  # half a window of 7


def test_what_one_imager_alone_sees_is_not_measured():
    result = measured(STILL_STEREO, wall(0.8, 0.6))
    shadow = np.nonzero(result[60] == 0)[0]
    assert len(shadow) == pytest.approx(FOCAL_PX * 0.05 * (1 / 0.6 - 1 / 0.8), abs=1.0)
    assert shadow.max() == 59  # beside the board, on the side of the first imager
    assert not in_stereo_shadow(np.full((4, 9), 3.0)).any()


@pytest.mark.parametrize("sensor", [STILL_STEREO, STILL_FLIGHT])
def test_black_clear_and_mirroring_surfaces_leave_holes(sensor):
    shape = (120, 160)
    far = 0.8 if sensor is STILL_STEREO else 2.0
    assert (measured(sensor, wall(far, rgb=(2, 2, 2))) == 0).mean() > 0.8
    assert (measured(sensor, wall(opacity=np.zeros(shape))) == 0).all()
    lamp = (255, 255, 255)
    assert (measured(sensor, wall(rgb=lamp, gloss=np.ones(shape))) == 0).all()
    assert (measured(sensor, wall(rgb=lamp, gloss=np.zeros(shape))) > 0).all()


def test_time_of_flight_errs_more_on_dark_and_on_far_surfaces():
    sensor = TimeOfFlight(wiggle_m=0.0)
    plain, dark, far = (float(measured(sensor, seen).std()) for seen in (wall(), wall(rgb=(60, 60, 60)), wall(1.6)))
    assert dark > 1.5 * plain and far > 1.5 * plain and plain < 0.002


def test_edges_fly_in_time_of_flight():
    result = measured(TimeOfFlight(filtered=0.0), wall(0.8, 0.6))
    assert 60 < ((result > 0.62) & (result < 0.78)).sum() < 400


def test_the_same_numbers_give_the_same_picture():
    for sensor in DEPTH_SENSORS.values():
        np.testing.assert_array_equal(measured(sensor, wall(0.8, 0.6)), measured(sensor, wall(0.8, 0.6)))


def test_sensors_are_found_by_name():
    assert depth_sensor("exact") is None and depth_sensor("active_stereo") == ActiveStereo()
    with pytest.raises(ValueError, match="depth_sensor: expected one of exact, structured_light, .* got 'sonar'"):
        depth_sensor("sonar")
