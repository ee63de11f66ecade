"""What /diagnostics says of a camera of which no image has come."""

from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from pan3d_ros.outputs import diagnostics
from pan3d_ros.processing.problem_log import ProblemLog


@pytest.mark.parametrize(
    ("publishers", "users", "words"),
    [
        (0, ("driver",), "no image on /front/image: it has no publisher"),
        (2, (), "no image on /front/image although it has 2 publishers; compare QoS (ros2 topic info -v)"),
        (1, ("driver",), "1 publisher; driver uses ROS on this machine, too, and processes of one machine and different users"),
    ],
)
def test_why_no_image_comes(monkeypatch, publishers, users, words):
    camera = SimpleNamespace(
        name="front",
        counts={"image": 0},
        heard=SimpleNamespace(image="/front/image"),
        elsewhere=lambda kind: "",
        publishers=lambda: publishers,
        rate_hz=lambda now_s: 0.0,
        silence_s=lambda now_s: 9.0,
    )
    monkeypatch.setattr(diagnostics, "other_users", lambda: users)
    said = diagnostics.camera_status(camera, dead=False, problems=ProblemLog())
    assert said.level == DiagnosticStatus.WARN and words in said.message
    assert bool(users and publishers) == ("FASTDDS_BUILTIN_TRANSPORTS=UDPv4" in said.message)
