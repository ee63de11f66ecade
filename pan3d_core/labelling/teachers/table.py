"""Teachers by name: what each needs, on whose terms it works, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pan3d_core.labelling.teachers.card import TeacherCard, Terms
from pan3d_core.labelling.teachers.request import TeacherRequest
from pan3d_core.labels import LabelSpace
from pan3d_core.refine.labels.sources import FoundSegments, Labeller, view_labels
from pan3d_core.refine.losses import ViewLabels
from pan3d_core.runtime.files import file_sha256
from pan3d_core.runtime.lazy import load
from pan3d_core.settings import did_you_mean

if TYPE_CHECKING:
    from pan3d_core.labelling.teachers import grounded, lseg, onnx_segmenter, sam


@dataclass(frozen=True)
class OpenedModel:
    """What an adapter makes of files: a model that is asked about one picture after the other."""

    labels: LabelSpace  # things first
    look: Labeller
    features: Callable[[Tensor], Tensor] | None = None  # (3, H, W) RGB 0..1 -> (E, h, w) text-aligned; None: it has none


@dataclass(frozen=True)
class TeacherEntry:
    """A row of the table."""

    place: str  # of its `TeacherOpener`
    gives: str
    files: dict[str, str]  # settings that name files -> what has to be there
    terms: tuple[Terms, ...]
    finds_objects: bool = True  # its masks are of whole objects; else they may be of parts, of the table, or there are none


TeacherOpener = Callable[[TeacherRequest], OpenedModel]
_SAM2 = Terms("SAM 2", "Apache-2.0", "Apache-2.0", "yes", "github.com/facebookresearch/sam2")
_SAM2_FILE = "a checkpoint of SAM 2, such as sam2.1_hiera_large.pt"
TEACHERS: dict[str, TeacherEntry] = {
    "sam2": TeacherEntry(
        "pan3d_core.labelling.teachers.sam:open_automatic",
        "masks of everything in a picture, parts of things among them, without names",
        {"weights": _SAM2_FILE}, (_SAM2,), finds_objects=False,
    ),
    "sam3": TeacherEntry(
        "pan3d_core.labelling.teachers.sam:open_concepts",
        "masks of what the words name",
        {"weights": "a checkpoint of SAM 3"},
        (Terms("SAM 3", "LicenseRef-SAM-License", "LicenseRef-SAM-License", "ask", "github.com/facebookresearch/sam3",
               "the SAM License forbids some uses, and weights are given on request"),),
    ),
    "grounded-sam2": TeacherEntry(
        "pan3d_core.labelling.teachers.grounded:open_grounded",
        "boxes of what the words name by Grounding DINO, and in each the mask of SAM 2",
        {
            "weights": _SAM2_FILE,
            "detector_weights": "a checkpoint of Grounding DINO, such as groundingdino_swint_ogc.pth",
            "detector_config": "Grounding DINO's configuration, such as GroundingDINO_SwinT_OGC.py",
        },
        (Terms("Grounding DINO", "Apache-2.0", "Apache-2.0", "yes", "github.com/IDEA-Research/GroundingDINO",
               "trained on data with terms of their own"), _SAM2),
    ),
    "lseg": TeacherEntry(
        "pan3d_core.labelling.teachers.lseg:open_lseg",
        "a class for every pixel, and features in the space of CLIP's texts",
        {"weights": "LSeg's demo_e200.ckpt, with CLIP's vocab.json and merges.txt beside it where classes are asked for"},
        (Terms("LSeg", "MIT", "MIT", "ask", "github.com/isl-org/lang-seg", "trained on data with terms of their own"),),
        finds_objects=False,
    ),
    "onnx": TeacherEntry(
        "pan3d_core.labelling.teachers.onnx_segmenter:open_onnx",
        "masks or classes of any segmenter in an ONNX file",
        {"weights": "an ONNX file", "config": "a YAML file that says what the model's numbers mean"},
        (Terms("ONNX model", "LicenseRef-unknown", "LicenseRef-unknown", "ask", "a file of yours"),),
    ),
}  # fmt: skip

if TYPE_CHECKING:  # as in the table of engines
    OPENERS: tuple[TeacherOpener, ...] = (
        sam.open_automatic, sam.open_concepts, grounded.open_grounded, lseg.open_lseg, onnx_segmenter.open_onnx,
    )  # fmt: skip


@dataclass(frozen=True)
class LoadedTeacher:
    """A teacher that can be asked about pictures."""

    card: TeacherCard
    labels: LabelSpace  # things first
    look: Labeller  # (3, H, W) RGB float32 0..1 -> what the model says, not checked
    features: Callable[[Tensor], Tensor] | None
    finds_objects: bool
    min_pixels: int

    @property
    def name(self) -> str:
        """Which teacher it is."""
        return self.card.teacher

    def __call__(self, image: Tensor, name: str = "picture") -> ViewLabels:
        """Look at one picture.

        Args:
            image: (3, H, W) RGB 0..1.
            name: Of the picture, for errors.

        Returns:
            What is in it, every pixel in one mask at most; without masks where nothing was found.

        Raises:
            ValueError: The model's answer has another shape, kind or range than it should; names picture and field.
        """
        where = f"{name}: teacher {self.name}"
        try:
            with torch.no_grad():
                found = self.look(image)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if not isinstance(found, FoundSegments):
            raise ValueError(f"{where}: expected FoundSegments of the model, got {type(found).__name__}")
        made = view_labels(image, found, self.labels, where)
        large = made.masks.flatten(1).sum(-1) >= self.min_pixels
        void = made.masks[~large].any(0)
        semantics = torch.where(void, -1, made.semantics)
        return replace(made, masks=made.masks[large], class_id=made.class_id[large], semantics=semantics)


def entry_of(name: str) -> TeacherEntry:
    """Find the row of a teacher.

    Args:
        name: A key of `TEACHERS`.

    Returns:
        Its row.

    Raises:
        ValueError: There is none of this name; the nearest is suggested.
    """
    if name not in TEACHERS:
        raise ValueError(f"teacher: expected one of {', '.join(TEACHERS)}, got {name!r}{did_you_mean(name, TEACHERS)}")
    return TEACHERS[name]


def terms_of(request: TeacherRequest) -> tuple[Terms, ...]:
    """Look up on whose terms a teacher works; nothing is opened.

    Args:
        request: Name, and terms of the weights where their owner states them.

    Returns:
        Terms of each model that takes part.

    Raises:
        ValueError: There is no teacher of this name.
    """
    terms = entry_of(request.name).terms
    if not request.weights_licence:
        return terms
    if request.name != "onnx":
        raise ValueError(f"weights_licence: expected none for {request.name}, whose terms are known, got one")
    return tuple(replace(item, weights=request.weights_licence) for item in terms)


def card_of(request: TeacherRequest) -> TeacherCard:
    """Describe who will label, from which files; nothing is opened.

    Args:
        request: As for `build_teacher`.

    Returns:
        The card, with the sums of the files.

    Raises:
        TeacherUnavailable: A file is not there.
        ValueError: There is no teacher of this name.
    """
    entry = entry_of(request.name)
    paths = {field: request.file(field, what) for field, what in entry.files.items()}
    labels = request.labels
    settings = {name: value for name, value in asdict(request).items() if name in ("min_score", "min_pixels")}
    if request.config and "config" not in entry.files:
        settings["config"] = request.config
    files = {field: {"name": path.name, "sha256": file_sha256(path)} for field, path in paths.items()}
    things = labels.names[: len(request.things)]
    return TeacherCard(request.name, terms_of(request), things, request.stuff, settings, files)


def build_teacher(request: TeacherRequest) -> LoadedTeacher:
    """Open a teacher.

    Args:
        request: Which one, its files, and what it is asked for.

    Returns:
        The teacher, ready to be asked.

    Raises:
        TeacherUnavailable: A file or a package is not here; the message says which, and where it comes from.
        ValueError: There is no teacher of this name, files are of another kind, or it needs words and has none.
    """
    entry, card = entry_of(request.name), card_of(request)
    opener: TeacherOpener = load(entry.place)
    opened = opener(request)
    return LoadedTeacher(card, opened.labels, opened.look, opened.features, entry.finds_objects, request.min_pixels)
