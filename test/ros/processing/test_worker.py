"""The worker thread: newest job wins, failures surface, it ends when asked to."""

import logging
import threading
import time

from pan3d_ros.platform import log_bridge
from pan3d_ros.platform.log_bridge import LogBridge
from pan3d_ros.processing.worker import LatestWorker


def test_newest_job_wins():
    done, busy, go_on = [], threading.Event(), threading.Event()

    def process(job):
        busy.set()
        go_on.wait(60)
        done.append(job)

    worker = LatestWorker(process, lambda error: None)
    worker.offer(1)
    assert busy.wait(60)
    assert worker.busy_s >= 0
    for job in (2, 3, 4):
        worker.offer(job)
    go_on.set()
    deadline = time.monotonic() + 60
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker.stop(60)
    assert done == [1, 4]
    assert (worker.processed, worker.replaced) == (2, 2)
    assert worker.busy_s == 0


def test_an_exception_stops_the_worker_and_surfaces(caplog):
    failed = threading.Event()

    def process(job):
        raise KeyError("broken")

    worker = LatestWorker(process, lambda error: failed.set())
    logging.getLogger("pan3d").propagate = True
    with caplog.at_level(logging.ERROR, logger="pan3d"):
        worker.offer(1)
        assert failed.wait(60)
        assert worker.stop(60)
    assert isinstance(worker.failure, KeyError)
    assert "Traceback" in caplog.text
    worker.offer(2)  # nobody is there any more; nothing may hang
    assert worker.processed == 0


def test_stop_drops_what_waits_and_reports_a_hanging_job():
    busy, go_on = threading.Event(), threading.Event()

    def process(job):
        busy.set()
        go_on.wait(10)

    worker = LatestWorker(process, lambda error: None)
    worker.offer(1)
    assert busy.wait(60)
    worker.offer(2)
    assert not worker.stop(0.05)
    assert worker.stopping
    go_on.set()
    assert worker.stop(60)
    assert worker.processed == 1


class RecordingLogger:
    def __init__(self):
        self.lines = []

    def __getattr__(self, severity):
        return lambda text: self.lines.append((severity, text))


def test_log_reaches_the_node_with_its_severity():
    logger = RecordingLogger()
    bridge = LogBridge(logger).attach()
    try:
        source = logging.getLogger("pan3d.somewhere")
        source.debug("not shown by default")
        source.info("one %d", 1)
        source.warning("two")
        source.error("three")
    finally:
        bridge.detach()
    logging.getLogger("pan3d.somewhere").info("after detaching")
    assert logger.lines == [
        ("info", "pan3d.somewhere: one 1"),
        ("warning", "pan3d.somewhere: two"),
        ("error", "pan3d.somewhere: three"),
    ]


def test_what_the_libraries_warn_of_with_every_view_set_is_said_once_in_a_while(monkeypatch):
    logger = RecordingLogger()
    bridge = LogBridge(logger).attach()
    try:
        for name in ("pan3d.alignment", "pan3d.ros.node"):
            for _ in range(3):
                logging.getLogger(name).warning("not metric")
                logging.getLogger(name).error("broken")
        once = ("warning", "pan3d.alignment: not metric")
        assert logger.lines.count(once) == 1 and logger.lines.count(("error", "pan3d.alignment: broken")) == 3
        assert logger.lines.count(("warning", "pan3d.ros.node: not metric")) == 3
        monkeypatch.setattr(log_bridge, "REPEAT_S", 0.0)
        logging.getLogger("pan3d.alignment").warning("not metric")
        assert logger.lines.count(once) == 2
    finally:
        bridge.detach()
