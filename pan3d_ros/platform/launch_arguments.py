"""What the launch files do with their arguments. No import of launch, so it can be tested where launch is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pan3d_core.settings import did_you_mean

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


def parameter_sources(defaults_file: str, arguments: Mapping[str, str]) -> list[str | dict[str, object]]:
    """Line up what sets parameters of the perception node; later entries win, as launch_ros hands them over.

    Defaults are a file with a section `/**`, as a dictionary would become one for the node's full name, which ROS puts above
    every `/**` of a user's file, whatever their order.

    Args:
        defaults_file: What holds where nobody says anything else.
        arguments: Launch argument -> text; an empty one sets nothing. `params_file` may be several, separated by commas.

    Returns:
        Paths of parameter files, and at last parameter -> value of the arguments.

    Raises:
        ValueError: Names the argument that cannot be read. A file that is missing is one: launch would go on without it.
    """
    files = [_parameter_file(name) for name in arguments.get("params_file", "").split(",") if name.strip()]
    sources: list[str | dict[str, object]] = [defaults_file, *files, perception_overrides(arguments)]
    return [source for source in sources if source]


def refuse_unknown_arguments(launch_file: str, given: Sequence[str], declared: Iterable[str], command: Sequence[str]) -> None:
    """Refuse arguments that launch would take without a word, as `modle:=da3`.

    Args:
        launch_file: Path of the file that declares the arguments.
        given: The launch's own command line, `name:=value` each.
        declared: Names that there are.
        command: The process's command line. A launch file that another one includes is not in it, and the arguments are not
            its own then.

    Raises:
        ValueError: An argument is unknown; names the one that was meant.
    """
    if Path(launch_file).name not in (Path(word).name for word in command):
        return
    known = list(declared)
    for name in (word.partition(":=")[0] for word in given if ":=" in word):
        if name not in known:
            raise ValueError(f"{name}: no such launch argument{did_you_mean(name, known)}; there are {', '.join(known)}")


def misspelt_arguments(given: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Say which launch configurations look like arguments of an included launch file that it does not have.

    What an including file hands over under a wrong name, launch keeps for whoever may want it and says nothing.

    Args:
        given: Names of all launch configurations that are set.
        declared: Names of the arguments that there are.

    Returns:
        One sentence for each.
    """
    known = list(declared)
    # One that holds another as a whole, as robot_namespace, is a name of its own.
    strange = [name for name in given if not any(other in name for other in known)]
    hints = [(name, did_you_mean(name, known)) for name in strange]
    return [f"{name}: no argument of this launch file{hint}" for name, hint in hints if hint]


def flag(name: str, text: str) -> bool:
    """Read an argument that is true or false; `ValueError` names it where it is neither."""
    if text.strip().lower() not in ("true", "false"):
        raise ValueError(f"{name}: expected true or false, got '{text.strip()}'")
    return text.strip().lower() == "true"


def whole_number(name: str, text: str) -> int:
    """Read an argument that counts something; `ValueError` names it where it does not."""
    if not text.strip().isdigit():
        raise ValueError(f"{name}: expected a whole number, got '{text.strip()}'")
    return int(text)


def in_enclave(path: str) -> list[str]:
    """Make the words, behind --ros-args, that put a node into an enclave of the keystore; none for an empty path."""
    return ["--enclave", path.strip()] if path.strip() else []


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


def _parameter_file(name: str) -> str:
    path = Path(name.strip()).expanduser()
    if not path.is_file():
        raise ValueError(
            f"params_file: expected a file, got {path.absolute()}, which {'is a folder' if path.is_dir() else 'does not exist'}"
        )
    return str(path)


def _value(name: str, text: str) -> object:
    text = text.strip()
    if name in _LISTS:
        return camera_names(text)
    if name in _BOOLEANS:
        return flag(name, text)
    if name in _NUMBERS:
        try:
            return float(text)
        except ValueError as error:
            raise ValueError(f"{name}: expected a number, got '{text}'") from error
    return text
