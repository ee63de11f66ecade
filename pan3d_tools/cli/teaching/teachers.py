"""Options of commands that ask 2D models of others, and what is shown of their terms before they are opened."""

from __future__ import annotations

import argparse

from pan3d_core.labelling.teachers import TEACHERS, LoadedTeacher, TeacherRequest, build_teacher, terms_of
from pan3d_tools.cli.options import class_names


def add_teacher_options(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Options that choose a teacher and its files.

    Args:
        parser: Of the command.
        required: Whether there has to be one.
    """
    teachers = parser.add_argument_group("a 2D model of others (docs/teachers.md)")
    teachers.add_argument("--teacher", required=required, metavar="NAME", help=f"one of {', '.join(TEACHERS)}")
    for name, words in (
        ("weights", "its checkpoint, or an ONNX file"),
        ("config", "sam2: configuration by name; onnx: a YAML file that says what the model's numbers mean"),
        ("licence", "onnx: terms of the weights, as their owner states them"),
    ):
        teachers.add_argument(f"--teacher-{name}", default="", metavar="TEXT" if name == "licence" else "FILE", help=words)
    for name in ("weights", "config"):
        teachers.add_argument(f"--detector-{name}", default="", metavar="FILE", help=f"grounded-sam2: {name} of Grounding DINO")
    teachers.add_argument("--things", default="", metavar="A,B", help="words for what is counted")
    teachers.add_argument("--stuff", default="", metavar="A,B", help="words for what is not counted, such as wall,floor")
    teachers.add_argument("--min-score", type=float, metavar="P", help="masks below are left out (default: as published)")
    teachers.add_argument(
        "--min-pixels", type=int, default=TeacherRequest().min_pixels, metavar="N",
        help="of a mask, at least (default: %(default)s)",
    )  # fmt: skip


def teacher_request(options: argparse.Namespace) -> TeacherRequest:
    """What the options ask for."""
    return TeacherRequest(
        name=options.teacher,
        things=tuple(class_names(options.things)),
        stuff=tuple(class_names(options.stuff)),
        weights=options.teacher_weights,
        config=options.teacher_config,
        detector_weights=options.detector_weights,
        detector_config=options.detector_config,
        min_score=options.min_score,
        min_pixels=options.min_pixels,
        weights_licence=options.teacher_licence,
        device=options.device or "auto",
    )


def open_teacher(options: argparse.Namespace, *, whole_objects: bool = False) -> LoadedTeacher | None:
    """Show the terms of a teacher, then open it.

    Args:
        options: Those of `add_teacher_options`, and `device`.
        whole_objects: Refuse one whose masks may be of anything.

    Returns:
        The teacher; None where none is asked for.

    Raises:
        ValueError: It cannot be opened, or is of the wrong kind.
    """
    if options.teacher is None:
        return None
    request = teacher_request(options)
    for terms in terms_of(request):
        print(terms.said(), flush=True)
    if whole_objects and not TEACHERS[request.name].finds_objects:
        fit = ", ".join(name for name, entry in TEACHERS.items() if entry.finds_objects)
        raise ValueError(f"--teacher: expected one whose masks are of whole objects, {fit}, got {request.name}")
    return build_teacher(request)
