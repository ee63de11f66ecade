"""A client of the official SDK over standard input and output, in front of a real node."""

import asyncio
import base64
import io
import os
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from places import ROOT
from ros_presence import require_ros

require_ros()
pytest.importorskip("mcp", reason="needs the SDK of MCP (extra [mcp])")

import ros_support  # noqa: E402
from mcp import Client, StdioServerParameters  # noqa: E402
from mcp.client.stdio import stdio_client  # noqa: E402

from pan3d_tools import cli  # noqa: E402


@pytest.fixture
def bench(spinner, monkeypatch):
    """A node whose cameras send on while a client asks."""
    bench = ros_support.Bench(spinner, monkeypatch, service__timeout_s=10.0).start()
    bench.until(lambda: bench.instances() and len(bench.instances()[-1].instances) == 2, "two blocks")
    over = threading.Event()

    def publish() -> None:
        while not over.is_set():
            bench.rig.publish()
            time.sleep(0.1)

    cameras = threading.Thread(target=publish, daemon=True)
    cameras.start()
    yield bench
    over.set()
    cameras.join()


def session(ask, *arguments):
    """What a coroutine function makes of a client of `pan3d mcp`."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = ["-c", "import sys; from pan3d_tools.cli import main; sys.exit(main())", "mcp", *arguments]
    server = StdioServerParameters(command=sys.executable, args=command, env=environment)

    async def run():
        async with Client(stdio_client(server)) as client:
            return await ask(client)

    return asyncio.run(asyncio.wait_for(run(), 120))


def refusal_of(result) -> str:
    assert result.is_error and len(result.content) == 1
    by_the_sdk, _, words = result.content[0].text.partition(": ")
    assert by_the_sdk.startswith("Error executing tool ")
    return words


def test_an_agent_lists_finds_grasps_and_sees_and_hears_refusals_in_the_nodes_words(bench):
    async def ask(client):
        tools = (await client.list_tools()).tools
        listed = await client.call_tool("list_objects", {})
        assert not listed.is_error, listed.content
        first = listed.structured_content["objects"][0]["id"]
        return {
            "tools": tools,
            "listed": listed,
            "found": await client.call_tool("find_objects", {"prompt": "the red block"}),
            "unfound": await client.call_tool("find_objects", {"prompt": "the sofa"}),
            "empty": await client.call_tool("find_objects", {"prompt": ""}),
            "grasps": await client.call_tool("get_grasps", {"object_id": first, "max_grasps": 2}),
            "nothing": await client.call_tool("get_grasps", {"object_id": 999}),
            "negative": await client.call_tool("get_grasps", {"object_id": -1}),
            "picture": await client.call_tool("get_picture", {}),
        }

    got = session(ask)
    tools = {tool.name: tool for tool in got["tools"]}
    assert set(tools) == {"list_objects", "find_objects", "get_grasps", "get_picture"}
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools.values())
    assert tools["get_grasps"].input_schema["required"] == ["object_id"]
    assert "objects" in tools["list_objects"].output_schema["properties"]

    scene = got["listed"].structured_content
    assert scene["frame_id"] == "base_link" and scene["metric"] and scene["cameras"] == ["front"]
    assert [item["name"] for item in scene["objects"]] == ["block", "block"]
    found = got["found"].structured_content
    (red,) = found["found"]["objects"]
    assert red["color_rgb"][0] > red["color_rgb"][2] and found["probabilities"][0] > 0.5
    assert red["center_xyz"][:2] == pytest.approx([(18.5 - 35.5) / 60 * 0.55, (27.5 - 25.5) / 60 * 0.55], abs=0.02)
    assert refusal_of(got["unfound"]).startswith("NOT_FOUND: ")
    assert refusal_of(got["empty"]).startswith("INVALID_REQUEST: ")

    grasps = got["grasps"]
    if grasps.is_error:
        assert refusal_of(grasps).startswith("NOT_FOUND: ")
    else:
        assert 1 <= len(grasps.structured_content["grasps"]) <= 2
    assert refusal_of(got["nothing"]).startswith("NOT_FOUND: ")
    assert refusal_of(got["negative"]) == "object_id: expected 1 to 4294967295, got -1"

    (image,) = got["picture"].content
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.data))).convert("RGB"))
    assert image.mime_type == "image/jpeg" and picture.shape[1] >= 480
    assert picture[:, :, 2].max() > 180 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 100


def test_without_a_node_every_tool_says_so(own_domain):
    async def ask(client):
        return [await client.call_tool(name, {}) for name in ("list_objects", "get_picture")]

    for result in session(ask, "--node", "/robot2/pan3d"):
        assert f"no perception node /robot2/pan3d is there (ROS domain {own_domain})" in refusal_of(result)


def test_a_name_that_is_none_and_a_port_that_cannot_be_are_refused(capsys):
    assert cli.main(["mcp", "--node", "pan3d"]) == 2
    assert "expected a full name such as /pan3d" in capsys.readouterr().err
    assert cli.main(["mcp", "--http", "70000"]) == 2
    assert "port: expected 0 to 65535, got 70000" in capsys.readouterr().err
