"""camera_info that comes with every image, late, slower, once, or from another time."""

import pytest

from pan3d_ros.inputs.camera_frames import FramePairing
from pan3d_ros.parameters.node_config import CameraConfig, InputConfig

MS, SECOND = 1_000_000, 1_000_000_000


class Message:
    """With a stamp, which is all that pairing reads."""

    def __init__(self, stamp_ns, name=""):
        self.header = self.stamp = self
        self.sec, self.nanosec = divmod(stamp_ns, SECOND)
        self.stamp_ns, self.name = stamp_ns, name


class Camera:
    def __init__(self, **settings):
        self.frames = []
        self.pairing = FramePairing("front", InputConfig(**settings), CameraConfig(), self.frames.append)

    def image(self, stamp_ns):
        self.pairing.take("image", Message(stamp_ns))

    def info(self, stamp_ns, name=""):
        self.pairing.take("info", Message(stamp_ns, name))

    @property
    def pairs_ms(self):
        return [(frame.image.stamp_ns // MS, frame.info.stamp_ns // MS) for frame in self.frames]


@pytest.mark.parametrize("info_first", [True, False])
def test_each_image_gets_its_own_wherever_the_driver_sends_one(info_first):
    camera = Camera()
    for index in range(1, 8):
        stamp = index * 100 * MS
        for kind in ("info", "image") if info_first else ("image", "info"):
            getattr(camera, kind)(stamp)
    own = [(100 * index, 100 * index) for index in range(1, 8)]
    # Before it is known that every image has its own, the second one takes what is there.
    assert camera.pairs_ms == (own if info_first else [own[0], (200, 100), *own[2:]])


def test_one_that_is_sent_once_serves_all_images_at_once():
    camera = Camera()
    camera.info(0)
    for index in range(1, 5):
        camera.image(index * SECOND)
        assert len(camera.frames) == index
    assert camera.pairing.info_problem == ""


def test_an_image_before_the_only_one_waits_for_it():
    camera = Camera()
    camera.image(1 * SECOND)
    assert not camera.frames
    camera.info(3 * SECOND)
    camera.image(4 * SECOND)
    assert camera.pairs_ms == [(1000, 3000), (4000, 3000)]


def test_slower_ones_serve_until_the_next():
    camera = Camera()
    for index in range(1, 31):
        if index % 10 == 1:
            camera.info(index * 100 * MS)
        camera.image(index * 100 * MS)
    assert camera.pairs_ms == [(100 * index, 100 * ((index - 1) // 10 * 10 + 1)) for index in range(1, 31)]


def test_a_lost_one_costs_no_image():
    camera = Camera()
    for index in range(1, 11):
        camera.image(index * 100 * MS)
        if index != 6:
            camera.info(index * 100 * MS)
    assert [image for image, _ in camera.pairs_ms] == [100 * index for index in range(1, 11)]
    assert dict(camera.pairs_ms)[600] == 500


def test_one_older_than_allowed_does_not_serve_and_the_reason_is_told():
    camera = Camera(camera_info_max_age_s=1.5)
    camera.info(0)
    camera.image(1 * SECOND)
    camera.image(2 * SECOND)
    assert camera.pairs_ms == [(1000, 0)]
    assert camera.pairing.info_problem == "the newest camera_info is 2 s from the image, input.camera_info_max_age_s is 1.5"
    camera.info(3 * SECOND)
    camera.image(3 * SECOND)
    assert camera.pairs_ms[-1] == (3000, 3000)
    assert camera.pairing.info_problem == ""


def test_the_only_one_still_serves_after_the_clock_jumped_back():
    camera = Camera()
    camera.info(100 * SECOND)
    camera.image(101 * SECOND)
    camera.image(1 * SECOND)
    assert camera.pairs_ms == [(101_000, 100_000), (1000, 100_000)]


def test_other_calibrations_take_over_when_they_come():
    camera = Camera()
    camera.info(0, "wide")
    camera.image(1 * SECOND)
    camera.info(2 * SECOND, "zoomed")
    camera.image(3 * SECOND)
    assert [frame.info.name for frame in camera.frames] == ["wide", "zoomed"]


def test_an_image_that_waits_is_dropped_when_time_starts_over():
    camera = Camera()
    camera.image(50 * SECOND)
    camera.pairing.forget()
    camera.info(1 * SECOND)
    camera.image(2 * SECOND)
    assert camera.pairs_ms == [(2000, 1000)]
