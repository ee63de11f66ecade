"""A person's way through the objects of a labelled data set: decisions are stored as they are made, and brought in at the end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pan3d_core.labelling.review.actions import (
    ADD,
    KEEP,
    MERGE,
    NAME,
    OBJECT,
    OUTLINE,
    REJECT,
    SPLIT,
    TABLE,
    Action,
    History,
    Place,
    ReviewedObject,
    ReviewState,
    action_of,
)
from pan3d_core.labelling.review.finishing import prepare_scene, put_in_place, truth_after
from pan3d_core.labelling.review.journal import Journal
from pan3d_core.labelling.review.marks import Shown
from pan3d_core.labelling.review.outlines import outlined
from pan3d_core.labelling.review.pixels import (
    ScenePixels,
    ViewMasks,
    ids_after,
    parts_by_clicks,
    parts_by_views,
    pieces_of,
    separate_parts,
    world_points,
)
from pan3d_core.labelling.review.runs import Piece, runs_of
from pan3d_core.runtime.files import file_sha256, named_file
from pan3d_core.teaching.objects import checked_name, key_of
from pan3d_core.views.camera_files import read_camera_file
from pan3d_core.views.scene_folder import SCENE_FILE, VOID_NAME, Scene, labels_of, objects_of, read_scene

JOURNAL_FILE = "review.jsonl"
BEGIN, UNDO, REDO, FINISH = "begin", "undo", "redo", "finish"
_KEPT_SCENES = 2  # in memory: neighbours on a person's way


@dataclass(frozen=True)
class Reviewed:
    """What a review has changed."""

    scenes: tuple[str, ...]  # folders that were written
    decided: int
    objects: int
    notes: tuple[str, ...]  # what contradicts itself; the later decision counts
    journal: Path  # where the decisions are kept


class Review:
    """The review of one data set; only one at a time may be open.

    Args:
        dataset: Folder of scene folders, as of `pan3d teach label`. Decisions are kept in its `review.jsonl`, and a review that
            was left, or interrupted, goes on from them.

    Attributes:
        mended: whether the last decision was left in half by an interruption, and is lost.
        completed: where the decisions are kept of a review whose end was interrupted, and is completed now; None = none.

    Raises:
        ValueError: There are no scenes, one has no truth, the journal is damaged, belongs to other scenes, or another process
            has it; names file and field.
    """

    def __init__(self, dataset: Path) -> None:
        self.dataset = dataset
        folders = [path.parent for path in sorted(dataset.glob(f"*/{SCENE_FILE}"))]
        if not folders:
            raise ValueError(f"DATASET: expected scene folders with {SCENE_FILE} below {dataset}, got none")
        self._journal = Journal(dataset / JOURNAL_FILE)
        self.mended = self._journal.mended
        self.completed: Path | None = None
        self._scenes: OrderedDict[str, tuple[Scene, tuple[Tensor, ...]]] = OrderedDict()
        try:
            self._settle()
            asked: dict[Place, ReviewedObject] = {}
            others: set[Place] = set()
            for folder in folders:
                _take_objects(folder, asked, others)
            if not asked:
                raise ValueError(f"DATASET: expected scenes with objects below {dataset}, got none in {len(folders)}")
            self._new = self._not_begun(folders)
            self._history = self._replayed(History.of(asked, others))
        except BaseException:
            self._journal.close()
            raise
        self._open = True

    def _settle(self) -> None:
        """Complete what an interrupted `finish` had begun, and begin a new journal."""
        entries = self._journal.entries
        if entries and entries[-1].get("do") == FINISH:
            with named_file(self._journal.path, "decisions of a review"):
                put_in_place(self.dataset, entries[-1]["scenes"])
            self.completed = self._journal.archive()
            self._journal.close()
            self._journal = Journal(self.dataset / JOURNAL_FILE)

    def _not_begun(self, folders: Sequence[Path]) -> list[dict[str, str]]:
        """Entries of the scenes that the journal does not know yet; those that it knows must be as they were."""
        with named_file(self._journal.path, "decisions of a review"):
            begun = {entry["scene"]: entry["sha256"] for entry in self._journal.entries if entry.get("do") == BEGIN}
        new = []
        for folder in folders:
            path, now = folder / SCENE_FILE, file_sha256(folder / SCENE_FILE)
            if begun.get(folder.name, now) != now:
                raise ValueError(
                    f"{path}: expected the file that the review began with, got another one; put it back, or delete "
                    f"{self._journal.path.name} and its decisions"
                )
            if folder.name not in begun:
                new.append({"do": BEGIN, "scene": folder.name, "sha256": now})
        return new

    def _replayed(self, history: History) -> History:
        steps = {UNDO: History.undo, REDO: History.redo}
        for number, entry in enumerate(self._journal.entries, start=1):
            try:
                if entry.get("do") in steps:
                    history = steps[entry["do"]](history)
                elif entry.get("do") != BEGIN:
                    history = history.after(action_of(entry, number))
            except ValueError as error:
                raise ValueError(f"{self._journal.path}:{number}: {error}") from error
        return history

    @property
    def state(self) -> ReviewState:
        """All objects, as they are decided so far."""
        return self._history.state

    def close(self) -> None:
        """Let others review; what was decided is kept."""
        if self._open:
            self._open = False
            self._journal.close()

    def keep(self, place: Place) -> None:
        """Say that an object is right, and its name. Errors of this and of all other decisions: see `do`."""
        self.do(Action(KEEP, *place))

    def name(self, place: Place, name: str) -> None:
        """Say what an object is called.

        Args:
            place: Of the object.
            name: Words for a thing; one that differs in writing alone from a name that is there becomes that one.
        """
        tidy = checked_name(name)
        if key_of(tidy) == VOID_NAME:
            raise ValueError(f"name: expected words that name a thing, got {name!r}, which stands for what nobody knows")
        same = next((known for known in self.state.names() if key_of(known) == key_of(tidy)), tidy)
        self.do(Action(NAME, *place, name=same))

    def reject(self, place: Place) -> None:
        """Say that this is no object; nobody is told what is there."""
        self.do(Action(REJECT, *place))

    def table(self, place: Place) -> None:
        """Say that this is table, or floor."""
        self.do(Action(TABLE, *place))

    def merge(self, place: Place, into: int) -> None:
        """Say that an object is a piece of another one.

        Args:
            place: Of what gives its pixels away.
            into: Id of the one in the same scene that has them then.
        """
        self.do(Action(MERGE, *place, into=into))

    def split_parts(self, place: Place) -> None:
        """Make objects of the parts of one that do not touch each other; the largest stays."""
        self._split(place, separate_parts(self.pixels(place[0]), place[1]))

    def split_views(self, place: Place, views: Sequence[int]) -> None:
        """Say that some views show another thing than the others.

        Args:
            place: Of the object.
            views: Rows of the views.
        """
        self._split(place, parts_by_views(self.pixels(place[0]), place[1], views))

    def split_clicks(self, place: Place, clicks: Tensor) -> None:
        """Cut an object so that every pixel goes with the nearest click.

        Args:
            place: Of the object.
            clicks: (K, 3) world, metres; one on each part. The first part stays the object.
        """
        self._split(place, parts_by_clicks(self.pixels(place[0]), place[1], clicks))

    def _split(self, place: Place, parts: Sequence[ViewMasks]) -> None:
        self.do(Action(SPLIT, *place, pieces=pieces_of(parts, self._free_id(place[0]))))

    def _free_id(self, scene: str) -> int:
        highest = max(int(ids.max()) for ids in self.pixels(scene).ids)
        return max(self.state.free_id(scene), highest + 1)

    def add(self, scene: str, shown: Shown) -> Place:
        """Add an object that nobody has found.

        Args:
            scene: Folder of its scene.
            shown: Clicks on it, or a box around it.

        Returns:
            Where it is found; it is called "thing" until somebody names it. Errors also as `outlined`.
        """
        place = scene, self._free_id(scene)
        self._outline(ADD, place, shown, 0)
        return place

    def outline(self, place: Place, shown: Shown) -> None:
        """Mend the outline of an object.

        Args:
            place: Of the object.
            shown: Clicks on what is and what is not the object. Errors also as `outlined`.
        """
        self._outline(OUTLINE, place, shown, place[1])

    def _outline(self, kind: str, place: Place, shown: Shown, object_id: int) -> None:
        scene, items = self.scene(place[0]), self.state.of_scene(place[0])
        solid = {item.object_id for item in items if item.decision == OBJECT or not (item.decision or item.doubtful)}
        masks = outlined(scene.views, self.pixels(place[0]), shown, object_id, solid, scene.support_height_m)
        self.do(Action(kind, *place, pieces=(Piece(place[1], tuple(runs_of(mask) for mask in masks)),)))

    def do(self, action: Action) -> None:
        """Store a decision, and let it count.

        Args:
            action: Of an object that is there.

        Raises:
            ValueError: The object is gone, or what was decided before forbids it; nothing is stored then.
            OSError: The disk is full; the decision does not count then.
        """
        numbered = replace(action, number=len(self._journal.entries) + len(self._new) + 1)
        self._step(self._history.after(numbered), numbered.json())

    def undo(self) -> Action:
        """Take the last decision back, and say which one that was."""
        self._step(self._history.undo(), {"do": UNDO})
        return self._history.undone[-1]

    def redo(self) -> Action:
        """Decide again what was taken back last, and say what it is."""
        self._step(self._history.redo(), {"do": REDO})
        return self._history.done[-1]

    def _step(self, after: History, entry: Mapping[str, Any]) -> None:
        if not self._open:
            raise ValueError("review: expected one that is open, got one that is finished; start it again to go on")
        while self._new:
            self._journal.append(self._new[0])
            del self._new[0]
        self._journal.append(entry)
        self._history = after

    def scene(self, name: str) -> Scene:
        """A scene as it was labelled."""
        return self._read(name)[0]

    def pixels(self, name: str) -> ScenePixels:
        """The pixels of a scene as they are decided so far."""
        scene, points = self._read(name)
        return ScenePixels(ids_after(scene.known_truth().instance_ids, self._done_in(name)), points)

    def _read(self, name: str) -> tuple[Scene, tuple[Tensor, ...]]:
        if name not in self._scenes:
            scene = read_scene(self.dataset / name)
            self._scenes[name] = scene, world_points(scene)
            while len(self._scenes) > _KEPT_SCENES:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(name)
        return self._scenes[name]

    def _done_in(self, name: str) -> tuple[Action, ...]:
        return tuple(action for action in self._history.done if action.scene == name)

    def finish(self) -> Reviewed:
        """Bring the decisions into the scene folders, each whole or not at all, and end the review.

        Returns:
            What was changed.

        Raises:
            ValueError: The review is finished already, or nothing was decided.
            OSError: The disk is full; all scenes are as they were, and the review goes on.
        """
        names = tuple(dict.fromkeys(action.scene for action in self._history.done))
        if self._open and not names:
            raise ValueError("finish: expected decisions to bring into the scenes, got none")
        prepared = {}
        for name in names:
            truth = truth_after(self.scene(name), self.state.of_scene(name), self._done_in(name))
            prepared[name] = prepare_scene(self.dataset / name, truth, _next_revision(self.dataset)).sha256
        # From this line on the new scenes are the ones that count, whatever interrupts what follows.
        self._step(self._history, {"do": FINISH, "scenes": prepared})
        put_in_place(self.dataset, prepared)
        notes = (*self.state.notes, *self.state.same_names())
        done = Reviewed(names, self.state.decided, len(self.state.objects), notes, self._journal.archive())
        self.close()
        return done


def _next_revision(dataset: Path) -> int:
    return 1 + len(list(dataset.glob(f"{Path(JOURNAL_FILE).stem}_*.jsonl")))


def _take_objects(folder: Path, asked: dict[Place, ReviewedObject], others: set[Place]) -> None:
    """Add what a person is asked about in a scene, things and doubtful objects, and the places of all else."""
    path = folder / SCENE_FILE
    facts = read_camera_file(path)
    if any(entry.instances is None for entry in facts.views):
        raise ValueError(f"{path}: instances: expected in every view of a labelled scene, got none")
    with named_file(path, "labels and objects"):
        things = labels_of(facts.more).is_thing
        for item in objects_of(facts.more):
            place = folder.name, item.instance_id
            is_stuff = 0 <= item.class_id < len(things) and not things[item.class_id]
            # Void without a box is no object, but whatever else is unknown.
            if is_stuff or (item.is_void and item.box is None):
                others.add(place)
            else:
                asked[place] = ReviewedObject(*place, "" if item.is_void else item.name, item.is_void)
