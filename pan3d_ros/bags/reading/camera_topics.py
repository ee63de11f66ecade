"""Which topics of a bag belong to which camera, by their names, types, encodings and frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pan3d_ros.bags.reading.contents import BagContents, RecordedTopic
from pan3d_ros.bags.reading.reader import COMPRESSED, IMAGE, INFO, POSE

# Parts of a topic's name that name a stream of a camera, not the camera.
STREAM_WORDS = {
    "color", "colour", "rgb", "depth", "aligned_depth_to_color", "depth_registered", "depth_to_rgb", "depth_to_color", "image",
}  # fmt: skip
DEPTH_ENCODINGS = ("16UC1", "32FC1")
GREY_ENCODINGS = ("mono8", "mono16", "8UC1")
TRUTH = "/ground_truth/"


@dataclass(frozen=True)
class BagCamera:
    """The topics of one camera; None = the bag has none."""

    name: str
    raw: RecordedTopic | None
    compressed: RecordedTopic | None
    info: RecordedTopic | None
    depth: RecordedTopic | None
    pose: RecordedTopic | None

    @property
    def image(self) -> RecordedTopic:
        """Raw colour where there is some, otherwise compressed."""
        found = self.raw or self.compressed
        assert found is not None
        return found

    @property
    def rectified(self) -> bool:
        """Whether the topic says that its images are rectified."""
        return "rect" in self.image.topic.removesuffix("/compressed").rsplit("/", 1)[-1]


def find_cameras(contents: BagContents) -> list[BagCamera]:
    """All cameras with colour images, or with grey ones when no camera of the bag has colour. Grey images on a topic whose name
    says that it is the colour stream are those of a camera without colours."""
    topics = [f for f in contents.topics.values() if f.count and not f.topic.startswith(TRUTH)]
    images = [f for f in topics if f.kind in (IMAGE, COMPRESSED)]
    depths = [f for f in images if is_depth(f)]
    colors = [f for f in images if not is_depth(f) and (f.encoding not in GREY_ENCODINGS or _is_named_color(f.topic))]
    streams: dict[str, list[RecordedTopic]] = defaultdict(list)
    for facts in colors or [f for f in images if not is_depth(f)]:
        streams[camera_name(facts.topic)].append(facts)
    cameras = []
    for name, found in sorted(streams.items()):
        base = min((_base(f.topic) for f in found), key=_unlikeliness)
        same = {f.kind: f for f in found if _base(f.topic) == base}
        color = same.get(IMAGE) or same[COMPRESSED]
        info = contents.topics.get(f"{base.rsplit('/', 1)[0]}/camera_info")
        cameras.append(
            BagCamera(
                name=name,
                raw=same.get(IMAGE),
                compressed=same.get(COMPRESSED),
                info=info if info is not None and info.kind == INFO and info.count else None,
                depth=_best_depth([f for f in depths if camera_name(f.topic) == name], color),
                pose=next((f for f in topics if f.kind == POSE and camera_name(f.topic) == name), None),
            )
        )
    return cameras


@dataclass(frozen=True)
class UnusedImages:
    """A topic whose images are taken for no camera."""

    name: str  # of what is checked
    is_wanted: bool  # by its name it is the picture of a camera
    detail: str
    mend: str


def unused_images(contents: BagContents, cameras: Sequence[BagCamera]) -> Iterator[UnusedImages]:
    """Find images that belong to none of the cameras: grey ones with a calibration, such as infrared, and depth under the name
    of a colour stream.

    Args:
        contents: Of the bag.
        cameras: That were found in it.

    Yields:
        In the order of their names, grey ones first.
    """
    for facts in _unused_grey(contents, cameras):
        detail = f"{facts.topic}: {facts.encoding}, grey beside cameras with colour: not used"
        yield UnusedImages("grey images", False, detail, "name it in camera.<name>.image_topic if it is a camera of the rig")
    for facts in contents.topics.values():
        name = camera_name(facts.topic)
        is_odd = facts.count and facts.kind == IMAGE and is_depth(facts) and _is_named_color(facts.topic)
        if is_odd and name not in [camera.name for camera in cameras]:
            detail = f"{facts.topic}: {facts.encoding} is depth, expected pictures by the topic's name: this camera is not used"
            yield UnusedImages(f"camera {name}", True, detail, "record rgb8, bgr8, mono8 or another encoding of pictures")


def _unused_grey(contents: BagContents, cameras: Sequence[BagCamera]) -> list[RecordedTopic]:
    used = {facts.topic for camera in cameras for facts in (camera.raw, camera.compressed, camera.depth) if facts is not None}
    grey = [f for f in contents.topics.values() if f.count and f.kind == IMAGE and f.encoding in GREY_ENCODINGS]
    return [
        f
        for f in grey
        if f.topic not in used
        and not is_depth(f)
        and not f.topic.startswith(TRUTH)
        and f"{f.topic.rsplit('/', 1)[0]}/camera_info" in contents.topics
    ]


def is_depth(facts: RecordedTopic) -> bool:
    """Whether an image topic carries depth."""
    if facts.kind == COMPRESSED:
        return "compressedDepth" in facts.encoding or facts.topic.endswith("compressedDepth")
    return facts.encoding in DEPTH_ENCODINGS or (facts.encoding == "mono16" and "depth" in facts.topic)


def camera_name(topic: str) -> str:
    """`/front/color/image_raw` -> front; `/camera/camera/depth/image_raw` -> camera; words join with _."""
    words = _base(topic).strip("/").split("/")[:-1] or ["camera"]
    while len(words) > 1 and words[-1] in STREAM_WORDS:
        words.pop()
    unique = [word for index, word in enumerate(words) if index == 0 or word != words[index - 1]]
    return "_".join(unique)


def _is_named_color(topic: str) -> bool:
    return any(word in ("color", "colour", "rgb") for word in _base(topic).strip("/").split("/")[:-1])


def _base(topic: str) -> str:
    return topic.removesuffix("/compressed").removesuffix("/compressedDepth")


def _unlikeliness(base: str) -> tuple[bool, bool, str]:
    """Smallest for the stream that is most likely meant: in a colour namespace, as the sensor gave it."""
    return not _is_named_color(base), base.rsplit("/", 1)[-1] != "image_raw", base


def _best_depth(found: list[RecordedTopic], color: RecordedTopic) -> RecordedTopic | None:
    """Depth that fits the colour image pixel by pixel if there is some; raw before compressed."""

    def rank(facts: RecordedTopic) -> tuple[bool, bool, bool, str]:
        named = any(word in facts.topic for word in ("aligned", "registered", "to_color", "to_rgb"))
        fits = facts.size == color.size and facts.frame_id == color.frame_id
        return not fits, not named, facts.kind == COMPRESSED, facts.topic

    return min(found, key=rank, default=None)
