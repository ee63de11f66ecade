"""Settings of the perception node that are not settings of the library. No ROS in here.

Together with `PipelineConfig` these dataclasses are all parameters of the node: the parameters, their ranges
and docs/parameters.md are made from the fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pan3d_core.config import PlanningConfig, RehearsalConfig
from pan3d_core.settings import ANGLE_DEG, SHARE, Checked, group, setting

MAX_CAMERAS = 64


@dataclass(frozen=True)
class InputConfig(Checked):
    """Camera topics."""

    image_transport: str = setting(
        "raw", "raw: sensor_msgs/Image; compressed: CompressedImage", choices=("raw", "compressed"), read_only=True
    )
    use_depth: bool = setting(False, "subscribe to a depth image per camera, registered to its colour image", read_only=True)
    use_camera_info: bool = setting(
        True, "wait for camera_info; off = intrinsics are unknown and nothing is metric", read_only=True
    )
    qos: str = setting(
        "auto",
        "reliability of the subscriptions; auto: reliable when every publisher offers it, otherwise best_effort",
        choices=("auto", "reliable", "best_effort"),
        read_only=True,
    )
    pair_slop_s: float = setting(
        0.02, "image, camera_info and depth of one camera differ by less than this", range=(1e-4, 1.0), read_only=True
    )
    camera_info_max_age_s: float = setting(
        0.0,
        "an image without a camera_info of its own takes the last one up to this age; 0 = for ever, as for one sent once",
        range=(0.0, 1e6),
        read_only=True,
    )
    pair_queue: int = setting(10, "messages kept while image, camera_info and depth are paired", range=(1, 100), read_only=True)
    info_timeout_s: float = setting(5.0, "images without camera_info for so long are an error", range=(0.1, 60.0))
    max_rate_hz: float = setting(5.0, "view sets processed per second at most; 0 = no limit", range=(0.0, 240.0))
    max_image_age_s: float = setting(5.0, "view sets older than this are not processed; 0 = no limit", range=(0.0, 3600.0))
    max_future_s: float = setting(
        1.0, "view sets further ahead of the node's clock are not processed; 0 = no limit", range=(0.0, 3600.0)
    )


@dataclass(frozen=True)
class SyncConfig(Checked):
    """Views of several cameras into sets."""

    slop_s: float = setting(0.05, "largest difference of the stamps within a set", range=(0.0, 1.0), read_only=True)
    queue: int = setting(10, "views kept per camera", range=(1, 1000), read_only=True)
    min_cameras: int = setting(
        1, "smallest set that is processed when other cameras are dead", range=(1, MAX_CAMERAS), read_only=True
    )
    policy: str = setting(
        "latest_complete",
        "latest_complete: wait for every live camera; latest_partial: take min_cameras at once",
        choices=("latest_complete", "latest_partial"),
        read_only=True,
    )
    camera_timeout_s: float = setting(
        2.0, "a camera silent for so long while others send is dead and not waited for", range=(0.05, 3600.0), read_only=True
    )


@dataclass(frozen=True)
class TransformsConfig(Checked):
    """Where the cameras are."""

    source: str = setting(
        "auto",
        "tf: /tf by tf2_ros; pose_topics: <camera>/pose; static: static_file; none: unposed cameras; auto: static_file, "
        "then pose topics, then tf where installed",
        choices=("auto", "tf", "pose_topics", "static", "none"),
        read_only=True,
    )
    static_file: str = setting("", "YAML file with the poses of fixed cameras", read_only=True)
    timeout_s: float = setting(0.2, "wait for the transform at an image's stamp", range=(0.0, 5.0))


@dataclass(frozen=True)
class PublishConfig(Checked):
    """Outputs."""

    qos: str = setting("reliable", "reliability of clouds and images", choices=("reliable", "best_effort"), read_only=True)
    cloud: bool = setting(True, "publish ~/points")
    semantic_cloud: bool = setting(True, "publish ~/semantic_points, coloured by class")
    obstacle_cloud: bool = setting(True, "publish ~/obstacle_points, what belongs to no object; only when metric")
    markers: bool = setting(True, "publish ~/markers")
    detections: bool = setting(True, "publish ~/detections where vision_msgs is installed")
    planning_scene: bool = setting(True, "publish ~/planning_scene where moveit_msgs is installed; only when metric")
    space: bool = setting(True, "publish ~/space and ~/occupancy; only when metric")
    camera_obstacles: bool = setting(True, "publish ~/<camera>/obstacle_points, in each camera's frame; only when metric")
    depth: bool = setting(False, "publish ~/<camera>/depth")
    image: bool = setting(True, "publish ~/<camera>/image, what the network sees; made only while somebody listens")
    instance_image: bool = setting(True, "publish ~/<camera>/instance_image; made only while somebody listens")
    marker_lifetime_s: float = setting(0.0, "markers vanish after this; 0 = twice the cycle, at least 1 s", range=(0.0, 3600.0))


@dataclass(frozen=True)
class ServiceConfig(Checked):
    """Requests."""

    timeout_s: float = setting(10.0, "a request without its own timeout waits so long for a result", range=(0.1, 600.0))
    max_age_s: float = setting(5.0, "a result older than this does not answer a request", range=(0.01, 3600.0))
    max_waiting: int = setting(
        64, "requests that may wait at the same time; more are answered BUSY", range=(1, 256), read_only=True
    )
    queue: int = setting(
        200,
        "requests of one service that are kept until there is a thread for them; more are lost",
        range=(10, 10_000),
        read_only=True,
    )
    max_entries: int = setting(1000, "points, ids or directions in one request; more are refused", range=(1, 1_000_000))
    longest_age_s: float = setting(3600.0, "largest `max_age` of a request", range=(0.01, 1e6))
    longest_timeout_s: float = setting(600.0, "largest `timeout` of a request", range=(0.1, 86_400.0))
    min_probability: float = setting(0.05, "matches of a text prompt below this are not returned", range=(0.0, 1.0))


@dataclass(frozen=True)
class WatchdogConfig(Checked):
    """Supervision, in host time."""

    period_s: float = setting(1.0, "period of /diagnostics", range=(0.1, 60.0), read_only=True)
    inference_timeout_s: float = setting(30.0, "one view set in work for longer is an error", range=(0.1, 3600.0))
    latency_budget_s: float = setting(0.0, "a slower result is a warning; 0 = no limit", range=(0.0, 3600.0))


@dataclass(frozen=True)
class RecoveryConfig(Checked):
    """What happens when view sets fail one after the other."""

    max_failures: int = setting(
        5, "view sets that may fail one after the other by an unexpected error before perception is ended", range=(1, 10_000)
    )
    enabled: bool = setting(True, "configure and activate anew after perception has ended; off = wait for an operator")
    initial_delay_s: float = setting(1.0, "wait before the first attempt", range=(0.1, 3600.0))
    factor: float = setting(2.0, "by which every wait is longer than the one before", range=(1.0, 10.0))
    max_delay_s: float = setting(60.0, "longest wait", range=(0.1, 86_400.0))
    max_attempts: int = setting(
        0, "attempts without a result after which nothing more is tried; 0 = no limit", range=(0, 1_000_000)
    )


@dataclass(frozen=True)
class RefineConfig(Checked):
    """Maps of the place: made by the action refine_scene, and known beforehand. All defaults are assumed."""

    folder: str = setting("~/.ros/pan3d_maps", "refined scenes are written to folders in this one", read_only=True)
    map_file: str = setting("", "refined scene whose objects keep their ids and names; empty = none", read_only=True)
    steps: int = setting(600, "steps of a refinement that asks for no budget", range=(1, 1_000_000))
    stop_below: float = setting(
        0.0, "ends a refinement whose mean loss of 60 steps fell by less than this share; 0 = off", range=(0.0, 0.99)
    )
    checkpoint_steps: int = setting(50, "steps between checkpoints, from which a goal with resume goes on", range=(1, 1_000_000))
    min_views: int = setting(3, "fewest keyframes that are refined", range=(1, 1000))
    max_views: int = setting(40, "newest keyframes that are kept, at network size", range=(1, 1000), read_only=True)
    min_translation_m: float = setting(0.05, "one is kept after this movement of its camera", range=(0.0, 10.0), read_only=True)
    min_rotation_deg: float = setting(5.0, "one is kept after this turn of its camera", range=ANGLE_DEG, read_only=True)
    device: str = setting("cpu", "where refinement runs: cpu, cuda or cuda:N")
    threads: int = setting(1, "CPU threads of the refinement, which leaves the other ones to perception", range=(1, 256))
    niceness: int = setting(10, "how far the refinement stands back for other processes", range=(0, 19))


@dataclass(frozen=True)
class WorldConfig(Checked):
    """What is remembered of objects, kept from one start to the next."""

    file: str = setting("", ".safetensors file of ~/save_world and ~/load_world; empty = none", read_only=True)
    load: bool = setting(False, "read world.file, where it is there, whenever a model is loaded", read_only=True)


@dataclass(frozen=True)
class DoubtfulConfig(Checked):
    """View sets that the network is least sure of, kept for ~/record_doubtful. All defaults are assumed."""

    folder: str = setting("", "they are kept, and become bags, in this folder; empty = none are kept", read_only=True)
    sure: float = setting(0.5, "a view set is kept where one of its objects is less sure than this", range=SHARE)
    quota_mb: int = setting(500, "megabytes of kept view sets; beyond it the surest ones are deleted", range=(1, 1_000_000))
    min_gap_s: float = setting(10.0, "of view sets nearer in time only the least sure one is kept", range=(0.0, 86_400.0))


@dataclass(frozen=True)
class WarrantyConfig(Checked):
    """How many answers may be wrong."""

    wrong_share: float = setting(
        0.0,
        "of the answers given, at most this share is wrong, and others are refused; 0 = nothing is promised",
        range=(0.0, 0.9),
    )
    file: str = setting(
        "", ".json file of ~/confirm_answer, by which promises are those of this place; empty = none", read_only=True
    )


@dataclass(frozen=True)
class RobotConfig(Checked):
    """The robot itself, so that it is told from what stands around it; see also the group `body`."""

    urdf: str = setting("", "URDF file of the robot; empty = none", read_only=True)
    description_topic: str = setting("", "topic of std_msgs/String with the URDF instead, as robot_description", read_only=True)
    mesh_folders: tuple[str, ...] = setting(
        (), "folders of the meshes that it names, besides its own and those of ROS packages", read_only=True
    )
    joint_states_topic: str = setting("joint_states", "topic of sensor_msgs/JointState", read_only=True)
    max_gap_s: float = setting(0.2, "positions further apart are not interpolated between", range=(0.001, 10.0), read_only=True)
    timeout_s: float = setting(0.2, "wait for the positions at an image's stamp", range=(0.0, 5.0))
    required: bool = setting(
        True, "drop views at whose time the robot's place is not known; off = keep them, with the robot in them"
    )
    held_id: int = setting(0, "id of the object that the robot holds, which moves with held_link; 0 = none", range=(0, 2**31 - 1))
    held_link: str = setting("", "link that holds it")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.urdf and self.description_topic:
            raise ValueError(
                f"robot.description_topic: expected none beside robot.urdf {self.urdf!r}, got {self.description_topic!r}"
            )


@dataclass(frozen=True)
class ArmConfig(Checked):
    """The arm that is to grasp, with the URDF of the group `robot`."""

    reachable_only: bool = setting(
        False,
        "offer only grasps that the arm gets to and away from on straight ways (extra arm); others are counted with reasons",
    )
    tip_link: str = setting(
        "", "link that is planned for: of MoveIt's end effector, or of the grasp frame itself", read_only=True
    )
    tip_from_grasp: tuple[float, ...] = setting(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "the grasp frame (between the pads, +z approach, +x closing) on tip_link: x y z in metres, roll pitch yaw in radians",
        read_only=True,
    )
    fingers: tuple[str, ...] = setting(
        (), "joints of the fingers, each of which opens by an equal share; empty = grasps without postures", read_only=True
    )
    gripper_from_urdf: bool = setting(
        False, "measure the jaws on the robot's description, in the place of grasp.gripper", read_only=True
    )
    hand_link: str = setting(
        "", "link that the fingers move against; empty = the only one that two joints move from", read_only=True
    )
    finger_links: tuple[str, ...] = setting(
        (), "two links, each with all that hangs from it a finger; empty = those that move against the hand", read_only=True
    )
    touch_links: tuple[str, ...] = setting((), "links that a held object may touch, beside robot.held_link", read_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.tip_from_grasp) != 6:
            raise ValueError(f"arm.tip_from_grasp: expected 6 numbers, got {len(self.tip_from_grasp)}")


# As ROS has names of topics: no word is empty or begins with a digit; words in braces are put in by ROS.
_TOPIC = re.compile(r"(~/|/)?[A-Za-z_{][A-Za-z0-9_{}]*(/[A-Za-z_{][A-Za-z0-9_{}]*)*")


@dataclass(frozen=True)
class RehearseConfig(Checked):
    """Grasps tried in a physics twin of what is seen before they are answered."""

    enabled: bool = setting(
        False, "try grasps in a physics twin first (extra sim); those that survive come first in an answer", read_only=True
    )
    budget_s: float = setting(RehearsalConfig().budget_s, "time of it, by which an answer comes later", range=(0.1, 3.0))
    threads: int = setting(RehearsalConfig().threads, "trials at the same time", range=(1, 64))


@dataclass(frozen=True)
class CameraConfig(Checked):
    """One camera; parameters `camera.<name>.*`."""

    image_topic: str = setting("", "empty = <name>/image_raw, or <name>/image_raw/compressed", read_only=True)
    info_topic: str = setting("", "empty = <name>/camera_info", read_only=True)
    depth_topic: str = setting("", "empty = <name>/depth", read_only=True)
    pose_topic: str = setting("", "empty = <name>/pose", read_only=True)
    frame_id: str = setting("", "optical frame; empty = the one in the image header", read_only=True)
    rectified: bool = setting(False, "images are rectified: use P instead of K and no distortion", read_only=True)
    calibration_file: str = setting("", "calibration YAML used when no camera_info comes", read_only=True)
    time_offset_s: float = setting(0.0, "added to the stamps, for cameras that stamp late", range=(-10.0, 10.0), read_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("image_topic", "info_topic", "depth_topic", "pose_topic"):
            topic = getattr(self, name)
            if topic and not _TOPIC.fullmatch(topic):
                raise ValueError(f"CameraConfig.{name}: expected words of letters, digits and _ between /, got {topic!r}")


@dataclass(frozen=True)
class NodeConfig(Checked):
    """All parameters of the perception node but those of the single cameras."""

    cameras: tuple[str, ...] = setting((), "names of the cameras", read_only=True)
    reference_frame: str = setting("base_link", "frame of everything that is published", read_only=True)
    global_services: bool = setting(
        False, "offer the services also as /segment_object and so on; configure fails where another node does", read_only=True
    )
    autostart: bool = setting(False, "configure and activate by itself, without a lifecycle manager", read_only=True)
    unload_on_deactivate: bool = setting(False, "free the network when the node is deactivated")
    input: InputConfig = group(InputConfig, "camera topics")
    sync: SyncConfig = group(SyncConfig, "view sets")
    transforms: TransformsConfig = group(TransformsConfig, "camera poses")
    robot: RobotConfig = group(RobotConfig, "the robot itself")
    arm: ArmConfig = group(ArmConfig, "the arm that is to grasp")
    rehearse: RehearseConfig = group(RehearseConfig, "grasps tried before they are answered")
    planning: PlanningConfig = group(PlanningConfig, "the scene of a motion planner")
    publish: PublishConfig = group(PublishConfig, "outputs")
    service: ServiceConfig = group(ServiceConfig, "requests")
    watchdog: WatchdogConfig = group(WatchdogConfig, "supervision")
    recovery: RecoveryConfig = group(RecoveryConfig, "after failures")
    refine: RefineConfig = group(RefineConfig, "maps of the place")
    world: WorldConfig = group(WorldConfig, "remembered objects")
    doubtful: DoubtfulConfig = group(DoubtfulConfig, "the next recording")
    warranty: WarrantyConfig = group(WarrantyConfig, "promises")

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.cameras)) != len(self.cameras) or not all(self.cameras):
            raise ValueError(f"cameras: expected unique names, none empty, got {list(self.cameras)}")
        if len(self.cameras) > MAX_CAMERAS:
            raise ValueError(f"cameras: expected at most {MAX_CAMERAS} names, got {len(self.cameras)}")
        if self.cameras and self.sync.min_cameras > len(self.cameras):
            raise ValueError(f"sync.min_cameras: expected at most the {len(self.cameras)} cameras, got {self.sync.min_cameras}")
