"""Refinements as processes: killed at any time, and on a disk that is full."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from refine_scenes import LABELS, table_views

from pan3d_core import refine_scene
from pan3d_core.refine.first_map.initialise import SurfaceSettings
from pan3d_core.refine.first_map.queries import QuerySettings
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.refine.run import RefineProgress, SceneSettings
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.structures import CameraView

STEPS, EVERY = 40, 2


def refine(checkpoint: Path | None, progress=None):
    made, _ = table_views(3)
    views = [
        CameraView(view.labels.image, view.intrinsics, view.cam_from_world, view.depth, camera=f"cam{index}")
        for index, view in enumerate(made)
    ]
    run = RefineSettings(steps=STEPS, checkpoint_every=EVERY)
    settings = SceneSettings(run, SurfaceSettings(voxel_m=0.02), QuerySettings(count=6), device="cpu")
    labels, resume = SceneLabels(LABELS, tuple(view.labels for view in made)), checkpoint is not None and checkpoint.exists()
    return refine_scene(views, labels, settings, checkpoint=checkpoint, resume=resume, progress=progress).scene


def say(now: RefineProgress) -> None:
    sys.stdout.write(f"{now.report.step}\n")
    sys.stdout.flush()


def killed_after(checkpoint: Path, steps: int, pause_s: float) -> int:
    """The last step that a process told of before it was killed, `steps` after its first one and a little later."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, __file__, str(checkpoint)], stdout=subprocess.PIPE, text=True, env=environment)
    with process, process.stdout as lines:
        told = [int(next(lines))]
        while told[-1] < told[0] + steps:
            told.append(int(next(lines)))
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return told[-1]


@pytest.mark.slow
def test_a_refinement_that_is_killed_again_and_again_ends_with_the_same_scene(tmp_path):
    checkpoint, threads = tmp_path / "checkpoint.pt", torch.get_num_threads()
    last = 0
    for steps, pause_s in ((5, 0.0), (4, 0.05), (6, 0.1), (3, 0.02)):
        step = killed_after(checkpoint, steps, pause_s)
        assert step > last  # it went on from where the one before was
        last = step
    torch.set_num_threads(1)
    try:
        whole, broken = refine(None), refine(checkpoint)
    finally:
        torch.set_num_threads(threads)
    for name in ("means", "scales", "quats_wxyz", "opacities", "colors"):
        assert torch.equal(getattr(whole.gaussians, name), getattr(broken.gaussians, name)), name
    assert torch.equal(whole.instance_id, broken.instance_id) and whole.names == broken.names


@pytest.mark.slow
def test_a_full_disk_ends_it_with_words_and_keeps_the_checkpoint_before(tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = []

    def fill(now: RefineProgress) -> None:
        if now.report.step == EVERY + 1:
            kept.append(checkpoint.read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept[0]) // 2, hard))

    try:
        with pytest.raises(OSError, match=r"checkpoint\.pt"):
            refine(checkpoint, fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read_bytes() == kept[0] and list(tmp_path.iterdir()) == [checkpoint]
    steps = []
    refine(checkpoint, lambda now: steps.append(now.report.step))
    assert steps[0] == EVERY and steps[-1] == STEPS


if __name__ == "__main__":
    torch.set_num_threads(1)
    refine(Path(sys.argv[1]), say)
