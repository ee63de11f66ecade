"""Networks beside each other in several held-out worlds, and in each of them with harder light, colour, cameras and supports.

python -m training.judge.worlds --world cell=DIR --world surfaces=DIR --network pan3d_core/weights/pan3d-mini.safetensors \\
    --network RUN/last.pt --scenes 60

DIR holds val/ as `pan3d sim render --shards` writes it. Pictures are brought to the size that a weight file is for.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from pan3d_core.engines.mini import build_network, engine_of, read_checkpoint
from pan3d_core.models.mini.calibration import MiniInputs
from pan3d_core.models.mini.decode import ScoreCalibration
from training.data.arrays import SceneBatch, ShardSet
from training.data.augment import AugmentConfig, Noise, disturb_poses, plain_inputs
from training.data.repaint import LUMA, repaint
from training.data.resize import resize_batch
from training.data.sources.draws import generator_from
from training.data.targets.text import TextTargets, encode_descriptions
from training.judge.objects import MiniFigures, Vary, answered, measured, object_network, unvaried
from training.run.checkpoints import read_state
from training.run.refusing import refusing


def painted(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """Tables and surroundings of any colour and print."""
    changed = repaint(batch, 1.0, 0.0, generator_from(seed, 1))
    return changed, replace(inputs, images=changed.images)


def gray(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """Pictures without colour."""
    brightness = torch.einsum("c,bschw->bshw", batch.images.new_tensor(LUMA), batch.images)
    return batch, replace(inputs, images=brightness[:, :, None].expand_as(batch.images))


def poorly_calibrated(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """Every camera about a centimetre and a degree off."""
    config = AugmentConfig(pose_noise=Noise((1.0,), (0.01 / math.sqrt(3),)), pose_noise_rad_per_m=math.radians(1) / 0.01)
    return batch, replace(inputs, cam_from_world=disturb_poses(inputs.cam_from_world, config, generator_from(seed, 2)))


def higher_support(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """A support that is said to be 5 cm higher than it is."""
    return batch, replace(inputs, support_height=inputs.support_height + 0.05)


def unposed(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
    """Cameras that are not known."""
    return batch, plain_inputs(batch, posed=False)


VARIATIONS: Mapping[str, Vary] = {
    "as it is": unvaried, "painted": painted, "grey": gray, "1 cm and 1 degree off": poorly_calibrated,
    "support 5 cm off": higher_support, "no poses": unposed,
}  # fmt: skip


@dataclass(frozen=True)
class Judged:
    """One network, by the name of its file."""

    name: str
    model: nn.Module
    image_hw: tuple[int, int] | None  # None: that of the scenes
    scores: ScoreCalibration | None = None  # of a weight file

    @classmethod
    def read(cls, path: Path) -> Judged:
        """From a weight file or a training checkpoint (its averaged weights)."""
        if path.suffix == ".safetensors":
            checkpoint = read_checkpoint(path, engine_of(path))
            size = (checkpoint.preprocess.height, checkpoint.preprocess.width)
            return cls(path.name, object_network(checkpoint.model), size, checkpoint.scores)
        state = read_state(path)
        model = object_network(build_network(state["family"], state["architecture"]))
        model.load_state_dict(state["ema"])
        return cls(f"{path.parent.name}/{path.name}, step {state['step']}", model, None)

    def figures(self, shards: ShardSet, text: TextTargets, vary: Vary, scenes: int) -> MiniFigures:
        """Measure the network in one world under one variation."""
        network, shown = object_network(self.model), self.sized(vary)
        answers = answered(network, shards, scenes=scenes, posed=True, bfloat16=False, vary=shown)
        return measured(answers, text, self.scores).figures()

    def sized(self, vary: Vary) -> Vary:
        """The variation, of scenes at this network's size."""

        def shown(batch: SceneBatch, inputs: MiniInputs, seed: int) -> tuple[SceneBatch, MiniInputs]:
            sized = batch if self.image_hw is None else resize_batch(batch, self.image_hw)
            return vary(sized, plain_inputs(sized, posed=True), seed)

        return shown


def world_row(world: str, variation: str, name: str, figures: MiniFigures) -> str:
    """A row of the table."""
    numbers = (figures.ap50, figures.ap25, figures.abs_rel_objects, figures.kind_accuracy, figures.ece)
    return f"| {world} | {variation} | {name} | " + " | ".join(format(value, ".3f") for value in numbers) + " |"


def world_table(
    worlds: Mapping[str, Path], networks: Iterable[Judged], scenes: int, variations: Mapping[str, Vary] = VARIATIONS
) -> Iterable[str]:
    """Yield the lines of a Markdown table as they are measured.

    Args:
        worlds: Folders with val/, by name.
        networks: To be compared.
        scenes: Of each world, the first ones.
        variations: Of each world.

    Yields:
        Lines.
    """
    networks = list(networks)
    yield "| world | variation | network | AP50 | AP25 | AbsRel objects | kinds named | ECE |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    for world, folder in worlds.items():
        shards = ShardSet(folder / "val")
        text = encode_descriptions(shards.vocabulary())
        for variation, vary in variations.items():
            for network in networks:
                yield world_row(world, variation, network.name, network.figures(shards, text, vary, scenes))


def worlds_and_networks(description: str) -> argparse.ArgumentParser:
    """Return the options by which commands that judge networks in worlds are told of both."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--network", action="append", required=True, type=Path, help="a weight file or a training checkpoint")
    parser.add_argument("--scenes", type=int, default=60)
    return parser


def folders_by_name(worlds: Iterable[str]) -> dict[str, Path]:
    """Read values of `--world`."""
    return {name: Path(folder) for name, _, folder in (text.partition("=") for text in worlds)}


def main() -> None:
    """Command line entry."""
    parser = worlds_and_networks(__doc__)
    parser.add_argument("--variation", action="append", choices=sorted(VARIATIONS), help="default: all")
    arguments = parser.parse_args()
    chosen = {name: VARIATIONS[name] for name in arguments.variation or VARIATIONS}
    networks = [Judged.read(path) for path in arguments.network]
    for line in world_table(folders_by_name(arguments.world), networks, arguments.scenes, chosen):
        print(line, flush=True)


if __name__ == "__main__":
    with refusing("worlds"):
        main()
