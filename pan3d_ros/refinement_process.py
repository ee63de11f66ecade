"""The process that refines a scene for the node, with a low priority of its own. No ROS in here.

    python -m pan3d_ros.refinement_process JOB

reads `JOB`, which `write_job` wrote, writes the scene where that says, and reports on its standard output: one JSON object a
line, the last one with the key `done` or `failed`. It ends when nobody reads them any more.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pan3d_core.gaussian_files import write_scene_file
from pan3d_core.gaussian_scene import GaussianScene
from pan3d_core.geometry.cameras import unproject_depth
from pan3d_core.refine.initialise import gaussians_from_depth
from pan3d_core.refine.optimise import Refinement, StepReport
from pan3d_core.refine.queries import QuerySettings
from pan3d_core.refine.readout import refined_scene
from pan3d_core.refine.schedule import RefineSettings
from pan3d_core.refine.start import first_map
from pan3d_core.refined_map import ids_in_common, renumbered
from pan3d_ros.refinement_views import UnderstoodView, labels_for_refinement, restored, stored

START, OPTIMISE, WRITE = 0, 1, 2  # stages, as in RefineScene.action
QUERIES_PER_MASK = 2  # assumed: queries for every mask of the fullest view, so that objects which it does not show have one too
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class RefinementJob:
    """What the process is asked to do."""

    scene_file: str
    steps: int  # at most; 0 = as many as the minutes allow
    minutes: float  # at most; 0 = no limit
    device: str = "cpu"
    threads: int = 1
    niceness: int = 10


class _BudgetOver(Exception):
    """The minutes are over before the steps."""


def write_job(path: Path, job: RefinementJob, views: list[UnderstoodView]) -> None:
    """Write what the process needs."""
    torch.save({"job": asdict(job), "views": stored(views)}, path)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 also for a failure that could be reported."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    (path,) = sys.argv[1:] if arguments is None else arguments
    content = torch.load(path, weights_only=True)
    job = RefinementJob(**content["job"])
    os.nice(job.niceness)
    torch.set_num_threads(job.threads)
    try:
        report(refine(job, restored(content["views"]), report))
    except torch.OutOfMemoryError as error:
        report({"failed": "memory", "message": str(error)})
    except ValueError as error:  # what refinement says of views that it cannot use, or when it diverges
        report({"failed": "rejected", "message": str(error)})
    return 0


def report(values: dict[str, Any]) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def refine(job: RefinementJob, seen: list[UnderstoodView], report: Report) -> dict[str, Any]:
    """Refine the scene of the views, write its file and say what is in it. Errors as those of the stages.

    With both limits the schedule is that of the steps, and the minutes may cut it short; with minutes alone it is stretched
    over them.
    """
    report({"stage": START, "status": f"first Gaussians and queries of {len(seen)} views"})
    found, labels = labels_for_refinement(seen)
    views = [view.to(job.device) for view in found]
    fullest = max(len(view.labels.masks) for view in views)
    queries = QuerySettings(count=max(QuerySettings().count, QUERIES_PER_MASK * fullest))
    model = first_map(views, labels, gaussians_from_depth(views), queries)
    stretched = job.minutes if not job.steps else None
    refinement = Refinement(model, views, RefineSettings(steps=job.steps or 1, minutes=stretched))
    stopped_early = False

    def progress(step: StepReport) -> None:
        losses = {"loss": step.losses["total"], "seconds": step.elapsed_s}
        share = max(step.share_done, step.elapsed_s / (60 * job.minutes) if job.minutes else 0.0)
        report({"stage": OPTIMISE, "step": step.step, "share": min(1.0, share), **losses})
        if job.steps and share >= 1 and step.share_done < 1:
            raise _BudgetOver

    try:
        refinement.run(progress)
    except _BudgetOver:
        stopped_early = True
    report({"stage": WRITE, "status": "reading out objects"})
    scene = refined_scene(model, views, world_frame_id=seen[0].world_frame_id)
    scene = with_tracked_ids(scene, seen)
    write_scene_file(job.scene_file, scene)
    done = refinement.progress
    objects = {str(key): scene.names[key] for key in scene.ids()}
    return {"done": objects, "step": done.step, "seconds": done.elapsed_s, "stopped_early": stopped_early}


def with_tracked_ids(scene: GaussianScene, seen: Sequence[UnderstoodView]) -> GaussianScene:
    """The scene whose objects have the ids under which most of their pixels were seen."""
    made = torch.cat([nearest_ids(scene, view).flatten() for view in seen])
    tracked = torch.cat([view.instance_id.flatten() for view in seen])
    return renumbered(scene, ids_in_common(made, tracked))


def nearest_ids(scene: GaussianScene, view: UnderstoodView) -> Tensor:
    """(H, W) int64: to which object the Gaussian belongs that is nearest to a pixel's measured point; 0 where there is none."""
    points = unproject_depth(view.depth, view.intrinsics, view.cam_from_world).reshape(-1, 3)
    _, rows = cKDTree(scene.gaussians.means.numpy(force=True)).query(points.numpy())
    return torch.where(view.depth > 0, scene.instance_id[torch.from_numpy(rows)].view_as(view.instance_id), 0)


if __name__ == "__main__":
    sys.exit(main())
