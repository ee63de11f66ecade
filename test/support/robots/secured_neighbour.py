"""A program that tries to reach the perception node in every way, and writes what came of it as JSON to the file named first.

Of everything: denied (it could not even be made), nobody (nothing was met within the time), met; of services answered or silent.
"""

import json
import sys
import time
from pathlib import Path

import rclpy
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.srv import ChangeState
from pan3d_interfaces.msg import InstanceArray
from pan3d_interfaces.srv import SegmentObject
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from pan3d_ros.platform.rclpy_private import RCLError

MEETING_S, ANSWER_S = 8.0, 20.0
QUESTIONS = {
    "segment_object": SegmentObject.Request(prompt_type=SegmentObject.Request.PROMPT_ALL, timeout=10.0),
    "set_parameters": SetParameters.Request(parameters=[Parameter("service.timeout_s", value=3.0).to_parameter_msg()]),
    "change_state": ChangeState.Request(),  # to no state: nothing happens
}
KINDS = {"segment_object": SegmentObject, "set_parameters": SetParameters, "change_state": ChangeState}


def main(report, name):
    node = rclpy.create_node(name)
    heard, found = [], {}

    def attempt(what, make):
        try:
            return make()
        except RCLError:
            found[what] = "denied"
            return None

    clients = {what: attempt(what, lambda w=what: node.create_client(KINDS[w], f"/pan3d/{w}")) for what in QUESTIONS}
    pose = attempt("pretend to be a camera", lambda: node.create_publisher(PoseStamped, "/camera_0/pose", 5))
    result = attempt("pretend to be the node", lambda: node.create_publisher(InstanceArray, "/pan3d/instances", 5))
    attempt("hear objects", lambda: node.create_subscription(InstanceArray, "/pan3d/instances", heard.append, 5))
    picture = attempt("see pictures", lambda: node.create_subscription(Image, "/camera_0/image_raw", lambda image: None, 5))
    offer = attempt("answer for the node", lambda: node.create_service(GetParameters, "/pan3d/get_parameters", lambda q, a: a))

    def met():
        ready = {what: client.service_is_ready() for what, client in clients.items() if client is not None}
        if pose is not None:
            ready["pretend to be a camera"] = pose.get_subscription_count() > 0
        if result is not None:  # our own subscription may be there
            ready["pretend to be the node"] = node.count_subscribers("/pan3d/instances") > ("hear objects" not in found)
        if picture is not None:
            ready["see pictures"] = node.count_publishers("/camera_0/image_raw") > 0
        if "hear objects" not in found:
            ready["hear objects"] = bool(heard)
        return ready

    end_s = time.monotonic() + MEETING_S
    while time.monotonic() < end_s and not ("pan3d" in node.get_node_names() and all(met().values())):
        rclpy.spin_once(node, timeout_sec=0.1)
    found |= {what: "met" if yes else "nobody" for what, yes in met().items()}
    if offer is not None:
        found["answer for the node"] = "offered"
    for what, client in clients.items():
        if found[what] == "met":
            future = client.call_async(QUESTIONS[what])
            rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_S)
            found[what] = "answered" if future.done() else "silent"
    found["nodes"] = sorted(set(node.get_node_names()))
    Path(report).write_text(json.dumps(found))


if __name__ == "__main__":
    rclpy.init(args=sys.argv)
    main(*sys.argv[1:3])
