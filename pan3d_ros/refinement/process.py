"""The process that refines a scene for the node, with a low priority of its own. No ROS in here.

    python -m pan3d_ros.refinement.process FOLDER

reads job and views of a `RefinementFolder`, writes checkpoints and the scene there, and reports on its standard output: one
JSON object a line, the last one with the key `done` or `failed`. It ends when nobody reads them any more.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.gaussians.files import write_scene_file
from pan3d_core.gaussians.scene import GaussianScene
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.memory.place_map import ids_in_common, renumbered
from pan3d_core.refine.checkpoints import CheckpointProblem, OtherLabels
from pan3d_core.refine.first_map.queries import QuerySettings
from pan3d_core.refine.labels.sources import SceneLabels
from pan3d_core.refine.optimise import StepReport
from pan3d_core.refine.run import EndRefining, RefineProgress, SceneSettings, refine_scene
from pan3d_core.refine.schedule import EarlyStop, RefineSettings
from pan3d_ros.refinement.folder import FolderInUse, FolderProblem, RefinementFolder, RefinementJob
from pan3d_ros.refinement.labels import labels_for_refinement
from pan3d_ros.refinement.views import UnderstoodView

START, OPTIMISE, WRITE = 0, 1, 2  # stages, as in RefineScene.action
QUERIES_PER_MASK = 2  # assumed: queries for every mask of the fullest view, so that objects which it does not show have one too
STOPPED: dict[str, str] = {"used_up": "", "settled": "settled", "ended": "minutes"}  # `Ending` -> what is reported
Report = Callable[[dict[str, Any]], None]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 also for a failure that could be reported."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    (path,) = sys.argv[1:] if arguments is None else arguments
    folder = RefinementFolder(Path(path), fresh=False)
    try:
        job = folder.read_job()
        os.nice(job.niceness)
        torch.set_num_threads(job.threads)
        with folder.claimed():
            report(refine(folder, job, report))
    except torch.OutOfMemoryError as error:
        report({"failed": "memory", "message": str(error)})
    except FolderInUse as error:
        report({"failed": "busy", "message": str(error)})
    except FolderProblem as error:
        report({"failed": "request", "message": str(error)})
    except ValueError as error:  # what refinement says of views that it cannot use, or when it diverges
        report({"failed": "rejected", "message": str(error)})
    except OSError as error:  # a disk that is full or may not be written; the last checkpoint is as it was
        report({"failed": "disk", "message": str(error)})
    return 0


def report(values: dict[str, Any]) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def refine(folder: RefinementFolder, job: RefinementJob, report: Report) -> dict[str, Any]:
    """Refine the scene of a folder's views and write its file.

    With both limits the schedule is that of the steps, and the minutes may cut it short; with minutes alone it is stretched
    over them. `stopped` says what ended it before: the minutes, losses that had settled, or nothing.

    Args:
        folder: With the views, and a checkpoint where the job goes on with one.
        job: What to do.
        report: Is called with every stage and step.

    Returns:
        What is in the file: `done` (id -> name), `step`, `seconds`, `stopped`.

    Raises:
        FolderProblem: What is there cannot be gone on from. Other errors are those of `refine_scene`.
    """
    seen = folder.read_views()
    _require_frame(folder, job, seen)
    beginning = "checkpoint" if job.resume else "first Gaussians and queries"
    report({"stage": START, "views": len(seen), "status": f"{beginning} of {len(seen)} views"})
    labels = labels_for_refinement(seen)
    told = partial(_tell, job, report)
    try:
        result = refine_scene(
            seen, labels, _settings(job, labels), checkpoint=folder.checkpoint, resume=job.resume, progress=told
        )
    except OtherLabels as error:
        text = f"expected views of the classes {', '.join(error.known.names)}, got {', '.join(error.given.names)}"
        raise FolderProblem(f"{folder.path}: {text}: these are not the views that the checkpoint began with") from error
    except (CheckpointProblem, FileNotFoundError) as error:
        raise FolderProblem(f"{folder.path}: expected what a refinement has left, got {error}") from error
    scene = with_tracked_ids(result.scene, seen)
    write_scene_file(folder.scene_file, scene)
    objects = {str(key): scene.names[key] for key in scene.ids()}
    done = result.refinement.progress
    return {"done": objects, "step": done.step, "seconds": done.elapsed_s, "stopped": STOPPED[result.ending]}


def _settings(job: RefinementJob, labels: SceneLabels) -> SceneSettings:
    run = RefineSettings(
        steps=job.steps or 1,
        minutes=None if job.steps else job.minutes,
        checkpoint_every=job.checkpoint_every,
        stop=EarlyStop(job.stop_below),
    )
    fullest = max(len(view.masks) for view in labels.views)
    queries = QuerySettings(count=max(QuerySettings().count, QUERIES_PER_MASK * fullest))
    return SceneSettings(run, queries=queries, device=job.device)


def _tell(job: RefinementJob, report: Report, now: RefineProgress) -> None:
    """Report what is done, and end the refinement when its minutes are over."""
    step = now.report
    if now.stage == "begun":
        if job.resume:
            _require_more(job, step)
            status = f"it goes on after step {step.step}"
            report({"stage": START, "step": step.step, "seconds": step.elapsed_s, "status": status})
    elif now.stage == "step":
        losses = {"loss": step.losses["total"], "seconds": step.elapsed_s}
        share = max(step.share_done, step.elapsed_s / (60 * job.minutes) if job.minutes else 0.0)
        report({"stage": OPTIMISE, "step": step.step, "share": min(1.0, share), **losses})
        if job.steps and share >= 1 and step.share_done < 1:
            raise EndRefining
    else:
        report({"stage": WRITE, "stopped": STOPPED[now.stage], "status": "reading out objects"})


def _require_more(job: RefinementJob, done: StepReport) -> None:
    """Raise `FolderProblem` unless the job's limits go beyond what is done."""
    if done.share_done >= 1 or 0 < 60 * job.minutes <= done.elapsed_s:
        limits = [f"{job.steps} steps"] * bool(job.steps) + [f"{job.minutes:g} minutes"] * bool(job.minutes)
        spent = f"{done.step} steps in {done.elapsed_s / 60:.2g} minutes"
        text = f"expected more than the {spent} that are done, as limits count those too, got {' and '.join(limits)}"
        raise FolderProblem(f"steps, minutes: {text}")


def _require_frame(folder: RefinementFolder, job: RefinementJob, seen: Sequence[UnderstoodView]) -> None:
    frame = seen[0].world_frame_id
    if job.world_frame_id and frame != job.world_frame_id:
        raise FolderProblem(f"{folder.path}: reference_frame: expected views in '{job.world_frame_id}', got '{frame}'")


def with_tracked_ids(scene: GaussianScene, seen: Sequence[UnderstoodView]) -> GaussianScene:
    """Give objects the ids under which most of their pixels were seen.

    Args:
        scene: In the world of the views.
        seen: Views with tracked ids.

    Returns:
        The scene with these ids.
    """
    made = torch.cat([nearest_ids(scene, view).flatten() for view in seen])
    tracked = torch.cat([view.instance_id.flatten() for view in seen])
    return renumbered(scene, ids_in_common(made, tracked))


def nearest_ids(scene: GaussianScene, view: UnderstoodView) -> Tensor:
    """Tell to which object the Gaussian belongs that is nearest to each pixel's measured point.

    Args:
        scene: In the world of the view.
        view: With depth (H, W) in metres, 0 = none.

    Returns:
        (H, W) int64, 0 where there is no depth or no object.
    """
    points = unproject_depth(view.depth, view.intrinsics, view.cam_from_world).reshape(-1, 3)
    _, rows = cKDTree(scene.gaussians.means.numpy(force=True)).query(points.numpy())
    return torch.where(view.depth > 0, scene.instance_id[torch.from_numpy(rows)].view_as(view.instance_id), 0)


if __name__ == "__main__":
    sys.exit(main())
