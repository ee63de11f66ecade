"""The keystore, and what its permissions allow; `test_secured_dds.py` tries them over a DDS with security."""

import shutil
import stat
import subprocess
import xml.etree.ElementTree as ET
from fnmatch import fnmatch

import pytest
import ros_support
from keystore_script import make_keystore
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.parameter import Parameter

from pan3d_ros.platform.camera_drivers import DRIVERS, camera_parameters, read_cameras
from pan3d_ros.sim_node import SimNode

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
ENCLAVES = ("/pan3d/perception", "/pan3d/cell", "/pan3d/client", "/pan3d/operator")


def enclave(path):
    return next(e for e in ET.parse(make_keystore.POLICY).getroot().iter("enclave") if e.get("path") == path)


def may(path, name, kind):
    """Whether an enclave may publish (kind 0) or subscribe to (kind 1) a DDS topic: what is denied wins."""
    allowed, denied = (make_keystore.enclave_names(enclave(path), word)[kind] for word in ("ALLOW", "DENY"))
    return any(fnmatch(name, pattern) for pattern in allowed) and not any(fnmatch(name, pattern) for pattern in denied)


def may_publish(path, topic):
    return may(path, f"rt{topic}", 0)


def may_hear(path, topic):
    return may(path, f"rt{topic}", 1)


def may_ask(path, service):
    return may(path, f"rq{service}Request", 0) and may(path, f"rr{service}Reply", 1)


def may_answer(path, service):
    return may(path, f"rq{service}Request", 1) and may(path, f"rr{service}Reply", 0)


def assert_all_is_allowed(path, node, name):
    """All that a running node says, hears and offers is in its enclave's lists."""
    published = [topic for topic, _ in node.get_publisher_names_and_types_by_node(name, "/")]
    assert published and [topic for topic in published if not may_publish(path, topic)] == []
    heard = [topic for topic, _ in node.get_subscriber_names_and_types_by_node(name, "/")]
    assert [topic for topic in heard if not may_hear(path, topic)] == []
    offered = [service for service, _ in node.get_service_names_and_types_by_node(name, "/")]
    actions = [action for action, _ in get_action_server_names_and_types_by_node(node, name, "/")]
    offered += [f"{action}/_action/{part}" for action in actions for part in ("send_goal", "get_result", "cancel_goal")]
    assert offered and [service for service in offered if not may_answer(path, service)] == []
    asked = [service for service, _ in node.get_client_names_and_types_by_node(name, "/")]
    assert [service for service in asked if not may_ask(path, service)] == []
    return offered


@pytest.fixture(scope="module")
def keystore(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys") / "store"
    make_keystore.make_with_openssl(folder, make_keystore.POLICY)
    return folder


@needs_openssl
@pytest.mark.parametrize("path", ENCLAVES)
def test_every_enclave_has_a_key_and_documents_that_the_authority_has_signed(keystore, path):
    folder, authority = keystore / "enclaves" / path[1:], keystore / "public" / "ca.cert.pem"
    subprocess.run(["openssl", "verify", "-CAfile", authority, folder / "cert.pem"], check=True, capture_output=True)
    subject = subprocess.run(
        ["openssl", "x509", "-in", folder / "cert.pem", "-noout", "-subject", "-nameopt", "RFC2253"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert subject.strip() == f"subject=CN={path}"
    for name in ("permissions", "governance"):
        command = ["openssl", "smime", "-verify", "-in", folder / f"{name}.p7s", "-CAfile", authority, "-purpose", "any"]
        assert "<dds" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for key in (folder / "key.pem", keystore / "private" / "ca.key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    grant = ET.parse(folder / "permissions.xml").getroot().find(".//grant")
    assert grant.find("default").text == "DENY" and grant.find("subject_name").text == f"CN={path}"


@needs_openssl
def test_a_folder_that_holds_something_is_refused(keystore, capsys):
    assert make_keystore.main([str(keystore)]) == 2
    assert "expected a folder that is empty" in capsys.readouterr().err


@needs_openssl
@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ((), "expected at least one enclave"),
        (("/a", "/b", "/a"), "expected each once, got '/a' twice"),
        (("/../a",), "expected one such as /pan3d/client, got '/../a'"),
        (("a",), "expected one such as /pan3d/client, got 'a'"),
    ],
)
def test_a_policy_without_enclaves_or_with_one_that_has_no_place_in_the_keystore_is_refused(tmp_path, capsys, paths, words):
    enclaves = "".join(f'<enclave path="{path}"/>' for path in paths)
    (tmp_path / "policy.xml").write_text(f"<policy>{enclaves}</policy>")
    assert make_keystore.main([str(tmp_path / "new"), "--policy", str(tmp_path / "policy.xml")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "new").exists()


def rules(folder):
    """(allow or deny, publish or subscribe, topic) of the signed permissions, and the kinds of protection of the governance."""
    found = set()
    for rule in ET.parse(folder / "permissions.xml").getroot().find(".//grant"):
        found |= {(rule.tag, side.tag, topic.text) for side in rule for topic in side.iter("topic")}
    governance = ET.parse(folder.parents[1] / "governance.xml").getroot()
    switches = ("_kind", "_control", "_participants")
    return found, [(entry.tag, entry.text) for entry in governance.iter() if entry.tag.endswith(switches)]


@needs_openssl
@pytest.mark.skipif(not make_keystore.ros_security_is_here(), reason="needs ros2 security")
def test_ros2_security_makes_the_same_rules_and_its_keys_are_for_the_owner_alone(keystore, tmp_path):
    make_keystore.make_with_ros(tmp_path / "store", make_keystore.POLICY)
    for path in ENCLAVES:
        ours, theirs = (rules(store / "enclaves" / path[1:]) for store in (keystore, tmp_path / "store"))
        assert len(ours[0]) > 20 and len(ours[1]) > 5 and ours == theirs
    keys = [path for path in (tmp_path / "store").rglob("*key.pem") if not path.is_symlink()]
    assert len(keys) == 1 + len(ENCLAVES) and {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_the_policy_lists_all_that_the_node_says_hears_and_offers(spinner, monkeypatch):
    bench = ros_support.Bench(
        spinner, monkeypatch, global_services=True, publish__depth=True, publish__instance_image=True
    ).start()
    assert len(assert_all_is_allowed("/pan3d/perception", bench.node, "pan3d")) > 20


def test_the_policy_lists_all_that_the_cell_says_hears_and_offers(spinner):
    switches = ("publish_depth", "publish_compressed", "wrist_camera", "arm", "arm_commands")
    options = {"num_cameras": 1, "num_objects": 1, "width": 64, "height": 64} | dict.fromkeys(switches, True)
    cell = spinner.add(SimNode(parameter_overrides=[Parameter(name, value=value) for name, value in options.items()]))
    assert "/pan3d_cell/execute_grasp" in assert_all_is_allowed("/pan3d/cell", cell, "pan3d_cell")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", DRIVERS)
def test_the_node_may_hear_the_drivers_that_the_launch_file_starts(kind, compressed):
    cameras = read_cameras({"cameras": "front", "drivers": kind, "serials": "1", "models": "any"})
    parameters = camera_parameters(cameras, use_depth=True, compressed=compressed)["/**"]["ros__parameters"]
    topics = parameters["camera"]["front"]
    heard = {name: topic for name, topic in topics.items() if name.endswith("_topic")}
    assert heard and [topic for topic in heard.values() if not may_hear("/pan3d/perception", topic)] == []


@pytest.mark.parametrize("path", ["/pan3d/client", "/pan3d/operator"])
def test_a_program_of_any_name_may_start_and_answer_for_itself_alone(path):
    for service in ("describe_parameters", "get_parameters", "set_parameters", "list_parameters", "get_type_description"):
        assert may_answer(path, f"/my_program/{service}"), "rclpy offers it for every node: without it none can be made"
        assert not may_answer(path, f"/pan3d/{service}") and not may_answer(path, f"/pan3d_cell/{service}")
    assert not may_answer(path, "/pan3d/segment_object")


def test_a_client_may_ask_and_look_but_change_nothing():
    client = "/pan3d/client"
    assert may_ask(client, "/pan3d/segment_object") and may_hear(client, "/pan3d/instances")
    for service in (
        "set_parameters",
        "set_parameters_atomically",
        "change_state",
        "set_classes",
        "save_world",
        "load_world",
        "teach_object",
        "load_objects",
        "record_doubtful",
        "check_calibration",
        "refine_scene/_action/send_goal",
    ):
        assert not may_ask(client, f"/pan3d/{service}"), service
    for topic in ("/front/image_raw", "/front/pose", "/tf", "/tf_static", "/clock", "/pan3d/instances"):
        assert not may_publish(client, topic), f"a client could pretend to be the source of {topic}"
    assert may_ask("/pan3d/operator", "/pan3d/set_parameters")


def test_the_cell_may_show_pictures_but_not_those_of_the_node():
    assert may_publish("/pan3d/cell", "/front/depth") and may_publish("/pan3d/cell", "/front/camera_info")
    for topic in ("/pan3d/front/depth", "/pan3d/front/camera_info", "/pan3d/instances"):
        assert not may_publish("/pan3d/cell", topic), topic


POLICY = """<policy version="0.2.0"><enclaves><enclave path="/a"><profiles><profile ns="/robot" node="eye">
<topics publish="ALLOW"><topic>~/seen</topic><topic>near</topic><topic>/far</topic></topics>
<topics publish="DENY" subscribe="DENY"><topic>/far/*</topic></topics>
<services request="ALLOW" reply="ALLOW"><service>~/ask</service></services>
</profile></profiles></enclave></enclaves></policy>"""


def test_names_are_read_as_ros_does_and_what_is_denied_comes_before_what_is_allowed():
    entry = next(ET.fromstring(POLICY).iter("enclave"))
    both = {"rq/robot/eye/askRequest", "rr/robot/eye/askReply"}
    assert make_keystore.enclave_names(entry) == (both | {"rt/robot/eye/seen", "rt/robot/near", "rt/far"}, both)
    grant = ET.fromstring(make_keystore.permissions(entry).partition("?>")[2]).find(".//grant")
    assert [rule.tag for rule in grant][2:] == ["deny_rule", "allow_rule", "default"]
    assert [topic.text for topic in grant.find("deny_rule").iter("topic")] == ["rt/far/*", "rt/far/*"]
