"""The active node's parts work together: pictures become results, and what is missing is told."""

from types import SimpleNamespace

import ros_support
from pan3d_interfaces.msg import ErrorCode

from pan3d_ros.processing.perception import Perception


def test_pictures_become_results_and_before_them_there_is_a_reason(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch).start()
    perception = bench.node.perception
    code, words = perception.why_no_result()
    assert (code, "front/image_raw" in words) == (ErrorCode.NO_IMAGES, True)
    bench.until(bench.instances, "results", timeout_s=120.0)
    assert len(bench.instances()[-1].instances) == 2
    bench.until(lambda: perception.worked and perception.latencies.percentile(50) > 0, "what they took", publish=False)


def test_every_camera_is_looked_after_when_publishers_change():
    asked = []
    cameras = [SimpleNamespace(refresh_qos=lambda name=name: asked.append(name)) for name in ("left", "right")]
    Perception.refresh_qos(SimpleNamespace(inputs=cameras))
    assert asked == ["left", "right"]
