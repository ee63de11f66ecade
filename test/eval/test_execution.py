"""The same work in one process, in several, and on a Ray cluster."""

import operator
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from places import ROOT

from pan3d_core.config import PipelineConfig
from pan3d_core.labels import LabelSpace
from pan3d_core.views.scene_folder import Scene, SceneObject, SceneTruth, write_scene
from pan3d_eval.datasets.scenes import list_scenes
from pan3d_eval.execution import Failure, Processes, run_items
from pan3d_eval.runner import Evaluation, EvaluationProtocol
from pan3d_eval.workers import evaluated_pipeline, scene_worker

MAKE_CALCULATOR = partial(operator.getitem, {"work": eval}, "work")  # a worker that other processes can import
CONFIG = PipelineConfig.from_dict({"model": {"name": "depth_clusters", "threads": 1}})
MAKE_SCENE_WORKER = partial(scene_worker, CONFIG, EvaluationProtocol(use_depth=True), (80, 60))


@pytest.fixture
def references(cell, tmp_path):
    objects = tuple(SceneObject(index + 1, f"block {index}", 0) for index in range(len(cell.blocks)))
    for name, views in (("a", slice(0, 2)), ("b", slice(1, 4)), ("c", slice(0, 1))):
        shown = tuple(cell.views[views])
        truth = SceneTruth(tuple(cell.ids[views]), tuple(view.depth for view in shown), objects, LabelSpace.things(("block",)))
        write_scene(tmp_path / "scenes" / name, Scene(name, shown, truth, 0.0))
    for picture in (tmp_path / "scenes" / "b" / "images").iterdir():
        picture.unlink()
    return list_scenes([tmp_path / "scenes"])


def without_times(outcomes) -> tuple[list[dict], list[Failure]]:
    evaluation = Evaluation.of(outcomes)
    times = ("timings_ms", "processor_s", "peak_memory_mb")
    scenes = [{key: repr(value) for key, value in item.items() if key not in times} for item in evaluation.scene_list()]
    return scenes, list(evaluation.failures)


def test_an_item_that_raises_is_named_and_the_others_go_on():
    seen = []
    results = run_items(MAKE_CALCULATOR, ["1 + 1", "1 / 0", "2 * 3"], progress=lambda *now: seen.append(now))
    assert results == [2, Failure("1 / 0", "ZeroDivisionError: division by zero"), 6]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert run_items(MAKE_CALCULATOR, []) == []


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(references):
    alone = run_items(MAKE_SCENE_WORKER, references)
    together = run_items(MAKE_SCENE_WORKER, references, processes=Processes(2))
    assert without_times(together) == without_times(alone)
    scenes, failures = without_times(together)
    assert [item["name"] for item in scenes] == ["'a'", "'c'"] and [item.name for item in failures] == ["b"]


@pytest.mark.slow
def test_a_process_that_dies_loses_its_own_item_only():
    deadly = "__import__('os')._exit(3)"
    results = run_items(MAKE_CALCULATOR, ["1 + 1", deadly, "2 * 3"], processes=Processes(2))
    assert results[0] == 2 and results[2] == 6
    assert results[1] == Failure(deadly, "the process died, perhaps for lack of memory")


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_processes_behind():
    """The process of a worker ends with the one that started it, in the middle of an item."""
    code = (
        "import operator\nfrom functools import partial\nfrom pan3d_eval.execution import Processes, run_items\n"
        "make = partial(operator.getitem, {'work': eval}, 'work')\n"
        'item = \'(print(__import__("os").getpid(), flush=True), __import__("time").sleep(300))\'\n'
        "if __name__ == '__main__':\n    run_items(make, [item], processes=Processes(1))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    worker = int(run.stdout.readline())
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_a_run_that_is_interrupted_ends_its_workers_and_they_say_nothing():
    """Ctrl-C reaches all processes of a terminal."""
    code = (
        "import operator, sys\nfrom functools import partial\nfrom pan3d_core.runtime.ending.asked import unwound\n"
        "from pan3d_eval.execution import Processes, run_items\nmake = partial(operator.getitem, {'work': eval}, 'work')\n"
        'item = \'(print(__import__("os").getpid(), flush=True), __import__("time").sleep(300))\'\n'
        "if __name__ == '__main__':\n    try:\n        with unwound(): run_items(make, [item, item], processes=Processes(1))\n"
        "    except KeyboardInterrupt:\n        sys.exit(130)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True, cwd=ROOT, start_new_session=True)
    assert run.stdout is not None
    worker = int(run.stdout.readline())
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in errors and not Path(f"/proc/{worker}").exists()


@pytest.mark.slow
def test_a_worker_that_cannot_be_made_says_why():
    config = replace(CONFIG, model=replace(CONFIG.model, name="pan3d-mini", weights="nowhere.safetensors"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_items(partial(scene_worker, config, EvaluationProtocol()), ["item"], processes=Processes(1))


@pytest.mark.slow
def test_a_ray_cluster_gives_the_results_of_one_process(references):
    pytest.importorskip("ray")
    alone = run_items(MAKE_SCENE_WORKER, references)
    seen = []
    together = run_items(MAKE_SCENE_WORKER, references, processes=Processes(2, "local"), progress=lambda *now: seen.append(now))
    assert without_times(together) == without_times(alone) and seen[-1] == (3, 3)


def test_size_is_that_of_engines_without_a_network():
    assert evaluated_pipeline(CONFIG, (80, 60)).engine.facts.preprocess.width == 80
    assert evaluated_pipeline(CONFIG).engine.facts.preprocess.width == 320
    with pytest.raises(ValueError, match="true_depth_dbscan"):
        evaluated_pipeline(replace(CONFIG, model=replace(CONFIG.model, name="yolo")))


def test_no_thread_setting_is_left_behind(references):
    threads = torch.get_num_threads()
    run_items(MAKE_CALCULATOR, ["1"])
    assert torch.get_num_threads() == threads
