"""The client in C++: its package is whole, and what it asks and reads of messages is what the generated headers have."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from places import ROOT

CLIENT = ROOT / "examples" / "cpp_client"
# rclcpp does not come from PyPI. This has the calls that the client makes, as rclcpp of Jazzy declares them.
RCLCPP = """
#pragma once
#include <chrono>
#include <future>
#include <memory>
#include <string>
namespace rclcpp {
void init(int argc, char const * const * argv);
bool shutdown();
enum class FutureReturnCode { SUCCESS, INTERRUPTED, TIMEOUT };
template<typename Service> struct Client {
  using SharedFuture = std::shared_future<std::shared_ptr<typename Service::Response>>;
  struct FutureAndRequestId { std::shared_ptr<typename Service::Response> get(); };
  bool wait_for_service(std::chrono::nanoseconds timeout);
  FutureAndRequestId async_send_request(std::shared_ptr<typename Service::Request> request);
};
struct Node {
  explicit Node(const std::string & name);
  template<typename Service> std::shared_ptr<Client<Service>> create_client(const std::string & name);
};
template<typename Future>
FutureReturnCode spin_until_future_complete(std::shared_ptr<Node> node, Future & future, std::chrono::nanoseconds timeout);
}
"""


def include_folders() -> list[Path]:
    """Of the generated headers, each package's own folder."""
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    return [folder for prefix in prefixes for folder in (prefix / "include").glob("*") if folder.is_dir()]


def test_it_compiles_against_the_generated_messages(tmp_path):
    folders = include_folders()
    if shutil.which("c++") is None or not any(
        (folder / "pan3d_interfaces/srv/segment_object.hpp").exists() for folder in folders
    ):
        pytest.skip("no compiler, or no generated messages")
    (tmp_path / "rclcpp").mkdir()
    (tmp_path / "rclcpp" / "rclcpp.hpp").write_text(RCLCPP)
    includes = [word for folder in (tmp_path, *folders) for word in ("-isystem", str(folder))]
    command = ["c++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Werror", *includes]
    run = subprocess.run([*command, str(CLIENT / "src/ask.cpp")], capture_output=True, text=True, timeout=250)
    assert run.returncode == 0, run.stderr


def test_its_package_names_what_it_includes_and_is_no_part_of_the_build_of_pan3d():
    manifest = ElementTree.parse(CLIENT / "package.xml").getroot()
    included = {
        line.split('"')[1].split("/")[0] for line in (CLIENT / "src/ask.cpp").read_text().splitlines() if '#include "' in line
    }
    build = (CLIENT / "CMakeLists.txt").read_text()
    assert included == {element.text for element in manifest.iter("depend")}
    assert all(f"find_package({name} REQUIRED)" in build for name in included)
    assert f"project({manifest.findtext('name')})" in build
    assert (CLIENT / "COLCON_IGNORE").is_file()
    assert manifest.findtext("version") == ElementTree.parse(ROOT / "ros/package.xml").getroot().findtext("version")
