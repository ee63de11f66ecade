"""What drivers of cameras are called, how they are started, and where they publish: the facts behind `cameras.launch.py`.

No import of launch, so it can be tested where launch is not installed. The table is `camera_drivers.yaml`; docs/cameras.md has it
for people.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pan3d_core.settings import did_you_mean, read_yaml, refuse_unknown
from pan3d_ros.platform.launch_arguments import camera_names

_LOG = logging.getLogger("pan3d.cameras")
_FARTHEST_M, _WIDEST_DEG = 100.0, 360.0
_WITHOUT_POSE = "this camera is started without a pose"
# What other programs call the keys of a mounting.
_ELSEWHERE = {
    **dict.fromkeys(("translation", "position", "origin"), "xyz, in metres"),
    **dict.fromkeys(("quaternion", "quat", "rotation", "orientation", "wxyz"), "xyzw, the scalar last"),
    **dict.fromkeys(("rpy", "euler", "rpy_rad"), "rpy_deg, in degrees"),
    **dict.fromkeys(("frame_id", "parent_frame"), "parent"),
}


@dataclass(frozen=True)
class Driver:
    """One kind of camera, as the table says it."""

    package: str
    version: str  # whose sources were read
    image: str  # topics
    info: str
    depth: str  # aligned with the image; "" = a colour camera
    root: str  # the frame that has no parent yet: the mounting is its pose
    optical: str  # the frame of the images
    launch: str = ""  # launch file in the package's folder launch/
    executable: str = ""  # instead of a launch file
    model: str = ""  # where nobody names one
    arguments: Mapping[str, str] = field(default_factory=dict)
    serial_argument: Mapping[str, str] = field(default_factory=dict)  # only where a serial number is given
    parameters: Mapping[str, Any] = field(default_factory=dict)  # of the driver's node


DRIVERS: Mapping[str, Driver] = {
    kind: Driver(**facts)
    for kind, facts in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")).items()
}


@dataclass(frozen=True)
class Camera:
    """One camera that is to be started."""

    name: str
    kind: str  # of `DRIVERS`
    serial: str
    model: str
    count: int  # cameras of this kind

    @property
    def driver(self) -> Driver:
        """Of its kind."""
        return DRIVERS[self.kind]

    def filled(self, value: Any) -> Any:
        """A text, or a tree of them, with what stands for the camera's own put in."""
        if isinstance(value, Mapping):
            return {key: self.filled(part) for key, part in value.items()}
        if not isinstance(value, str):
            return value
        own = {"name": self.name, "serial": self.serial, "model": self.model or self.driver.model, "count": str(self.count)}
        for word, text in own.items():
            value = value.replace(f"{{{word}}}", text)
        return value


def read_cameras(arguments: Mapping[str, str]) -> list[Camera]:
    """Read which cameras there are.

    Args:
        arguments: `cameras`, `drivers`, `serials` and `models`, separated by commas. One driver or model counts for all; serials
            are as many as cameras, or none where each kind has one camera.

    Returns:
        One for each name.

    Raises:
        ValueError: Names the argument, what was expected and what came.
    """
    names = camera_names(arguments["cameras"])
    kinds = _as_many("drivers", arguments["drivers"], names)
    serials = _as_many("serials", arguments.get("serials", ""), names, repeat=False)
    models = _as_many("models", arguments.get("models", ""), names)
    for kind in kinds:
        if kind not in DRIVERS:
            raise ValueError(f"drivers: expected some of {', '.join(DRIVERS)}, got '{kind}'{did_you_mean(kind, DRIVERS)}")
    cameras = [Camera(*parts, kinds.count(parts[1])) for parts in zip(names, kinds, serials, models, strict=True)]
    for camera in cameras:
        if camera.kind == "usb_cam" and not (camera.serial and camera.model):
            raise ValueError(
                f"serials, models: expected the device (/dev/video0) and the calibration file of usb_cam {camera.name},"
                f" got '{camera.serial}' and '{camera.model}'"
            )
        if camera.count > 1 and not camera.serial:
            raise ValueError(f"serials: expected one for each camera, as there are {camera.count} of {camera.kind}, got none")
    return cameras


def camera_parameters(cameras: Sequence[Camera], *, use_depth: bool, compressed: bool = False) -> dict[str, Any]:
    """Make the parameters by which the perception node finds the topics.

    Args:
        cameras: Of any kinds.
        use_depth: Depth is wanted; it is used where every camera has it.
        compressed: Take what the drivers publish by the plugins `compressed` and `compressedDepth` of image_transport.

    Returns:
        Content of a parameter file.
    """
    transports = {"image": "/compressed", "info": "", "depth": "/compressedDepth"}
    topics = {
        camera.name: {
            f"{part}_topic": camera.filled(getattr(camera.driver, part)) + (transport if compressed else "")
            for part, transport in transports.items()
        }
        for camera in cameras
    }
    depth = use_depth and all(camera.driver.depth for camera in cameras)
    for camera in cameras:
        if not camera.driver.depth:
            del topics[camera.name]["depth_topic"]
    parameters = {"cameras": [camera.name for camera in cameras], "camera": topics, "input": {"use_depth": depth}}
    return {"/**": {"ros__parameters": parameters | {"transforms": {"source": "tf"}}}}


def mountings(path: Path, cameras: Sequence[Camera], told: Callable[[str], None] = _LOG.warning) -> list[list[str]]:
    """Read where cameras are mounted. One whose mounting is wrong is left out and told, and has no pose; the others are mounted.

    Args:
        path: YAML file with `parent`, `xyz` (metres) and `xyzw` (quaternion) or `rpy_deg` (roll, pitch, yaw about fixed axes) for
            each name, of the camera's root frame in the parent's; see `config/camera_mountings.yaml`.
        cameras: Those that are started; a camera whose mounting is part of the robot's description has none in the file.
        told: Takes what is wrong with the mounting of one camera, with file and entry.

    Returns:
        Arguments of `static_transform_publisher` for each mounting.

    Raises:
        ValueError: The file is wrong as a whole, names a camera that there is not, or no mounting is left; names file and entry.
    """
    content = read_yaml(path, "a mounting for each camera by its name")
    if not content:
        raise ValueError(f"{path}: expected a mounting for each camera by its name, got none")
    known = {camera.name: camera for camera in cameras}
    for name in content:
        if name not in known:
            raise ValueError(f"{path}: {name}: expected names of cameras ({', '.join(known)}){did_you_mean(str(name), known)}")
    found, problems = [], []
    for name, entry in content.items():
        try:
            found.append(_transform(f"{path}: {name}", entry, known[name]))
        except ValueError as error:
            problems.append(str(error))
    if not found:
        raise ValueError("; ".join(problems))
    for problem in problems:
        told(f"{problem}; {_WITHOUT_POSE}")
    return found


def _transform(place: str, entry: Any, camera: Camera) -> list[str]:
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: expected parent, xyz, and xyzw or rpy_deg, got {entry!r}")
    refuse_unknown(entry, ("parent", "xyz", "xyzw", "rpy_deg"), f"{place}: ", _ELSEWHERE)
    if not {"parent", "xyz"} <= set(entry) or len({"xyzw", "rpy_deg"} & set(entry)) != 1:
        raise ValueError(f"{place}: expected parent, xyz, and xyzw or rpy_deg, got {entry}")
    parent, child = entry["parent"], camera.filled(camera.driver.root)
    if not isinstance(parent, str) or not parent or parent.startswith("/") or parent == child:
        raise ValueError(f"{place}: parent: expected the name of another frame than {child}, without / in front, got {parent!r}")
    words = []
    for key, labels in (("xyz", "x y z"), ("xyzw", "qx qy qz qw"), ("rpy_deg", "roll pitch yaw")):
        if key not in entry:
            continue
        values = entry[key]
        if not isinstance(values, list) or len(values) != len(labels.split()) or not all(_is_finite(v) for v in values):
            raise ValueError(f"{place}: {key}: expected {len(labels.split())} numbers, got {values}")
        if key == "xyz" and max(map(abs, values)) > _FARTHEST_M:
            raise ValueError(f"{place}: xyz: expected metres, at most {_FARTHEST_M:g}, got {values}; are they millimetres?")
        if key == "rpy_deg" and max(map(abs, values)) > _WIDEST_DEG:
            raise ValueError(f"{place}: rpy_deg: expected degrees, -{_WIDEST_DEG:g} to {_WIDEST_DEG:g}, got {values}")
        if key == "xyzw" and abs(math.sqrt(sum(v * v for v in values)) - 1.0) > 0.01:
            raise ValueError(f"{place}: xyzw: expected a quaternion of length 1, got {values}")
        scale = math.pi / 180.0 if key == "rpy_deg" else 1.0
        for label, value in zip(labels.split(), values, strict=True):
            words += [f"--{label}", f"{value * scale:.9g}"]
    return [*words, "--frame-id", parent, "--child-frame-id", child]


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _as_many(argument: str, text: str, names: Sequence[str], *, repeat: bool = True) -> list[str]:
    words = [word.strip() for word in text.strip().strip("[]").split(",")]
    if words == [""] or (repeat and len(words) == 1):
        return words * len(names)
    if len(words) != len(names):
        raise ValueError(f"{argument}: expected one for each of {', '.join(names)}, got {', '.join(words)}")
    return words
