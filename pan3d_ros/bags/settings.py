"""With which parameters a bag is replayed: those of the node's parameter files, or found out from the bag itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from pan3d_core.config import PipelineConfig
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.checks import MISSING
from pan3d_core.runtime.files import named_file
from pan3d_core.settings import nested_names, read_settings, walk_settings
from pan3d_ros.bags.inspection import Inspection
from pan3d_ros.bags.reader import IMAGE, BagError, BagReader
from pan3d_ros.inputs.camera_frames import CameraFrame, CameraTopics, FramePairing
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
from pan3d_ros.parameters.unknown import unknown_to_perception
from pan3d_ros.parameters.values import flat_values, read_parameter_files


@dataclass(frozen=True)
class TruthTopics:
    """Where a bag has the truth; `*` stands for anything. Truth images have the header of their colour image."""

    instance_ids: str = "/ground_truth/*/instance_ids"  # sensor_msgs/Image mono16, 0 = none
    depth: str = "/ground_truth/*/depth"  # sensor_msgs/Image 16UC1 millimetres or 32FC1 metres, 0 = none
    objects: str = "/ground_truth/objects"  # std_msgs/String with the JSON of docs/bags.md

    def below(self, namespace: str) -> TruthTopics:
        """The same topics in another namespace than /ground_truth."""
        prefix = f"/{namespace.strip('/')}"
        return TruthTopics(*(name.replace("/ground_truth", prefix, 1) for name in astuple(self)))


@dataclass(frozen=True)
class ReplaySettings:
    """All parameters of a node that would see the bag live."""

    node: NodeConfig
    cameras: dict[str, CameraConfig]
    pipeline: PipelineConfig
    truth: TruthTopics = TruthTopics()

    def topics(self, camera: str) -> CameraTopics:
        """Names of a camera's topics in the bag, from the root."""
        found = CameraTopics.of(camera, self.cameras[camera], self.node.input.image_transport)
        return CameraTopics(*(f"/{name.lstrip('/')}" for name in (found.image, found.info, found.depth, found.pose)))

    def differences(self) -> dict[str, Any]:
        """Dotted names and values of all settings that are not at their default."""
        sections = [("", self.node, NodeConfig()), ("", self.pipeline, PipelineConfig())]
        sections += [(f"camera.{name}.", camera, CameraConfig()) for name, camera in self.cameras.items()]
        return {f"{prefix}{name}": value for prefix, *both in sections for name, value in _differences(*both).items()}


def replay_settings(
    source: Inspection | Sequence[Path],
    *,
    base: PipelineConfig | None = None,
    use_depth: bool = False,
    truth: TruthTopics | None = None,
) -> ReplaySettings:
    """Give the settings of a node that would see a bag live.

    Args:
        source: ROS parameter files of the node; or what an inspection of the bag has found: then its topics, frames and
            transforms decide, as `pan3d doctor BAG` prints them.
        base: Settings where the source says nothing.
        use_depth: Use depth images also where files do not ask for them. An inspection does not decide this.
        truth: Topics of the truth; None = the usual ones.

    Returns:
        All parameters of that node.

    Raises:
        BagError: The bag lacks what is needed; names topics and frames.
        ValueError: A parameter is wrong.
    """
    from_bag = isinstance(source, Inspection)
    values = discovered(source) if isinstance(source, Inspection) else read_parameter_files(source)
    if use_depth or from_bag:
        values["input.use_depth"] = use_depth
    with named_file(_words(source), "parameters of the node"):
        node, pipeline, cameras = _read(values, base or PipelineConfig(), keep_base=from_bag)
    if not node.cameras:
        raise ValueError(f"cameras: expected at least one name in {_words(source)}, got none")
    return ReplaySettings(node, cameras, pipeline, truth or TruthTopics())


def _read(
    values: Mapping[str, Any], base: PipelineConfig, *, keep_base: bool
) -> tuple[NodeConfig, PipelineConfig, dict[str, CameraConfig]]:
    """Settings of the node, of the pipeline and of every camera from dotted names. With `keep_base` what was found out does not
    win over what somebody said."""
    node = read_settings(NodeConfig(), nested_names(_known(values, NodeConfig())))
    if unknown := unknown_to_perception(values, node.cameras):
        raise ValueError("; ".join(unknown))
    said = set(_differences(base, PipelineConfig())) if keep_base else set()
    found = {name: value for name, value in _known(values, base).items() if name not in said}
    cameras = {}
    for name in node.cameras:
        prefix = f"camera.{name}."
        mine = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
        cameras[name] = read_settings(CameraConfig(), nested_names(mine))
    return node, read_settings(base, nested_names(found)), cameras


def discovered(inspection: Inspection) -> dict[str, Any]:
    """Dotted parameters that make the inspected bag work; `BagError` says what it lacks."""
    missing = [check for check in inspection.checks if check.status == MISSING]
    if missing:
        lines = [f"{check.name}: {check.detail}" + (f" ({check.mend})" if check.mend else "") for check in missing]
        raise BagError(f"{inspection.contents.path}: " + "; ".join(lines))
    return flat_values(inspection.parameters)


Routes = Mapping[str, tuple[str, str]]  # topic -> camera and kind of message


def pairings_of(settings: ReplaySettings, on_frame: Callable[[CameraFrame], None]) -> tuple[dict[str, FramePairing], Routes]:
    """Make what the node pairs messages with, and tell which topics go where.

    Args:
        settings: Of the node.
        on_frame: Takes the frames.

    Returns:
        Camera -> pairing; and topic -> camera and kind of message.
    """
    pairings = {name: FramePairing(name, settings.node.input, own, on_frame) for name, own in settings.cameras.items()}
    routes: dict[str, tuple[str, str]] = {}
    for camera, pairing in pairings.items():
        topics = settings.topics(camera)
        routes[topics.image] = camera, "image"
        if pairing.waits_for_info:
            routes[topics.info] = camera, "info"
        if settings.node.input.use_depth:
            routes[topics.depth] = camera, "depth"
    return pairings, routes


def remember_infos(bag: BagReader, pairings: Mapping[str, FramePairing], routes: Routes, start_s: float = 0.0) -> None:
    """Let pairings know the camera_info that was sent last before a replay begins, or else the first of all: a latched one
    lies at the bag's start, or just behind the first image.

    Args:
        bag: Opened.
        pairings: By camera.
        routes: Topic -> camera and kind of message.
        start_s: After the bag's start.
    """
    for topic, (camera, kind) in routes.items():
        if kind == "info":
            before = bag.messages([topic], 0.0, start_s) if start_s else ()
            last = next(iter(deque(before, maxlen=1)), None)
            info = last.content if last is not None else bag.first(topic)
            if info is not None:
                pairings[camera].remember(info)


def check_topics(bag: BagReader, settings: ReplaySettings) -> None:
    """Check that a bag has what settings ask for.

    Args:
        bag: An open one.
        settings: Whose cameras' topics are looked for.

    Raises:
        BagError: Names a topic that the bag lacks or has no messages of.
    """
    for camera, config in settings.cameras.items():
        topics, inputs = settings.topics(camera), settings.node.input
        wanted = {"image_topic": topics.image}
        if inputs.use_camera_info and not config.calibration_file:
            wanted["info_topic"] = topics.info
        if inputs.use_depth:
            wanted["depth_topic"] = topics.depth
        for field, topic in wanted.items():
            if topic not in bag.topics or not bag.topics[topic].count:
                raise BagError(_lacks(bag, f"camera.{camera}.{field}", topic, wanted.values()))


def prepared(pipeline: PerceptionPipeline, settings: ReplaySettings) -> ReplaySettings:
    """Give settings to a pipeline whose engine is chosen already, and depth to an engine that needs it.

    Args:
        pipeline: Is reconfigured; its model stays.
        settings: Of the replay.

    Returns:
        The settings as they hold now.
    """
    pipeline.reconfigure(replace(settings.pipeline, model=pipeline.config.model))
    if pipeline.engine.facts.needs_depth and not settings.node.input.use_depth:
        inputs = replace(settings.node.input, use_depth=True)
        settings = replace(settings, node=replace(settings.node, input=inputs))
    return replace(settings, pipeline=pipeline.config)


def _lacks(bag: BagReader, field: str, topic: str, wanted: Collection[str]) -> str:
    kind = field.rsplit(".", 1)[-1]
    if kind == "info_topic":
        text = "the intrinsics are unknown then: give camera.<name>.calibration_file or input.use_camera_info: false"
    else:
        others = [name for name, facts in bag.topics.items() if facts.type.startswith("sensor_msgs") and name not in wanted]
        text = f"the bag has {', '.join(others) or 'no sensor topics'}"
        if kind == "image_topic" and topic not in bag.topics and bag.of_type(IMAGE) == []:
            text += "; it has no raw images: input.image_transport: compressed?"
    return f"{field}: expected messages on {topic} in {bag.path}, got none; {text}"


def _words(source: Inspection | Sequence[Path]) -> str:
    return str(source.contents.path) if isinstance(source, Inspection) else ", ".join(map(str, source))


def _differences(settings: Any, defaults: Any) -> dict[str, Any]:
    pairs = zip(walk_settings(settings), walk_settings(defaults))
    return {name: value for (name, value, _), (_, default, _) in pairs if value != default}


def _known(values: Mapping[str, Any], config: Any) -> dict[str, Any]:
    names = {name for name, _, _ in walk_settings(config)}
    return {name: value for name, value in values.items() if name in names}
