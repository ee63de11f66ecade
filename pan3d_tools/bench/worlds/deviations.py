"""The model of `pan3d_core.assembly.uncertainty` fitted to errors of found objects, and judged in worlds that were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from pan3d_core.assembly.uncertainty import USUAL_NAME, USUAL_VIEWS, PlaceErrors

Floats = npt.NDArray[np.float64]

START = (0.004, 0.06, 1.0, 1.5)  # of all, of extent, of doubt, of a name that is not certain
ROUNDS = 3000


@dataclass(frozen=True)
class Errors:
    """Of one found object, along the axes of its box."""

    score: float
    class_score: float
    views: int
    size_m: tuple[float, ...]
    place_m: tuple[float, ...]
    sides_m: tuple[float, ...]
    place_sigma_m: tuple[float, ...]
    sides_sigma_m: tuple[float, ...]


def fitted(errors: Sequence[Errors], name: str) -> PlaceErrors:
    """Fit the model by maximum likelihood.

    Args:
        errors: Of found objects.
        name: "place_m" or "sides_m".

    Returns:
        The model.
    """
    terms, off = _terms(errors), np.array([getattr(item, name) for item in errors]) ** 2

    def loss(logs: Floats) -> float:
        variance = _variance(np.exp(logs), terms)
        return float(np.mean(np.log(variance) + off / variance))

    best = minimize(loss, np.log(START), method="Nelder-Mead", options={"maxiter": ROUNDS, "maxfev": ROUNDS})
    of_all, of_extent, of_doubt, of_name = np.exp(best.x)
    certain = 1.0 + of_name * (1.0 - USUAL_NAME)  # the fit counts from a certain name, the model from a usual one
    return PlaceErrors(of_all * certain, of_extent * certain, of_doubt / certain, of_name / certain)


def left_out(worlds: Mapping[str, Sequence[Errors]], name: str) -> dict[str, dict[str, float]]:
    """Judge in each world the model that is fitted to the others.

    Args:
        worlds: Errors in each.
        name: "place_m" or "sides_m".

    Returns:
        Of each world, and of all together, the mean normalized error squared per axis, and the share beyond two deviations.
    """
    found = {}
    for world, own in worlds.items():
        others = [item for other, errors in worlds.items() if other != world for item in errors]
        if own and others:
            model, doubt = fitted(others, name), _terms(own)
            certain = 1.0 - model.of_name * (1.0 - USUAL_NAME)
            plain = (model.of_all_m * certain, model.of_extent * certain, model.of_doubt / certain, model.of_name / certain)
            found[world] = np.array([getattr(item, name) for item in own]) ** 2 / _variance(np.array(plain), doubt)
    every = {**found, "all": np.concatenate(list(found.values()))} if found else {}
    return {world: {"mean": float(rows.mean()), "beyond 2 sigma": float((rows > 4).mean())} for world, rows in every.items()}


def _terms(errors: Sequence[Errors]) -> tuple[Floats, Floats, Floats, Floats]:
    """(N, 3) sizes, and (N, 1) doubt of the object, doubt of the name, and what few views do to a variance."""
    rows = np.array([[1 - item.score, 1 - item.class_score, (USUAL_VIEWS / max(item.views, 1)) ** 0.5] for item in errors])
    return np.array([item.size_m for item in errors]), rows[:, :1], rows[:, 1:2], rows[:, 2:]


def _variance(model: Floats, terms: tuple[Floats, Floats, Floats, Floats]) -> Floats:
    size, doubt, nameless, few = terms
    grown: Floats = (model[0] ** 2 + (model[1] * size) ** 2) * (1 + model[2] * doubt + model[3] * nameless) ** 2 * few
    return grown
