"""The page of a real node in a real browser: what it shows, what it hears and when, and prompts that are answered or refused."""

import socket
import threading
import time

import numpy as np
import pytest
from chromium import Page, find_chromium, until
from ros_presence import require_ros

require_ros()
pytest.importorskip("viser", reason="needs viser (extra [web])")
if find_chromium() is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

import ros_support  # noqa: E402

from pan3d_core.pictures.palette import instance_color  # noqa: E402
from pan3d_tools.live.page import NodePage, NodePageSettings  # noqa: E402

TOLERANCE = 40


@pytest.fixture
def browser(tmp_path):
    with Page(find_chromium(), tmp_path, 900, 900) as page:
        yield page


@pytest.fixture
def page(process_domain):
    page = NodePage(NodePageSettings(port=0))
    yield page
    page.stop()


def heard_by(page: NodePage) -> set[str]:
    return {subscription.topic_name for subscription in page._connection.node.subscriptions}


def pixels_of(browser: Page, color) -> int:
    return int((np.abs(browser.picture().astype(int) - np.array(color)) < TOLERANCE).all(-1).sum())


def test_who_looks_sees_the_node_and_asks_it_and_who_does_not_costs_nothing(spinner, monkeypatch, page, browser):
    bench = ros_support.Bench(spinner, monkeypatch, service__timeout_s=10.0).start()
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "two blocks")
    assert heard_by(page) == set()
    browser.open(page.address)
    bench.until(lambda: "front" in browser.text() and "2 objects; metres" in browser.text(), "the page to show the node")
    assert "/pan3d/front/instance_image" in heard_by(page)
    first, second = (item.id for item in bench.instances()[-1].instances)
    bench.until(lambda: f"{first} block" in browser.text() and f"{second} block" in browser.text(), "the objects")
    bench.until(lambda: "ms of work by colors on cpu" in browser.text(), "times")
    bench.until(lambda: "services: offered as /pan3d/segment_object" in browser.text(), "diagnostics")
    bench.until(lambda: pixels_of(browser, instance_color(first)) > 100, "the first block's colour")

    browser.type_into("Prompt", "the red block")
    browser.click_text("Ask")
    bench.until(lambda: "fits, as block" in browser.text(), "the answer")
    (red,) = page.marked
    bench.until(lambda: f"▸ {red} block" in browser.text(), "the answer to stand out")
    threading.Thread(target=page.ask, args=("the sofa",)).start()  # it is answered from pictures that are sent meanwhile
    bench.until(lambda: "the sofa: NOT_FOUND: " in browser.text(), "the refusal in the node's words")
    assert not page.marked and browser.problems == []

    bench.node.trigger_deactivate()
    bench.until(lambda: "No result for" in browser.text(), "the page to say that nothing comes", publish=False)
    page.ask("the red block")
    bench.until(lambda: "the red block: NOT_ACTIVE: " in browser.text(), "the refusal", publish=False)
    browser.__exit__()  # the tab is closed; one that was only left lives on for a while
    until(lambda: heard_by(page) == set(), "the page to hear nothing")


def test_without_a_node_the_page_says_so_and_names_another_one(own_domain, page, browser):
    browser.open(page.address)
    until(lambda: "no perception node /pan3d is there" in browser.text(), "the page to say that nobody is there")
    assert f"ROS domain {own_domain}" in browser.text()
    begin_s = time.monotonic()
    page.ask("the mug")
    assert time.monotonic() - begin_s < 10
    until(lambda: browser.text().count("no perception node /pan3d is there") == 2, "the refusal of the prompt")


def test_a_port_that_is_taken_and_a_name_that_is_none_are_refused(process_domain):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"expected a free port of this machine, got {port} of 127.0.0.1"):
            NodePage(NodePageSettings(port=port))
    with pytest.raises(ValueError, match="expected a full name such as /pan3d or /robot2/pan3d, got 'pan3d'"):
        NodePage(NodePageSettings(port=0, node="pan3d"))
