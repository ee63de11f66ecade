"""Parameters of the wrong type, out of their limits, fixed, or that there are not."""

from __future__ import annotations

from typing import Any

from pan3d_tools.stress.faults import Fault, ParameterFault

FAMILY = "parameters"


def refused(parameter: str, value: Any, words: str = "") -> ParameterFault:
    """A value that the node must not take."""
    return ParameterFault(FAMILY, f"{parameter} = {value!r}", parameter, value, words or parameter.rsplit(".", 1)[-1])


def fixed(parameter: str, value: Any) -> ParameterFault:
    """A value that would do, were the node not configured."""
    return refused(parameter, value, "fixed while the node is configured")


def unknown(parameter: str, value: Any = 1.0) -> ParameterFault:
    """A name that is no parameter."""
    return refused(parameter, value, "no parameter|did you mean|not declared")


FAULTS: tuple[Fault, ...] = (
    refused("input.max_rate_hz", -1.0),
    refused("input.max_rate_hz", "fast", "type|max_rate_hz"),
    refused("input.max_image_age_s", 1e9),
    refused("service.max_age_s", 0.0),
    refused("service.timeout_s", -5.0),
    refused("service.min_probability", 1.5),
    refused("service.min_probability", True, "type|min_probability"),
    refused("watchdog.inference_timeout_s", 0.0),
    refused("merge.min_points", -3),
    refused("merge.min_points", 2.5, "type|min_points"),
    refused("workspace.support_height_m", 1e9, "support_height_m"),
    refused("publish.cloud", 1, "type|cloud"),
    fixed("cameras", ["left"]),
    fixed("reference_frame", "world"),
    fixed("model.name", "pan3d-mini"),
    fixed("input.use_depth", False),
    fixed("input.qos", "reliable"),
    fixed("sync.slop_s", 0.2),
    fixed("sync.policy", "latest_partial"),
    fixed("transforms.source", "none"),
    fixed("camera.left.image_topic", "elsewhere"),
    fixed("watchdog.period_s", 0.5),
    fixed("refine.folder", "elsewhere"),
    unknown("sync.slop"),
    unknown("workspace.support_hight_m"),
    unknown("camera.fornt.rectified", True),
)
