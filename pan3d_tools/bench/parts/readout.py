"""`pan3d bench readout`: objects from rendered instance features, by clustering pixels as published and by cells.

Features are made up, with known instances: every object has a direction of its own, and every pixel has a length and noise of its
own. Scenes "sharp" have nothing else, which suits a clustering by density. "blurred": borders are mixtures, as rendering makes
them, directions drift within an object, and every fourth object has one close by; "noisy": that with twice the noise. Both read
the same maps in turns, `cpu_s` being the fair time on a machine that does other work beside. `f1` is the mean over the true
instances of the F1 of the pixels of the one found instance matched to each, 0 for those without.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from pan3d_core.models.eps3d.readout import READOUTS, PixelInstances
from pan3d_tools.bench.official.turns import Clock, take_turns

TARGETS = {"times": 20.0}  # at least; `f1` of the cells at least that of the pixels


@dataclass(frozen=True)
class FeatureScene:
    """What is made up; strengths are lengths beside the unit direction of an object."""

    views: int = 4
    image_hw: tuple[int, int] = (112, 112)
    objects: int = 24
    channels: int = 32
    noise: float = 0.2
    blur: int = 3  # odd; pixels along a side that are averaged, 1 = none
    drift: float = 0.2
    close_by: float = 0.8  # cosine of the direction of every fourth object with that of the one before


SCENES = {
    "sharp": FeatureScene(blur=1, drift=0.0, close_by=0.0),
    "blurred": FeatureScene(),
    "noisy": FeatureScene(noise=0.4),
}


def made_up(scene: FeatureScene, seed: int) -> tuple[Tensor, Tensor]:
    """Feature maps (V, D, H, W) and the true instances (V, H, W), 1, 2, ..."""
    generator = torch.Generator().manual_seed(seed)
    directions = F.normalize(torch.randn(scene.objects, scene.channels, generator=generator), dim=-1)
    for index in range(3, scene.objects, 4):
        other = directions[index] - (directions[index] @ directions[index - 1]) * directions[index - 1]
        across = (1 - scene.close_by**2) ** 0.5
        directions[index] = scene.close_by * directions[index - 1] + across * F.normalize(other, dim=-1)
    ids = torch.stack([_view(scene, seed, generator) for _ in range(scene.views)])
    one_hot = F.one_hot(ids, scene.objects).movedim(-1, 1).float()
    blurred = F.avg_pool2d(F.pad(one_hot, (scene.blur // 2,) * 4, mode="replicate"), scene.blur, stride=1)
    features = torch.einsum("vkhw,kd->vdhw", blurred, directions)
    shape = (scene.views, scene.channels, *scene.image_hw)
    slow = torch.randn(scene.views, scene.channels, 4, 4, generator=generator)
    features += scene.drift / scene.channels**0.5 * F.interpolate(slow, size=shape[2:], mode="bicubic")
    features += scene.noise / scene.channels**0.5 * torch.randn(shape, generator=generator)
    return features * (0.5 + torch.rand(scene.views, 1, *shape[2:], generator=generator)), ids + 1


def _view(scene: FeatureScene, seed: int, generator: torch.Generator) -> Tensor:
    """(H, W) objects: cells about their centres, which every view shows elsewhere; later objects are smaller."""
    places = torch.rand(scene.objects, 2, generator=torch.Generator().manual_seed(seed + 1))
    places = places + 0.15 * torch.randn(scene.objects, 2, generator=generator)
    rows, columns = (torch.linspace(0, 1, side) for side in scene.image_hw)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    size = torch.linspace(1.0, 0.0, scene.objects) * 0.06
    return ((grid[:, :, None] - places).square().sum(-1) - size).argmin(-1)


def mean_f1(found: Tensor, truth: Tensor) -> float:
    """Mean over the true instances of the F1 of their pixels with those of the found instance matched to each."""
    known, true_row = truth.flatten().unique(return_inverse=True)
    seen, found_row = found.flatten().unique(return_inverse=True)
    both = torch.zeros(len(known), len(seen), dtype=torch.float64)
    both.index_put_((true_row, found_row), torch.ones(len(true_row), dtype=torch.float64), accumulate=True)
    f1 = 2 * both / (both.sum(1, keepdim=True) + both.sum(0))
    f1[:, seen == 0] = 0.0
    of_known = f1[known > 0].numpy()
    return float(of_known[linear_sum_assignment(of_known, maximize=True)].sum() / len(of_known))


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="pan3d bench readout", description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2, help="scenes of each kind (default: %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=tuple(SCENES), default=list(SCENES), help="default: all")
    parser.add_argument("--views", type=int, default=4, help="views of each (default: %(default)s)")
    parser.add_argument("--size", type=int, default=112, help="pixels along a side (default: %(default)s; 4 views: 50,176)")
    parser.add_argument("--objects", type=int, default=24, help="objects (default: %(default)s)")
    arguments = parser.parse_args(argv)
    for name in ("scenes", "views", "objects"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(arguments, name)}")
    if arguments.size < 16:
        parser.error(f"--size: expected at least 16, got {arguments.size}")
    return arguments


def compare(scene: FeatureScene, seeds: range) -> dict:
    """Processor seconds, objects and F1 of both readers, means over the scenes, and how many times as long the first takes."""
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in READOUTS}
    for seed in seeds:
        maps, truth = made_up(scene, seed)
        results: dict[str, PixelInstances] = {}

        def read(clock: Clock, name: str, maps: Tensor, seed: int, results: dict[str, PixelInstances]) -> None:
            results[name] = READOUTS[name](maps, torch.Generator().manual_seed(seed))
            clock.mark("read")

        works = {name: partial(read, name=name, maps=maps, seed=seed, results=results) for name in READOUTS}
        for name, parts in take_turns(works, 1).items():
            found = results[name]
            rows[name].append((parts["whole"]["cpu_s"], float(len(found.prototypes)), mean_f1(found.instance_id, truth)))
    keys = ("cpu_s", "objects", "f1")
    means = {name: dict(zip(keys, np.mean(values, axis=0).tolist(), strict=True)) for name, values in rows.items()}
    return {**means, "times": means["pixels"]["cpu_s"] / means["cells"]["cpu_s"]}


@torch.inference_mode()
def run(argv: list[str]) -> dict:
    """For each kind of scene: `pixels`, `cells`, and how many times as long the first takes (`times`)."""
    arguments = parse(argv)
    size = {"views": arguments.views, "image_hw": (arguments.size, arguments.size), "objects": arguments.objects}
    seeds = range(arguments.scenes)
    result: dict = {"samples": min(50_000, arguments.views * arguments.size**2), "objects": arguments.objects, "targets": TARGETS}
    for kind in arguments.kinds:
        result[kind] = compare(replace(SCENES[kind], **size), seeds)
    return result
