"""Our image conversions give the bytes that cv_bridge gives, its compiled part included.

cv_bridge comes with an installation of ROS or with Debian, for the system's Python, so it runs in a process of its own.
`PAN3D_CV_BRIDGE_PYTHON` names another interpreter that can import cv_bridge and sensor_msgs.
"""

import os
import subprocess

import numpy as np
import pytest
from sensor_msgs.msg import Image

from pan3d_ros.messages.buffers import assign_bytes
from pan3d_ros.messages.images import COLOR_ENCODINGS, image_array, image_to_rgb
from pan3d_ros.platform.stand_ins import CV_TYPES

HEIGHT, WIDTH = 12, 16
PYTHON = os.environ.get("PAN3D_CV_BRIDGE_PYTHON", "/usr/bin/python3")
HOW = f"{PYTHON} has no cv_bridge: apt-get install python3-cv-bridge python3-sensor-msgs (Debian), or set PAN3D_CV_BRIDGE_PYTHON"
PROBE = "import cv_bridge, sensor_msgs.msg; from cv_bridge.boost import cv_bridge_boost"
PROGRAM = """
import sys
import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import Image

bridge, given, results = CvBridge(), np.load(sys.argv[1]), {}
for key in given.files:
    message = Image()
    encoding, height, width, big_endian, step = key.split("|")
    message.encoding, message.height, message.width = encoding, int(height), int(width)
    message.is_bigendian, message.step, message.data = int(big_endian), int(step), given[key].tobytes()
    for wanted in ("passthrough", "rgb8"):
        try:
            results[key + "|" + wanted] = bridge.imgmsg_to_cv2(message, wanted)
        except CvBridgeError:
            pass
np.savez(sys.argv[2], **results)
"""


def messages():
    """Random images of every encoding: key -> message."""
    rng, found = np.random.default_rng(0), {}
    for encoding, (kind, channels) in CV_TYPES.items():
        for big_endian in (0, 1):
            most = {"u1": 256, "u2": 65536, "i4": 2**31 - 1, "f4": 3}[kind]
            values = rng.uniform(0, most, (HEIGHT, WIDTH * channels)).astype(kind)
            stored = values.astype(values.dtype.newbyteorder(">" if big_endian else "<"))
            found |= message(encoding, stored.view(np.uint8), big_endian)
    for encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"):
        found |= message(encoding, rng.integers(0, 256, (HEIGHT, 2 * WIDTH)).astype(np.uint8), 0)
    for encoding in ("nv12", "nv21"):
        found |= message(encoding, rng.integers(0, 256, (HEIGHT * 3 // 2, WIDTH)).astype(np.uint8), 0)
    return found


def message(encoding, rows, big_endian):
    step = rows.shape[1]
    image = Image(height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=big_endian, step=step)
    assign_bytes(image, rows)
    return {f"{encoding}|{HEIGHT}|{WIDTH}|{big_endian}|{step}": image}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Messages, and what cv_bridge makes of them: key|passthrough and key|rgb8 where it knows how."""
    clean = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/tmp")}
    run = {"env": clean, "capture_output": True, "text": True, "timeout": 120}
    try:
        there = subprocess.run([PYTHON, "-c", PROBE], **run).returncode == 0
    except FileNotFoundError:
        there = False
    if not there:
        pytest.skip(HOW)
    folder, given = tmp_path_factory.mktemp("cv_bridge"), messages()
    np.savez(folder / "given.npz", **{key: np.frombuffer(image.data, np.uint8) for key, image in given.items()})
    done = subprocess.run([PYTHON, "-c", PROGRAM, folder / "given.npz", folder / "made.npz"], **run)
    assert done.returncode == 0, done.stderr
    return given, dict(np.load(folder / "made.npz"))


def test_pixels_as_they_are(converted):
    given, theirs = converted
    compared = set()
    for key, image in given.items():
        if image.encoding in CV_TYPES and f"{key}|passthrough" in theirs:
            expected = theirs[f"{key}|passthrough"]
            ours = image_array(image)
            assert ours.dtype == expected.dtype.newbyteorder("=")
            np.testing.assert_array_equal(ours, expected, err_msg=key)
            compared.add(image.encoding)
    assert compared == set(CV_TYPES)


def test_colours(converted):
    given, theirs = converted
    compared = set()
    for key, image in given.items():
        if image.encoding in COLOR_ENCODINGS and f"{key}|rgb8" in theirs:
            np.testing.assert_array_equal(image_to_rgb(image), theirs[f"{key}|rgb8"], err_msg=key)
            compared.add(image.encoding)
    # 8UC1 is no colour for cv_bridge, and the newer YUV names only newer versions know.
    newer = {"8UC1", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"}
    assert compared >= set(COLOR_ENCODINGS) - newer
