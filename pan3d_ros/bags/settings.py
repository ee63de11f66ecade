"""With which parameters a bag is replayed: those of the node's parameter files, or found out from the bag itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

from pan3d_core.config import PipelineConfig
from pan3d_core.engines import build_engine
from pan3d_core.language.namer import Namer
from pan3d_core.pipeline import PerceptionPipeline
from pan3d_core.runtime.checks import MISSING
from pan3d_core.runtime.files import named_file
from pan3d_core.settings import nested_names, read_settings, walk_settings
from pan3d_ros.bags.inspection import Inspection
from pan3d_ros.bags.reading.reader import IMAGE, BagError, BagReader
from pan3d_ros.inputs.camera_frames import CameraTopics
from pan3d_ros.parameters.node_config import CameraConfig, NodeConfig
from pan3d_ros.parameters.taught_objects import stored_library
from pan3d_ros.parameters.unknown import unknown_to_perception
from pan3d_ros.parameters.values import flat_values, known_values, node_settings, read_parameter_files


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
    left_out: tuple[str, ...] = ()  # which cameras of the bag, and why
    # Camera -> depth that can be used, where the bag was inspected; says nothing of the node.
    depth_topics: Mapping[str, str] | None = field(default=None, compare=False)

    def topics(self, camera: str) -> CameraTopics:
        """Names of a camera's topics in the bag, from the root."""
        return CameraTopics.of(camera, self.cameras[camera], self.node.input.image_transport).from_the_root()

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
    faults = source.faults if isinstance(source, Inspection) else {}
    left_out = tuple(f"{name} is left out: {text}" for name, text in faults.items())
    depth_topics = source.depth_topics if isinstance(source, Inspection) else None
    found = ReplaySettings(node, cameras, pipeline, truth or TruthTopics(), left_out, depth_topics)
    return found if depth_topics is None or not use_depth else _with_depth_alone(found, depth_topics)


def _read(
    values: Mapping[str, Any], base: PipelineConfig, *, keep_base: bool
) -> tuple[NodeConfig, PipelineConfig, dict[str, CameraConfig]]:
    """Settings of the node, of the pipeline and of every camera from dotted names. With `keep_base` what was found out does not
    win over what somebody said."""
    node, cameras = node_settings(values)
    if unknown := unknown_to_perception(values, node.cameras):
        raise ValueError("; ".join(unknown))
    said = set(_differences(base, PipelineConfig())) if keep_base else set()
    found = {name: value for name, value in known_values(values, base).items() if name not in said}
    return node, read_settings(base, nested_names(found)), cameras


def discovered(inspection: Inspection) -> dict[str, Any]:
    """Dotted parameters that make the inspected bag work, with the cameras that can be used; `BagError` says what it lacks."""
    usable = [name for name in inspection.parameters["cameras"] if name not in inspection.faults]
    missing = [check for check in inspection.checks if check.status == MISSING]
    if not usable or any(not check.camera for check in missing):
        lines = [f"{check.name}: {check.detail}" + (f" ({check.mend})" if check.mend else "") for check in missing]
        raise BagError(f"{inspection.contents.path}: " + "; ".join(lines))
    own = {name: inspection.parameters["camera"][name] for name in usable}
    return flat_values(inspection.parameters | {"cameras": usable, "camera": own})


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
        for name, topic in wanted.items():
            if topic not in bag.topics or not bag.topics[topic].count:
                raise BagError(_lacks(bag, f"camera.{camera}.{name}", topic, wanted.values()))


def pipeline_of(settings: ReplaySettings) -> PerceptionPipeline:
    """Build the pipeline as the node does, with its naming and what was taught to it.

    Args:
        settings: Of the node.

    Returns:
        It has seen nothing yet.
    """
    engine = build_engine(settings.pipeline.model)
    pipeline = PerceptionPipeline(engine, settings.pipeline, Namer.of_facts(engine.facts, settings.pipeline.naming))
    if settings.pipeline.objects.folder:
        pipeline.use_library(stored_library(settings.pipeline))
    return pipeline


def prepared(pipeline: PerceptionPipeline, settings: ReplaySettings) -> ReplaySettings:
    """Give settings to a pipeline whose engine is chosen already, and depth to an engine that needs it.

    Args:
        pipeline: Is reconfigured; its model stays.
        settings: Of the replay.

    Returns:
        The settings as they hold now; cameras of an inspected bag without depth are left out where the engine needs it.

    Raises:
        BagError: It needs depth, and no camera of the bag has some that can be used.
    """
    pipeline.reconfigure(replace(settings.pipeline, model=pipeline.config.model))
    if pipeline.engine.facts.needs_depth and not settings.node.input.use_depth:
        inputs = replace(settings.node.input, use_depth=True)
        settings = replace(settings, node=replace(settings.node, input=inputs))
        if settings.depth_topics is not None:
            settings = _with_depth_alone(settings, settings.depth_topics)
    return replace(settings, pipeline=pipeline.config)


def _with_depth_alone(settings: ReplaySettings, topics: Mapping[str, str]) -> ReplaySettings:
    """The same without the cameras that have no depth that can be used."""
    cameras = {name: replace(own, depth_topic=topics[name]) for name, own in settings.cameras.items() if name in topics}
    if not cameras:
        raise BagError("depth: expected some that can be used of at least one camera, got none")
    left_out = tuple(f"{name} is left out: no depth that can be used" for name in settings.cameras if name not in topics)
    node = replace(settings.node, cameras=tuple(cameras))
    return replace(settings, node=node, cameras=cameras, left_out=settings.left_out + left_out)


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
