"""The keystore, what its permissions allow, and a secured node that strangers cannot reach."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from fnmatch import fnmatch

import pytest
import ros_support
from places import ROOT

spec = importlib.util.spec_from_file_location("make_keystore", ROOT / "scripts" / "make_keystore.py")
make_keystore = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_keystore)

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
ENCLAVES = ("/pan3d/perception", "/pan3d/cell", "/pan3d/client", "/pan3d/operator")


def allowed(path):
    """Patterns of DDS topics that an enclave may publish and subscribe to."""
    enclave = next(e for e in ET.parse(make_keystore.POLICY).getroot().iter("enclave") if e.get("path") == path)
    profiles = [make_keystore.dds_names(profile) for profile in enclave.iter("profile")]
    return set().union(*(p for p, _ in profiles)), set().union(*(s for _, s in profiles))


def covers(patterns, name):
    return any(fnmatch(name, pattern) for pattern in patterns)


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
def test_a_folder_that_holds_something_and_a_policy_without_enclaves_are_refused(keystore, tmp_path, capsys):
    assert make_keystore.main([str(keystore)]) == 2
    assert "expected a folder that is empty" in capsys.readouterr().err
    (tmp_path / "policy.xml").write_text("<policy/>")
    assert make_keystore.main([str(tmp_path / "new"), "--policy", str(tmp_path / "policy.xml")]) == 2
    assert "expected at least one enclave" in capsys.readouterr().err


def test_the_policy_lists_all_that_the_node_says_hears_and_offers(spinner, monkeypatch):
    bench = ros_support.Bench(
        spinner, monkeypatch, global_services=True, publish__depth=True, publish__instance_image=True
    ).start()
    publish, subscribe = allowed("/pan3d/perception")
    node = bench.node
    for name, _ in node.get_publisher_names_and_types_by_node("pan3d", "/"):
        assert covers(publish, f"rt{name}"), name
    for name, _ in node.get_subscriber_names_and_types_by_node("pan3d", "/"):
        assert covers(subscribe, f"rt{name}"), name
    services = node.get_service_names_and_types_by_node("pan3d", "/")
    assert len(services) > 20
    for name, _ in services:
        assert covers(subscribe, f"rq{name}Request") and covers(publish, f"rr{name}Reply"), name


def test_a_client_may_ask_and_look_but_change_nothing():
    publish, subscribe = allowed("/pan3d/client")
    assert covers(publish, "rq/pan3d/segment_objectRequest") and covers(subscribe, "rt/pan3d/instances")
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
        assert not covers(publish, f"rq/pan3d/{service}Request"), service
    for topic in ("/front/image_raw", "/front/pose", "/tf", "/tf_static", "/clock", "/pan3d/instances"):
        assert not covers(publish, f"rt{topic}"), f"a client could pretend to be the source of {topic}"
    assert covers(allowed("/pan3d/operator")[0], "rq/pan3d/set_parametersRequest")


STRANGER = """
import sys, rclpy
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
rclpy.init(args=sys.argv)
node = rclpy.create_node("asks")
def call(kind, name, request):
    client = node.create_client(kind, f"/pan3d/{name}")
    if not client.wait_for_service(timeout_sec=20.0):
        return "unreachable"
    future = client.call_async(request)
    rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
    return "answered" if future.done() else "unanswered"
print(call(GetParameters, "get_parameters", GetParameters.Request(names=["reference_frame"])),
      call(SetParameters, "set_parameters", SetParameters.Request(
          parameters=[Parameter("service.timeout_s", value=3.0).to_parameter_msg()])))
"""


@needs_openssl
@pytest.mark.timeout(200)
def test_over_secured_dds_a_stranger_can_neither_call_a_service_nor_set_a_parameter(keystore, process_domain, tmp_path):
    secured = {
        **os.environ, "ROS_SECURITY_KEYSTORE": str(keystore), "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce",
        "ROS_DOMAIN_ID": str(process_domain), "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    probe = "import sys, rclpy; rclpy.init(args=sys.argv); rclpy.create_node('probe')"
    probing = [sys.executable, "-c", probe, "--ros-args", "--enclave", "/pan3d/client"]
    if "doesn't have the security libraries" in subprocess.run(probing, env=secured, capture_output=True, text=True).stderr:
        pytest.skip("this build of Fast DDS has no security (the wheels from PyPI have none)")
    command = [sys.executable, "-m", "pan3d_ros.perception_node", "--ros-args", "--enclave", "/pan3d/perception"]
    log = tmp_path / "node.log"
    with log.open("w") as out:
        node = subprocess.Popen(command, env=secured, stdout=out, stderr=subprocess.STDOUT)
    try:

        def ask(environment, *arguments):
            run = [sys.executable, "-c", STRANGER, *arguments]
            return subprocess.run(run, env=environment, capture_output=True, text=True, timeout=90).stdout.split()

        operator = ask(secured, "--ros-args", "--enclave", "/pan3d/operator")
        assert operator == ["answered", "answered"], log.read_text()
        stranger = {name: value for name, value in secured.items() if not name.startswith("ROS_SECURITY")}
        assert ask(stranger) == ["unreachable", "unreachable"]
    finally:
        node.kill()
        node.wait()
