"""One bad camera of a rig: it is left out and named, the others give what they always gave."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

from bag_scene import HEIGHT, INTRINSICS, MAKE, WIDTH, BlockBag, parameters, pictures, pipeline  # noqa: E402

from pan3d_core.runtime.checks import MISSING, OPTIONAL  # noqa: E402
from pan3d_ros.bags.inspection import inspect_bag  # noqa: E402
from pan3d_ros.bags.judging.evaluation import COULD_NOT_LOOK, OBJECTS, evaluate_bag  # noqa: E402
from pan3d_ros.bags.reading.reader import BagError  # noqa: E402
from pan3d_ros.bags.settings import replay_settings  # noqa: E402
from pan3d_sim.cameras.rig import RigCamera  # noqa: E402
from pan3d_sim.data.recording_messages import CAMERA_INFO, IMAGE  # noqa: E402
from pan3d_tools.cli import main  # noqa: E402


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


FAULTS = pytest.mark.parametrize(
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
    ids=[  # what is wrong
        "principal point left of the picture", "principal point below it", "focal length of a pixel", "focal length in metres",
        "focal length in nanometres", "skew", "last row", "NaN", "identity", "another size", "NaN in d",
        "encoding", "cut data", "encoding of depth", "float millimetres", "integer metres",
        "a pose out of the world", "a pose in millimetres", "NaN in a pose", "a long quaternion", "no quaternion",
    ],
)  # fmt: skip


@FAULTS
def test_one_bad_camera_is_left_out_and_named_and_the_other_goes_on(tmp_path, change, reason):
    evaluation = evaluated(tmp_path, change)
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 2
    assert {len(item.objects) for item in evaluation.outcomes} == {2}
    assert evaluation.drops == {reason: 2}


CODES = {"camera_info": "NO_CAMERA_INFO", "image": "NO_IMAGES", "transform": "TF_FAILURE"}


@FAULTS
def test_the_doctor_names_what_the_node_would_refuse_and_the_evaluation_goes_on_without_it(tmp_path, change, reason):
    path, part = BlockBag(sets=3, change=change).write(tmp_path / "bag"), reason.removeprefix("side: ")
    inspection = inspect_bag(path)
    if not inspection.faults:  # its colour serves, where depth is not needed
        assert is_told_without_depth(inspection, "side")
    else:
        assert list(inspection.faults) == ["side"]
        assert CODES[part] in inspection.faults["side"]
    evaluation = evaluate_bag(path, pipeline())
    assert {item.cameras for item in evaluation.outcomes} == {("front",)}
    assert {item.answer for item in evaluation.outcomes} == {OBJECTS}
    why = CODES[part] if inspection.faults else "no depth that can be used"
    assert evaluation.notes[0].startswith("side is left out: ") and why in evaluation.notes[0]


def is_told_without_depth(inspection, camera) -> bool:
    """Whether the doctor says that a camera's depth is not used."""
    told = [check for check in inspection.checks if check.status == OPTIONAL and "depth" in check.detail]
    return any(camera in f"{check.name} {check.mend}" for check in told) and not inspection.parameters["input"]["use_depth"]


@pytest.mark.parametrize("depth", [0.0, np.nan, np.inf, -0.6, 65535], ids=["holes", "NaN", "infinity", "negative", "the largest"])
def test_depth_that_measures_nothing_is_told_and_no_reason_for_no_objects(tmp_path, depth):
    def change(topic, message):
        if not topic.endswith("depth/image_raw"):
            return message
        kind, encoding = (np.uint16, "16UC1") if depth == 65535 else (np.float32, "32FC1")
        data = np.full(message.height * message.width, depth, kind)
        return dataclasses.replace(message, encoding=encoding, step=data.itemsize * message.width, data=data.view(np.uint8))

    bag = BlockBag(sets=2, change=change)
    path = bag.write(tmp_path / "bag")
    inspection = inspect_bag(path)
    details = [check.detail for check in inspection.checks if check.name == "camera side"]
    assert any("nothing is measured in the first images" in detail for detail in details)
    with pytest.raises(BagError, match="depth: expected some that can be used of at least one camera, got none"):
        evaluate_bag(path, pipeline())
    evaluation = evaluated(tmp_path / "asked", change)
    assert [item.answer for item in evaluation.outcomes] == [COULD_NOT_LOOK] * 2


def grey(encoding="mono8"):
    """Grey images of the side camera on its topic of colours."""

    def change(topic, message):
        if topic != "/side/color/image_raw":
            return message
        data = message.data.reshape(-1, 3)[:, 0].copy()
        return dataclasses.replace(message, encoding=encoding, step=message.width, data=data)

    return change


def test_a_grey_camera_beside_colour_ones_is_used_by_its_name_or_told(tmp_path):
    bag = BlockBag(sets=1, change=grey()).write(tmp_path / "bag")
    assert inspect_bag(bag).parameters["cameras"] == ["front", "side"]
    image, info = MAKE.image("infra", BlockBag().stamp(0), pictures()[0][..., 0], "mono8"), BlockBag().stamp(0)
    calibration = MAKE.camera_info(RigCamera("infra", INTRINSICS, np.eye(4), WIDTH, HEIGHT), info)
    extra = ((info, "/side/infra1/image_raw", IMAGE, image), (info, "/side/infra1/camera_info", CAMERA_INFO, calibration))
    inspection = inspect_bag(BlockBag(sets=1, extra=extra).write(tmp_path / "infra"))
    assert inspection.parameters["cameras"] == ["front", "side"]
    told = [check.detail for check in inspection.checks if check.name == "grey images"]
    assert told == ["/side/infra1/image_raw: mono8, grey beside cameras with colour: not used"]


def test_depth_under_the_name_of_a_colour_stream_is_told_and_the_camera_missed(tmp_path):
    def change(topic, message):
        if topic != "/side/color/image_raw":
            return message
        data = np.zeros(message.height * message.width * 4, np.uint8)
        return dataclasses.replace(message, encoding="32FC1", step=message.width * 4, data=data)

    inspection = inspect_bag(BlockBag(sets=1, change=change).write(tmp_path / "bag"))
    (told,) = [check for check in inspection.checks if check.name == "camera side"]
    assert told.status == MISSING and "/side/color/image_raw: 32FC1 is depth, expected pictures" in told.detail


def shared_frame(topic, message):
    if topic.startswith(("/front/", "/side/")):
        message.header.frame_id = "front_optical_frame"
    return message


def lens(*coefficients, model="plumb_bob"):
    def change(topic, message):
        if not topic.endswith("camera_info"):
            return message
        return dataclasses.replace(message, distortion_model=model, d=np.array(coefficients))

    return change


def test_cameras_that_share_an_optical_frame_are_told_by_doctor_and_evaluation(tmp_path):
    path = BlockBag(cameras=("front", "side", "top"), change=shared_frame).write(tmp_path / "bag")
    faults = inspect_bag(path).faults
    assert list(faults) == ["front", "side"]
    assert "got 'front_optical_frame' and so one pose for front, side" in faults["front"]
    assert {item.cameras for item in evaluate_bag(path, pipeline()).outcomes} == {("top",)}
    with pytest.raises(BagError, match="optical frame of its own"):
        evaluate_bag(BlockBag(change=shared_frame).write(tmp_path / "all"), pipeline())


def test_eight_coefficients_of_plumb_bob_with_zeros_behind_are_used(tmp_path):
    path = BlockBag(change=lens(-0.03, 0.035, -1e-4, -1e-4, -0.012, 0, 0, 0)).write(tmp_path / "bag")
    assert not inspect_bag(path).faults
    evaluation = evaluate_bag(path, pipeline())
    assert [len(item.objects) for item in evaluation.outcomes] == [2] * 4


@pytest.mark.parametrize("model", ["", "f_theta"])
def test_a_lens_that_is_not_known_is_named_by_the_doctor_and_refused_by_the_evaluation(tmp_path, model):
    path = BlockBag(change=lens(-0.03, 0.035, 0, 0, 0, model=model)).write(tmp_path / "bag")
    assert all("distortion_model: expected one of plumb_bob" in text for text in inspect_bag(path).faults.values())
    with pytest.raises(BagError, match=f"got '{model}'"):
        evaluate_bag(path, pipeline())


@pytest.mark.slow
def test_nothing_is_given_and_commands_fail_when_all_cameras_are_bad(tmp_path, capsys):
    def change(topic, message):
        return dataclasses.replace(message, k=np.eye(3).ravel()) if topic.endswith("camera_info") else message

    evaluation = evaluated(tmp_path, change)
    assert [item.answer for item in evaluation.outcomes] == [COULD_NOT_LOOK] * 2
    assert evaluation.outcomes[0].reasons == ("front: camera_info", "side: camera_info")
    command = ["eval", str(tmp_path / "bag"), "--engine", "depth_clusters", "--out", str(tmp_path / "out")]
    assert main([*command, "--params", str(tmp_path / "p.yaml")]) == 1
    assert "none of 2 view sets gave a result (front: camera_info: 2, side: camera_info: 2)" in capsys.readouterr().err
    assert main(["doctor", str(tmp_path / "bag")]) == 1
    assert "needed and missing: camera front, camera side" in capsys.readouterr().out
    assert main(command) == 1
