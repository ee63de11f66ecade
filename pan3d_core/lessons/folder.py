"""Picks as training scenes: the object that was taken, the support, and nothing else that is not known.

FOLDER/pick_STAMP/    a scene folder (`pan3d_core.views.scene_folder`) of the look before the pick
  pick.json           which object, which grasp, what happened
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pan3d_core.config import LessonConfig
from pan3d_core.geometry.boxes import OrientedBox
from pan3d_core.labels import LabelSpace
from pan3d_core.lessons.looks import Look, support_depth
from pan3d_core.lessons.taken import Shown, Taken, object_taken
from pan3d_core.runtime.files import free_path, written_whole
from pan3d_core.structures import GraspTarget
from pan3d_core.views.scene_folder import VOID_NAME, Scene, SceneObject, SceneTruth, write_scene

PICK_FILE = "pick.json"
THING = "thing"  # what nobody has a name for
_NAME = re.compile(r"pick_\d{20}(_\d+)?")
_MB = 1_000_000


@dataclass(frozen=True)
class PickEvidence:
    """One time that a gripper closed, and what was seen before and after."""

    before: Look
    after: Look | None  # None: nobody could look
    taken: OrientedBox  # where the object was believed to be
    grasp: GraspTarget
    outcome: str  # how it ended, in one word
    message: str  # and in several
    name: str = ""  # what the object is called; empty = nobody knows
    put: OrientedBox | None = None  # where it was let go, if it was
    closed_m: float | None = None  # between the pads after they had closed; None = not measured


@dataclass(frozen=True)
class Lesson:
    """What was learnt of a pick."""

    folder: Path
    taken: Taken


class LessonFolder:
    """The lessons of one folder, which is a data set for `pan3d teach train`. Not for two threads at once.

    Args:
        folder: Is made with the first lesson; lessons of before stay, within the quota.
        names: That objects may have, in every scene the same. An object of another name is a "thing".
        config: None = the defaults.
    """

    def __init__(self, folder: Path, names: Sequence[str] = (), config: LessonConfig | None = None) -> None:
        self.folder, self.config = folder, config or LessonConfig()
        self.labels = LabelSpace.things(tuple(dict.fromkeys((*names, THING))))

    def learn(self, pick: PickEvidence) -> Lesson:
        """Write a pick down, whether it went well or not.

        Args:
            pick: What was seen and done.

        Returns:
            Where it is, and whether it shows one object. Scenes that are over the quota are deleted, the oldest first.

        Raises:
            OSError: It cannot be written; lessons of before are as they were.
        """
        taken = Taken(Shown.COULD_NOT_LOOK, "there is no look after the pick")
        if pick.after is not None:
            taken = object_taken(pick.before, pick.after, pick.taken, pick.put, self.config)
        stamp_ns = max(view.stamp_ns for view in pick.before.views)
        folder = free_path(self.folder / f"pick_{stamp_ns:020d}")
        scene = scene_of_pick(folder.name, pick, taken, self.labels)
        with written_whole(folder) as part:
            write_scene(part, scene)
            (part / PICK_FILE).write_text(json.dumps(_facts(pick, taken), indent=1), encoding="utf-8")
        self._keep_quota(folder)
        return Lesson(folder, taken)

    def _keep_quota(self, newest: Path) -> None:
        lessons = [path for path in sorted(self.folder.glob("pick_*"), key=_age) if _NAME.fullmatch(path.name)]
        sizes = {path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) for path in lessons}
        for path in lessons:
            if sum(sizes.values()) <= self.config.quota_mb * _MB or path == newest:
                break
            shutil.rmtree(path, ignore_errors=True)
            del sizes[path]


def scene_of_pick(name: str, pick: PickEvidence, taken: Taken, labels: LabelSpace) -> Scene:
    """Say of a look before a pick what is known.

    Args:
        name: Of the scene.
        pick: What was seen and done.
        taken: What the looks before and after show.
        labels: Classes of objects; the last one is of objects that have no other.

    Returns:
        The scene. Its truth has the object that was taken, if it is one, and the support; all other pixels are void. Depth is
        as it was measured; where it was not, that of the support where this is seen, and none elsewhere.
    """
    look, found = pick.before, taken.shown is Shown.ONE_OBJECT
    void = 2 if found else 1
    ids, depth = [], []
    for index, view in enumerate(look.views):
        support = look.support_pixels(index)
        picture = np.full(view.hw, void, np.int64)
        if found:
            picture[support & ~taken.doubt[index]] = 0
            picture[taken.masks[index] & ~taken.doubt[index]] = 1
        else:
            picture[support] = 0
        ids.append(torch.from_numpy(picture))
        known = torch.from_numpy(support_depth(look, index) * (picture == 0)).float()
        depth.append(known if view.depth is None else torch.where(view.depth > 0, view.depth.cpu().float(), known))
    objects = [SceneObject(void, VOID_NAME)]
    if found:
        row = labels.names.index(pick.name) if pick.name in labels.names else len(labels) - 1
        objects.insert(0, SceneObject(1, labels.names[row], row))  # what of it nobody saw is not known, nor is its box
    measured: tuple[Tensor | None, ...] = tuple(depth)
    return Scene(name, look.views, SceneTruth(tuple(ids), measured, tuple(objects), labels), look.support_height_m)


def _facts(pick: PickEvidence, taken: Taken) -> dict[str, Any]:
    grasp = {
        name: value.tolist() if isinstance(value, Tensor) else value
        for name, value in asdict(pick.grasp).items()
        if name not in ("box", "stamp_ns")
    }
    box = {"world_from_box": pick.taken.world_from_box.tolist(), "size_m": pick.taken.size_m.tolist()}
    return {
        "outcome": pick.outcome, "message": pick.message, "object": pick.name, "believed_box": box, "grasp": grasp,
        "closed_m": pick.closed_m, "shown": taken.shown.value, "shown_message": taken.message,
    }  # fmt: skip


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name
