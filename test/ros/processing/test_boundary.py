"""Whatever one message or one set makes the work raise, it costs that view or that set and nothing else."""

import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial import QhullError

from pan3d_core.config import PipelineConfig, PreprocessConfig
from pan3d_core.views.keyframes import KeyframeWindow
from pan3d_core.views.synchronizer import ViewSet
from pan3d_ros.inputs.camera_frames import CameraFrame
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
from pan3d_ros.processing.problem_log import Problem, ProblemLog
from pan3d_ros.processing.set_processing import SetProcessor, Tools

FAULTS = [cv2.error("odd"), np.linalg.LinAlgError("singular"), QhullError("flat"), RuntimeError("device"), TypeError("None"),
          KeyError("gone"), ZeroDivisionError("by zero"), OSError("away")]  # fmt: skip


class Pipeline:
    """Gives an empty result of whatever views, or raises."""

    config = PipelineConfig()
    engine = SimpleNamespace(facts=SimpleNamespace(preprocess=PreprocessConfig(height=56, width=56)))

    def __init__(self):
        self.failure, self.seen = None, []

    def process(self, views):
        self.seen.append([view.camera for view in views])
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(timings_ms={"total": 1.0})

    def reset(self):
        pass


class Setup:
    def __init__(self):
        self.pipeline, self.problems, self.delivered = Pipeline(), ProblemLog(), []
        config = NodeConfig(cameras=("a", "b"))
        window = KeyframeWindow(self.pipeline.config.keyframe)
        tools = Tools(self.pipeline, None, window, self.problems, lambda: self.now_ns, steady_s=self.steady_s)
        self.now_s, self.now_ns = 0.0, 1_000_000_000
        self.processor = SetProcessor(config, tools, self.delivered.append, lambda: None)

    def steady_s(self):
        self.now_s += 10.0  # never too fast
        return self.now_s

    def process(self, epoch=None, **data):
        frames = []
        for camera in ("a", "b"):
            header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0), frame_id=camera)
            pixels = data.get(camera, bytes(64 * 64 * 3))
            image = SimpleNamespace(
                header=header, encoding="rgb8", width=64, height=64, step=192, is_bigendian=False, data=pixels
            )
            frames.append(CameraFrame(camera, image, None, None, CameraConfig()))
        self.processor(ViewSet(("a", "b"), (1_000_000_000, 1_000_000_000), tuple(frames), ()), epoch)


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_set_whose_work_fails_is_dropped_and_the_next_one_is_processed(error):
    setup = Setup()
    setup.pipeline.failure = error
    setup.process()
    assert not setup.delivered
    message, _ = setup.problems.recent(Problem.INFERENCE_ERROR)
    assert str(error) in message
    setup.pipeline.failure = None
    setup.process()
    assert len(setup.delivered) == 1
    assert setup.problems.recent(Problem.INFERENCE_ERROR) is None


def test_a_message_that_no_check_expected_costs_its_camera_and_no_other():
    setup = Setup()
    setup.process(a=None)
    assert setup.pipeline.seen == [["b"]]
    assert "a: TypeError" in setup.problems.recent(Problem.NO_IMAGES, "a")[0]
    assert setup.processor.failed_in_a_row == 0
    setup.process()
    assert setup.pipeline.seen[-1] == ["a", "b"]
    assert setup.problems.recent(Problem.NO_IMAGES, "a") is None


def test_failures_in_a_row_are_counted_until_a_result_comes():
    setup = Setup()
    setup.pipeline.failure = TypeError("None")
    for count in (1, 2, 3):
        setup.process()
        assert setup.processor.failed_in_a_row == count
    assert setup.processor.last_failure is setup.pipeline.failure
    setup.pipeline.failure = None
    setup.process()
    assert setup.processor.failed_in_a_row == 0
    assert setup.processor.last_failure is None


@pytest.mark.parametrize("refusal", [ValueError("views: expected others"), torch.OutOfMemoryError("9 GiB")])
def test_refused_views_and_too_little_memory_do_not_count_as_failures(refusal):
    setup = Setup()
    setup.pipeline.failure = refusal
    setup.process()
    assert setup.processor.failed_in_a_row == 0


def test_a_result_that_cannot_be_delivered_counts_as_a_failure():
    setup = Setup()
    setup.processor._deliver = lambda done: [][0]
    setup.process()
    assert setup.processor.failed_in_a_row == 1


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes(ending):
    setup = Setup()
    setup.pipeline.failure = ending()
    with pytest.raises(ending):
        setup.process()


@pytest.mark.parametrize(("now_s", "reason"), [(6.5, "stale"), (5.5, ""), (0.5, ""), (-0.5, "future")])
def test_images_from_long_ago_and_from_the_future_are_refused(now_s, reason):
    setup = Setup()
    setup.now_ns = int(now_s * 1e9)
    setup.process()
    assert len(setup.delivered) == (0 if reason else 1)
    assert setup.problems.totals() == ({reason: 1} if reason else {})
    if reason == "future":
        text = "images are 1.50 s ahead of the clock, input.max_future_s is 1; are the clocks one?"
        assert setup.problems.recent(Problem.STALE_IMAGES)[0] == text


def test_a_set_in_work_while_the_clock_jumps_is_not_delivered():
    setup, process = Setup(), Pipeline.process

    def jump_meanwhile(views):
        setup.processor.forget()
        return process(setup.pipeline, views)

    setup.pipeline.process = jump_meanwhile
    setup.process()
    assert not setup.delivered
    del setup.pipeline.process
    setup.process()
    assert len(setup.delivered) == 1


def test_a_set_that_was_formed_before_the_clock_jumped_is_not_even_begun():
    setup = Setup()
    epoch = setup.processor.epoch
    setup.processor.forget()
    setup.process(epoch=epoch)
    assert not setup.delivered and not setup.pipeline.seen
    assert setup.problems.totals() == {"clock_jump": 1}
    setup.process(epoch=setup.processor.epoch)
    assert len(setup.delivered) == 1


def test_nothing_of_before_is_delivered_once_forgetting_has_returned():
    setup, order = Setup(), []
    begun = threading.Event()

    def deliver(done):
        begun.set()
        time.sleep(0.2)
        order.append("delivered")

    setup.processor._deliver = deliver
    worker = threading.Thread(target=setup.process)
    worker.start()
    assert begun.wait(10)
    setup.processor.forget()
    order.append("forgotten")
    worker.join()
    assert order == ["delivered", "forgotten"]
