"""What /diagnostics says at the beginning, when nothing has happened yet."""

import ros_support


def test_nothing_is_ok_before_it_has_happened(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, cameras=("front", "wrist"), sync__camera_timeout_s=1.0)
    bench.rig.silent.add("wrist")
    bench.start()
    listener = bench.listener
    bench.until(lambda: listener.status("pipeline"), "diagnostics", publish=False)
    assert listener.shows("synchronization", b"\x01", "no view set yet: no camera has sent what makes a view")
    assert listener.shows("transforms", b"\x01", "no camera pose has been looked up yet")
    assert listener.shows("pipeline", b"\x01", "no result yet")
    assert listener.shows("camera front", b"\x01", "no image on")
    bench.until(bench.instances, "a result without the wrist")
    told = [(s.name, s.level, s.message) for a in listener.received["diagnostics"] for s in a.status]
    before = told[: next((n for n, (_, _, text) in enumerate(told) if text.startswith("without wrist")), len(told))]
    assert [text for name, level, text in before if name.endswith("synchronization") and level == b"\x00"] == []
    bench.until(lambda: listener.shows("transforms", b"\x00", "camera poses are known"), "poses")
    bench.rig.silent.clear()
    bench.until(lambda: listener.shows("synchronization", b"\x00", "view sets are formed"), "sets of both")


def test_unposed_cameras_have_no_known_poses(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, transforms__source="none").start()
    bench.until(lambda: bench.listener.shows("transforms", b"\x00", "cameras are unposed"), "the diagnostic", publish=False)
