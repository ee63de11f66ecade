#!/usr/bin/env python3
"""Make an SROS 2 keystore: an authority, and a key with permissions for each enclave of config/security/pan3d.policy.xml.

    scripts/make_keystore.py ~/pan3d_keys
    export ROS_SECURITY_KEYSTORE=~/pan3d_keys ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce
    ros2 run pan3d_ros perception_node --ros-args --enclave /pan3d/perception

Where `ros2 security` is installed it does the work. Elsewhere the same files are made with openssl, in the layout that rcl looks
for: `enclaves/<path>/{cert,key,identity_ca.cert,permissions_ca.cert}.pem` and `{governance,permissions}.p7s` (DDS Security 1.1,
sections 9.4.1.2 and 9.4.1.3).
The private key of the authority (`private/`) makes further keys: keep it off the robot.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

POLICY = Path(__file__).resolve().parent.parent / "config" / "security" / "pan3d.policy.xml"
DAYS = 3650
DOMAINS = "<id_range><min>0</min><max>232</max></id_range>"
NOT_BEFORE, NOT_AFTER = "2020-01-01T00:00:00", "2099-01-01T00:00:00"
# Everything is encrypted, and nobody without a key joins or hears.
GOVERNANCE = f"""<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
     xsi:noNamespaceSchemaLocation="http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_governance.xsd">
  <domain_access_rules>
    <domain_rule>
      <domains>{DOMAINS}</domains>
      <allow_unauthenticated_participants>false</allow_unauthenticated_participants>
      <enable_join_access_control>true</enable_join_access_control>
      <discovery_protection_kind>ENCRYPT</discovery_protection_kind>
      <liveliness_protection_kind>ENCRYPT</liveliness_protection_kind>
      <rtps_protection_kind>SIGN</rtps_protection_kind>
      <topic_access_rules>
        <topic_rule>
          <topic_expression>*</topic_expression>
          <enable_discovery_protection>true</enable_discovery_protection>
          <enable_liveliness_protection>true</enable_liveliness_protection>
          <enable_read_access_control>true</enable_read_access_control>
          <enable_write_access_control>true</enable_write_access_control>
          <metadata_protection_kind>ENCRYPT</metadata_protection_kind>
          <data_protection_kind>ENCRYPT</data_protection_kind>
        </topic_rule>
      </topic_access_rules>
    </domain_rule>
  </domain_access_rules>
</dds>
"""
_ACTION_TOPICS = ("feedback", "status")
_ACTION_SERVICES = ("send_goal", "get_result", "cancel_goal")


def dds_names(profile: ET.Element, qualifier: str = "ALLOW") -> tuple[set[str], set[str]]:
    """DDS topics of one profile of a policy.

    Args:
        profile: Element `profile` with lists of topics, services and actions.
        qualifier: ALLOW or DENY: the lists that say so are read.

    Returns:
        What it may (or, of DENY, must not) publish, and subscribe to, by the names that ROS has in DDS (`rt/`, `rq/`, `rr/`).
    """
    publish: set[str] = set()
    subscribe: set[str] = set()
    space = profile.get("ns", "/").rstrip("/")

    def names(group: ET.Element) -> list[str]:
        starts = {"/": "", "~": f"{space}/{profile.get('node')}"}
        texts = [(entry.text or "").strip() for entry in group]
        return [starts.get(text[:1], f"{space}/") + text.removeprefix("~") for text in texts]

    def service(name: str, replies: bool) -> None:
        request, reply = f"rq{name}Request", f"rr{name}Reply"
        (subscribe if replies else publish).add(request)
        (publish if replies else subscribe).add(reply)

    def action(name: str, executes: bool) -> None:
        for part in _ACTION_SERVICES:
            service(f"{name}/_action/{part}", executes)
        (publish if executes else subscribe).update(f"rt{name}/_action/{part}" for part in _ACTION_TOPICS)

    for group in profile:
        for name in names(group):
            if group.tag == "topics":
                if group.get("publish") == qualifier:
                    publish.add(f"rt{name}")
                if group.get("subscribe") == qualifier:
                    subscribe.add(f"rt{name}")
            elif group.tag == "services":
                for side in ("request", "reply"):
                    if group.get(side) == qualifier:
                        service(name, side == "reply")
            elif group.tag == "actions":
                for side in ("call", "execute"):
                    if group.get(side) == qualifier:
                        action(name, side == "execute")
    return publish, subscribe


def enclave_names(enclave: ET.Element, qualifier: str = "ALLOW") -> tuple[set[str], set[str]]:
    """What `dds_names` gives, of all profiles of an enclave together."""
    names = [dds_names(profile, qualifier) for profile in enclave.iter("profile")]
    return set().union(*(publish for publish, _ in names)), set().union(*(subscribe for _, subscribe in names))


def permissions(enclave: ET.Element) -> str:
    """The permissions document of one enclave; everything that it does not list is denied.

    The first rule that names a topic decides (DDS Security 1.1, section 9.4.1.3.2.3), so what the policy denies comes first.
    """
    path = enclave.get("path")

    def topics(tag: str, names: set[str]) -> str:
        if not names:
            return ""
        listed = "\n".join(f"            <topic>{name}</topic>" for name in sorted(names))
        return f"        <{tag}>\n          <topics>\n{listed}\n          </topics>\n        </{tag}>\n"

    def rule(tag: str, publish: set[str], subscribe: set[str]) -> str:
        if not publish | subscribe:
            return ""
        inside = topics("publish", publish) + topics("subscribe", subscribe)
        return f"      <{tag}>\n        <domains>{DOMAINS}</domains>\n{inside}      </{tag}>\n"

    publish, subscribe = enclave_names(enclave)
    denied = rule("deny_rule", *enclave_names(enclave, "DENY"))
    allowed = rule("allow_rule", publish | {"ros_discovery_info"}, subscribe | {"ros_discovery_info"})
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
     xsi:noNamespaceSchemaLocation="http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_permissions.xsd">
  <permissions>
    <grant name="{path}">
      <subject_name>CN={path}</subject_name>
      <validity><not_before>{NOT_BEFORE}</not_before><not_after>{NOT_AFTER}</not_after></validity>
{denied}{allowed}      <default>DENY</default>
    </grant>
  </permissions>
</dds>
"""


def enclaves_of(policy: Path) -> dict[str, ET.Element]:
    """Path -> enclave of an SROS 2 policy; `ValueError` where it names none, one twice, or one that leaves the keystore."""
    enclaves: dict[str, ET.Element] = {}
    for enclave in ET.parse(policy).getroot().iter("enclave"):
        path = enclave.get("path", "")
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{policy}: enclave path: expected one such as /pan3d/client, got {path!r}")
        if path in enclaves:
            raise ValueError(f"{policy}: enclave path: expected each once, got {path!r} twice")
        enclaves[path] = enclave
    if not enclaves:
        raise ValueError(f"{policy}: expected at least one enclave, got none")
    return enclaves


def make_with_openssl(keystore: Path, policy: Path) -> None:
    """Make the keystore without ROS.

    Args:
        keystore: A folder that is not there yet.
        policy: SROS 2 policy.

    Raises:
        ValueError: Of `enclaves_of`.
        subprocess.CalledProcessError: openssl refused.
    """
    enclaves = enclaves_of(policy)
    public, private = keystore / "public", keystore / "private"
    for folder in (public, private, keystore / "enclaves"):
        folder.mkdir(parents=True, mode=0o700)
    authority, authority_key = public / "ca.cert.pem", private / "ca.key.pem"
    _new_key(authority_key)
    _openssl("req", "-x509", "-new", "-sha256", "-key", authority_key, "-subj", "/CN=pan3d authority", "-days", DAYS,
             "-out", authority)  # fmt: skip
    for kind in ("identity", "permissions"):
        (public / f"{kind}_ca.cert.pem").symlink_to("ca.cert.pem")
        (private / f"{kind}_ca.key.pem").symlink_to("ca.key.pem")
    _sign(GOVERNANCE, keystore / "enclaves" / "governance", authority, authority_key)
    for path, enclave in enclaves.items():
        folder = keystore / "enclaves" / path.lstrip("/")
        folder.mkdir(parents=True, mode=0o700)
        _new_key(folder / "key.pem")
        _certify(path, folder, authority, authority_key)
        for kind in ("identity", "permissions"):
            shutil.copyfile(authority, folder / f"{kind}_ca.cert.pem")
        shutil.copyfile(keystore / "enclaves" / "governance.p7s", folder / "governance.p7s")
        _sign(permissions(enclave), folder / "permissions", authority, authority_key)


def make_with_ros(keystore: Path, policy: Path) -> None:
    """Make the keystore with `ros2 security`, for the domain in ROS_DOMAIN_ID (else 0) alone.

    Raises:
        ValueError: Of `enclaves_of`.
        subprocess.CalledProcessError: It refused.
    """
    enclaves = enclaves_of(policy)
    _run("ros2", "security", "create_keystore", keystore)
    for path in enclaves:
        _run("ros2", "security", "create_enclave", keystore, path)
        _run("ros2", "security", "create_permission", keystore, path, policy)
    for key in keystore.rglob("*key.pem"):
        key.chmod(0o600)  # it leaves them for everybody to read


def ros_security_is_here() -> bool:
    """Whether `ros2 security` can be run."""
    if shutil.which("ros2") is None:
        return False
    return subprocess.run(["ros2", "security", "--help"], capture_output=True, check=False).returncode == 0


def _new_key(path: Path) -> None:
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    path.chmod(0o600)


def _certify(path: str, folder: Path, authority: Path, authority_key: Path) -> None:
    """A certificate for the enclave's key, named by its path as rcl expects it."""
    with tempfile.TemporaryDirectory() as scratch:
        request = Path(scratch) / "request.pem"
        # A path has slashes, which separate the parts of a subject; they are escaped.
        subject = "/CN=" + path.replace("/", r"\/")
        _openssl("req", "-new", "-sha256", "-key", folder / "key.pem", "-subj", subject, "-out", request)
        _openssl("x509", "-req", "-sha256", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial",
                 "-CAserial", Path(scratch) / "serial", "-days", DAYS, "-out", folder / "cert.pem")  # fmt: skip


def _sign(document: str, stem: Path, authority: Path, authority_key: Path) -> None:
    """The document as `stem`.xml, and signed by the authority as `stem`.p7s."""
    plain = stem.with_suffix(".xml")
    plain.write_text(document, encoding="utf-8")
    _openssl("smime", "-sign", "-text", "-in", plain, "-signer", authority, "-inkey", authority_key,
             "-out", stem.with_suffix(".p7s"))  # fmt: skip


def _openssl(*arguments: object) -> None:
    _run("openssl", *arguments)


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)


def main(arguments: list[str] | None = None) -> int:
    """Make the keystore; 2 when that cannot be."""
    parser = argparse.ArgumentParser(description="Make an SROS 2 keystore for the node, the cell, clients and operators.")
    parser.add_argument("keystore", type=Path, help="folder to make")
    parser.add_argument("--policy", type=Path, default=POLICY, help="SROS 2 policy (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.keystore.exists() and (not options.keystore.is_dir() or any(options.keystore.iterdir())):
        print(f"keystore: expected a folder that is empty or not there yet, got {options.keystore}", file=sys.stderr)
        return 2
    with_ros = ros_security_is_here()
    if not with_ros and shutil.which("openssl") is None:
        print("neither `ros2 security` nor openssl is installed; apt-get install ros-jazzy-sros2, or openssl", file=sys.stderr)
        return 2
    try:
        (make_with_ros if with_ros else make_with_openssl)(options.keystore, options.policy)
    except subprocess.CalledProcessError as error:
        print(f"{error.cmd[0]} ended with {error.returncode}: {error.stderr.strip()}", file=sys.stderr)
        return 2
    except (OSError, ValueError, ET.ParseError) as error:
        print(error, file=sys.stderr)
        return 2
    maker = f"ros2 security, for ROS domain {os.environ.get('ROS_DOMAIN_ID') or 0} alone" if with_ros else "openssl"
    print(f"made with {maker}: {options.keystore}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
