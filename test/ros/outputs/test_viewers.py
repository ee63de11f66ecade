"""The configurations of RViz and Foxglove show topics that the node publishes, and call services that it offers."""

import json

import pytest
import ros_support
import yaml
from pan3d_interfaces.msg import GraspTarget, InstanceArray, PipelineStats
from pan3d_interfaces.srv import GetGraspTargets, SegmentObject, SetClasses
from places import ROOT
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

LAYOUT = json.loads((ROOT / "foxglove" / "pan3d.json").read_text())
DISPLAYS = yaml.safe_load((ROOT / "rviz" / "pan3d.rviz").read_text())["Visualization Manager"]["Displays"]
# As in the sources of the viewer; other names would be an empty panel.
PANELS = {"3D", "Image", "DiagnosticSummary", "CallService", "RawMessages", "Plot"}


@pytest.fixture
def bench(spinner, monkeypatch):
    bench = ros_support.Bench(spinner, monkeypatch, global_services=True).start()
    bench.until(bench.instances, "a result")
    return bench


def panels(tree) -> list[str]:
    return [tree] if isinstance(tree, str) else panels(tree["first"]) + panels(tree["second"])


def test_every_panel_of_the_layout_is_configured_once():
    shown = panels(LAYOUT["layout"])
    assert sorted(shown) == sorted(LAYOUT["configById"])
    assert {name.partition("!")[0] for name in shown} == PANELS


def test_both_show_what_the_node_publishes(bench):
    published = {topic for topic, _ in bench.node.get_topic_names_and_types()}
    rviz = {f"/{display['Topic']['Value']}" for display in DISPLAYS if "Topic" in display}
    assert rviz - published == set() and "/pan3d/grasp_markers" in rviz
    configured = LAYOUT["configById"]
    foxglove = {topic for panel in configured.values() for topic in panel.get("topics", {})}
    foxglove |= {panel["imageMode"][key] for name, panel in configured.items() if "Image" in name for key in panel["imageMode"]}
    foxglove |= {panel["topicToRender"] for panel in configured.values() if "topicToRender" in panel}
    # The wrist is a second camera, which this node does not have; its topics are called as the first one's.
    assert {topic.replace("/wrist/", "/front/") for topic in foxglove} - published == set()


def test_paths_of_messages_lead_to_fields():
    paths = [panel["topicPath"] for panel in LAYOUT["configById"].values() if "topicPath" in panel]
    paths += [line["value"] for panel in LAYOUT["configById"].values() for line in panel.get("paths", ())]
    kinds = {"/pan3d/instances": InstanceArray, "/pan3d/stats": PipelineStats}
    assert len(paths) == 3
    for path in paths:
        topic, field = path.split(".")[:2]
        assert hasattr(kinds[topic](), field.partition("[")[0]), path


def test_services_are_called_as_the_node_offers_them(bench):
    offered = dict(bench.node.get_service_names_and_types())
    kinds = {"/segment_object": SegmentObject, "/pan3d/set_classes": SetClasses}
    called = {panel["serviceName"]: panel for name, panel in LAYOUT["configById"].items() if name.startswith("CallService")}
    assert set(called) == set(kinds) <= set(offered)
    for name, panel in called.items():
        kinds[name].Request(**json.loads(panel["requestPayload"]))  # an unknown field is an error


def test_grasps_of_an_answer_are_drawn_also_for_who_comes_later(bench, monkeypatch):
    found = GraspTarget(header=Header(frame_id="base_link"), width=0.05, opening=0.06, object_width=0.03)
    found.grasp_pose.orientation.w = 1.0

    def answer(request, response):
        response.targets = [found, found]
        return response

    monkeypatch.setattr(bench.node.answers, "_get_grasp_targets", answer)
    bench.call(GetGraspTargets, "get_grasp_targets", instance_id=1)
    drawn = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    bench.listener.create_subscription(MarkerArray, "/pan3d/grasp_markers", drawn.append, latched)
    bench.until(lambda: drawn, "the markers")
    hands = [marker for marker in drawn[-1].markers if marker.ns == "grasps/hand"]
    assert len(hands) == 3 * 2 and hands[0].header.frame_id == "base_link"
