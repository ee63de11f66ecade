"""The stand-ins for ROS packages do what the real ones do; compared wherever the real ones can be imported."""

from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import Image, PointField
from std_msgs.msg import Header

from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.messages.parts import stamp_from_ns
from pan3d_ros.platform.cloud_stand_ins import create_cloud, own_read_points
from pan3d_ros.platform.stand_ins import (
    CV_TYPES,
    OwnApproximateTimeSynchronizer,
    OwnSimpleFilter,
    optional_module,
    own_imgmsg_to_cv2,
)

MS = 1_000_000


def stamped(stamp_ns, name):
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp_from_ns(stamp_ns)), name=name)


def run(filter_class, synchronizer_class, events, inputs, queue, slop):
    sources, sets = [filter_class() for _ in range(inputs)], []
    synchronizer = synchronizer_class(sources, queue, slop)
    synchronizer.registerCallback(lambda *messages: sets.append(tuple(m.name for m in messages)))
    for index, stamp_ns in events:
        sources[index].signalMessage(stamped(stamp_ns, (index, stamp_ns)))
    return sets


def stream(seed, inputs):
    """Messages of `inputs` topics with unique stamps, in the order of arrival."""
    rng = np.random.default_rng(seed)
    events = []
    for step in range(120):
        for index in rng.permutation(inputs):
            if rng.random() > 0.1:
                events.append((int(index), step * 33 * MS + int(rng.integers(0, 12 * MS))))
    return events


def test_pairs_of_exact_stamps():
    events = [(index, step * 100 * MS) for step in range(10) for index in (1, 0, 2)]
    sets = run(OwnSimpleFilter, OwnApproximateTimeSynchronizer, events, 3, 5, 0.02)
    assert sets == [tuple((index, step * 100 * MS) for index in range(3)) for step in range(10)]


def test_pairing_prefers_the_nearest_and_respects_the_slop():
    events = [(0, 100 * MS), (0, 110 * MS), (1, 112 * MS), (1, 200 * MS), (0, 221 * MS)]
    assert run(OwnSimpleFilter, OwnApproximateTimeSynchronizer, events, 2, 5, 0.02) == [((0, 110 * MS), (1, 112 * MS))]


def test_an_exception_in_the_callback_blocks_nothing():
    sources, calls = [OwnSimpleFilter(), OwnSimpleFilter()], []

    def callback(*messages):
        calls.append(messages)
        raise RuntimeError("broken callback")

    OwnApproximateTimeSynchronizer(sources, 5, 0.02).registerCallback(callback)
    for step in range(3):
        sources[0].signalMessage(stamped(step * 100 * MS, "a"))
        with pytest.raises(RuntimeError):
            sources[1].signalMessage(stamped(step * 100 * MS, "b"))
    assert len(calls) == 3


@pytest.mark.parametrize("inputs", [2, 3])
@pytest.mark.parametrize("seed", range(10))
def test_pairing_equals_message_filters(seed, inputs):
    real = pytest.importorskip("message_filters")
    events = stream(seed, inputs)
    arguments = (events, inputs, 5, 0.02)
    ours = run(OwnSimpleFilter, OwnApproximateTimeSynchronizer, *arguments)
    assert len(ours) > 50
    assert ours == run(real.SimpleFilter, real.ApproximateTimeSynchronizer, *arguments)


def some_image(encoding, rng):
    kind, channels = CV_TYPES[encoding]
    pixels = rng.integers(0, 200, (6, 8, channels)).astype(kind)
    message = Image(height=6, width=8, encoding=encoding, step=8 * channels * pixels.itemsize)
    assign_bytes(message, pixels)
    return message


@pytest.mark.parametrize("encoding", sorted(CV_TYPES))
def test_image_conversion_equals_cv_bridge(encoding):
    cv_bridge = pytest.importorskip("cv_bridge")
    if optional_module("cv_bridge.boost.cv_bridge_boost") is None:
        pytest.skip("the compiled part of cv_bridge does not fit this Python")
    message = some_image(encoding, np.random.default_rng(0))
    np.testing.assert_array_equal(own_imgmsg_to_cv2(message), cv_bridge.CvBridge().imgmsg_to_cv2(message))


def cloud_parts():
    kind = np.dtype({"names": ["x", "label"], "formats": ["<f4", "<u2"], "offsets": [0, 8], "itemsize": 12})
    points = np.zeros(5, kind)
    points["x"], points["label"] = np.arange(5), np.arange(5) * 1000
    fields = [PointField(name="x", offset=0, datatype=7, count=1), PointField(name="label", offset=8, datatype=4, count=1)]
    return points, fields


def test_clouds_round_trip():
    points, fields = cloud_parts()
    cloud = create_cloud(Header(frame_id="map"), fields, points)
    np.testing.assert_array_equal(own_read_points(cloud), points)


def test_clouds_equal_sensor_msgs_py():
    real = pytest.importorskip("sensor_msgs_py.point_cloud2")
    points, fields = cloud_parts()
    ours = create_cloud(Header(frame_id="map"), fields, points)
    theirs = real.create_cloud(Header(frame_id="map"), fields, points, point_step=12)
    assert (ours.point_step, ours.row_step, ours.width, ours.height) == (12, 60, 5, 1)
    for name in ("header", "height", "width", "fields", "is_bigendian", "point_step", "row_step", "data", "is_dense"):
        assert getattr(ours, name) == getattr(theirs, name), name
    np.testing.assert_array_equal(own_read_points(ours), real.read_points(ours).reshape(-1))
