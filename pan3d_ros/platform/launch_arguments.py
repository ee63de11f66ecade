"""What the launch files do with their arguments. No import of launch, so it can be tested where launch is not installed."""

from __future__ import annotations

from collections.abc import Mapping

# Launch argument -> parameter of the perception node.
PERCEPTION_PARAMETERS = {
    "cameras": "cameras",
    "reference_frame": "reference_frame",
    "model": "model.name",
    "weights": "model.weights",
    "device": "model.device",
    "use_depth": "input.use_depth",
    "static_extrinsics": "transforms.static_file",
    "support_height": "workspace.support_height_m",
    "global_services": "global_services",
    "autostart": "autostart",
    "use_sim_time": "use_sim_time",
}
_LISTS = ("cameras",)
_BOOLEANS = ("use_depth", "global_services", "autostart", "use_sim_time")
_NUMBERS = ("support_height",)


def perception_overrides(arguments: Mapping[str, str]) -> dict[str, object]:
    """Parameters that launch arguments set. An empty argument sets nothing, so the parameter file keeps its say.

    `ValueError` names the argument that cannot be read.
    """
    return {
        parameter: _value(name, arguments[name])
        for name, parameter in PERCEPTION_PARAMETERS.items()
        if arguments.get(name, "").strip()
    }


def camera_names(text: str) -> list[str]:
    """ "front, wrist" -> ["front", "wrist"]."""
    names = [name.strip() for name in text.strip().strip("[]").split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise ValueError(f"cameras: expected different names separated by commas, got '{text}'")
    return names


def simulated_camera_names(count: str) -> list[str]:
    """Names of the cell's cameras."""
    if not count.isdigit() or not 1 <= int(count) <= 16:
        raise ValueError(f"num_cameras: expected 1 to 16, got '{count}'")
    return [f"camera_{index}" for index in range(int(count))]


def _value(name: str, text: str) -> object:
    text = text.strip()
    if name in _LISTS:
        return camera_names(text)
    if name in _BOOLEANS:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name}: expected true or false, got '{text}'")
        return text.lower() == "true"
    if name in _NUMBERS:
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(f"{name}: expected a number, got '{text}'") from error
    return text
