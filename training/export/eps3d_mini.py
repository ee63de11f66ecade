"""`pan3d-mini-eps3d`: averaged weights as the file that its engine loads, "none of these" calibrated, and the model card."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from pan3d_core.engines.mini import EPS3D, fold_batch_norms, read_checkpoint
from pan3d_core.models.mini.eps3d import Eps3dMini
from pan3d_eval.metrics.none_fitting import fit_none, none_calibration
from training.data.arrays import ShardSet
from training.data.targets.teachers import STUFF, CellTeacher, agreed_half, cell_classes, cell_teacher
from training.data.targets.text import TextTargets, load_text_targets
from training.export.mini import export_weights, run_facts
from training.export.model_card import joined_logs, write_card
from training.export.request import ExportRequest
from training.judge.gaussians import evaluate_eps3d, show_scene

_log = logging.getLogger("pan3d.training")

CALIBRATION_SCENES = 40  # the last ones of the held-out data, on which no figure is taken
PIXELS_PER_CLASS = 60  # and scene, so that the table does not decide what is none of all things


def exported_network(path: Path) -> Eps3dMini:
    """The network of an exported file, as the engine reads it."""
    model = read_checkpoint(path, EPS3D).model
    if not isinstance(model, Eps3dMini):
        raise ValueError(f"weights: expected {EPS3D}, got {path} with {type(model).__name__}")
    return model


def measure(out: Path, validation: ShardSet, text: TextTargets, teacher: CellTeacher, scenes: int) -> dict[str, dict]:
    """Figures of the exported file itself, read back as the engine reads it."""
    model = exported_network(out)
    fold_batch_norms(model)
    cases = {"3 views, cameras known": True, "3 views, poses unknown": False}
    return {
        name: asdict(evaluate_eps3d(model, validation, text, teacher, scenes=scenes, posed=posed))
        for name, posed in cases.items()
    }


def text_space_facts(cosines: Tensor, truth: Tensor) -> dict[str, float]:
    """Temperature and the cosine of "none of these", fitted on pixels: their own class is among the texts, then not."""
    rows = with_and_without(cosines, truth)
    temperature, none_similarity = fit_none(*rows)
    error = none_calibration(*rows, temperature, none_similarity).ece
    _log.info("none of these: cosine %.3f, temperature %.3f, calibration error %.3f", none_similarity, temperature, error)
    return {"temperature": temperature, "none_similarity": none_similarity}


@torch.no_grad()
def rendered_cosines(model: Eps3dMini, validation: ShardSet, text: TextTargets, teacher: CellTeacher) -> tuple[Tensor, Tensor]:
    """Cosines (N, T) of rendered pixels of the calibration scenes with the plain names of all classes, and true classes (N,).

    One word each, as people ask for things: the mean of all names of a kind is nearer to what was learnt.
    """
    first = [int(torch.nonzero(text.kind == k)[0, 0]) for k in range(len(text.kinds))]
    texts = torch.cat([text.embeddings[first], teacher.stuff_embeddings])
    cosines, truth = [], []
    for index in range(max(0, len(validation) - CALIBRATION_SCENES), len(validation)):
        shown = show_scene(model, validation, index, posed=True)
        classes = agreed_half(cell_classes(shown.batch, len(text.kinds))[0]).flatten()
        generator = torch.Generator().manual_seed(index)
        rows = torch.randperm(len(classes), generator=generator)
        rows = torch.cat([rows[classes[rows] == own][:PIXELS_PER_CLASS] for own in range(len(texts))])
        features = torch.nn.functional.avg_pool2d(shown.views.semantics, 2).movedim(1, -1).flatten(0, 2)[rows]
        cosines.append(model.text_decoder.cosines(features, texts))
        truth.append(classes[rows])
    return torch.cat(cosines), torch.cat(truth)


def with_and_without(cosines: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines (N, T) and true classes (N,) -> (2 N, T) and which text is there (2 N, T): as they are, and with the own class's
    text taken out of the list, when none is there."""
    there = torch.nn.functional.one_hot(truth, cosines.shape[1]).bool()
    return torch.cat([cosines, cosines.masked_fill(there, -1.0)]), torch.cat([there, torch.zeros_like(there)])


def export_eps3d_mini(state: dict, request: ExportRequest) -> None:
    """Weights with the embeddings of known names and stuff, figures of the file itself and the card."""
    text = load_text_targets(request.data / "text_embeddings.npz")
    teacher, validation = cell_teacher(text, request.data), ShardSet(request.data / "val")
    earlier = [run_facts(own, text, validation) for own in request.earlier_states()]
    facts = {**run_facts(state, text, validation), "earlier": earlier}
    stuff = dict(zip(STUFF, teacher.stuff_embeddings, strict=True))
    export_weights(state, text, facts, request.out, stuff=stuff)
    facts["text_space"] = text_space_facts(*rendered_cosines(exported_network(request.out), validation, text, teacher))
    scenes = min(request.scenes, max(1, len(validation) - CALIBRATION_SCENES))
    facts["figures"] = measure(request.out, validation, text, teacher, scenes)
    export_weights(state, text, facts, request.out, stuff=stuff)
    write_card(request.out, joined_logs(request.logs()), request.out.with_suffix(".md"))
