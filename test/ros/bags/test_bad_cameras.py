"""One bad camera of a rig: it is left out and named, the others give what they always gave."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

from bag_scene import BlockBag, parameters, pipeline  # noqa: E402

from pan3d_ros.bags.evaluation import COULD_NOT_LOOK, OBJECTS, evaluate_bag  # noqa: E402
from pan3d_ros.bags.settings import replay_settings  # noqa: E402


def info_with(camera="side", **fields):
    """Change fields of a camera's CameraInfo; those of `k` by index."""

    def change(topic, message):
        if topic != f"/{camera}/color/camera_info":
            return message
        k = message.k.copy()
        for index, value in fields.get("k", {}).items():
            k[index] = value
        return dataclasses.replace(message, **{**fields, "k": k})

    return change


def image_with(stream, **fields):
    def change(topic, message):
        return dataclasses.replace(message, **fields) if topic == f"/side/{stream}/image_raw" else message

    return change


def depth_in(encoding, scale):
    def change(topic, message):
        if topic != "/side/depth/image_raw":
            return message
        values = np.round(message.data.view(np.uint16) * scale)
        data = values.astype(np.float32 if encoding == "32FC1" else np.uint16)
        return dataclasses.replace(message, encoding=encoding, step=data.itemsize * message.width, data=data.view(np.uint8))

    return change


def transform_with(**changes):
    """Change translation or rotation of the side camera."""

    def change(topic, message):
        for item in message.transforms if topic.startswith("/tf") else ():
            if item.child_frame_id.startswith("side"):
                for name, scale in changes.items():
                    part = getattr(item.transform, name)
                    for axis in "xyzw" if name == "rotation" else "xyz":
                        setattr(part, axis, getattr(part, axis) * scale)
        return message

    return change


def evaluated(folder, change):
    bag = BlockBag(sets=2, change=change)
    chosen, path = pipeline(), bag.write(folder / "bag")
    return evaluate_bag(path, chosen, replay_settings([parameters(folder / "p.yaml", bag)], base=chosen.config))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (info_with(k={2: -3.0}), "side: camera_info"),
        (info_with(k={5: 56.0}), "side: camera_info"),
        (info_with(k={0: 1.0, 4: 1.0}), "side: camera_info"),
        (info_with(k={0: 0.06, 4: 0.06}), "side: camera_info"),
        (info_with(k={0: 60e6, 4: 60e6}), "side: camera_info"),
        (info_with(k={1: 5.0}), "side: camera_info"),
        (info_with(k={8: 0.0}), "side: camera_info"),
        (info_with(k={2: np.nan}), "side: camera_info"),
        (info_with(k={0: 1.0, 2: 0.0, 4: 1.0, 5: 0.0}), "side: camera_info"),
        (info_with(width=144, height=112), "side: camera_info"),
        (info_with(d=np.full(5, np.nan)), "side: camera_info"),
        (image_with("color", encoding="8UC3"), "side: image"),
        (image_with("color", data=np.zeros(3, np.uint8)), "side: image"),
        (image_with("depth", encoding="rgb8"), "side: image"),
        (depth_in("32FC1", 1.0), "side: image"),
        (depth_in("16UC1", 0.001), "side: image"),
        (transform_with(translation=1e30), "side: transform"),
        (transform_with(translation=1000.0), "side: transform"),
        (transform_with(translation=np.nan), "side: transform"),
        (transform_with(rotation=1.2), "side: transform"),
        (transform_with(rotation=0.0), "side: transform"),
    ],
    ids=[
        "principal point left of the picture", "principal point below it", "focal length of a pixel", "focal length in metres",
        "focal length in nanometres", "skew", "last row", "NaN", "identity", "another size", "NaN in d",
        "encoding", "cut data", "encoding of depth", "float millimetres", "integer metres",
        "a pose out of the world", "a pose in millimetres", "NaN in a pose", "a long quaternion", "no quaternion",
    ],
)  # fmt: skip
def test_one_bad_camera_is_left_out_and_named_and_the_other_goes_on(tmp_path, change, reason):
    evaluation = evaluated(tmp_path, change)
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 2
    assert {len(item.objects) for item in evaluation.outcomes} == {2}
    assert evaluation.drops == {reason: 2}


def test_nothing_is_given_when_all_cameras_are_bad(tmp_path):
    def change(topic, message):
        return dataclasses.replace(message, k=np.eye(3).ravel()) if topic.endswith("camera_info") else message

    evaluation = evaluated(tmp_path, change)
    assert [item.answer for item in evaluation.outcomes] == [COULD_NOT_LOOK] * 2
    assert evaluation.outcomes[0].reasons == ("front: camera_info", "side: camera_info")
