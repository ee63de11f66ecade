"""`pan3d eval BAG`: what is measured, what is said when nothing can be, and that two runs say the same."""

import json
import subprocess
import sys

import pytest
from places import ROOT

pytest.importorskip("pan3d_sim.data.recording_messages", reason="needs the extra sim")

import da3_members  # noqa: E402
from bag_scene import BLUE, RED, START, BlockBag, center_m, parameters, pipeline  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # noqa: E402

from pan3d_core.config import ModelConfig, PipelineConfig  # noqa: E402
from pan3d_ros.bags.inspection import inspect_bag  # noqa: E402
from pan3d_ros.bags.judging.evaluation import (  # noqa: E402
    COULD_NOT_LOOK,
    LEFT_OUT,
    NO_OBJECTS,
    OBJECTS,
    BagRequest,
    bag_worker,
    evaluate_bag,
)
from pan3d_ros.bags.reading.reader import BagError, BagReader  # noqa: E402
from pan3d_ros.bags.settings import replay_settings  # noqa: E402
from pan3d_tools.cli import main  # noqa: E402


def run(folder, bag, text=None, **changes):
    path = bag.write(folder / "bag")
    chosen = pipeline(**changes)
    if text is None:
        return evaluate_bag(path, chosen)
    return evaluate_bag(path, chosen, replay_settings([parameters(folder / "p.yaml", bag, text)], base=chosen.config))


def test_quality_against_the_truth_topics(tmp_path):
    evaluation = run(tmp_path, BlockBag())
    figures = dict(evaluation.rows())
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 4
    assert figures["AP50"] == figures["AP25"] == figures["AP50 with names"] == 1.0
    assert figures["sets with truth"] == 4
    assert figures["depth AbsRel"] < 1e-6
    assert figures["identity switches"] == 0
    # The cameras see the tops of the blocks only: a plane 25 mm above the middle.
    assert figures["centre error, median (mm)"] == pytest.approx(25.0, abs=4.0)
    for seen, region in zip(sorted(evaluation.outcomes[0].objects, key=lambda item: item.center_m[0]), (RED, BLUE)):
        assert seen.center_m == pytest.approx(center_m(region), abs=0.004)
        assert seen.name == "block"
        assert seen.num_views == 2


def test_errors_of_place_are_in_millimetres(tmp_path):
    figures = dict(run(tmp_path, BlockBag(truth_shift_m=0.1)).rows())
    assert figures["centre error, median (mm)"] == pytest.approx((100.0**2 + 25.0**2) ** 0.5, abs=4.0)
    assert figures["AP50"] == 1.0  # masks are where they were


def test_a_bag_without_truth_has_no_quality(tmp_path):
    evaluation = run(tmp_path, BlockBag(with_truth=False), workspace={"support_height_m": 0.0})
    assert evaluation.quality is None
    assert "AP50" not in dict(evaluation.rows())
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 4


@pytest.mark.parametrize(
    "changes",
    [{"jpeg": True}, {"encoding": "bgr8"}, {"static": False}, {"phase_s": {"side": 0.02}}, {"stamps_behind_s": 1000.0}],
    ids=["jpeg", "bgr8", "moving frames after the images", "phase", "stamps of another clock"],
)
def test_the_same_blocks_however_they_were_recorded(tmp_path, changes):
    evaluation = run(tmp_path, BlockBag(**changes))
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 4
    assert all(len(item.objects) == 2 and len(item.cameras) == 2 for item in evaluation.outcomes)
    assert dict(evaluation.rows())["AP50"] == 1.0
    ages = [item.age_s for item in evaluation.timeline.deliveries]
    assert min(ages) >= 0.0 and max(ages) < 60.0
    assert any("another clock" in note for note in evaluation.notes) == ("stamps_behind_s" in changes)


def test_no_objects_is_not_could_not_look(tmp_path):
    bag = BlockBag(static=False, tf_until=2, blocks_of={1: ()})
    evaluation = run(tmp_path, bag, "    transforms: {source: tf}")
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS, NO_OBJECTS, OBJECTS, COULD_NOT_LOOK]
    assert all("support's height is not given" in reason for reason in evaluation.outcomes[1].reasons)
    assert set(evaluation.outcomes[3].reasons) == {"front: transform", "side: transform"}
    assert evaluation.drops == {"front: transform": 1, "side: transform": 1}
    figures = dict(evaluation.rows())
    assert (figures["sets: no objects"], figures["sets: could not look"]) == (1, 1)
    assert figures["at recorded rate: sets without a result"] == 1


def test_what_is_left_out_on_purpose_is_no_failure(tmp_path):
    evaluation = run(tmp_path, BlockBag(period_s=0.11), "    input: {use_depth: true, max_rate_hz: 5.0}")
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS, LEFT_OUT, OBJECTS, LEFT_OUT]
    assert evaluation.drops == {"rate_limit": 2}


def test_keyframes_have_truth_too(tmp_path):
    # Standing cameras: both make a keyframe, renewed after two seconds.
    evaluation = run(tmp_path, BlockBag(sets=5), keyframe={"enabled": True, "max_interval_s": 2.0})
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS, LEFT_OUT, LEFT_OUT, LEFT_OUT, OBJECTS]
    assert evaluation.outcomes[1].reasons == ("waiting_for_keyframes",)
    assert dict(evaluation.rows())["sets with truth"] == 2


def test_views_that_never_match_are_explained(tmp_path):
    evaluation = run(tmp_path, BlockBag(phase_s={"side": 0.2}), "    sync: {slop_s: 0.05, camera_timeout_s: 100.0}")
    assert evaluation.outcomes == ()
    assert any("stamps never match" in note and "side +0.200 s" in note for note in evaluation.notes)


def test_images_without_camera_info_are_counted(tmp_path):
    bag = BlockBag(without_info=("side",))
    alone = run(tmp_path, bag)
    assert [item.cameras for item in alone.outcomes] == [("front",)] * 4
    assert alone.notes[0] == "side is left out: NO_CAMERA_INFO: no /side/color/camera_info: intrinsics are unknown"
    path = tmp_path / "bag"
    with pytest.raises(BagError, match=r"camera.side.info_topic: expected messages on /side/color/camera_info"):
        settings = replay_settings([parameters(tmp_path / "p.yaml", bag)])
        evaluate_bag(path, pipeline(), settings)


@pytest.mark.parametrize("from_s", [0.0, 1.6])
def test_one_camera_info_serves_a_whole_bag_wherever_it_lies(tmp_path, from_s):
    sent = set()

    def once(topic, message):
        if not topic.endswith("camera_info"):
            return message
        return None if topic in sent or sent.add(topic) else message

    path = BlockBag(change=once).write(tmp_path / "bag")
    checks = inspect_bag(path).checks
    assert any("the last one serves" in check.detail for check in checks)
    evaluation = evaluate_bag(path, pipeline(), start_s=from_s)
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * (4 if from_s == 0.0 else 2)
    assert all(len(item.objects) == 2 and len(item.cameras) == 2 for item in evaluation.outcomes)
    assert evaluation.drops == {}


def test_missing_poses_and_topics_are_named(tmp_path):
    bag = BlockBag(static=False, tf_until=-1)
    with pytest.raises(BagError, match="no transform to base_link"):
        run(tmp_path, bag)
    settings = replay_settings([parameters(tmp_path / "p.yaml", bag)])
    with pytest.raises(BagError, match="expected the cameras' poses on /tf and /tf_static"):
        evaluate_bag(tmp_path / "bag", pipeline(), settings)
    wrong = parameters(tmp_path / "q.yaml", BlockBag(cameras=("front", "rear")))
    with pytest.raises(BagError, match=r"camera.rear.image_topic: expected messages on /rear/color/image_raw"):
        evaluate_bag(tmp_path / "bag", pipeline(), replay_settings([wrong]))


def test_stamps_that_start_over_forget_the_tracks(tmp_path):
    evaluation = run(tmp_path, BlockBag(rounds=2))
    assert [item.answer for item in evaluation.outcomes] == [OBJECTS] * 8
    ids = [{seen.id for seen in item.objects} for item in evaluation.outcomes]
    assert ids[0] == ids[3] and ids[4] == ids[7]
    assert not ids[0] & ids[4]
    assert dict(evaluation.rows())["identity switches"] == 2


def test_the_doctors_parameters_are_those_of_the_evaluation(tmp_path):
    path = BlockBag().write(tmp_path / "bag")
    file = tmp_path / "doctor.yaml"
    file.write_text(inspect_bag(path).parameter_file())
    assert replay_settings([file]) == replay_settings(inspect_bag(path), use_depth=True)
    base = PipelineConfig.from_dict({"workspace": {"support_height_m": 0.3}})
    assert replay_settings(inspect_bag(path), base=base).pipeline.workspace.support_height_m == 0.3  # said before, so not guessed


def test_a_bag_is_opened_once(tmp_path, monkeypatch):
    path, opened = BlockBag().write(tmp_path / "bag"), []
    enter = BagReader.__enter__
    monkeypatch.setattr(BagReader, "__enter__", lambda self: opened.append(self.path) or enter(self))
    evaluate_bag(path, pipeline())
    assert opened == [path]
    found = bag_worker(BagRequest(base=PipelineConfig(model=ModelConfig(name="depth_clusters")), use_depth=True))(path)
    assert opened == [path, path] and found.bag == str(path)


@pytest.mark.slow
def test_two_runs_and_two_storages_give_the_same(cell_bag, record_cell, tmp_path):
    other = record_cell(tmp_path, "again", storage="sqlite3")
    chosen = PipelineConfig.from_dict({"model": {"name": "depth_clusters"}})
    results = []
    for path in (cell_bag, cell_bag, other):
        evaluation = evaluate_bag(path, settings=replay_settings(inspect_bag(path), base=chosen, use_depth=True))
        results.append(json.dumps(evaluation.to_dict()["results"], sort_keys=True))
    assert results[0] == results[1] == results[2]
    first = json.loads(results[0])
    assert len(first["sets"]) == 4 and first["quality"]["sets with truth"] == 4


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_damaged_bags_are_refused_with_words(tmp_path, storage):
    path = BlockBag(sets=2).write(tmp_path / "bag", storage)
    file = next(item for item in path.iterdir() if item.suffix in (".mcap", ".db3"))
    whole = file.read_bytes()
    for keep in (0, 5, len(whole) // 2):
        file.write_bytes(whole[:keep])
        with pytest.raises(BagError, match="expected a rosbag2 that can be"):
            evaluate_bag(path, pipeline())
    file.unlink()
    with pytest.raises(BagError, match="missing"):
        evaluate_bag(path, pipeline())
    with pytest.raises(BagError, match="does not exist"):
        evaluate_bag(tmp_path / "nothing", pipeline())


def test_unknown_types_matter_only_where_they_are_read(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("float64 torque\n", "arm_msgs/msg/Effort"))
    message = bytes(store.serialize_cdr(store.types["arm_msgs/msg/Effort"](1.0), "arm_msgs/msg/Effort"))
    bag = BlockBag()
    path = tmp_path / "bag"

    original = Writer.add_connection

    def add(self, topic, kind, **options):
        return original(self, topic, kind, **{**options, "typestore": store})

    bag.extra = ((START + 5, "/arm/effort", "arm_msgs/msg/Effort", message),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Writer, "add_connection", add)
        bag.write(path)
    assert len(evaluate_bag(path, pipeline()).outcomes) == 4


@pytest.mark.slow
def test_the_command_writes_keys_of_ros2_benchmark(tmp_path, capsys):
    bag = BlockBag().write(tmp_path / "bag")
    out = tmp_path / "figures.json"
    assert main(["eval", str(bag), "--engine", "depth_clusters", "--depth", "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["BasicPerformanceMetrics.NUM_FRAMES_SENT"] == 4
    missed = content["BasicPerformanceMetrics.NUM_MISSED_FRAMES"]
    assert missed == sum(content["lost_at_recorded_rate"].values()) == 4 - len(content["ages_ms"])
    assert content["BasicPerformanceMetrics.MAX_LATENCY"] == pytest.approx(max(content["ages_ms"]))
    assert {"p50", "p90", "p99"} == set(content["stages_ms"]["engine"])
    assert content["metadata"]["parameters"]["cameras"] == ["front", "side"]
    assert "age of results p90 (ms)" in capsys.readouterr().out
    (tmp_path / "bad.mcap").write_bytes(b"nothing")
    assert main(["eval", str(tmp_path / "bad.mcap"), "--json", str(tmp_path / "none.json")]) == 1
    assert "bad.mcap: expected a rosbag2 that can be opened" in capsys.readouterr().err
    assert not (tmp_path / "none.json").exists()


@pytest.mark.slow
def test_engines_with_files_of_their_own(tmp_path, monkeypatch):
    da3_members.make_small(monkeypatch)
    bag = BlockBag(sets=1).write(tmp_path / "bag")
    members = {
        "fast3dis": da3_members.write_fast3dis(tmp_path / "tiny.safetensors"),
        "da3": da3_members.write_member(tmp_path / "da3", "mono", "da3metric-large"),
    }
    for name, weights in members.items():
        out = tmp_path / f"{name}.json"
        assert main(["eval", str(bag), "--engine", name, "--weights", str(weights), "--json", str(out)]) == 0
        content = json.loads(out.read_text())
        looked = content["results"]["sets"][0]["answer"]
        assert looked in ((OBJECTS, NO_OBJECTS) if name == "fast3dis" else (COULD_NOT_LOOK,))


@pytest.mark.slow
def test_no_ros_is_needed(tmp_path):
    path = BlockBag(sets=1).write(tmp_path / "bag")
    code = f"""
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("rclpy", "sensor_msgs", "std_msgs", "geometry_msgs", "builtin_interfaces", "pan3d_interfaces"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nothing())
sys.path.insert(0, {str(ROOT / "test" / "support" / "robots")!r})
from bag_scene import pipeline
from pan3d_ros.bags.judging.evaluation import evaluate_bag
print(len(evaluate_bag({str(path)!r}, pipeline()).outcomes[0].objects))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.stdout.strip() == "2", done.stderr
