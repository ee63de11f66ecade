"""Adaptive density of the Gaussians (Kerbl et al. 2023, section 5.2), by gsplat's `DefaultStrategy`.

Gaussians whose place on the image the colours pull at are doubled where they are small and split where they are large, those
that became transparent are dropped. What is new has the features of what it came from, so labels learnt so far stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from pan3d_core.refine.model import FEATURE_PARAMETERS, PanopticMap
from pan3d_core.rendering.rasterizer import OnScreen

STRATEGIES = ("auto", "gsplat", "none")
# By which names gsplat's strategies know what they change; everything else they copy.
GSPLAT_NAMES = {"quats_wxyz": "quats", "log_scales": "scales", "opacity_logits": "opacities"}
COUNTING, CHANGING = 1, 2  # the two readings of the clock that its strategy is shown, which acts at even ones


@dataclass(frozen=True)
class DensitySettings:
    """When and where the number of Gaussians changes. Numbers are those of 3D Gaussian splatting unless assumed."""

    strategy: str = "auto"  # "gsplat", "none", or "auto": gsplat on a GPU where it is installed, else a fixed number
    begin: float = 500 / 30_000  # share of the run, as `end`
    end: float = 15_000 / 30_000
    every: int = 100  # steps
    grow_gradient: float = 2e-4  # mean pull on a Gaussian from which it grows, in half images
    split_scale: float = 0.01  # of the scene's radius: larger ones are split, smaller ones doubled
    prune_opacity: float = 0.005
    max_gaussians: int = 1_000_000  # assumed: from here on none are added or dropped
    # Steps after which opacities are set back to twice `prune_opacity`, 0 = never: runs of hundreds of steps do not recover.
    # 3D Gaussian splatting has 3000.
    reset_every: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"DensitySettings.strategy: expected one of {', '.join(STRATEGIES)}, got {self.strategy!r}")
        if not 0 <= self.begin <= self.end <= 1:
            raise ValueError(f"DensitySettings.begin, end: expected 0 <= begin <= end <= 1, got {self.begin:g}, {self.end:g}")
        if self.reset_every < 0:
            raise ValueError(f"DensitySettings.reset_every: expected 0 or more, got {self.reset_every}")
        if self.every < 1 or self.max_gaussians < 1:
            got = f"{self.every}, {self.max_gaussians}"
            raise ValueError(f"DensitySettings.every, max_gaussians: expected at least 1 of each, got {got}")

    def changes(self, device: torch.device) -> bool:
        """Whether the number changes on this device. Raises `RuntimeError` where gsplat is asked for and not installed."""
        installed = find_spec("gsplat") is not None
        if self.strategy == "gsplat" and not installed:
            raise RuntimeError("DensitySettings.strategy: gsplat is not installed; install pan3d with the extra `gs`")
        return self.strategy == "gsplat" or (self.strategy == "auto" and device.type == "cuda" and installed)


class DensityControl:
    """Counts how the images pull at the Gaussians of `model`, and changes their number, with the moments of `optimizer`, in
    place. The optimiser has a group by the name of each parameter of the Gaussians."""

    def __init__(
        self, model: PanopticMap, optimizer: torch.optim.Optimizer, settings: DensitySettings, radius_m: float, seed: int
    ) -> None:
        self._model, self._optimizer, self._settings, self._seed = model, optimizer, settings, seed
        self._strategy: Any = None
        self.state: dict[str, Any] = {}
        if settings.changes(model.means.device):
            from gsplat import DefaultStrategy

            self._strategy = DefaultStrategy(
                prune_opa=settings.prune_opacity,
                grow_grad2d=settings.grow_gradient,
                grow_scale3d=settings.split_scale,
                refine_start_iter=0,
                refine_every=CHANGING,
            )
            self.state = self._strategy.initialize_state(radius_m)

    def after_step(self, screen: OnScreen, image_hw: tuple[int, int], step: int, share: float) -> None:
        """After a step, counted from 1, at a share of the run: the model may have other Gaussians then."""
        settings, model = self._settings, self._model
        if self._strategy is None or not settings.begin <= share <= settings.end or len(model.means) >= settings.max_gaussians:
            return
        due = step % settings.every == 0
        names = (*model.gaussian_parameters, *FEATURE_PARAMETERS)
        groups, moments = {group["name"]: group for group in self._optimizer.param_groups}, self._optimizer.state
        parameters = {GSPLAT_NAMES.get(name, name): getattr(model, name) for name in names}
        # Each parameter has a group of its own in one optimiser, where gsplat expects an optimiser for each.
        optimizers = {GSPLAT_NAMES.get(name, name): SimpleNamespace(param_groups=[groups[name]], state=moments) for name in names}
        devices = [model.means.device] if model.means.is_cuda else []
        with torch.random.fork_rng(devices=devices):  # where parts of a split Gaussian go is drawn
            torch.manual_seed(self._seed * 1_000_003 + step)
            clock = CHANGING if due else COUNTING
            self._strategy.step_post_backward(parameters, optimizers, self.state, clock, self._pulls(screen, image_hw))
        for name in names if due else ():
            setattr(model, name, parameters[GSPLAT_NAMES.get(name, name)])
        if settings.reset_every and step % settings.reset_every == 0:
            set_back_opacities(model, self._optimizer, 2 * settings.prune_opacity)

    def _pulls(self, screen: OnScreen, image_hw: tuple[int, int]) -> dict[str, Any]:
        """What gsplat's rasteriser would have said of the step."""
        means = self._model.means
        gradients, radii = means.new_zeros(1, len(means), 2), means.new_zeros(1, len(means), 2)
        gradients[0, screen.rows] = screen.gradients()
        radii[0, screen.rows] = 1.0  # only whether there is one counts
        places = torch.zeros_like(gradients)
        places.grad = gradients
        return {
            "means2d": places, "radii": radii, "gaussian_ids": None, "n_cameras": 1, "width": image_hw[1], "height": image_hw[0]
        }  # fmt: skip


@torch.no_grad()
def set_back_opacities(model: PanopticMap, optimizer: torch.optim.Optimizer, most: float) -> None:
    """Give no Gaussian more opacity than `most`, and let the optimiser forget how opacities moved."""
    model.opacity_logits.clamp_(max=math.log(most / (1 - most)))
    for value in optimizer.state.get(model.opacity_logits, {}).values():
        if isinstance(value, Tensor) and value.shape == model.opacity_logits.shape:
            value.zero_()


def stored_state(state: dict[str, Any]) -> dict[str, Tensor]:
    """The counts of a `DensityControl`, for a checkpoint."""
    return {name: value.cpu() for name, value in state.items() if isinstance(value, Tensor)}
