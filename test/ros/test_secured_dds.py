"""The node, the cell, clients and strangers over a DDS with security, each in its enclave, in processes of their own.

Skipped where Fast DDS is built without security, as in the wheels from PyPI; docs/security.md says how to run them there.
"""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from keystore_script import make_keystore
from places import ROOT

NEIGHBOUR = ROOT / "test" / "support" / "robots" / "secured_neighbour.py"
MAKERS = {"openssl": make_keystore.make_with_openssl, "ros2 security": make_keystore.make_with_ros}
CELL = ["num_cameras:=2", "num_objects:=2", "width:=160", "height:=120", "publish_depth:=true", "rate_hz:=2.0"]
NODE = ["cameras:=[camera_0, camera_1]", "model.name:=depth_clusters", "input.use_depth:=true", "autostart:=true"]
NODE += ["transforms.source:=pose_topics", "workspace.support_height_m:=0.0", "reference_frame:=base_link"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]


def unsecured():
    """This environment without words about security."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROS_SECURITY")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    return environment


def secured(keystore):
    words = {"ROS_SECURITY_KEYSTORE": str(keystore), "ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce"}
    return unsecured() | words


def as_client(keystore):
    return secured(keystore) | {"ROS_SECURITY_ENCLAVE_OVERRIDE": "/pan3d/client"}


def ended(environment, *words):
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module", params=MAKERS)
def keystore(request, tmp_path_factory, process_domain):
    """Keys for the domain of this process, made in both ways."""
    if request.param == "ros2 security" and not make_keystore.ros_security_is_here():
        pytest.skip("needs ros2 security")
    folder = tmp_path_factory.mktemp("keys") / "store"
    MAKERS[request.param](folder, make_keystore.POLICY)
    probe = ended(as_client(folder), "-c", "import rclpy; rclpy.init(); rclpy.create_node('probe')")
    if "doesn't have the security libraries" in probe.stderr:
        pytest.skip("this build of Fast DDS has no security (the wheels from PyPI have none)")
    return folder


@pytest.fixture(scope="module")
def running(keystore, tmp_path_factory):
    """The cell and the node in their enclaves; what they print."""
    logs = tmp_path_factory.mktemp("logs")
    programs = {"cell": ("pan3d_ros.sim_node", CELL), "perception": ("pan3d_ros.perception_node", NODE)}
    processes = []
    try:
        for enclave, (module, parameters) in programs.items():
            command = [sys.executable, "-m", module, "--ros-args", "--enclave", f"/pan3d/{enclave}"]
            command += [word for parameter in parameters for word in ("-p", parameter)]
            with (logs / enclave).open("w") as out:
                processes.append(subprocess.Popen(command, env=secured(keystore), stdout=out, stderr=subprocess.STDOUT))
        end_s = time.monotonic() + 60.0
        while "is ready" not in (logs / "perception").read_text() or "ready" not in (logs / "cell").read_text():
            assert time.monotonic() < end_s, [(logs / name).read_text() for name in programs]
            time.sleep(0.2)
        yield logs
    finally:
        for process in processes:
            process.kill()
            process.wait()


def neighbour(environment, tmp_path, name="neighbour", enclave=""):
    """What came of all that `secured_neighbour.py` tries; what it said where it could not start."""
    report = tmp_path / "report.json"
    out = ended(environment, str(NEIGHBOUR), str(report), name, *(["--ros-args", "--enclave", enclave] if enclave else []))
    return json.loads(report.read_text()) if report.exists() else out.stderr


DENIED = dict.fromkeys(["pretend to be a camera", "pretend to be the node", "answer for the node", "see pictures"], "denied")


def known(found):
    """What came of what was tried, by one who found the node."""
    assert "pan3d" in found.pop("nodes")
    return found


def test_a_client_asks_and_looks_but_changes_nothing_and_pretends_nothing(keystore, running, tmp_path):
    assert known(neighbour(secured(keystore), tmp_path, enclave="/pan3d/client")) == DENIED | {
        "segment_object": "answered", "hear objects": "met", "set_parameters": "denied", "change_state": "denied"
    }  # fmt: skip


def test_an_operator_also_sets_parameters_and_states(keystore, running, tmp_path):
    assert known(neighbour(secured(keystore), tmp_path, enclave="/pan3d/operator")) == DENIED | {
        "segment_object": "answered", "hear objects": "met", "set_parameters": "answered", "change_state": "answered"
    }  # fmt: skip


def test_a_camera_is_heard_and_does_nothing_else(keystore, running, tmp_path):
    asked = dict.fromkeys(["segment_object", "set_parameters", "change_state", "hear objects"], "denied")
    found = neighbour(secured(keystore), tmp_path, name="pan3d_cell", enclave="/pan3d/cell")
    assert known(found) == DENIED | asked | {"pretend to be a camera": "met"}


EVERYTHING = """<policy version="0.2.0"><enclaves><enclave path="/pan3d/operator"><profiles><profile ns="/" node="*">
<topics publish="ALLOW" subscribe="ALLOW"><topic>/*</topic></topics>
<services request="ALLOW" reply="ALLOW"><service>/*</service></services>
</profile></profiles></enclave></enclaves></policy>"""


def assert_met_nobody(found):
    assert found.pop("answer for the node") == "offered"  # to nobody: see the nodes
    assert found.pop("nodes") == ["neighbour"]
    assert len(found) == 7 and set(found.values()) == {"nobody"}, found


def test_a_stranger_without_keys_meets_nobody(running, tmp_path):
    assert_met_nobody(neighbour(unsecured(), tmp_path))


def test_a_stranger_with_keys_of_another_authority_meets_nobody(running, tmp_path):
    """Its own policy lets it do everything."""
    policy = tmp_path / "policy.xml"
    policy.write_text(EVERYTHING)
    make_keystore.make_with_openssl(tmp_path / "store", policy)
    assert_met_nobody(neighbour(secured(tmp_path / "store"), tmp_path, enclave="/pan3d/operator"))


@pytest.mark.parametrize("theirs", ["permissions.p7s", "governance.p7s"])
def test_a_client_that_exchanges_its_documents_cannot_start(keystore, running, tmp_path, theirs):
    """The operator's permissions are signed by the right authority, but for another; what is not signed counts for nothing."""
    shutil.copytree(keystore, tmp_path / "store")
    document = tmp_path / "store" / "enclaves" / "pan3d" / "client" / theirs
    document.unlink()
    if theirs == "permissions.p7s":
        shutil.copyfile(keystore / "enclaves" / "pan3d" / "operator" / theirs, document)
    else:
        document.write_text((keystore / "enclaves" / "governance.xml").read_text().replace("ENCRYPT", "NONE"))
    assert "RCLError" in neighbour(secured(tmp_path / "store"), tmp_path, enclave="/pan3d/client")


@pytest.mark.parametrize("enclave", ["", "/pan3d/nobody", "/pan3d/client"])
def test_a_node_that_may_not_start_says_so_in_one_sentence(keystore, enclave):
    words = ["--ros-args", "--enclave", enclave] if enclave else []
    out = ended(secured(keystore), "-m", "pan3d_ros.perception_node", *words)
    assert out.returncode == 1 and "Traceback" not in out.stderr
    assert out.stderr.splitlines()[-1].startswith("pan3d: ROS ") and "docs/security.md" in out.stderr.splitlines()[-1]


ASKS = """
from contextlib import closing
from pan3d_interfaces.srv import GetGraspTargets, GetInstances
from std_srvs.srv import Trigger
import time
from pan3d_tools.live import NodeConnection, NodeUnavailable
with closing(NodeConnection()) as connection:
    connection.ask(GetInstances, "get_instances", GetInstances.Request(), 10.0)
    time.sleep(4.0)  # longer than it takes to find who is there: keys for the next service are exchanged all the same
    connection.ask(GetGraspTargets, "get_grasp_targets", GetGraspTargets.Request(), 10.0)
    try:
        connection.ask(Trigger, "check_calibration", Trigger.Request(), 10.0)
    except NodeUnavailable as error:
        assert "/pan3d/check_calibration cannot be asked" in str(error) and "docs/security.md" in str(error), error
    else:
        raise AssertionError("a client was let in")
"""


def test_a_connection_asks_one_service_after_the_other_and_names_what_it_may_not(keystore, running):
    out = ended(as_client(keystore), "-c", ASKS)
    assert out.returncode == 0, out.stderr
