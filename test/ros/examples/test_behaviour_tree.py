"""The example of a behaviour tree, against a service that answers as it is told."""

import importlib.util
import time

import pytest
from pan3d_interfaces.msg import ErrorCode, Instance
from pan3d_interfaces.srv import SegmentObject
from places import ROOT
from rclpy.node import Node

pytest.importorskip("py_trees")
from py_trees.common import Status  # noqa: E402


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location(
        "example_behaviour_tree", ROOT / "examples" / "manipulation" / "behaviour_tree.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Service(Node):
    """Answers with these codes, one after the other."""

    def __init__(self, codes):
        super().__init__("service_under_test")
        self.codes, self.prompts = list(codes), []
        self.create_service(SegmentObject, "/pan3d/segment_object", self.answer)

    def answer(self, request, response):
        self.prompts.append(request.prompt)
        response.error_code = self.codes.pop(0)
        response.success = response.error_code == ErrorCode.OK
        response.instances.instances = [Instance(id=7)] if response.success else []
        return response


@pytest.mark.parametrize(
    ("codes", "asked", "status", "found"),
    [
        ([ErrorCode.NOT_FOUND, ErrorCode.OK], 2, Status.SUCCESS, True),
        ([ErrorCode.BUSY] * 9, 3, Status.FAILURE, False),
        ([ErrorCode.NOT_UNDERSTOOD, ErrorCode.OK], 1, Status.SUCCESS, False),  # over, but not found
    ],
)
def test_the_tree_asks_again_where_that_may_help(spinner, example, codes, asked, status, found):
    service, client = spinner.add(Service(codes)), spinner.add(Node("tree"))
    find = example.FindObject(client, "the mug")
    tree = example.py_trees.decorators.Retry("again", find, num_failures=3)
    deadline = time.monotonic() + 60.0
    tree.tick_once()
    while tree.status == Status.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        tree.tick_once()
    assert tree.status == status and service.prompts == ["the mug"] * asked
    assert find.answer.success is found
